"""Watch of the encoder while ready or running; see `eesm.watch_field` for what a watch is."""

from math import pi

from eesm.faults import Failed


class JumpWatch:
    """A count that is elsewhere than the speed takes it, and goes on from there, has jumped.

    From one look to the next, by more than 30 degrees electrical and what twice torque_max may
    accelerate meanwhile.  A look so late that this says nothing is left to the angle of the EMF.
    """

    JUMP = pi / 6
    MOST = pi / 2  # rad electrical; a wider allowance judges nothing

    def __init__(self, drive):
        self.drive = drive
        self._step = drive.step_of("w_e")
        self.begin()

    def begin(self):
        """What was seen before says nothing about now."""
        self._pace = None  # counts a period at the last look
        self._place = 0
        self._jumped = 0  # counts, in the last look
        self._before = 0.0  # counts a period until then

    def look(self):
        """Fail when the count has jumped."""
        drive, sight = self.drive, self.drive.sight
        passed = sight.passed
        if passed == 0:
            return
        settings = drive.settings
        counts, pairs, f_pwm = settings["encoder_counts"], settings["pole_pairs"], settings["f_pwm"]
        place, pace, jumped = self._place, self._pace, self._jumped
        self._place = sight.position
        w_m = sight.w_e * self._step / pairs
        self._pace = w_m / (2 * pi) * counts / f_pwm
        if settings["encoder_reversed"]:
            self._pace = -self._pace
        if pace is None:
            return
        moved = (self._place - place + counts // 2) % counts - counts // 2
        # One that stands from now on is lost, as the control law sees.
        expected = abs(self._before) * passed
        if jumped and not (expected > 12 and 8 * abs(moved) < expected < counts // 2):
            raise Failed(
                "ENCODER_JUMPED",
                "the encoder was %.0f degrees electrical from where the speed takes it; check its cable"
                % (jumped * 360 * pairs / counts),
            )
        time = passed / f_pwm
        allowed = self.JUMP + pairs * settings["torque_max"] / settings["J"] * time * time
        gap = (moved - round(pace * passed) + counts // 2) % counts - counts // 2
        wrong = allowed < self.MOST and abs(gap) * 2 * pi * pairs > allowed * counts
        self._jumped, self._before = gap if wrong else 0, pace
