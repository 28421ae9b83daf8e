"""The steps from OFF to READY, each a small procedure that the drive calls once a tick.

A procedure has `begin(drive)` and `step(drive)`; `step` returns True when it is done and raises
Failed with the fault's name and a sentence that gives the measured value and the limit.  Pulses
are letters with a due period, so their timing is exact in PWM periods however late the main loop
is; what they cause is summed by the kernel's `measure` stage.
"""

from math import atan2, log, pi, sqrt

from eesm.cyclic import MASK, TURN, signed
from eesm.faults import Failed
from eesm.memory import tidy
from eesm.modes import (
    BRIDGE_CURRENT,
    BRIDGE_OFF,
    BRIDGE_SHORT,
    BRIDGE_VOLTAGE,
    FIELD_CURRENT,
    FIELD_OFF,
    FIELD_VOLTAGE,
    REFERENCE_CURRENT,
)

LEAD = 2000  # periods between posting a plan and its first letter: a board takes ms for each letter


def check_standstill(drive, position):
    """Fail when the shaft has left `position` by more than 3 degrees electrical and a flickering count."""
    settings = drive.settings
    allowed = 1 + round(3 / 360 * settings["encoder_counts"] / settings["pole_pairs"])
    moved = abs(drive.counts_since(position))
    if moved > allowed:
        raise Failed(
            "ROTOR_MOVING",
            "the shaft moved by %d encoder counts, %d are allowed; hold it and arm again" % (moved, allowed),
        )


# --- offsets ----------------------------------------------------------------------------------


class Offsets:
    """Zero of the three current sensors: mean of 256 samples with all gates off."""

    SAMPLES = 256
    MIDDLE = 2048
    FAR = 100  # counts by which a zero may be off the middle of the converter's range
    NOISE = 60  # counts between the highest and the lowest single sample
    SENSORS = ("i_a", "i_b", "i_f")

    def begin(self, drive):
        self.position = drive.read("position")
        self.low = [4096, 4096, 4096]
        self.high = [0, 0, 0]
        self.measurement = drive.measure(
            self.SAMPLES, {"bridge_mode": BRIDGE_OFF, "field_mode": FIELD_OFF}, drive.read("period") + LEAD
        )

    def step(self, drive):
        for k in range(3):
            raw = drive.read(self.SENSORS[k] + "_raw")
            self.low[k] = min(self.low[k], raw)
            self.high[k] = max(self.high[k], raw)
        sums = drive.measured(self.measurement)
        if sums is None:
            return False
        words = {}
        for k in range(3):
            name = self.SENSORS[k]
            mean = sums[name + "_raw"] / self.SAMPLES
            if abs(mean - self.MIDDLE) > self.FAR:
                raise Failed(
                    "OFFSET_OUT_OF_RANGE",
                    "zero of %s is %.1f counts from the middle, %d are allowed; check the sensor"
                    % (name, mean - self.MIDDLE, self.FAR),
                )
            if self.high[k] - self.low[k] > self.NOISE:
                raise Failed(
                    "OFFSET_NOISY",
                    "%s varies by %d counts at rest, %d are allowed; check shielding and ground"
                    % (name, self.high[k] - self.low[k], self.NOISE),
                )
            words[name + "_offset"] = round(mean * 16)
        if not drive.angle_known:
            check_standstill(drive, self.position)
        drive.post(words)
        drive.tell(
            "offsets: i_a %.2f, i_b %.2f, i_f %.2f counts"
            % (words["i_a_offset"] / 16, words["i_b_offset"] / 16, words["i_f_offset"] / 16)
        )
        return True


# --- wiring -----------------------------------------------------------------------------------

_H = sqrt(3) / 2
# What a fault does to the current vector, in alpha-beta: (name, mistake, inverse matrix).  Each of
# these matrices but the rotations is its own inverse.
WIRINGS = (
    ("PHASES_SWAPPED", "swapped phases a and b", (-0.5, _H, _H, 0.5)),
    ("PHASES_SWAPPED", "swapped phases b and c", (1.0, 0.0, 0.0, -1.0)),
    ("PHASES_SWAPPED", "swapped phases c and a", (-0.5, -_H, -_H, 0.5)),
    ("SHUNT_INVERTED_A", "an inverted sensor of phase a", (-1.0, 0.0, -2 / sqrt(3), 1.0)),
    ("SHUNT_INVERTED_B", "an inverted sensor of phase b", (1.0, 0.0, 2 / sqrt(3), -1.0)),
    ("SHUNT_INVERTED_A", "inverted sensors of phases a and b", (-1.0, 0.0, 0.0, -1.0)),
    ("PHASES_SWAPPED", "phases a, b, c turned on", (-0.5, _H, -_H, -0.5)),
    ("PHASES_SWAPPED", "phases a, b, c turned on", (-0.5, -_H, _H, -0.5)),
)


