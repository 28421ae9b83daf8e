"""Watches of the rotor angle by the machine's voltage; see `eesm.watch_field` for what a watch is."""

from math import atan2, pi, sqrt, tan

from eesm.faults import Failed
from eesm.sight import Lasting

JUDGE_PERIODS = 40  # looks that come sooner wait: a board has little time
SLIPPED = 15 * pi / 180
TANGENT = tan(SLIPPED)
SLIPPED_TIME = 0.010  # s
REVERSED_TIME = 0.020


class AngleWatch:
    """The voltage that the current control's integrators hold, beyond R_s*i, is what its model of the
    fluxes does not explain: an angle that is wrong by e turns the flux psi_t, which torque acts on, by
    -e.  What drives changes of the currents is apart from that (d_push, q_push), so transients do not count.

    ANGLE_SLIPPED: psi_t is 15 degrees from where the encoder has it, and the voltage that says so is more
    than 5 % of u_dc_nominal and what half of R_s and a tenth of L_q would make, and what a field that
    changes drives by its mutual inductance, now or in the last 40 ms: the integrators hold that too.
    TORQUE_REVERSED: the EMF shows psi_t backwards, and the shaft gains speed against the torque that the
    law believes in.  A load that drives turns the shaft alike, but leaves the EMF where it belongs.
    """

    def __init__(self, drive):
        self.drive = drive
        self._slipped = Lasting()
        self._reversed = Lasting()
        self._steps = [drive.step_of(name) for name in ("w_e", "i_d", "d_integral")]
        self.begin()

    def begin(self):
        """What was seen before says nothing about now."""
        self._passed = 0
        self._slipped.clear()
        self._reversed.clear()
        self._w_first = 0.0  # rad/s, when the flux was first seen backwards

    def look(self):
        """Fail when the angle of the EMF contradicts that of the encoder."""
        drive, sight = self.drive, self.drive.sight
        self._passed += sight.passed
        if sight.passed == 0 or self._passed < JUDGE_PERIODS:
            return
        self._passed = 0
        settings, now = drive.settings, sight.period
        w, i, u = self._steps
        w_e = sight.w_e * w
        psi = drive.si("psi_t")
        i_d, i_q = sight.i_d * i, sight.i_q * i
        r_s = settings["R_s"]
        v_d = sight.d_integral * u - r_s * i_d
        v_q = sight.q_integral * u - r_s * i_q
        e_q, e_d = w_e * psi + v_q, -v_d  # of psi_t along d and q as the machine shows them
        emf = sqrt(e_d * e_d + e_q * e_q)
        current = sqrt(i_d * i_d + i_q * i_q)
        known, drop = settings["u_dc_nominal"], 0.5 * r_s * current
        along, across = e_q, e_d
        if w_e < 0:
            along, across = -along, -across
        f_pwm = settings["f_pwm"]

        torque, backwards = 0.0, False
        if emf > 0.015 * known + drop and along < -0.5 * emf:
            torque = drive.si("torque")
            backwards = torque * w_e < 0 and abs(torque) > 0.1 * settings["torque_max"]
        if not backwards:
            self._w_first = abs(w_e)
        if self._reversed.lasts(backwards and abs(w_e) >= self._w_first, now, REVERSED_TIME * f_pwm):
            raise Failed(
                "TORQUE_REVERSED",
                "the shaft gains speed against %.2f Nm and the EMF is backwards; check encoder and phases"
                % torque,
            )

        angle, bad = 0.0, False
        if abs(across) > TANGENT * along:
            angle = atan2(across, along)
            # Iron, dead time and a wrong L_q make voltages across that are no angle.
            doubt = 0.05 * known + drop + 0.1 * settings["L_q"] * current * abs(w_e) + self._kick()
            bad = (emf if along < 0 else abs(across)) > doubt and not drive.current_watch.doubts()
        if self._slipped.lasts(bad, now, SLIPPED_TIME * f_pwm):
            raise Failed(
                "ANGLE_SLIPPED",
                "the EMF is %.0f degrees from the encoder's angle, %.0f are allowed; arm again to find it"
                % (angle * 180 / pi, SLIPPED * 180 / pi),
            )

    def _kick(self):
        """V along d by the changes of the field's flux: those of now, and those of the means."""
        si, settings = self.drive.si, self.drive.settings
        r_f = settings["R_f"]
        changes = abs(si("u_f") - r_f * si("i_f")) + abs(si("u_f_mean") - r_f * si("i_f_mean"))
        return settings["M"] / settings["L_f"] * changes
