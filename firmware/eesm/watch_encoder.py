"""Watch of the encoder while ready or running; see `eesm.watch_field` for what a watch is."""

from math import pi

from eesm.cyclic import signed
from eesm.faults import Failed

LOOK_PERIODS = 20  # as eesm.drive.TICK_PERIODS: looks are that far apart, or more


class EncoderWatch:
    """A count that stands still for two looks although the shaft turned has been lost."""

    def __init__(self, drive):
        self.drive = drive
        self.begin()

    def begin(self):
        """What was seen before says nothing about now."""
        self._looked = self.drive.read("period")  # when the count was last seen to move
        self._place = self.drive.read("position")
        self._pace = 0.0  # counts a period then
        self._latest = 0.0  # of the last look alone
        self._gap = 0  # periods from that look, or the one before, until `_looked`
        self._stood = 0  # looks since

    def look(self):
        """Fail when the count stands.

        No shaft stops so quickly from a twentieth of w_m_max; slower ones are not judged.  Period and
        position are read together: a tick takes ms on a board, or 40 with a collection of garbage,
        and a position younger than its period would seem to stand once periods have stopped.
        """
        drive = self.drive
        now, position = drive.read("period"), drive.read("position")
        passed = signed(now - self._looked)
        if passed < LOOK_PERIODS // 2:  # ticks that make up for a late one, or no periods at all
            return
        if signed(drive.read("period") - now) >= LOOK_PERIODS // 2:  # held up between the two
            return
        settings = drive.settings
        counts, f_pwm = settings["encoder_counts"], settings["f_pwm"]
        # Less what twice torque_max brakes, the machine and a load alike, since the pace was taken.
        change = 2 * settings["torque_max"] / settings["J"] * (self._gap + passed / 2) / f_pwm
        expected = (self._pace - change / (2 * pi) * counts / f_pwm) * passed
        moved = (position - self._place + counts // 2) % counts - counts // 2
        # A dead count may still flicker between its neighbours.
        known = passed <= 20 * LOOK_PERIODS and self._pace * passed < counts // 2
        if known and 8 * abs(moved) < expected:
            self._stood += 1
            if self._stood >= 2 and expected > 12:
                raise Failed(
                    "ENCODER_LOST",
                    "the encoder moved by %d counts in %d periods, %d were expected; check its cable"
                    % (moved, passed, expected),
                )
            return
        self._stood, self._looked, self._place = 0, now, position
        w_m = abs(drive.si("w_e")) / settings["pole_pairs"]
        if w_m < 0.05 * settings["w_m_max"]:
            w_m = 0.0
        pace = w_m / (2 * pi) * counts / f_pwm
        # The speed of a look in which the count died has fallen already; that of the one before has not.
        self._gap = passed if self._latest > pace else 0
        self._pace, self._latest = max(pace, self._latest), pace


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
        # One that stands from now on is lost, and EncoderWatch's.
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
