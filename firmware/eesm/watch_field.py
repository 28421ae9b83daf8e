"""Watches of the field while ready or running.

A watch has `begin`, called when the drive becomes ready, and `look`, called every tick from then on, which
raises Failed.  Ticks come every ms or so, and late by some 50 ms when a board collects garbage.
"""

from eesm.faults import Failed


class FieldWatch:
    """A field that stays away although the exciter gives all it has is open."""

    OPEN = 0.03  # s

    def __init__(self, drive):
        self.drive = drive
        self.begin()

    def begin(self):
        """Forget what was seen before."""
        self._weak_since = None

    def look(self):
        """Fail when the field current is far below its reference at nearly the exciter's full voltage."""
        drive = self.drive
        wanted = drive.read("i_f_ref")
        lost = drive.read("i_f") < wanted // 10 and wanted > drive.read("i_f_safe")
        if not lost or drive.si("u_f") <= 0.8 * drive.exciter_voltage():
            self._weak_since = None
        elif self._weak_since is None:
            self._weak_since = drive.now
        elif drive.since(self._weak_since) > self.OPEN * drive.settings["f_pwm"]:
            raise Failed(
                "FIELD_OPEN",
                "i_f is %.2f A, %.2f A are wanted, at %.1f V for %.0f ms; check brushes and cables"
                % (drive.si("i_f"), drive.si("i_f_ref"), drive.si("u_f"), 1000 * self.OPEN),
            )
