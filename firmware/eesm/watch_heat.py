"""Keeper of heat: overload of the stator, temperatures, and the torque that they leave.

Torque falls linearly before anything trips; in current mode, where nobody asks for torque, it only trips.
"""

from math import log

from eesm.faults import Failed

LOOK_PERIODS = 1000  # between two looks, at least
READ_PERIODS = 2000  # between two readings of the sensors
POST_PERIODS = 10000  # between two letters about temperatures alone
Q15_MAX = 32767  # as in eesm.signals

# Heat of the stator over that of i_continuous for ever: torque falls from 1, is nothing at STOP.
STOP = 1.2
TRIP = 1.25
CLEAR = 1.0
LOST = 1.0  # s that a sensor may give what none can give
COLDEST, HOTTEST = -60.0, 250.0  # degrees Celsius that a sensor may give
NOT_KNOWN = -512.0
LIMITED_OVERLOAD = 32  # as in eesm.stages.derate
LIMITED_TEMPERATURE = 64

PLACES = ("board", "stator", "rotor")
# Names made at run time cost a board 0.3 ms each: it looks whether it knows them already.
SIGNALS = ("temperature_board", "temperature_stator", "temperature_rotor")
WARM = ("board_warm", "stator_warm", "rotor_warm")
HOT = ("board_hot", "stator_hot", "rotor_hot")


def fall(value, warm, hot):
    """Share of the torque that is left: 1 up to warm, 0 from hot."""
    return min(1.0, max(0.0, (hot - value) / max(hot - warm, 1e-3)))


class HeatWatch:
    """Heat of the stator by its current, temperatures of board, stator and rotor, and what they cost."""

    def __init__(self, drive, winding):
        self.drive = drive
        self.winding = winding
        self.temperatures = [None, None, None]  # degrees Celsius, of PLACES; None: not measured
        self.heat = 0.0  # of the stator, over that of i_continuous for ever
        self._looked = self._read = self._posted = drive.now
        self._first = True
        self._lost = {}  # place: period since which its sensor gives nothing
        self._told = [1.0, 0, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN]  # what the kernel knows

    def look(self):
        """Follow heat and temperatures, tell the kernel what torque they leave; latch faults."""
        drive = self.drive
        passed = drive.since(self._looked)
        if passed < LOOK_PERIODS or drive.urgent:
            return
        self._looked = drive.now
        self._integrate(passed / drive.settings["f_pwm"])
        if self._first or drive.since(self._read) >= READ_PERIODS:
            self._first, self._read = False, drive.now
            self._measure()
        self.temperatures[2] = self.winding.temperature
        self._derate()
        for failed in self.causes(TRIP):
            drive.fail(failed.name, failed.text)

    def _integrate(self, seconds):
        """A first-order body that i_max takes to the heat of i_continuous in overload_time."""
        settings = self.drive.settings
        allowed = settings["i_continuous"] ** 2
        share = min(0.99, allowed / settings["i_max"] ** 2)
        time = -settings["overload_time"] / log(1 - share)
        flowing = self.drive.si("i_square_mean") * settings["i_base"] ** 2 / allowed
        self.heat += (flowing - self.heat) * min(1.0, seconds / time)

    def _measure(self):
        """Read the sensors that the board has."""
        drive = self.drive
        read = getattr(drive.driver, "readings", None)
        if read is None:
            return
        found = read()
        for n in range(2):
            value = found.get(SIGNALS[n])
            if value is None:
                continue
            if COLDEST < value < HOTTEST:  # nan is not
                self.temperatures[n] = value
                self._lost.pop(n, None)
            elif n not in self._lost:
                self._lost[n] = drive.now
        stator = self.temperatures[1]
        if stator is not None:
            self.winding.around = stator

    def _derate(self):
        """Tell the kernel what heat leaves of the torque, and the temperatures, when they have changed."""
        drive = self.drive
        settings = drive.settings
        overload = fall(self.heat, 1.0, STOP)
        left, reason = 1.0, 0
        now = [1.0, 0]
        for n in range(3):
            value = self.temperatures[n]
            if value is not None:
                left = min(left, fall(value, settings[WARM[n]], settings[HOT[n]]))
            now.append(NOT_KNOWN if value is None else value)
        if overload < 1:
            reason |= LIMITED_OVERLOAD
        if left < 1:
            reason |= LIMITED_TEMPERATURE
        now[0], now[1] = min(left, overload), reason
        told = self._told
        step = abs(now[0] - told[0])
        torque = now[1] != told[1] or step >= 0.01 or (step > 0 and now[0] in (0.0, 1.0))
        rested = drive.since(self._posted) >= POST_PERIODS
        warmer = False
        for n in (2, 3, 4):
            if told[n] == NOT_KNOWN or rested:
                warmer = warmer or abs(now[n] - told[n]) >= 0.5
        if torque or warmer:
            self._told, self._posted = now, drive.now
            words = {"heat_share": round(now[0] * Q15_MAX), "heat_reason": reason}
            for n in range(3):
                words[SIGNALS[n]] = round(16 * now[2 + n])
            drive.post(words)

    def causes(self, heat):
        """Faults that heat makes now, the stator's beyond `heat`; CLEAR lets it cool before it is cleared."""
        drive = self.drive
        settings = drive.settings
        found = []
        if self.heat > heat:
            text = "the stator holds %.2f of the heat of i_continuous = %.1f A, %.2f are allowed; let it cool"
            found.append(Failed("STATOR_OVERLOAD", text % (self.heat, settings["i_continuous"], heat)))
        for n in range(3):
            place, value, hot = PLACES[n], self.temperatures[n], settings[HOT[n]]
            if value is not None and value >= hot:
                text = "the %s has %.0f degrees Celsius, %s_hot = %.0f trip; let it cool"
                found.append(Failed(place.upper() + "_HOT", text % (place, value, place, hot)))
        for n in self._lost:
            if drive.since(self._lost[n]) > LOST * settings["f_pwm"]:
                text = "the sensor of the %s gives no temperature for %.0f s; check its cable"
                found.append(Failed("TEMPERATURE_LOST", text % (PLACES[n], LOST)))
        return found
