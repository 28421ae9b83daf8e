"""Watch of the balance between the phases; see `eesm.watch_field` for what a watch is."""

from math import pi, sqrt

from eesm.cyclic import signed
from eesm.faults import Failed


class BalanceWatch:
    """PHASE_UNBALANCE: a part of the currents turns backwards.

    Measured, or told by the voltages: the current control makes what it measures even, so a gain that
    has drifted shows in the currents at high speed only, and in the voltages at low speed.  A part that
    turns backwards turns twice as quick against the rotor: sums of i_d + j*i_q times exp(2j*theta), less
    what their mean leaves, over some 32 looks and 4 electrical turns that the looks can tell.  Windows in
    which torque, speed or field change much are not judged, nor are small currents and low speeds, nor
    voltages when looks come late and are fewer than 24 a turn: a dead time's ripple, six times a turn,
    would seem such a part.  Whatever else changes, by noise or a load that comes and goes, has some backward
    part too, a small one: only what is a good part of all change counts, in the mean of some windows.
    """

    LOOKS = 32
    MOST_LOOKS = 400
    TURNS = 4
    WINDOWS = 4  # of which the mean is taken
    IN_TIME = 40  # periods between looks; a tick has 20
    FINE = 24  # looks a turn
    LEAST = 0.1  # of i_max: smaller currents are not judged
    TELLING = 0.25  # of i_max: smaller currents are not told by voltages, or by looks that come late
    MOSTLY = 0.2  # of the mean square of all change in a window
    SHARE = 0.08  # of the current: mean squares of the phases 27 % apart

    def __init__(self, drive):
        self.drive = drive
        self._sine = drive.kernel.offset["sine"]
        self.begin()

    def begin(self):
        """What was seen before says nothing about now."""
        self._forget()
        self._start()

    def _forget(self):
        """Windows count that follow each other."""
        self._windows = 0
        self._along = self._across = 0.0  # share of the current, in its direction; the mean of some windows

    def _start(self):
        self._looks = 0
        self._began = self.drive.read("period")
        # Sums: i_d, i_q, u_d, u_q; the same times cosine, times sine; cosine; sine.
        self._sums = [0] * 14
        self._squares = [0, 0]  # of currents and voltages, over 1024: small integers
        # Lowest and highest of i_d_ref, i_q_ref, w_e, i_f_ref, and how far apart they may be: the fault
        # itself makes torque, speed and references ripple.
        self._low, self._high = [32767] * 4, [-32768] * 4
        read = self.drive.read
        most = 3 * read("i_max") >> 2
        self._limits = most, most, 2000, read("i_f_max") >> 2

    def look(self):
        """Fail when windows one after the other agree that the phases differ."""
        drive, sight = self.drive, self.drive.sight
        if sight.passed == 0:
            return
        low, high, limits = self._low, self._high, self._limits
        k = 0
        for seen in (sight.i_d_ref, sight.i_q_ref, sight.w_e, sight.i_f_ref):
            if seen < low[k]:
                low[k] = seen
            if seen > high[k]:
                high[k] = seen
            if high[k] - low[k] > limits[k]:
                self._forget()
                self._start()
                return
            k += 1
        # Half the 512 steps of a turn: twice the angle.
        place = self._sine + (sight.theta_e >> 20 & 511)
        block, sums = drive.kernel.block, self._sums
        sine, cosine = int(block[place]), int(block[place + 128])
        squares, k = self._squares, 0
        for value in (sight.i_d, sight.i_q, sight.u_d, sight.u_q):
            sums[k] += value
            sums[k + 4] += value * cosine >> 15
            sums[k + 8] += value * sine >> 15
            squares[k >> 1] += value * value >> 10
            k += 1
        sums[12] += cosine
        sums[13] += sine
        self._looks += 1
        if self._looks < self.LOOKS:
            return
        settings = drive.settings
        w_e = abs(low[2] + high[2]) / 2 * drive.step_of("w_e")
        passed = signed(sight.period - self._began)
        turns = w_e * passed / settings["f_pwm"] / (2 * pi)
        # What turns half a turn or a whole one from look to look seems to stand, and a slow change to turn.
        seen = 2 * turns / self._looks
        if abs(seen - round(seen)) * self._looks < 2 * self.TURNS:
            if self._looks >= self.MOST_LOOKS:
                self._start()
            return
        in_time = passed <= self.IN_TIME * self._looks
        self._judge(w_e, in_time, in_time or self._looks >= self.FINE * turns)
        self._start()

    def _judge(self, w_e, in_time, fine):
        drive, settings = self.drive, self.drive.settings
        sums, looks = self._sums, self._looks
        step = drive.step_of("i_d")
        current = sqrt(sums[0] ** 2 + sums[1] ** 2) / looks * step
        # Seen late, an encoder's steps, which beat with the periods, make a small current seem to turn back.
        least = self.LEAST if in_time else self.TELLING
        if current < least * settings["i_max"] or w_e < 0.02 * settings["w_m_max"] * settings["pole_pairs"]:
            self._forget()
            return
        l_2 = (settings["sigma_L_d"] + settings["L_q"]) / 2
        ohm = sqrt(settings["R_s"] ** 2 + (w_e * l_2) ** 2)
        along, across = self._backwards(0)
        share = sqrt(along * along + across * across) * step / current
        if fine and current >= self.TELLING * settings["i_max"]:
            u_along, u_across = self._backwards(2)
            told = sqrt(u_along * u_along + u_across * u_across) * drive.step_of("u_d") / ohm / current
            if told > share:
                share, along, across = told, u_along, u_across
        # A fault shows the same way relative to the current every time, a transient any way.
        d, q = sums[0], sums[1]
        along, across = along * d - across * q, across * d + along * q
        length = sqrt(along * along + across * across)
        if length > 0.0:
            # One window does not decide.
            scale = min(share, 2 * self.SHARE) / length
            along, across = along * scale, across * scale
        self._along += (along - self._along) / self.WINDOWS
        self._across += (across - self._across) / self.WINDOWS
        self._windows += 1
        lasts = share > self.SHARE / 2 and self._windows >= self.WINDOWS
        share = sqrt(self._along * self._along + self._across * self._across)
        if lasts and share > self.SHARE:
            raise Failed(
                "PHASE_UNBALANCE",
                "%.0f %% of the phase currents turn backwards, %.0f %% are allowed; compare the phase sensors"
                % (100 * share, 100 * self.SHARE),
            )

    def _backwards(self, k):
        """The part of sums k, k + 1 that turns backwards, raw (along, across) the stator's phase a.

        (0, 0) when nearly all that changes is something else than phases that differ: that turns twice as
        quick as the rotor, backwards and by the control's answer forwards.
        """
        sums, looks = self._sums, self._looks
        d, q = sums[k] / looks, sums[k + 1] / looks
        cosine, sine = sums[12] / 32768, sums[13] / 32768
        d_cosine, d_sine = sums[k + 4] - d * cosine, sums[k + 8] - d * sine
        q_cosine, q_sine = sums[k + 5] - q * cosine, sums[k + 9] - q * sine
        along, across = (d_cosine - q_sine) / looks, (d_sine + q_cosine) / looks
        turns = 2 * (d_cosine**2 + d_sine**2 + q_cosine**2 + q_sine**2) / looks**2
        if turns < self.MOSTLY * (1024 * self._squares[k >> 1] / looks - d * d - q * q):
            return 0.0, 0.0
        return along, across
