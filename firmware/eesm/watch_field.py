"""Watches of the field while ready or running.

A watch has `begin`, called when the drive becomes ready, and `look`, called every tick from then on, which
raises Failed.  Ticks come every ms or so, and late by some 50 ms when a board collects garbage.
A keeper has `look` alone, called every tick in every state.
"""

from math import sqrt

from eesm.faults import Failed

REFERENCE_CURRENT = 0  # as in eesm.signals


class FieldWatch:
    """A field that stays away although the exciter gives all it has is open; one may also be too strong."""

    OPEN = 0.03  # s
    # Without a voltage to spare; the current runs away within some ms.
    OVER = 0.0015  # s, of currents asked for by hand
    OVER_TORQUE = 0.01  # s, else: a stuck exciter and shorted turns have names of their own

    def __init__(self, drive):
        self.drive = drive
        self.begin()

    def begin(self):
        """Forget what was seen before."""
        self._weak_since = None

    def look(self):
        """Fail when the field current is far below its reference at nearly the exciter's full voltage.

        And when open switches would not end the stator's current, the link's voltage being lower.
        """
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
        self._look_at_voltage()

    def _look_at_voltage(self):
        """Over-excited: more field than the speed allows has taken all voltage from the current control.

        Open switches would meet this field: it keeps its flux while i_d ends, so psi_d is then less by
        sigma_L_d*i_d.  That is no fault by itself: at full power, field weakening stores more than the
        link's voltage in most machines, and a weak exciter leaves no voltage to spare while the field rises.
        """
        drive = self.drive
        si, settings = drive.si, drive.settings
        bound = drive.read("saturated")
        if bound < self.OVER * settings["f_pwm"]:
            return
        if drive.read("reference_mode") != REFERENCE_CURRENT and (
            bound < self.OVER_TORQUE * settings["f_pwm"]
            or si("i_f") < si("i_f_ref") + 0.1 * settings["i_f_max"]
        ):
            return
        w_e = abs(si("w_e"))
        flux = si("psi_t") + (settings["L_q"] - settings["sigma_L_d"]) * si("i_d")
        voltage = sqrt(3) * w_e * flux
        limit = max(si("u_dc"), settings["u_dc_nominal"])
        if voltage > limit:
            raise Failed(
                "OVER_EXCITATION",
                "i_f = %.2f A makes %.0f V between terminals at %.0f rad/s, %.0f V are allowed; lower either"
                % (si("i_f"), voltage, w_e / settings["pole_pairs"], limit),
            )
