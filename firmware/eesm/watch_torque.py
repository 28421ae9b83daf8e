"""The second level: is the torque at the shaft one that the user asked for?

It shares no code with the control law and no signal but its inputs and outputs: counts of converter
and encoder, and compare counts.  Offsets are copied when the drive becomes ready; gains, machine and
limits come from the settings; what the user asks for comes from the drive's commands, not from the
kernel's words.
"""

from math import cos, pi, sin

from eesm.cyclic import signed
from eesm.faults import Failed
from eesm.sight import Lasting

JUDGE_PERIODS = 80  # looks that come sooner wait: a board has little time
LONG_PERIODS = 2000  # a look that comes later only begins anew
TIME = 0.05  # s
SHARE = 0.15  # of torque_max that the estimate may be wrong by
SLOW = 0.1  # of w_m_max, below which the currents tell the torque, above it the power
HOT = 0.4  # share of R_s*i^2 that is not known
RATIOS = 9  # points of each axis of the tables of saturation
FIELD_ROOM = 1.25  # of M*i_f_max that they cover, as in host_tools.references.flux_ratios
LEAKAGE = 0.1  # of L_d

CURRENT = 0  # reference_mode
TORQUE = 1
SPEED = 2


class TorqueWatch:
    """TORQUE_IMPLAUSIBLE: torque beyond what was asked for, or against it, for 50 ms.

    The estimate: terminal power less the losses of dead time, copper and iron, over the speed; at low speed
    1.5*p*(psi_t*i_q) by a Park transformation of its own; the mean of two looks, since the power of one
    period is noisy.  Less torque than asked for is no fault: power, heat, u_dc or the field may limit it.
    So the estimate has to lie between zero and what is asked for, give or take 15 % of torque_max and,
    where power tells, what 40 % of the copper loss make.
    Asked for is: torque_set, followed by torque_slew; in current control the torque of the set currents
    with the field that there is; in speed control the law's torque_ref within the limits, and no torque
    away from the setpoint once the speed is further from it than the law can be.
    """

    def __init__(self, drive):
        self.drive = drive
        self._bad = Lasting()
        self._step = drive.step_of("w_e")
        self._asked = []  # (period, mode, words) of setpoints that are not due yet
        self.begin()

    def begin(self):
        """Keep the offsets of the sensors; nothing is asked for yet."""
        drive, settings = self.drive, self.drive.settings
        kernel = drive.kernel
        self._bad.clear()
        self._asked = []
        self._mode, self._words = CURRENT, {}
        self._low = self._high = 0.0  # N.m that may be asked for
        self._slow = self._fast = 0.0  # rad/s, between them the speed asked for
        self._ref = 0.0
        self._zero = [drive.read(name) / 16 for name in ("i_a_offset", "i_b_offset", "i_f_offset")]
        # What a calibration has found, as the offsets.
        self._gain = [drive.read(name) / 16384 for name in ("i_a_gain", "i_b_gain", "i_f_gain")]
        self._turned = settings["encoder_offset"]
        self._place = drive.read("position")
        self._judged = drive.read("period")
        self._w_m = None  # rad/s
        self._last = None  # N.m of the last look
        # Where the tables of saturation lie, and V.s of their axis.
        self._table = kernel.offset["flux_ratio_d"], kernel.offset["flux_ratio_q"]
        self._top = FIELD_ROOM * settings["M"] * settings["i_f_max"]

    def ask(self, due, mode, words):
        """Note a setpoint in raw words that is due at a period."""
        place = len(self._asked)
        while place > 0 and signed(self._asked[place - 1][0] - due) > 0:
            place -= 1
        self._asked.insert(place, (due, mode, words))

    def look(self):
        """Fail when the torque is none that was asked for."""
        sight = self.drive.sight
        now, asked = sight.period, self._asked
        while asked and signed(now - asked[0][0]) >= 0:
            _, self._mode, self._words = asked.pop(0)
        passed = signed(now - self._judged)
        if sight.passed == 0 or passed < JUDGE_PERIODS:
            return
        self._judged = now
        time = passed / self.drive.settings["f_pwm"]
        w_m = self._find_speed(time)
        if passed > LONG_PERIODS:
            self._w_m = None
        if self._w_m is None:
            self._w_m, self._last = w_m, None
            return
        ahead = (w_m - self._w_m) / 2  # the mean speed is that of the middle
        self._w_m = w_m
        self._judge(w_m + ahead, time)

    def _find_speed(self, time):
        """Mean speed in rad/s since the last look, by counts; only its whole turns are the kernel's."""
        sight, settings = self.drive.sight, self.drive.settings
        counts, place = settings["encoder_counts"], sight.position
        moved = place - self._place
        self._place = place
        if settings["encoder_reversed"]:
            moved = -moved
        w_m = sight.w_e * self._step / settings["pole_pairs"]
        turns = moved / counts
        turns += round(w_m * time / (2 * pi) - turns)
        return turns / time * 2 * pi

    def _judge(self, w_m, time):
        sight, settings = self.drive.sight, self.drive.settings
        scale = settings["i_base"] / 2048
        i_a = (sight.i_a_raw - self._zero[0]) * self._gain[0] * scale
        i_b = (sight.i_b_raw - self._zero[1]) * self._gain[1] * scale
        i_f = (sight.i_f_raw - self._zero[2]) * self._gain[2] * settings["i_f_base"] / 2048
        i_alpha, i_beta = i_a, (i_a + 2 * i_b) * 0.57735
        margin = SHARE * settings["torque_max"]
        if settings["driveline_damping"] > 0:
            margin += 0.1 * settings["torque_max"]
        if abs(w_m) > SLOW * settings["w_m_max"]:
            torque, doubt = self._by_power(w_m, i_a, i_b, i_alpha, i_beta)
            margin += doubt
        else:
            torque = self._by_currents(i_alpha, i_beta, i_f)
        last = torque if self._last is None else self._last
        self._last = torque
        torque = (torque + last) / 2
        self._follow(w_m, i_f, torque, time)
        bad = not self._low - margin <= torque <= self._high + margin
        if self._bad.lasts(bad, sight.period, TIME * settings["f_pwm"], 4):
            raise Failed(
                "TORQUE_IMPLAUSIBLE",
                "the shaft gets %.1f Nm, %.1f .. %.1f Nm are asked for; check angle, sensors and setpoint"
                % (torque, self._low, self._high),
            )

    def _by_power(self, w_m, i_a, i_b, i_alpha, i_beta):
        """(torque, what the losses make uncertain) in N.m by the power at the terminals."""
        sight, settings = self.drive.sight, self.drive.settings
        u_dc = sight.u_dc_raw * settings["u_base"] / 4096
        volt = u_dc / settings["pwm_top"]
        a, b, c = sight.compare_a, sight.compare_b, sight.compare_c
        u_alpha, u_beta = (2 * a - b - c) * volt / 3, (b - c) * volt * 0.57735
        # The compare counts act while the rotor turns on from where the currents were taken.
        w_e = w_m * settings["pole_pairs"]
        turn = w_e * 0.5 * settings.get("delay_periods", 3) / settings["f_pwm"]
        on, off = cos(turn), sin(turn)
        u_alpha, u_beta = u_alpha * on + u_beta * off, u_beta * on - u_alpha * off
        r_s = settings["R_s"]
        square = i_alpha * i_alpha + i_beta * i_beta
        copper = 1.5 * r_s * square
        e_alpha, e_beta = u_alpha - r_s * i_alpha, u_beta - r_s * i_beta
        iron = (settings["k_h"] / abs(w_e) + settings["k_e"]) * (e_alpha * e_alpha + e_beta * e_beta)
        dead = u_dc * settings["dead_time"] * settings["f_pwm"] * (abs(i_a) + abs(i_b) + abs(i_a + i_b))
        power = 1.5 * (u_alpha * i_alpha + u_beta * i_beta) - copper - iron - dead
        return power / w_m, (HOT * copper + dead) / abs(w_m)

    def _by_currents(self, i_alpha, i_beta, i_f):
        """Torque in N.m by the fluxes."""
        settings = self.drive.settings
        turns = (self.drive.sight.position + 0.5) / settings["encoder_counts"]
        if settings["encoder_reversed"]:
            turns = -turns
        angle = (turns * settings["pole_pairs"] + self._turned) * 2 * pi
        on, off = cos(angle), sin(angle)
        i_d, i_q = i_alpha * on + i_beta * off, i_beta * on - i_alpha * off
        return 1.5 * settings["pole_pairs"] * self._flux(i_d, i_q, i_f) * i_q

    def _flux(self, i_d, i_q, i_f):
        """Torque per i_q, psi_t in V.s."""
        settings = self.drive.settings
        l_d, l_q = settings["L_d"], settings["L_q"]
        if not settings.get("saturates", 0):
            return settings["M"] * i_f + (l_d - l_q) * i_d
        main = settings["M"] * i_f + (1 - LEAKAGE) * l_d * i_d
        ratio_d, ratio_q = self._ratios(abs(main) / self._top, abs(i_q) / settings["i_max"])
        return ratio_d * main + (LEAKAGE * l_d - ratio_q * l_q) * i_d

    def _ratios(self, x, y):
        """Saturation along d and q between four points of the tables; x and y are shares of the axes."""
        block, last = self.drive.kernel.block, RATIOS - 1
        x, y = min(x, 0.999) * last, min(y, 0.999) * last
        column, row = int(x), int(y)
        x, y = x - column, y - row
        found = []
        for start in self._table:
            k = start + row * RATIOS + column
            low = int(block[k]) * (1 - x) + int(block[k + 1]) * x
            high = int(block[k + RATIOS]) * (1 - x) + int(block[k + RATIOS + 1]) * x
            found.append((low * (1 - y) + high * y) / 32768)
        return found

    # --- what is asked for -----------------------------------------------------------------------------

    def _follow(self, w_m, i_f, torque, time):
        """Move the bounds of the torque that is asked for."""
        drive, settings, words = self.drive, self.drive.settings, self._words
        limit = min(settings["torque_limit"], settings["torque_max"])
        if self._mode != SPEED:
            self._slow = self._fast = w_m
        if self._mode == TORQUE:
            goal = words["torque_set"] * drive.step_of("torque_set")
            step = 0.6 * settings["torque_slew"] * time  # slower than the law, which rounds it
            self._low = min(goal, 0.0, self._low + step)
            self._high = max(goal, 0.0, self._high - step)
        elif self._mode == SPEED:
            goal = words["w_m_set"] * drive.step_of("w_m_set")
            step = 0.6 * settings["acceleration"] * time
            self._slow, self._fast = min(goal, self._slow + step), max(goal, self._fast - step)
            # The reference now and at the last look, since currents take some ms.
            ref = max(-limit, min(limit, drive.si("torque_ref")))
            low, high = min(ref, self._ref, 0.0), max(ref, self._ref, 0.0)
            self._ref = ref
            # The speed law has turned its torque by then, or its integrator is wrong.
            w_s = 2 * pi * settings["bandwidth_speed"]
            gap = 0.1 * settings["w_m_max"] + 1.5 * settings["torque_max"] / (settings["J"] * w_s)
            if w_m > self._fast + gap:
                high = 0.0
            elif w_m < self._slow - gap:
                low = 0.0
            self._low, self._high = low, high
        elif words:
            i_d = words["i_d_set"] * drive.step_of("i_d_set")
            i_q = words["i_q_set"] * drive.step_of("i_q_set")
            set_f = words["i_f_set"] * drive.step_of("i_f_set")
            factor = 1.5 * settings["pole_pairs"] * i_q
            asked = [0.0]
            for field in (i_f, set_f):
                asked.append(factor * self._flux(i_d, i_q, field))
            self._low, self._high = min(asked), max(asked)
        else:
            self._low = self._high = 0.0
