"""Watch of the field winding in every state: what its voltage and current say of it; its temperature.

Over the kernel's means (`eesm.stages.average`) the winding obeys, at rest and in motion,

    mean u_f = u_brush + R_f * mean i_f + (L_f*(i_f - mean i_f) + 1.5*M*(i_d - mean i_d)) / MEAN

so that looks which come late miss nothing, and the kick of an i_d step explains itself.
"""

from eesm.faults import Failed

LOOK_PERIODS = 40  # between two looks, at least: it is slow, and a look takes time
MEAN_PERIODS = 768  # as eesm.stages.average: 128 cycles of the outer law
COPPER = 0.00393  # 1/K, at 20 degrees Celsius

SHORTED = 0.7  # of the voltage that R_f needs: less says that turns are missing
STUCK = 0.2  # less than turns can miss: the voltage is not the one that is commanded
CALM = 0.15  # of that voltage, which the flux takes: the winding is in steady state
HOLDS = 0.01  # s that a contradiction lasts
RISES = 0.005  # s, if the current still rises
FOLLOWS = 0.6  # s to follow a resistance
DOUBTS = 4.0  # s to follow one that falls by more than SUDDEN: shorted turns do at once, heat does not
SUDDEN = 25.0  # K
FORGETS = 200.0  # s in which a rotor without a field to measure by cools
AROUND = 40.0  # degrees Celsius of what cools it, if nothing measures that
COLDEST, HOTTEST = -40.0, 250.0


class WindingWatch:
    """Finds shorted turns and an exciter that does not obey; keeps `temperature`, None while not known."""

    def __init__(self, drive):
        self.drive = drive
        self.temperature = None  # degrees Celsius
        self.around = AROUND
        self._looked = drive.now
        self._held = 0.0  # s for which voltage and current have contradicted each other
        self._rising = 0  # looks in a row in which i_f rose although the exciter was told to lower it
        self._last = 0.0  # i_f of the last look

    def expected(self, temperature):
        """R_f at a temperature."""
        settings = self.drive.settings
        known_at = settings.get("winding_temperature", 20.0)
        return settings["R_f"] * (1 + COPPER * (temperature - 20)) / (1 + COPPER * (known_at - 20))

    def look(self):
        """Follow the temperature; fail when the field takes more current than its voltage explains."""
        drive = self.drive
        passed = drive.since(self._looked)
        if passed < LOOK_PERIODS:
            return
        self._looked = drive.now
        si, settings = drive.si, drive.settings
        f_pwm, i_f_max = settings["f_pwm"], settings["i_f_max"]
        seconds = passed / f_pwm
        mean = si("i_f_mean")
        if mean < 0.08 * i_f_max or drive.state == drive.IN_FAULT:
            self._held = 0.0
            self._cool(seconds)
            return
        i_f = si("i_f")
        more = i_f - mean
        kick = 1.5 * settings["M"] / settings["L_f"] * (si("i_d") - si("i_d_mean"))
        rise = settings["L_f"] * (more + kick) * f_pwm / MEAN_PERIODS
        u_f = si("u_f_mean") - settings.get("u_brush", 0.0)
        need = mean * self.expected(AROUND if self.temperature is None else self.temperature)
        calm = abs(rise) < CALM * need and mean > 0.2 * i_f_max
        if calm:
            self._measure((u_f - rise) / mean, seconds)
            broken = u_f - rise < SHORTED * need
        else:
            self._cool(seconds)
            # Current rises by itself and beyond what i_d explains, and the voltage would let it fall.
            broken = u_f < SHORTED * need and min(more, more + kick) > 0.02 * i_f_max
        if broken and drive.current_watch is not None and drive.current_watch.doubts():
            broken = False  # i_d, which explains the field's current, may come of a stuck sensor
        u_now = drive.read("u_f")
        # An exciter that obeys lets the current fall from look to look; shorted turns do too.
        self._rising = self._rising + 1 if u_now <= 0 and i_f > self._last else 0
        self._last = i_f
        if not broken:
            # Shorted turns upset the field's control, which then swings through good moments.
            self._held = max(0.0, self._held - 0.5 * seconds)
            return
        if self._held == 0:
            self._rising = 0
        # A look that comes late has not seen what was between.
        self._held += min(seconds, RISES)
        if self._held < RISES:
            return
        if self._rising >= 3 or (calm and u_now <= 0 and u_f - rise < STUCK * need):
            raise Failed(
                "EXCITER_STUCK",
                "i_f is %.2f A and does not fall, %.2f A are wanted and the exciter is told %.1f V; "
                "disconnect its supply" % (i_f, si("i_f_ref"), si("u_f")),
            )
        if self._held >= HOLDS and self._rising == 0 and (u_now > 0 or not calm):
            raise Failed(
                "FIELD_SHORTED",
                "%.2f A of field current need %.1f V, %.1f V were given; measure R_f at the slip rings"
                % (mean, need, u_f),
            )

    def _measure(self, resistance, seconds):
        """Let the temperature follow a resistance, within what a rotor can have."""
        share = resistance / self.expected(20)
        found = min(max(20 + (share - 1) / COPPER, COLDEST), HOTTEST)
        if self.temperature is None:
            self.temperature = found
        pace = DOUBTS if found < self.temperature - SUDDEN else FOLLOWS
        self.temperature += (found - self.temperature) * min(1.0, seconds / pace)

    def _cool(self, seconds):
        """Let it cool while there is nothing to measure it by."""
        if self.temperature is not None:
            self.temperature += (self.around - self.temperature) * min(1.0, seconds / FORGETS)