def judge_wiring(m, spread):
    """None when a machine can answer so, else (fault name, mistake) for the likeliest mistake.

    `m` = (alpha by alpha, alpha by beta, beta by alpha, beta by beta): current per voltage.  A
    machine's answer, whatever its rotor angle, is symmetric and positive; `spread` is the
    highest ratio of its two axes.  A mistake in the wiring multiplies that by a known matrix;
    the mistake whose removal leaves the best machine is named.
    """
    a, b, c, d = m
    size = sqrt((a * a + b * b + c * c + d * d) / 2)
    # Half the determinant, over its trace squared, of axes as unlike as the machine's: a sensor that sees
    # nothing and a phase that is open leave none, but noise.
    least = 0.5 * spread / (1 + spread) ** 2
    if a + d > 0.7 * size and a * d - b * c > least * (a + d) ** 2 and abs(b - c) < 0.5 * (a + d):
        return None
    best = ("WIRING_UNCLEAR", "no known mistake", 0.5)
    for name, mistake, (p, q, r, s) in WIRINGS:
        aa, bb, cc, dd = p * a + q * c, p * b + q * d, r * a + s * c, r * b + s * d
        trace = aa + dd
        determinant = aa * dd - bb * cc
        if trace <= 0 or determinant <= least * trace * trace:
            continue
        fault = abs(bb - cc) / trace
        # Axes that differ more than those of this machine count against the guess.
        root = sqrt(max(0.0, trace * trace / 4 - determinant))
        ratio = (trace / 2 + root) / max(trace / 2 - root, 1e-9 * trace)
        if ratio > 1.2 * spread:
            fault += 0.2 * log(ratio / (1.2 * spread))
        if fault < best[2]:
            best = (name, mistake, fault)
    return best[0], best[1]


class Wiring:
    """Short voltage pulses along the three phase axes, both ways, field off: does the current follow?

    All three axes meet the same dead time and the same switches, so what these take from the
    voltage does not look like a mistake.
    """

    PULSE = 20  # periods
    PAUSE = 300  # of which a board takes a third to read what the pulse before gave
    SHARE = 0.12  # of i_max, aimed at where the inductance is least
    AXES = ((1.0, 0.0), (-0.5, _H), (-0.5, -_H))

    def begin(self, drive):
        settings = drive.settings
        self.position = drive.read("position")
        t_pulse = self.PULSE / settings["f_pwm"]
        l_least = min(settings["sigma_L_d"], settings["L_q"])
        voltage = self.SHARE * settings["i_max"] * l_least / t_pulse
        # What dead time takes while the currents are too small to be compensated.
        lost = 4 / 3 * settings["dead_time"] * settings["f_pwm"] * drive.si("u_dc")
        self.voltage = min(voltage + lost, 0.4 * drive.si("u_dc"))
        l_most = max(settings["L_d"], settings["L_q"])
        # Mean of a ramp that starts one period late, in the slowest axis.
        self.least = 0.25 * voltage / l_most * t_pulse / 2
        self.spread = max(settings["L_d"], settings["L_q"]) / l_least
        start = drive.read("period") + LEAD
        self.measurements = []
        self.sums = []
        for alpha, beta in self.AXES:
            for sign in (self.voltage, -self.voltage):
                words = {
                    "bridge_mode": BRIDGE_VOLTAGE,
                    "u_alpha_test": drive.raw("u_alpha_test", alpha * sign),
                    "u_beta_test": drive.raw("u_beta_test", beta * sign),
                }
                self.measurements.append(drive.measure(self.PULSE, words, start))
                off = {"bridge_mode": BRIDGE_OFF, "u_alpha_test": 0, "u_beta_test": 0}
                drive.post(off, start + self.PULSE, "startup")
                start += self.PAUSE

    def step(self, drive):
        sums = drive.measured(self.measurements[len(self.sums)])
        if sums is None:
            return False
        self.sums.append(sums)
        if len(self.sums) < len(self.measurements):
            return False
        check_standstill(drive, self.position)
        m = self.answer(drive)
        size = sqrt((m[0] ** 2 + m[1] ** 2 + m[2] ** 2 + m[3] ** 2) / 2)
        shown = "alpha answers %.2f, %.2f A, beta %.2f, %.2f A to %.2f V" % (
            m[0],
            m[2],
            m[1],
            m[3],
            self.voltage,
        )
        if size < self.least:
            raise Failed("PHASE_OPEN", "%s; at least %.2f A are expected; check cables" % (shown, self.least))
        verdict = judge_wiring(m, self.spread)
        if verdict is not None:
            name, mistake = verdict
            raise Failed(name, "%s, as with %s; correct the wiring and arm again" % (shown, mistake))
        drive.tell("wiring: " + shown)
        return True

    def answer(self, drive):
        """Mean current for alpha and beta voltage, from the least squares over the three axes."""
        scale = drive.step_of("i_a") / self.PULSE / 2 * 2 / 3
        m = [0.0, 0.0, 0.0, 0.0]
        for k in range(3):
            alpha, beta = self.AXES[k]
            plus, minus = self.sums[2 * k], self.sums[2 * k + 1]
            i_alpha = (plus["i_alpha"] - minus["i_alpha"]) * scale
            i_beta = (plus["i_beta"] - minus["i_beta"]) * scale
            m[0] += i_alpha * alpha
            m[1] += i_alpha * beta
            m[2] += i_beta * alpha
            m[3] += i_beta * beta
        return m


