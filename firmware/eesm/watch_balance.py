"""Watch of the balance between the phases; see `eesm.watch_field` for what a watch is."""

from math import cos, sin, sqrt

from eesm.cyclic import signed
from eesm.faults import Failed
from eesm.sight import Lasting

MEAN_PERIODS = 768  # as eesm.stages.average: 128 cycles of the outer law
SLOW = 4 / MEAN_PERIODS  # rad a period, below which a step of the voltage leaves as much in its mean


class BalanceWatch:
    """PHASE_UNBALANCE: a voltage that turns backwards drives a good part of the current.

    The control law has the mean of such a voltage (`eesm.stages.balance`).  The current control makes what it
    measures even; where a sensor's gain has drifted or a phase is open, that takes a voltage which turns
    backwards, and drives a true current so by the stator's impedance.  It always stands the same way to the
    current, what a transient leaves any way, so it is weighed by the current and averaged.
    """

    MEAN = 0.25  # s
    FIRST = 1.0  # s since the shaft was slow, of which nothing is used: what currents did then is forgotten
    LEAST = 0.1  # of i_max: smaller currents are not judged
    SHARE = 0.08  # of the current: mean squares of the phases 27 % apart
    LASTS = 0.25  # s; a step of torque decays meanwhile

    def __init__(self, drive):
        self.drive = drive
        self._bad = Lasting()
        self.begin()

    def begin(self):
        """What was seen before says nothing about now."""
        self._bad.clear()
        self._looked = self.drive.read("period")
        self._w_e = 0.0  # of the last look
        self._passed = 0  # periods that were seen
        self._square = 0.0  # mean square of the current, A^2
        self._along = self._across = 0.0  # mean of what is driven backwards times the current, A^2

    def look(self):
        """Fail when the phases differ."""
        drive, settings = self.drive, self.drive.settings
        sight, si = drive.sight, drive.si
        passed = signed(sight.period - self._looked)
        if passed == 0:
            return
        w_e, f_pwm = si("w_e"), settings["f_pwm"]
        slow = abs(w_e) < max(0.02 * settings["w_m_max"] * settings["pole_pairs"], SLOW * f_pwm)
        if slow or w_e * self._w_e < 0:  # slow just before
            self.begin()
            self._w_e = w_e
            return
        self._looked, self._w_e = sight.period, w_e
        self._passed += passed
        settled = self._passed - self.FIRST * f_pwm
        if settled < 0:
            return
        part = min(1.0, passed / (self.MEAN * f_pwm))
        along, across = self._find_driven(w_e)
        d, q = si("i_d"), si("i_q")
        self._along += (along * d - across * q - self._along) * part
        self._across += (along * q + across * d - self._across) * part
        self._square += (d * d + q * q - self._square) * part
        if settled < 2 * self.MEAN * f_pwm or self._square < (self.LEAST * settings["i_max"]) ** 2:
            return
        share = sqrt(self._along**2 + self._across**2) / self._square
        if self._bad.lasts(share > self.SHARE, sight.period, self.LASTS * f_pwm):
            raise Failed(
                "PHASE_UNBALANCE",
                "%.0f %% of the phase currents turn backwards, %.0f %% are allowed; compare the phase sensors"
                % (100 * share, 100 * self.SHARE),
            )

    def _find_driven(self, w_e):
        """Current in A that the voltage drives backwards: (along, across) phase a where theta_e is 0."""
        si, settings = self.drive.si, self.drive.settings
        # The voltage acts later than theta_e, and is turned back by twice as much.
        turn = w_e * settings.get("delay_periods", 3) / settings["f_pwm"]
        turn_d, turn_q = cos(turn), sin(turn)
        d, q = si("u_back_along"), si("u_back_across")
        d, q = d * turn_d - q * turn_q, d * turn_q + q * turn_d
        # Backwards in the stator it meets R_s - j*w_e*L, and the field winding as a shorted one.
        r = settings["R_s"]
        x = -w_e * (settings["sigma_L_d"] + settings["L_q"]) / 2
        square = r * r + x * x
        return (d * r + q * x) / square, (q * r - d * x) / square
