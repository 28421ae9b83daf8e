"""Watch of the sum of the phase currents; see `eesm.watch_field` for what a watch is."""

from math import sqrt

from eesm.faults import Failed


class SumWatch:
    """PHASE_SUM: three currents that do not add up to zero, on a board that measures the third.

    It is sampled up to two periods apart from the others: what the phases change meanwhile is allowed.
    """

    SHARE = 0.15  # of i_max
    TIME = 0.010  # s that count; a look within the limit takes half of what one beyond it gives
    LATE = 40  # periods that a look counts for at most
    APART = 2  # periods

    def __init__(self, drive):
        self.drive = drive
        self.begin()

    def begin(self):
        """What was seen before says nothing about now."""
        self._held = 0.0  # periods

    def look(self):
        """Fail when the sum stays away from zero."""
        drive, sight = self.drive, self.drive.sight
        if sight.passed == 0:
            return
        settings, step = drive.settings, drive.step_of("i_d")
        i_c = drive.driver.readings()["i_c"]
        total = drive.si("i_a") + drive.si("i_b") + i_c
        i_d, i_q = sight.i_d * step, sight.i_q * step
        w_e = abs(sight.w_e) * drive.step_of("w_e")
        allowed = self.SHARE * settings["i_max"]
        allowed += self.APART * w_e / settings["f_pwm"] * sqrt(i_d * i_d + i_q * i_q)
        # A leak follows its leg's voltage and has moments of nothing.  A stuck sensor is to be named as one.
        passed = min(sight.passed, self.LATE)
        if abs(total) > allowed and not drive.current_watch.doubts():
            self._held += passed
        else:
            self._held = max(0.0, self._held - 0.5 * passed)
        if self._held >= self.TIME * settings["f_pwm"]:
            raise Failed(
                "PHASE_SUM",
                "the phase currents add up to %.1f A, %.1f A are allowed; look for a ground fault"
                % (total, allowed),
            )
