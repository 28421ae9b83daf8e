"""Watches of the shaft while ready or running; see `eesm.watch_field` for what a watch is."""

from math import pi

from eesm.cyclic import signed
from eesm.faults import Failed

WINDOW = 0.005  # s, at least, over which an acceleration is taken
LONG = 0.1  # s; a look that comes later begins anew


class MotionWatch:
    """SPIN_OUT: the speed changes at more than twice what torque_max makes of J, over two windows, the same
    way.  STALLED: less than 1 % of w_m_max under more than 80 % of the torque allowed, for stall_time.
    """

    def __init__(self, drive):
        self.drive = drive
        self._step = drive.step_of("w_e")
        self.begin()

    def begin(self):
        """What was seen before says nothing about now."""
        self._since = self.drive.read("period")
        self._speed = None  # rad/s of the shaft then
        self._way = 0  # of the last window that was too quick
        self._stood = 0  # periods under torque without motion

    def look(self):
        """Fail when the shaft does what its torque cannot make it do, or nothing at all."""
        drive, sight = self.drive, self.drive.sight
        settings = drive.settings
        passed = signed(sight.period - self._since)
        if sight.passed == 0 or passed < WINDOW * settings["f_pwm"]:
            return
        self._since = sight.period
        w_m = sight.w_e * self._step / settings["pole_pairs"]
        self._watch_standing(w_m, passed)
        before, self._speed = self._speed, w_m
        if before is None or passed > LONG * settings["f_pwm"]:
            self._way = 0
            return
        change = w_m - before
        most = 2 * settings["torque_max"] / settings["J"] * passed / settings["f_pwm"]
        most += 0.01 * settings["w_m_max"]  # what the tracker may be wrong by
        way = 0 if abs(change) <= most else 1 if change > 0 else -1
        if way and way == self._way:
            raise Failed(
                "SPIN_OUT",
                "the speed changed by %.0f rpm in %.0f ms, torque_max makes %.0f; check encoder, coupling, J"
                % (change * 30 / pi, 1000 * passed / settings["f_pwm"], most / 2 * 30 / pi),
            )
        self._way = way

    def _watch_standing(self, w_m, passed):
        drive, settings = self.drive, self.drive.settings
        allowed = drive.read("torque_max")
        stands = abs(w_m) < 0.01 * settings["w_m_max"]
        if not stands or 10 * abs(drive.read("torque")) < 8 * allowed:
            self._stood = 0
            return
        self._stood += passed
        if self._stood > settings["stall_time"] * settings["f_pwm"]:
            raise Failed(
                "STALLED",
                "the shaft stands under %.1f Nm for stall_time = %.1f s; release it or lower torque_limit"
                % (drive.si("torque"), settings["stall_time"]),
            )
