"""The drive's state machine: arming step by step, setpoints, ordered stop, latched faults.

`tick` is called every TICK_PERIODS of board time.  It depends on the block, the commands and the
period number only, never on the wall clock, so the same commands at the same periods give the
same run on every bench.  Everything it tells the kernel goes through the mailbox.
"""

from math import log, pi, sqrt

from eesm import parameters
from eesm.cyclic import MASK, TURN, signed
from eesm.faults import ASKED, NAMES, Failed, bit_of, names_of, number_of, numbers_of
from eesm.memory import LENT, SCARCE, release, tidy
from eesm.modes import (
    BRIDGE_OFF,
    FIELD_OFF,
    FIELD_REVERSE,
    REFERENCE_CURRENT,
    REFERENCE_SPEED,
    REFERENCE_TORQUE,
)

TICK_PERIODS = 20
TRIES = 4  # of wiring and angle, each
REST = 0.25  # s until what a stretched pulse left has decayed
ADC_TOP = 4095  # as in eesm.signals
SAFE_LOOKS = 3  # that find bridge and field down, one after the other
GATE_INVERTER = 1  # bit of gate_enable, as in eesm.signals
COOL = 1.0  # heat of the stator, as eesm.watch_heat.CLEAR, below which an overload is cleared
KEEPING = 30  # periods of a tick after which no further keeper looks
LOOKING = 100  # and no further watch

# Faults after which open switches may feed the link: where the bridge bears it, the machine is shorted.
SHORTING = ("EXCITER_STUCK", "OVER_EXCITATION")

OFF = 0
OFFSETS = 1
WIRING = 2
ANGLE = 3
FIELD_UP = 4
DIRECTION = 5
READY = 6
RUNNING = 7
STOPPING = 8
FIELD_DOWN = 9
FAULT = 10
STATES = (
    "off",
    "offsets",
    "wiring",
    "angle",
    "field up",
    "direction",
    "ready",
    "running",
    "stopping",
    "field down",
    "fault",
)
STARTUP = {OFFSETS: "Offsets", WIRING: "Wiring", ANGLE: "Angle", FIELD_UP: "FieldUp", DIRECTION: "Direction"}

EVENTS = 64
RPM = pi / 30  # rad/s

# Codes of a refusal.
WRONG_STATE = 1
OUT_OF_RANGE = 2
UNKNOWN = 3
FIXED = 4
HOLDS = 5
BUSY = 19  # as eesm.wire: ask again in a moment


def fall_time(settings, supply, i_f, i_end):
    """Seconds to bring the field from i_f down to i_end, reversed if the exciter can, else by R_f."""
    tau = settings["L_f"] / settings["R_f"]
    forced = supply / settings["R_f"] if settings["exciter_kind"] != "unipolar" else 0.0
    i_end = max(i_end, 1e-3 * settings["i_f_max"])
    return tau * log((forced + max(i_f, i_end)) / (forced + i_end))


def procedure_of(state):
    """The class of a state's procedure; a board has `eesm.startup` in its memory only while it arms."""
    try:
        from eesm import startup
    except MemoryError:
        raise Failed("HEAP_LOW", "no memory is left for the start-up; restart the board")
    return getattr(startup, STARTUP[state])


def make_keepers(drive):
    """Watches of the board's memory, the winding and heat, where there is memory for them."""
    from eesm.watch_board import BoardWatch
    from eesm.watch_heat import HeatWatch
    from eesm.watch_winding import WindingWatch

    winding = WindingWatch(drive)
    return BoardWatch(drive), winding, HeatWatch(drive, winding)