# --- angle ------------------------------------------------------------------------------------


def excitation_response(settings):
    """What 1 V on the field does while the stator is shorted: (time of the peak, i_d, i_f at it).

    Integrates psi_d' = -R_s*i_d, psi_f' = 1 - R_f*i_f (reference: start-up by excitation pulse).
    """
    return list(excitation_course(settings))[-1]


def excitation_course(settings):
    """`excitation_response`, step by step: all at once, with their garbage, outlast a board's watchdog."""
    l_d, l_f, m = settings["L_d"], settings["L_f"], settings["M"]
    r_s, r_f = settings["R_s"], settings["R_f"]
    determinant = max(settings["sigma_L_d"], 0.05 * l_d) * l_f
    step = 1e-4
    psi_d = psi_f = 0.0
    best = (step, 0.0, 0.0)
    for k in range(1, 300):
        i_d = (l_f * psi_d - m * psi_f) / determinant
        i_f = (l_d * psi_f - 1.5 * m * psi_d) / determinant
        if -i_d > best[1]:
            best = (k * step, -i_d, i_f)
        elif -i_d < 0.98 * best[1]:
            break
        psi_d -= step * r_s * i_d
        psi_f += step * (1.0 - r_f * i_f)
        yield best
    yield best


def degrees(radians):
    """Degrees of an angle, -180 .. 180."""
    return ((radians * 180 / pi + 180) % 360) - 180


