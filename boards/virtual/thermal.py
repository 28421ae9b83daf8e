"""The simulated machine's heat: windings and bridge as first-order nodes, and what temperature sensors say.

    heat = Thermal(plant)                   # `plant` as for make_plant
    heat.advance(x, c, seconds)             # 1 ms .. minutes after the last call

Each node warms by its losses against its surroundings, windings against the coolant, the bridge against
ambient air:

    C*dT/dt = P - (T - T_around)/R          exactly, for the mean losses since the last call

Losses are those of the plant's energies: the stator's copper and a share of the iron, the field's copper
(at the brushes as well), and for the bridge a share of the stator's copper.  With `feedback` the windings'
resistances follow (copper, 0.393 % a K); without it, the default, they stay those of the data, so that a run
does not depend on who asks for temperatures.
"""

from math import exp

from boards.virtual import plant as machine
from boards.virtual.sensors import NOISE

COPPER = 0.00393  # 1/K, at 20 degrees Celsius
STATOR, ROTOR, BOARD = 0, 1, 2

# name: node whose sensor is lost, None: a fault of the cooling
FAULTS = {
    "stator_sensor_broken": STATOR,
    "stator_sensor_shorted": STATOR,
    "board_sensor_broken": BOARD,
    "board_sensor_shorted": BOARD,
    "coolant_lost": None,
    "fan_lost": None,
}
AMOUNTS = {
    "coolant_lost": ("factor by which the windings cool worse", "1", 1.0, 1e6),
    "fan_lost": ("factor by which the bridge cools worse", "1", 1.0, 1e6),
}


class Thermal:
    """Temperatures in degrees Celsius; `speedup` makes heat that many times faster than the rest."""

    def __init__(self, plant, feedback=False, speedup=1.0):
        self.feedback = feedback
        self.speedup = speedup
        self.coolant = float(plant["coolant"])
        self.ambient = float(plant["ambient"])
        self.temperatures = [self.coolant, self.coolant, self.ambient]
        self.resistances = [float(plant[name + "_R_th"]) for name in ("stator", "rotor", "board")]  # K/W
        self.capacities = [float(plant[name + "_C_th"]) for name in ("stator", "rotor", "board")]  # J/K
        self._worse = [1.0, 1.0, 1.0]
        self._iron = float(plant["iron_to_stator"])
        self._bridge = float(plant["board_loss"])
        self._known_at = float(plant["winding_temperature"])  # where R_s and R_f are those of the data
        self._before = (0.0, 0.0, 0.0)
        self._faults = []

    def advance(self, x, c, seconds):
        """Let heat flow for the time since the last call, with the losses that x has summed meanwhile."""
        energies = x[machine.E_COPPER_S], x[machine.E_COPPER_F], x[machine.E_IRON]
        copper, field, iron = [now - then for now, then in zip(energies, self._before)]
        self._before = energies
        if seconds <= 0.0:
            return
        losses = copper + self._iron * iron, field, self._bridge * copper
        for n in range(3):
            resistance = self.resistances[n] * self._worse[n]
            around = self.ambient if n == BOARD else self.coolant
            final = around + losses[n] / seconds * resistance
            decay = exp(-seconds * self.speedup / (resistance * self.capacities[n]))
            self.temperatures[n] = final + (self.temperatures[n] - final) * decay
        self.heat(c)

    def heat(self, c):
        """Give the windings of the plant the resistances of their temperatures, if those are fed back."""
        if self.feedback:
            base = 1.0 + COPPER * (self._known_at - 20.0)
            c[machine.HEAT_S] = (1.0 + COPPER * (self.temperatures[STATOR] - 20.0)) / base
            c[machine.HEAT_F] = (1.0 + COPPER * (self.temperatures[ROTOR] - 20.0)) / base
            machine.wind(c)

    def measured(self, node):
        """What the sensor of STATOR or BOARD says; nan while it is broken or shorted."""
        for name in self._faults:
            if FAULTS[name] == node:
                return float("nan")
        return self.temperatures[node]

    def inject(self, name, on=True, amount=None):
        """Make a fault of FAULTS, or end it.

        stator_sensor_broken, _shorted, board_sensor_broken, _shorted   no reading
        coolant_lost, fan_lost   factor, 10, by which windings or bridge cool worse

        Raises ValueError for an amount out of its range.
        """
        machine.check_amount(AMOUNTS, name, amount)
        factor = (10.0 if amount is None else float(amount)) if on else 1.0
        if name == "coolant_lost":
            self._worse[STATOR] = self._worse[ROTOR] = factor
        elif name == "fan_lost":
            self._worse[BOARD] = factor
        else:
            FAULTS[name]  # KeyError for a name that is none
            if name in self._faults:
                self._faults.remove(name)
            if on:
                self._faults.append(name)


class Readings:
    """Slow readings as the driver of a board gives them, from plant, sensors and heat.

    Heat flows when they are asked for, by the periods that have passed since.
    """

    def __init__(self, plant, heat, period_s):
        self.heat = heat
        self._period_s = period_s
        self._third = plant.get("phase_sensors", 2) == 3
        self._step = plant["i_base"] / 2048.0  # A a count
        self._noise = float(plant.get("adc_noise", 0.0))
        self._random = machine.shuffle(1)

    def read(self, x, c, k, periods):
        """Readings by name, after `periods` more: degrees Celsius, and i_c in A as the last period began."""
        self.heat.advance(x, c, periods * self._period_s)
        found = {
            "temperature_stator": self.heat.measured(STATOR),
            "temperature_board": self.heat.measured(BOARD),
        }
        if self._third:
            self._random = machine.shuffle(self._random)
            noise = k[NOISE + (self._random >> 11 & 127)]
            found["i_c"] = self._step * round(x[machine.I_C] / self._step + self._noise * noise)
        return found