class Refused(Exception):
    """A command that is not obeyed; `text` says what was found, the limit and what to do."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.text = text


class Drive:
    """One drive unit: state, setpoints, settings, faults and events."""

    IN_FAULT = FAULT

    def __init__(self, kernel, mailbox, driver=None):
        self.kernel = kernel
        # Those of the kernel, without a call between: procedures and ticks read all the time.
        self.read, self.si, self.raw, self.step_of = kernel.read, kernel.si, kernel.raw, kernel.step_of
        self.mailbox = mailbox
        self.driver = driver
        self._hurries = not getattr(driver, "waits", True)  # periods go on while a tick takes its time
        self.settings = kernel.settings
        self.words = kernel.words
        self._bases = None  # of the settings, once one of them has been set
        self.state = OFF
        self.now = kernel.read("period")
        self.angle_known = False
        self.checked = False  # wiring and direction found good since the last fault
        self.events = []  # (period, kind, text), oldest first
        self.events_lost = 0
        self.fault_texts = {}  # name: what was measured
        self.host_period = self.now
        # While True a measurement is lost unless it is read within 3 ms; the link may have to wait.
        self.urgent = False
        self._procedure = None
        self._tries = 0  # of the procedure
        self._late = 0  # letters that had been late when it began
        self._resting = False  # before it begins again
        self._until = 0
        self._field_until = 0
        self._field_looked = 0
        self._good = 0
        self._measure = 0
        self._clear = 0
        self._clearing = False
        self.latched = []  # numbers of the latched faults, in the order in which they were seen
        self.first_faults = 0  # those that came first, as a word
        self.first_period = 0
        # Lent by `eesm.watches` at the end of the start-up.
        self.sight = None
        self.current_watch = None
        self.second_level = None
        self.watches = ()
        self.always = 0  # the number of those that look in every tick
        self._waits = False  # the others have had no time
        self._next_watch = self._next_keeper = 0
        self.safe = False  # the bridge is off, and the field was seen below its limit
        self._safe_looks = 0
        self._safe_looked = -1
        self.snapshot = None  # what keeps the first fault (`eesm.snapshot`), if anything does
        self.board = self.heat = None
        self.keepers = ()  # looked at in every state
        if not SCARCE:
            self.keepers = self.board, _, self.heat = make_keepers(self)
        if kernel.failure is not None:
            name, text = kernel.failure
            self.state = FAULT
            self._latch(bit_of(name), self.now, text)

    def keep_faults(self, snapshot):
        """Let an `eesm.snapshot.Snapshot` keep the first fault."""
        self.snapshot = snapshot
        self.keepers += (snapshot,)

    # --- time and block, also used by the procedures ------------------------------------------------

    def since(self, period):
        """Periods passed since `period`."""
        return signed(self.now - period)

    def wait(self, until):
        """True while `until` is still to come."""
        return signed(until - self.now) > 0

    def counts_since(self, position):
        """Encoder counts moved from `position`, by the shorter way."""
        turn = self.settings["encoder_counts"]
        moved = (self.read("position") - position) % turn
        return moved - turn if moved > turn // 2 else moved

    def _encoder_turns(self):
        """Electrical phase of the encoder's count without its offset."""
        step = self.read("encoder_gain_high") << 15 | self.read("encoder_gain_low")
        return self.read("position") * step & MASK

    def encoder_phase(self):
        """Electrical phase of the d axis by the encoder, of 2**30."""
        return (self._encoder_turns() + self.read("theta_offset")) & MASK

    def offset_for(self, phase):
        """The theta_offset with which the encoder reads `phase` now."""
        return (phase - self._encoder_turns()) & MASK

    def use_offset(self, offset):
        """Make `offset` the encoder's, and keep it in the settings."""
        self.words["theta_offset"] = offset
        self.settings["encoder_offset"] = offset / TURN
        self.post({"theta_offset": offset})

    def exciter_voltage(self):
        """Highest exciter voltage now."""
        if self.settings["exciter_from_link"]:
            return self.si("u_dc")
        return self.settings["u_f_nominal"]

    def post(self, words, due=None, tag=""):
        """Send words to the kernel, together, however full the mailbox is."""
        self.mailbox.post(words, due, True, tag, True)

    def measure(self, samples, words, due):
        """Start a measurement at period `due`, together with other words; returns its number."""
        self._measure = (self._measure + 1) & 0xFFFF
        letter = {"measure_start": self._measure, "measure_samples": samples}
        letter.update(words)
        self.post(letter, due & MASK, "startup")
        return self._measure

    def measured(self, number):
        """Sums of a measurement, or None while it runs."""
        started = self.read("measure_started")
        ahead = (started - number) & 0xFFFF
        if ahead >= 0x8000 or (self.read("measure_left") > 0 and ahead == 0):
            return None
        if ahead > 0:
            raise Failed(
                "STARTUP_LATE", "measurement %d was overwritten by %d before it was read" % (number, started)
            )
        names = ("i_a_raw", "i_b_raw", "i_f_raw", "i_alpha", "i_beta", "i_f")
        return {name: self.read("sum_" + name) for name in names}

    def tell(self, text):
        """Record what a procedure found."""
        self._event("found", text)

    def _event(self, kind, text):
        if len(self.events) >= EVENTS:
            self.events.pop(0)
            self.events_lost += 1
        self.events.append((self.now, kind, text))

    # --- commands -----------------------------------------------------------------------------------

    def arm(self):
        """Leave OFF for READY, by way of offsets, wiring, angle, field and direction."""
        self.now = self.read("period")
        if self.state == FAULT:
            raise Refused(WRONG_STATE, "the drive has a fault (%s); clear it first" % self._fault_names())
        if self.state != OFF:
            raise Refused(WRONG_STATE, "the drive is armed already (%s); stop it first" % STATES[self.state])
        if self.snapshot is not None and self.snapshot.writes():
            raise Refused(HOLDS, "the first fault is still being kept; arm again in a moment")
        u_dc, lowest = self.si("u_dc"), self.settings["u_dc_min"]
        if u_dc < lowest:
            raise Refused(
                HOLDS, "u_dc is %.1f V, at least %.1f V are needed; switch the supply on" % (u_dc, lowest)
            )
        # The sensor's offset is not known yet, hence the wide limit.
        i_f, allowed = abs(self.si("i_f")), 0.1 * self.settings["i_f_max"]
        if i_f > allowed:
            raise Refused(
                HOLDS, "the field carries %.2f A, %.2f A are allowed; wait until it is down" % (i_f, allowed)
            )
        if not self._stands_still() and not (self.angle_known and self.checked):
            raise Refused(
                HOLDS,
                "the shaft turns at %.0f rpm and the rotor angle is unknown; wait for standstill"
                % (self.si("w_e") / self.settings["pole_pairs"] / RPM),
            )
        self.host_seen()
        self._enter(OFFSETS)

    def stop(self):
        """End torque, then the field, in order; accepted in every state."""
        self.now = self.read("period")
        if self.state in (OFFSETS, WIRING, ANGLE):
            self._withdraw()
            self.post({"bridge_mode": BRIDGE_OFF})
            self._enter(FIELD_DOWN)
        elif self.state in (FIELD_UP, DIRECTION, READY, RUNNING):
            self._withdraw()
            self._enter(STOPPING)

    def clear(self):
        """Clear the latched faults; refused while a cause holds or the field is not down."""
        self.now = self.read("period")
        if self.state != FAULT:
            raise Refused(WRONG_STATE, "no fault is latched")
        if self.kernel.failure is not None:
            raise Refused(HOLDS, "%s; load the board folder again and restart" % self.kernel.failure[1])
        i_f, safe = abs(self.si("i_f")), self.si("i_f_safe")
        if i_f > safe:
            raise Refused(HOLDS, "the field still carries %.2f A, %.2f A are allowed; wait" % (i_f, safe))
        if not self.safe:
            raise Refused(
                BUSY, "the field was not seen below %.2f A for %d looks yet; wait" % (safe, SAFE_LOOKS)
            )
        cause = self._cause_now()
        if cause:
            raise Refused(HOLDS, cause)
        if self._clearing:  # one letter is enough, however often it is asked for
            return
        self._clear = (self.read("fault_cleared") + 1) & 0xFFFF
        self.post(
            {"fault_request": 0, "short_wanted": 0, "fault_clear": self._clear, "field_mode": FIELD_OFF}
        )
        self._clearing = True
        self._until = self.now + 20 * TICK_PERIODS

    def set_currents(self, i_d, i_q, i_f, due=None):
        """Open currents for bench work, in A; refused before READY and beyond i_max, i_f_max."""
        limit = self.settings["i_max"]
        if not sqrt(i_d * i_d + i_q * i_q) <= limit:
            raise Refused(
                OUT_OF_RANGE, "i_d = %g A, i_q = %g A are longer than i_max = %g A" % (i_d, i_q, limit)
            )
        if not 0 <= i_f <= self.settings["i_f_max"]:
            raise Refused(
                OUT_OF_RANGE, "i_f = %g A is outside 0 .. i_f_max = %g A" % (i_f, self.settings["i_f_max"])
            )
        raw = self.raw
        self._setpoint(
            REFERENCE_CURRENT,
            {"i_d_set": raw("i_d_set", i_d), "i_q_set": raw("i_q_set", i_q), "i_f_set": raw("i_f_set", i_f)},
            due,
        )

    def set_torque(self, torque, due=None):
        """Torque in Nm at the motor shaft; refused before READY and beyond torque_limit."""
        limit = self.settings["torque_limit"]
        if not abs(torque) <= limit:
            raise Refused(OUT_OF_RANGE, "torque = %g Nm is beyond torque_limit = %g Nm" % (torque, limit))
        self._setpoint(REFERENCE_TORQUE, {"torque_set": self.raw("torque_set", torque)}, due)

    def set_speed(self, w_m, due=None):
        """Shaft speed in rad/s; refused before READY and beyond w_m_max."""
        limit = self.settings["w_m_max"]
        if not abs(w_m) <= limit:
            raise Refused(
                OUT_OF_RANGE,
                "speed = %g rad/s (%.0f rpm) is beyond w_m_max = %g rad/s (%.0f rpm)"
                % (w_m, w_m / RPM, limit, limit / RPM),
            )
        self._setpoint(REFERENCE_SPEED, {"w_m_set": self.raw("w_m_set", w_m)}, due)

    def set_currents_raw(self, i_d, i_q, i_f, due=None):
        """`set_currents` in raw words."""
        step = self.kernel.step
        self.set_currents(i_d * step["i_d_set"], i_q * step["i_q_set"], i_f * step["i_f_set"], due)

    def set_torque_raw(self, torque, due=None):
        """`set_torque` in a raw word."""
        self.set_torque(torque * self.kernel.step["torque_set"], due)

    def set_speed_raw(self, w_m, due=None):
        """`set_speed` in a raw word."""
        self.set_speed(w_m * self.kernel.step["w_m_set"], due)

    def _setpoint(self, mode, words, due):
        self.now = self.read("period")
        if self.state not in (READY, RUNNING):
            raise Refused(
                WRONG_STATE,
                "a setpoint needs a drive that is ready, this one is %s; %s"
                % (
                    STATES[self.state],
                    "clear the fault" if self.state == FAULT else "arm it and wait for ready",
                ),
            )
        if due is not None and signed(due - self.now) < -TURN // 4:
            raise Refused(OUT_OF_RANGE, "period %d is too far from now (%d)" % (due, self.now))
        words["reference_mode"] = mode
        try:
            due = self.mailbox.post(words, due, True, "setpoint")
        except ValueError as error:
            raise Refused(OUT_OF_RANGE, str(error))
        if self.second_level is not None:
            self.second_level.ask(due, mode, words)  # pyright: ignore[reportAttributeAccessIssue]
        if self.state == READY:
            self._enter(RUNNING)

    def host_seen(self):
        """A valid message of the host has arrived."""
        self.host_period = self.read("period")

    def get_setting(self, name):
        """Present value of a setting; Refused when there is none of that name."""
        if name not in self.settings:
            raise Refused(UNKNOWN, "no setting is called %s" % name)
        return self.settings[name]

    def set_setting(self, name, value):
        """Change a setting while the drive lives; every word that follows changes at one period."""
        if name not in parameters.SETTINGS:
            if name in self.settings:
                raise Refused(
                    FIXED, "%s is fixed in the linked kernel: change the unit file and build again" % name
                )
            raise Refused(UNKNOWN, "no setting is called %s" % name)
        unit, low, high = parameters.SETTINGS[name][:3]
        if not low <= value <= high:
            raise Refused(
                OUT_OF_RANGE, "%s = %g %s is outside %g .. %g %s" % (name, value, unit, low, high, unit)
            )
        if name in parameters.LOOSE:
            self.settings[name] = value
            return
        settings = dict(self.settings)
        settings[name] = value
        if self._bases is None:
            self._bases = parameters.bases(self.settings)
            self._breathe()
        if parameters.bases(settings) != self._bases:
            raise Refused(
                FIXED,
                "%s = %g %s would change the kernel's scaling: change the unit file and build again"
                % (name, value, unit),
            )
        self._breathe()
        try:
            words = parameters.derive(settings, self._bases, self._breathe)
            if name != "encoder_offset":
                words["theta_offset"] = self.words["theta_offset"]
            changed = {key: words[key] for key in words if words[key] != self.words[key]}
            if changed:
                self.mailbox.post(changed, None, True)
        except ValueError as error:
            raise Refused(OUT_OF_RANGE, str(error))
        self.settings[name] = value
        self.words = words

    def _breathe(self):
        """In the midst of what takes a board 0.1 s: letters go, and with them the signs of life."""
        self.mailbox.pump()
        breathe = getattr(self.driver, "breathe", None)
        if breathe is not None:
            breathe()

    # --- faults -------------------------------------------------------------------------------------

    def fault_word(self):
        """Latched faults, bit number - 1 for each."""
        word = 0
        for number in self.latched:
            word |= 1 << (number - 1)
        return word

    def fault_list(self):
        """[(number, name, what was measured)] of the latched faults, the first one first."""
        names = [(number, NAMES[number - 1]) for number in self.latched]
        return [(number, name, self.fault_texts.get(name, "")) for number, name in names]

    def _fault_names(self):
        return ", ".join([NAMES[number - 1] for number in self.latched])

    def fail(self, name, text):
        """Latch a fault of the main loop: the kernel opens the bridge and reverses the exciter."""
        self._latch(bit_of(name), self.now, text)
        if self.state != FAULT:
            self._enter(FAULT)

    def _latch(self, word, period, text=None):
        """Note faults that are new, with what is measured now."""
        first = not self.latched
        if first:
            self.first_faults, self.first_period = word, period
        for number in numbers_of(word):
            if number not in self.latched:
                name = NAMES[number - 1]
                self.latched.append(number)
                self.fault_texts[name] = self._measured_now(name) if text is None else text
                self._event("fault", name + ": " + self.fault_texts[name])
        if first and self.snapshot is not None:
            self.snapshot.take()

    def _take_faults(self):
        """Note what the kernel has latched since the last look."""
        word = self.read("faults") & ~ASKED
        if word & ~self.fault_word():
            if not self.latched:
                self._latch(self.read("fault_first") & ~ASKED, self.read("fault_period"))
            self._latch(word, self.now)
            if self.state != FAULT:
                self._enter(FAULT)

    def _highest_phase_current(self):
        """In A, of the three phases; c is what a and b leave."""
        i_a, i_b = self.si("i_a"), self.si("i_b")
        return max(abs(i_a), abs(i_b), abs(i_a + i_b))

    def _measured_now(self, name):
        """What a kernel fault is about, with value and limit."""
        si = self.si
        if name == "PHASE_OVERCURRENT":
            return "highest phase current %.1f A now, i_trip = %.1f A" % (
                self._highest_phase_current(),
                si("i_trip"),
            )
        if name == "FIELD_OVERCURRENT":
            return "i_f %.2f A now, i_f_trip = %.2f A" % (si("i_f"), si("i_f_trip"))
        if name in ("DC_OVERVOLTAGE", "LOAD_DUMP"):
            return "u_dc %.1f V now, u_dc_trip = %.1f V" % (si("u_dc"), si("u_dc_trip"))
        if name == "DC_UNDERVOLTAGE":
            return "u_dc %.1f V now, u_dc_min = %.1f V" % (si("u_dc"), si("u_dc_min"))
        if name == "OVERSPEED":
            return "w_m %.0f rad/s now, w_m_trip = %.0f rad/s" % (
                si("w_e") / self.settings["pole_pairs"],
                self.settings["w_m_trip"],
            )
        if name == "SENSOR_RANGE":
            return "counts now: i_a %d, i_b %d, i_f %d, u_dc %d" % (
                self.read("i_a_raw"),
                self.read("i_b_raw"),
                self.read("i_f_raw"),
                self.read("u_dc_raw"),
            )
        if name == "ENCODER_LOST":
            return "the count stands since the shaft turned with %.0f rad/s; check its cable" % (
                abs(si("w_e_moved")) / self.settings["pole_pairs"]
            )
        if name == "SENSOR_STUCK":
            k = 0 if self.read("i_a_still") > self.read("i_b_still") else 1
            return "i_%s_raw stays at %d counts while the current turns; check its sensor" % (
                "ab"[k],
                self.read(("i_a_raw", "i_b_raw")[k]),
            )
        if name == "MAIN_LOOP_SILENT":
            return "silent for more than main_loop_timeout = %.2f s" % self.settings["main_loop_timeout"]
        return ""

    def _cause_now(self):
        """A sentence when a limit of the kernel is broken at this moment, else ''."""
        if self.board is not None and self.board.damage:
            return self.board.damage
        si = self.si
        broken = 0
        if self._highest_phase_current() > si("i_trip"):
            broken |= bit_of("PHASE_OVERCURRENT")
        if abs(si("i_f")) > si("i_f_trip"):
            broken |= bit_of("FIELD_OVERCURRENT")
        if si("u_dc") > si("u_dc_trip"):
            broken |= bit_of("DC_OVERVOLTAGE")
        if abs(self.read("w_e")) > self.read("w_e_trip"):
            broken |= bit_of("OVERSPEED")
        for name in ("i_a_raw", "i_b_raw", "i_f_raw"):
            if self.read(name) in (0, ADC_TOP):
                broken |= bit_of("SENSOR_RANGE")
        if self.read("u_dc_raw") == ADC_TOP:
            broken |= bit_of("SENSOR_RANGE")
        if not broken:
            found = self.heat.causes(COOL) if self.heat is not None else ()
            return "%s still holds: %s" % (found[0].name, found[0].text) if found else ""
        name = names_of(broken)[0]
        return "%s still holds: %s; see eesm faults" % (name, self._measured_now(name))

    # --- the state machine ----------------------------------------------------------------------------

    def tick(self):
        """Move on; call it every TICK_PERIODS of board time."""
        self.now = self.read("period")
        if self.kernel.failure is not None:
            return
        if self.read("faults") and not self._clearing:
            self._take_faults()
        self._watch_host()
        self._see_whether_safe()
        if not self.urgent:
            self._keep()
        try:
            if self._procedure is not None:
                self._proceed(self._procedure)
            elif self.state in (READY, RUNNING):
                self._look()
            elif self.state == STOPPING:
                self._tick_stopping()
            elif self.state == FIELD_DOWN:
                self._tick_field_down()
            elif self.state == FAULT:
                self._tick_fault()
        except Failed as failure:
            self.fail(failure.name, failure.text)

    def _see_whether_safe(self):
        """Bridge off and field below its limit, at several looks."""
        if self.read("gate_enable") & GATE_INVERTER or abs(self.read("i_f")) > self.read("i_f_safe"):
            self._safe_looks = 0
        elif self.now != self._safe_looked:
            self._safe_looks += 1
        self._safe_looked = self.now
        self.safe = self._safe_looks >= SAFE_LOOKS

    def has_taken(self, periods):
        """True when this tick has taken so many periods: a board's do not wait for it."""
        return self._hurries and signed(self.read("period") - self.now) >= periods

    def _keep(self):
        """Look at what has to hold in every state; what this tick has no time for is the next one's."""
        keepers, k = self.keepers, self._next_keeper
        while k < len(keepers):
            try:
                keepers[k].look()
            except Failed as failure:
                self.fail(failure.name, failure.text)
            k += 1
            if self.has_taken(KEEPING):
                break
        self._next_keeper = k if k < len(keepers) else 0

    def _look(self):
        """Let the watches look, all at the same sight.

        The first `always` of them in every tick, the rest in turn: what a tick has no time for is the next
        one's, and after a tick that has had none at all one of them looks in any case.
        """
        watches, always = self.watches, self.always
        self.sight.take()  # pyright: ignore[reportAttributeAccessIssue]
        for k in range(always):
            watches[k].look()
        self._waits = not self._waits and self.has_taken(LOOKING)
        if self._waits:
            return
        k = max(always, self._next_watch)
        while k < len(watches):
            watches[k].look()
            k += 1
            if self.has_taken(LOOKING):
                break
        self._next_watch = k if k < len(watches) else 0

    def _proceed(self, procedure):
        """One look of the start-up's procedure.

        Pulses that were cut or stretched because the main loop came late say nothing: the procedure
        begins again, a few times.
        """
        if self._resting:
            if not self.wait(self._until):
                self._resting = False
                self.post({"field_mode": FIELD_OFF})
                self._begin()
        elif self.urgent and self.mailbox.late != self._late:
            self._rest()
        else:
            try:
                if procedure.step(self):
                    self._advance(procedure)
            except Failed as failure:
                if failure.name != "STARTUP_LATE" or not self.urgent:
                    raise
                self._rest()

    def _rest(self):
        """Let what a stretched pulse left decay, before the procedure begins again."""
        if self._tries >= TRIES:
            raise Failed(
                "STARTUP_LATE",
                "%s was disturbed %d times by a main loop that came late" % (STATES[self.state], TRIES),
            )
        self.tell("%s once more: the main loop came late" % STATES[self.state])
        self._withdraw()
        self.post({"bridge_mode": BRIDGE_OFF, "field_mode": FIELD_REVERSE})
        self._until = self.now + round(REST * self.settings["f_pwm"])
        self._resting = True

    def _begin(self):
        """Begin the procedure of the present state."""
        # The letters of a procedure follow each other within ms, and a board's collector takes 40.
        tidy()
        self.now = self.read("period")
        self._late = self.mailbox.late
        self._tries += 1
        self._procedure = procedure_of(self.state)()
        self._procedure.begin(self)

    def _enter(self, state):
        """Change the state; tell the kernel, for telemetry, and whoever listens."""
        self.state = state
        self._procedure = None
        self.urgent = state in (WIRING, ANGLE)
        self._good = 0
        self._weak = 0
        self.post({"drive_state": state})
        self._event("state", STATES[state])
        f_pwm = self.settings["f_pwm"]
        if state in STARTUP:
            self._tries = 0
            self._resting = False
            try:
                self._begin()
            except Failed as failure:
                self.fail(failure.name, failure.text)
        elif state == READY:
            self._next_watch = 0
            for watch in self.watches:
                watch.begin()
            if self.snapshot is not None:
                self.snapshot.begin()
            cycles = self.settings["main_loop_timeout"] * f_pwm / parameters.OUTER_PERIODS
            # A board whose collections and ticks take long has a watchdog of hardware, which is as quick.
            self.post({"silence_max": 0 if SCARCE else round(cycles)})
        elif state == STOPPING:
            self.post({"reference_mode": REFERENCE_TORQUE, "torque_set": 0})
            ramp = self.si("torque_max") / self.settings["torque_slew"]
            self._until = self.now + round((ramp + 0.1) * f_pwm)
        elif state == FIELD_DOWN:
            self.post(
                {
                    "field_mode": FIELD_REVERSE,
                    "reference_mode": REFERENCE_CURRENT,
                    "i_d_set": 0,
                    "i_q_set": 0,
                    "i_f_set": 0,
                }
            )
            self._field_until = self._field_deadline()
        elif state == OFF:
            release(LENT)
            self.post({"bridge_mode": BRIDGE_OFF, "field_mode": FIELD_OFF, "silence_max": 0})
        elif state == FAULT:
            self._withdraw()
            self.angle_known = False
            self.checked = False
            self._clearing = False
            self.post(
                {
                    "fault_request": self.latched[0],
                    "short_wanted": 1 if self.first_faults & sum([bit_of(name) for name in SHORTING]) else 0,
                    "silence_max": 0,
                    "bridge_mode": BRIDGE_OFF,
                    "field_mode": FIELD_REVERSE,
                    "reference_mode": REFERENCE_CURRENT,
                    "i_d_set": 0,
                    "i_q_set": 0,
                    "i_f_set": 0,
                    "torque_set": 0,
                    "w_m_set": 0,
                }
            )
            self._field_until = self._field_deadline()

    def _advance(self, done):
        """The next step of the start-up, after the procedure that is done."""
        state = self.state
        if state == OFFSETS:
            # A shaft that creeps is not measured at: what is known of it still holds.
            turns = not self._stands_still() or abs(self.counts_since(done.position)) > 1
            known = self.angle_known and self.checked and turns
            self._enter(FIELD_UP if known else WIRING)
        elif state == WIRING:
            self._enter(ANGLE)
        elif state == ANGLE:
            self.angle_known = True
            self._enter(FIELD_UP)
        elif state == FIELD_UP and not self.checked and self.settings["check_direction"]:
            self._enter(DIRECTION)
        else:
            self.checked = True
            if self.watches:
                self._enter(READY)
            else:
                release(LENT)
                from eesm.watches import Lending

                self._procedure = Lending(self)

    def _withdraw(self):
        """Forget letters that are planned for later."""
        self.mailbox.drop("setpoint")
        self.mailbox.drop("startup")

    def _stands_still(self):
        return abs(self.si("w_e")) / self.settings["pole_pairs"] < 0.005 * self.settings["w_m_max"]

    def _watch_host(self):
        """Losing the host while armed is no fault: the drive stops in order and says why."""
        if self.state in (OFF, STOPPING, FIELD_DOWN, FAULT):
            return
        if self.urgent:  # for some 0.2 s, in which the link may not be served
            self.host_period = self.now
            return
        timeout = self.settings["host_timeout"]
        if self.since(self.host_period) > timeout * self.settings["f_pwm"]:
            self._event("host lost", "no message for %.2f s: stopping in order" % timeout)
            self.stop()

    def _tick_stopping(self):
        """Wait for i_q: an i_d without torque may be part of the optimum, and ends while the field falls."""
        limit = 0.05 * self.settings["i_max"]
        i_q = abs(self.si("i_q"))
        if self.read("torque_ref") == 0 and i_q < limit:
            self._good += 1
            if self._good >= 3:
                self._enter(FIELD_DOWN)
            return
        self._good = 0
        if not self.wait(self._until):
            raise Failed(
                "CURRENT_NOT_ZERO",
                "i_q is still %.1f A, %.1f A are allowed; the bridge opens" % (i_q, limit),
            )

    def _field_deadline(self):
        """Latest period at which the field has to be down: twice the time that the exciter needs.

        And 0.1 s for a board that collects garbage before the letter has left.
        """
        self._field_looked = self.now
        i_f, safe = abs(self.si("i_f")), self.si("i_f_safe")
        seconds = 2 * fall_time(self.settings, self.exciter_voltage(), i_f, 0.9 * safe) + 0.1
        return self.now + round(seconds * self.settings["f_pwm"])

    def _field_is_late(self):
        """True when the deadline has passed; the time in which the link is too high does not count."""
        if self.read("u_dc") >= self.read("u_dc_brake"):
            self._field_until += self.since(self._field_looked)
        self._field_looked = self.now
        return not self.wait(self._field_until)

    def _tick_field_down(self):
        """Open the bridge once the field is down, and go off when it is seen down after that.

        What is left of i_d ends with the bridge open, and lifts i_f by 1.5*M/L_f of it (flux conservation).
        """
        if self.safe:
            self._enter(OFF)
        elif abs(self.read("i_f")) <= self.read("i_f_safe"):
            self._good += 1
            if self._good == SAFE_LOOKS:
                self.post({"bridge_mode": BRIDGE_OFF})
        else:
            self._good = 0
            if self._field_is_late():
                raise Failed(
                    "FIELD_NOT_DOWN",
                    "i_f is %.2f A, %.2f A are allowed; disconnect the exciter's supply"
                    % (self.si("i_f"), self.si("i_f_safe")),
                )

    def _tick_fault(self):
        if self._clearing:
            if self.read("fault_cleared") == self._clear:
                self._clearing = False
                self.latched = []
                self.fault_texts = {}
                if self.read("faults") == 0:
                    self._enter(OFF)
                else:
                    self._take_faults()
                    self._event("fault", "not cleared, the cause still holds: " + self._fault_names())
                    self.post({"field_mode": FIELD_REVERSE})
            elif not self.wait(self._until):
                self._clearing = False
            return
        number = number_of("FIELD_NOT_DOWN")
        if abs(self.read("i_f")) <= self.read("i_f_safe"):
            if self._good == 0:
                self._event("found", "field is down")
            self._good = 1
        elif not self._good and number not in self.latched and self._field_is_late():
            text = "i_f is %.2f A, %.2f A are allowed" % (self.si("i_f"), self.si("i_f_safe"))
            self._latch(1 << (number - 1), self.now, text)