class Angle:
    """Rotor angle and polarity at standstill, from the current that an excitation pulse induces.

    The stator is shorted by its low sides (nothing switches, so no dead time disturbs).  A rising
    field pushes the stator current to -d, a falling one to +d: both edges are measured as a
    change against the window before, so offsets and residual flux drop out, and averaged.
    """

    SAMPLES = 64
    AGREE = 10.0  # degrees electrical between the two edges
    MISMATCH = 15.0  # degrees electrical between a stored offset and the pulse
    SHARE = 0.15  # of i_max, aimed at by the pulse
    PIECE = 20  # steps computed in a tick

    def begin(self, drive):
        self.position = drive.read("position")
        self.settled = False
        self.course = excitation_course(drive.settings)
        self.response = (0.0, 0.0, 0.0)
        self.sums = []
        self.measurements = []

    def compute(self):
        """Some steps of what the pulse will do; True at the end of it."""
        try:
            for _ in range(self.PIECE):
                self.response = next(self.course)
        except StopIteration:
            return True
        return False

    def post(self, drive):
        """Ask for the pulse and its measurements."""
        settings = drive.settings
        t_peak, i_d, i_f = self.response
        supply = drive.exciter_voltage()
        voltage = min(self.SHARE * settings["i_max"] / i_d, 0.95 * supply, 0.8 * settings["i_f_max"] / i_f)
        self.voltage = voltage
        self.expected_d = i_d * voltage
        self.expected_f = i_f * voltage
        rise = max(round(t_peak * settings["f_pwm"]), 2 * self.SAMPLES)
        raw = drive.raw("field_voltage", voltage)
        tidy()  # what was computed for 0.1 s has left much, and the letters follow each other within ms
        start = drive.read("period") + LEAD
        edge = start + self.SAMPLES + 60
        back = edge + rise + self.SAMPLES // 2
        after = back + max(rise // 2, 80)
        quiet = {"bridge_mode": BRIDGE_SHORT, "field_mode": FIELD_VOLTAGE, "field_voltage": 0}
        self.measurements = [
            drive.measure(self.SAMPLES, quiet, start),
            drive.measure(self.SAMPLES, {}, back - self.SAMPLES),
            drive.measure(self.SAMPLES, {}, after),
        ]
        drive.post({"field_voltage": raw}, edge, "startup")
        drive.post({"field_voltage": -raw}, back, "startup")
        drive.post({"field_voltage": 0}, after + self.SAMPLES, "startup")

    def step(self, drive):
        if not self.measurements:
            if self.compute():
                self.post(drive)
            return False
        if not self.settled:
            sums = drive.measured(self.measurements[len(self.sums)])
            if sums is None:
                return False
            self.sums.append(sums)
            if len(self.sums) < 3:
                return False
            self.find(drive)
            self.settled = True
            drive.urgent = False
            self.due = drive.read("period") + LEAD
            return False
        # The tracker follows the new offset within some 10 ms; hand over a settled one.
        if drive.wait(self.due):
            return False
        gap = signed(drive.encoder_phase() - drive.read("theta_e"))
        if abs(gap) < TURN // 180:
            return True
        if not drive.wait(self.due + round(0.5 * drive.settings["f_pwm"])):
            raise Failed("ANGLE_UNCLEAR", "the tracker is %.1f degrees off the encoder" % (gap * 360 / TURN))
        return False

    def find(self, drive):
        """Judge the three windows and set the encoder's offset."""
        before, high, low = self.sums
        check_standstill(drive, self.position)
        scale = drive.step_of("i_a") / self.SAMPLES
        scale_f = drive.step_of("i_f") / self.SAMPLES
        i_f = (high["i_f"] - before["i_f"]) * scale_f
        if i_f < -0.2 * self.expected_f:
            raise Failed(
                "FIELD_SHUNT_INVERTED",
                "%.1f V drive %.2f A, %.2f A are expected" % (self.voltage, i_f, self.expected_f),
            )
        if i_f < 0.2 * self.expected_f:
            raise Failed(
                "FIELD_OPEN",
                "%.1f V drive %.3f A after the pulse, %.2f A are expected; check brushes and cables"
                % (self.voltage, i_f, self.expected_f),
            )
        rise = ((before["i_alpha"] - high["i_alpha"]) * scale, (before["i_beta"] - high["i_beta"]) * scale)
        fall = ((low["i_alpha"] - high["i_alpha"]) * scale, (low["i_beta"] - high["i_beta"]) * scale)
        length = sqrt(rise[0] ** 2 + rise[1] ** 2)
        if length < 0.25 * self.expected_d:
            raise Failed(
                "ANGLE_UNCLEAR",
                "the pulse of %.1f V induced %.2f A, at least %.2f A are needed"
                % (self.voltage, length, 0.25 * self.expected_d),
            )
        apart = degrees(atan2(fall[1], fall[0]) - atan2(rise[1], rise[0]))
        if abs(apart) > self.AGREE:
            raise Failed(
                "ANGLE_UNCLEAR",
                "rising and falling edge disagree by %.1f degrees, %.0f are allowed" % (apart, self.AGREE),
            )
        theta = atan2(rise[1] + fall[1], rise[0] + fall[0])
        phase = round(theta / (2 * pi) * 32768) * 32768 & MASK
        if drive.settings.get("encoder_absolute", 0):
            stored = degrees((drive.encoder_phase() - phase) * 2 * pi / TURN)
            if abs(stored) > self.MISMATCH:
                raise Failed(
                    "ANGLE_MISMATCH",
                    "the stored offset is %.1f degrees from the pulse, %.0f are allowed; the pulse says "
                    "encoder_offset = %.4f" % (stored, self.MISMATCH, (drive.offset_for(phase)) / TURN),
                )
        else:
            drive.use_offset(drive.offset_for(phase))
        drive.tell(
            "angle: d axis at %.1f degrees electrical, %.1f A induced, edges agree within %.1f degrees"
            % (theta * 180 / pi % 360, length, abs(apart))
        )


# --- field ------------------------------------------------------------------------------------


def rise_time(settings, supply, i_f):
    """Seconds that the exciter needs at full voltage to raise the field from 0 to i_f."""
    final = supply / settings["R_f"]
    return settings["L_f"] / settings["R_f"] * log(final / max(final - i_f, 0.05 * final))


class FieldUp:
    """Raise the field to its floor, stator current held at zero; verify by measurement."""

    def begin(self, drive):
        settings = drive.settings
        self.goal = settings["field_floor"] * settings["i_f_max"]
        supply = drive.exciter_voltage()
        if self.goal > 0.95 * supply / settings["R_f"]:
            raise Failed(
                "FIELD_NOT_UP",
                "%.2f A are wanted, %.1f V can drive %.2f A; raise the exciter's supply or lower field_floor"
                % (self.goal, supply, supply / settings["R_f"]),
            )
        seconds = 2 * rise_time(settings, supply, self.goal) + 8 / (2 * pi * settings["bandwidth_field"])
        self.until = drive.now + round((seconds + 0.03) * settings["f_pwm"])
        self.seconds = seconds + 0.03
        self.good = 0
        drive.post(
            {
                "reference_mode": REFERENCE_CURRENT,
                "i_d_set": 0,
                "i_q_set": 0,
                "i_f_set": drive.raw("i_f_set", self.goal),
                "bridge_mode": BRIDGE_CURRENT,
                "field_mode": FIELD_CURRENT,
            }
        )

    def step(self, drive):
        settings = drive.settings
        i_f = drive.si("i_f")
        band = max(0.1 * self.goal, 0.005 * settings["i_f_max"])
        current = max(abs(drive.si("i_d")), abs(drive.si("i_q")))
        if abs(i_f - self.goal) <= band and current < 0.05 * settings["i_max"]:
            self.good += 1
            if self.good >= 5:
                drive.tell("field: %.2f A, verified" % i_f)
                return True
            return False  # a board that is late has had too few looks
        self.good = 0
        if drive.wait(self.until):
            return False
        shown = "i_f is %.2f A after %.0f ms, %.2f A are wanted" % (i_f, 1000 * self.seconds, self.goal)
        if i_f < 0.2 * self.goal:
            raise Failed("FIELD_OPEN", shown + "; check brushes, cables and the exciter's supply")
        if abs(i_f - self.goal) > band:
            raise Failed("FIELD_NOT_UP", shown + "; check R_f, L_f and the exciter's supply")
        raise Failed(
            "CURRENT_NOT_ZERO",
            "the stator carries %.1f A, %.1f A are allowed" % (current, 0.05 * settings["i_max"]),
        )


# --- direction --------------------------------------------------------------------------------


class Direction:
    """A small torque each way: does the encoder count up when the torque is positive?

    After a look at how the shaft drifts by itself, torque pushes until the shaft has moved a
    little, brakes and returns for twice that time, and pushes once more: the shaft ends where it
    began.  The push grows until the shaft moves.  What counts is the change of speed by each
    torque, so neither a drift nor a steady load is taken for an answer.  What a main loop that came
    late has stretched is none either: the shaft rests, and all begins again, a few times.
    """

    LOOK, PUSH, RETURN, STOP, REST, SETTLE = range(6)
    GROWTH = 1.6
    T_LOOK = 0.015
    T_PUSH = 0.025
    T_SETTLE = 0.25
    LATE = 0.015  # s between two looks
    TRIES = 4

    def begin(self, drive):
        settings = drive.settings
        self.looked = drive.now
        self.late = False
        self.tries = 1
        turn = settings["encoder_counts"]
        self.sign = -1 if settings["encoder_reversed"] else 1
        # Half a degree, but enough counts to be sure of; the shaft goes twice as far at most.
        self.counts = max(3, round(0.5 / 360 * turn))
        self.top = 0.5 * settings["i_max"]
        psi = settings["M"] * max(drive.si("i_f"), 0.02 * settings["i_f_max"])
        angle = 2 * pi * self.counts / turn
        i_q = settings["J"] * 2 * angle / self.T_PUSH**2 / (1.5 * settings["pole_pairs"] * psi)
        self.i_q = max(0.05 * settings["i_max"], min(i_q, self.top))
        self.go(drive, self.LOOK, 0.0)

    def go(self, drive, phase, i_q):
        """Enter a phase with a torque current."""
        self.phase = phase
        self.started = drive.now
        self.position = drive.read("position")
        drive.post({"i_q_set": drive.raw("i_q_set", i_q)})

    def step(self, drive):
        f_pwm = drive.settings["f_pwm"]
        # Counts and periods since the phase began.
        moved = drive.counts_since(self.position) * self.sign
        elapsed = drive.since(self.started)
        if drive.since(self.looked) > self.LATE * f_pwm:
            self.late = True
        self.looked = drive.now
        if self.phase == self.LOOK:
            if elapsed >= self.T_LOOK * f_pwm:
                self.drift = moved / elapsed
                if abs(moved) > self.counts and not self.begins_again(drive):
                    raise Failed(
                        "ROTOR_MOVING",
                        "the shaft drifts by %d counts in %.0f ms without torque; hold it and arm again"
                        % (moved, 1000 * self.T_LOOK),
                    )
                if self.phase == self.LOOK:
                    self.go(drive, self.PUSH, self.i_q)
        elif self.phase == self.SETTLE:
            if elapsed >= self.T_SETTLE * f_pwm:
                self.late = False
                self.go(drive, self.LOOK, 0.0)
        elif self.phase == self.PUSH:
            pushed = moved - self.drift * elapsed
            if abs(pushed) >= self.counts:
                self.first = moved
                self.push = 2 * pushed
                self.t1 = elapsed
                self.middle = None
                self.go(drive, self.RETURN, -self.i_q)
            elif elapsed > 1.6 * self.T_PUSH * f_pwm:
                if self.i_q >= self.top:
                    raise Failed(
                        "ROTOR_BLOCKED",
                        "i_q = %.1f A moved the encoder by %d counts, %d are needed; "
                        "release brake or load, check the encoder's cable" % (self.i_q, moved, self.counts),
                    )
                self.i_q = min(self.i_q * self.GROWTH, self.top)
                self.go(drive, self.LOOK, 0.0)
        elif self.phase == self.RETURN:
            if self.middle is None and elapsed >= self.t1:
                self.middle = moved
            if elapsed >= 2 * self.t1:
                self.last = moved
                self.go(drive, self.STOP, self.i_q)
        elif self.phase == self.STOP:
            if elapsed >= self.t1:
                self.go(drive, self.REST, 0.0)
        elif elapsed >= 0.01 * f_pwm:
            return self.judge(drive)
        return False

    def begins_again(self, drive):
        """True when a look came late and there is another try."""
        if not self.late or self.tries >= self.TRIES:
            return False
        self.tries += 1
        drive.tell("direction once more: the main loop came late")
        self.go(drive, self.SETTLE, 0.0)
        return True

    def judge(self, drive):
        """Half the change of speed from one torque to the other, in counts; the push made `counts`."""
        middle = self.middle or 0  # RETURN has set it
        answer = (self.push - (self.last - 2 * middle)) / 4
        shown = "+-%.1f A answered by %.1f counts, %d then %d" % (
            self.i_q,
            answer,
            self.first,
            self.last - middle,
        )
        # A return that a late look has stretched does not outweigh a push that went the other way.
        unclear = abs(answer) < self.counts / 3 or (self.late and answer * self.push < 0)
        if (unclear or answer < 0) and self.begins_again(drive):
            return False
        if unclear:
            raise Failed("ROTOR_MOVING", shown + ": something else turns the shaft; unload it and arm again")
        if answer < 0:
            raise Failed("ENCODER_REVERSED", shown + "; set encoder_reversed or swap two motor cables")
        drive.tell("direction: " + shown)
        return True
