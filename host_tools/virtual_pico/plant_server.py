"""The plant behind a virtual Pico's pins: a process that answers the emulator, one exchange a PWM period.

    python -m host_tools.virtual_pico.plant_server --unit a --board rpi_pico --seed 1 [--fault NAME]

with requests on stdin and answers on stdout; the emulator's end is `emulator/plant_pipe.mjs`.  A request is
17 doubles, an answer 16 (little endian):

    request 0       1: a period; 2: a command, as JSON of as many bytes as word 1 says, which follows;
                    it is answered in the same way
            1       number of the period (for remarks only)
            2       periods to run, 1 or more: the time before the carrier ran is made up for at once
            3..12   share of the time for which each switch was on: phases a, b, c, exciter legs 1 and 2,
                    each its high side, then its low side
            13..16  when i_a, i_b, i_f, u_dc are sampled, s from the carrier's zero
    answer  0..5    counts of i_a, i_b, i_f, u_dc, stator temperature, board temperature (0 .. 4095)
            6..8    encoder: place, motion in the coming period (counts), counts a turn
            9..12   the truth in SI units, which no pin shows: u_dc, w_m, i_f, the highest phase current

Plant and sensors are those of boards/virtual, compiled by numba if that is installed (extra `sim`).  A leg's
mean voltage follows from its on-times as (t_high + T - t_low)/2: for a complementary pair this is the voltage
without the dead time's effect, which the plant adds itself by the sign of the current.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from boards.virtual import plant, sensors, thermal
from boards.virtual.plant import run_period
from boards.virtual.sensors import sample
from host_tools.errors import USAGE, ToolError

REQUEST = 17
ANSWER = 16
_KELVIN = 273.15
_LONGEST_GAP = 20_000  # periods that are made up for at most: what was before has died away
_LONGEST_GAP_PLAIN = 1_000  # without numba

# Constants of plant and sensors under names that the compiled function may hold.
_I_A, _I_B, _I_F = plant.I_A, plant.I_B, plant.I_F
_U_DC, _TURNS = plant.U_DC, plant.TURNS
_W_M, _W_RISE, _TURNS_STEP, _H = plant.W_M, plant.W_RISE, plant.TURNS_STEP, plant.H
_TOP, _EXCITER = plant.TOP, plant.EXCITER
_ZERO_TURNS, _COUNTS, _STUCK = sensors.ZERO_TURNS, sensors.COUNTS, sensors.STUCK
_ENCODER_LOST = 16  # bit of STUCK
# Temperatures are set here, not simulated, so only their sensors can fail.
LOST_SENSORS = tuple(name for name, node in thermal.FAULTS.items() if node is not None)


class PlantError(ToolError):
    """A command that the plant cannot obey; the text says why."""

    code = USAGE


def advance(m, answer, x, c, y, k, raw, seen, temperatures):
    """Run the periods of request `m` and write `answer`.

    x, c plant; y, k sensors; raw, seen scratch (5 words each); temperatures: counts of the two.
    """
    top = c[_TOP]
    high_a, low_a, high_b, low_b, high_c, low_c = m[3], m[4], m[5], m[6], m[7], m[8]
    gate = 0
    # A bridge that was off for most of the period was off.
    if high_a + low_a > 0.5 and high_b + low_b > 0.5 and high_c + low_c > 0.5:
        gate = 1
    kind = c[_EXCITER]
    first, second = m[9], m[10]
    share = 0.0
    if kind == 0.0:  # chopper: freewheels when off
        gate = gate | 2
        share = first
    elif kind == 1.0:  # both switches on: +U, one: 0, none: -U
        gate = gate | 2
        share = first + second - 1.0
    elif first + second > 0.5 and m[11] + m[12] > 0.5:
        gate = gate | 2
        share = 0.5 * (first - second - m[11] + m[12])
    compare_a = 0.5 * (1.0 + high_a - low_a) * top
    compare_b = 0.5 * (1.0 + high_b - low_b) * top
    compare_c = 0.5 * (1.0 + high_c - low_c) * top
    left = int(m[2])
    while left > 0:
        left = left - 1
        for n in range(4):
            seen[n] = x[n]
        run_period(x, c, compare_a, compare_b, compare_c, share * top, gate)
    # Each quantity at its own instant, along the slope of the period.
    for n in range(4):
        seen[n] = x[n] + (x[n] - seen[n]) * m[13 + n] / c[_H]
    seen[4] = x[_TURNS]
    sample(seen, y, k, raw)
    for n in range(4):
        answer[n] = raw[n]
    answer[4] = temperatures[0]
    answer[5] = temperatures[1]
    counts = k[_COUNTS]
    turns = x[_TURNS] - k[_ZERO_TURNS]
    motion = (x[_W_M] + 0.5 * x[_W_RISE]) * c[_TURNS_STEP] * counts
    if counts < 0.0:
        counts = -counts
        turns = -turns
    if turns < 0.0:
        turns = turns + 1.0
    if not int(k[_STUCK]) & _ENCODER_LOST:
        answer[6] = turns * counts
        answer[7] = motion
    else:
        answer[7] = 0.0
    answer[8] = counts
    i_a, i_b = x[_I_A], x[_I_B]
    answer[9] = x[_U_DC]
    answer[10] = x[_W_M]
    answer[11] = x[_I_F]
    answer[12] = max(abs(i_a), abs(i_b), abs(i_a + i_b))


class Server:
    """Plant and sensors of `unit` (a Unit whose board has a chip), and the control channel's commands.

    `compiled` True needs numba (PlantError without), False does without, None takes it if it is there.
    """

    def __init__(
        self, unit: Any, seed: int = 1, faults: Sequence[str] = (), compiled: bool | None = None
    ) -> None:
        self._begin(unit, seed, compiled)
        for name in faults:
            self.inject(name)

    def _begin(self, unit: Any, seed: int, compiled: bool | None) -> None:
        """Plant and sensors at rest."""
        self.unit, self.seed = unit, seed
        self.board = unit.as_board()
        values = unit.as_plant()
        # The emulator says when each quantity is really sampled.
        x, c = plant.make_plant(values, seed)
        y, k = sensors.make_sensors(values, seed, {"adc_skew": 0.0})
        raw, seen, temperatures = [0] * 5, [0.0] * 5, [0.0] * 2
        sensors.settle(x, y, k, raw)
        self.advance: Callable[..., None] = advance
        self.longest_gap = _LONGEST_GAP_PLAIN
        numpy = _import_numpy() if compiled is not False else None
        self.compiled = numpy is not None
        if numpy is not None:
            from host_tools import jitted

            run, look = jitted.compile_plant()
            self.advance = jitted.compile_with(advance, {"run_period": run, "sample": look})
            self.longest_gap = _LONGEST_GAP
            x, c, k, seen = (numpy.array(words, dtype=float) for words in (x, c, k, seen))
            y, raw = numpy.array(y, dtype=numpy.int64), numpy.array(raw, dtype=numpy.int64)
            temperatures = numpy.array(temperatures)
            self.request, self.answer = numpy.zeros(REQUEST), numpy.zeros(ANSWER)
            # Compiles before time counts, on copies.
            given = (self.request, self.answer, x, c, y, k, raw, seen)
            self.advance(*(words.copy() for words in given), temperatures)
        else:
            if compiled:
                raise PlantError("numba is not installed.", 'pip install -e ".[sim]"')
            self.request, self.answer = array("d", [0.0] * REQUEST), array("d", [0.0] * ANSWER)
        self.x, self.c, self.y, self.k = x, c, y, k
        self.raw, self.seen, self.temperatures = raw, seen, temperatures
        self.counts, self.sensors_lost = [0.0, 0.0], set[str]()
        self.set_temperature(stator=25.0, board=25.0)

    def run(self) -> None:
        """Answers the request in `self.request` into `self.answer`."""
        self.request[2] = min(self.request[2], self.longest_gap)
        self.advance(
            *(self.request, self.answer, self.x, self.c, self.y, self.k),
            *(self.raw, self.seen, self.temperatures),
        )

    # --- commands ---------------------------------------------------------------------------------

    def obey(self, command: dict[str, Any]) -> Any:
        """Does what a command says and returns what its answer holds; raises PlantError."""
        arguments = dict(command)
        name = arguments.pop("do", None)
        if name not in COMMANDS:
            raise PlantError(f"The plant knows no command {name}; it knows {', '.join(COMMANDS)}.")
        return getattr(self, name)(**arguments)

    def describe(self) -> dict[str, Any]:
        """The board's description as in unit.json, and the period in s."""
        return {"board": self.board, "period": 1.0 / self.unit.board.f_pwm, "compiled": self.compiled}

    def set_pwm(self, f_pwm: float | None = None, clock: float | None = None) -> dict[str, Any]:
        """Begins anew at rest with another PWM frequency or clk_sys, both in Hz; faults are mended."""
        unit = self.unit
        try:
            changed = unit.with_pwm(f_pwm=f_pwm or unit.board.f_pwm, clock=clock)
        except ValueError as error:
            raise PlantError(str(error)) from error
        self._begin(changed, self.seed, self.compiled)
        return self.describe()

    def set_load(self, torque: float | None = None, brake: float | None = None) -> None:
        """N.m of the coupled machine against positive rotation, and of a brake against any."""
        if torque is not None:
            self.x[plant.LOAD_TORQUE] = float(torque)
        if brake is not None:
            if brake < 0:
                raise PlantError(f"brake is {brake} N.m; a brake has 0 or more.")
            self.x[plant.BRAKE_TORQUE] = float(brake)

    def set_supply(self, emf: float | None = None, clamp: float | None = None) -> None:
        """V of the battery's emf, and V of the link from which its brake resistor takes current."""
        if emf is not None:
            self.c[plant.EMF_WHOLE] = float(emf)
            self.c[plant.EMF] = float(emf) * (1.0 - self.c[plant.SAG])
        if clamp is not None:
            self.c[plant.CLAMP] = float(clamp)

    def set_temperature(
        self, stator: float | None = None, board: float | None = None, rotor: float | None = None
    ) -> None:
        """Degrees Celsius that the board's NTC dividers measure, and that the field's resistance has."""
        for place, celsius in enumerate((stator, board)):
            if celsius is not None:
                self.counts[place] = self._temperature_counts(float(celsius))
        self._show_temperatures()
        if rotor is not None:
            known_at = float(self.unit.as_plant()["winding_temperature"])
            hot, known = (1.0 + thermal.COPPER * (celsius - 20.0) for celsius in (float(rotor), known_at))
            self.c[plant.HEAT_F] = hot / known
            plant.wind(self.c)

    def _show_temperatures(self) -> None:
        """What the converter is given: those of the dividers, or an end of its range if one is lost."""
        for place, name in enumerate(("stator", "board")):
            count = self.counts[place]
            if f"{name}_sensor_shorted" in self.sensors_lost:
                count = 0.0
            elif f"{name}_sensor_broken" in self.sensors_lost:
                count = 4095.0
            self.temperatures[place] = count

    def _temperature_counts(self, celsius: float) -> float:
        if celsius <= -_KELVIN:
            raise PlantError(f"{celsius} degrees Celsius is below absolute zero.")
        described = self.board
        ratio = math.exp(described["ntc_beta"] * (1 / (celsius + _KELVIN) - 1 / (25 + _KELVIN)))
        ntc = described["ntc_25"] * ratio
        return 4096.0 * ntc / (ntc + described["ntc_series"])

    def faults(self) -> list[str]:
        """Names that `inject` takes."""
        return sorted([*plant.FAULTS, *sensors.FAULTS, *LOST_SENSORS])

    def inject(self, name: str, on: bool = True, amount: float | None = None) -> None:
        """Makes or mends a fault of plant or sensors; `amount` as in their `inject`."""
        try:
            if name in plant.FAULTS:
                plant.inject(self.c, name, on, amount, self.x)
                return
            if name in sensors.FAULTS:
                sensors.inject(self.k, name, on, amount)
                return
        except ValueError as error:
            raise PlantError(str(error)) from error
        if name in LOST_SENSORS:
            self.sensors_lost.discard(name)
            if on:
                self.sensors_lost.add(name)
            self._show_temperatures()
        else:
            raise PlantError(f"There is no fault {name}; there are {', '.join(self.faults())}.")

    def state(self) -> dict[str, float]:
        """The plant in SI units."""
        x = self.x
        words = {
            "i_a": plant.I_A,
            "i_b": plant.I_B,
            "i_d": plant.I_D,
            "i_q": plant.I_Q,
            "i_f": plant.I_F,
            "u_dc": plant.U_DC,
            "u_f": plant.U_F,
            "w_m": plant.W_M,
            "turns": plant.TURNS,
            "torque": plant.TORQUE,
            "load_torque": plant.LOAD_TORQUE,
            "brake_torque": plant.BRAKE_TORQUE,
        }
        return {name: float(x[place]) for name, place in words.items()}


COMMANDS = (
    "describe",
    "set_pwm",
    "set_load",
    "set_supply",
    "set_temperature",
    "faults",
    "inject",
    "state",
)


def serve(server: Server, source: int, target: int) -> None:
    """Answers requests from descriptor `source` on `target` until it closes."""
    size = 8 * REQUEST
    read, write = os.read, os.write
    request, answer = _bytes_of(server)
    while True:
        part = read(source, size)
        while len(part) < size:
            more = read(source, size - len(part))
            if not more:
                return
            part += more
        request[:] = part
        if server.request[0] == 1.0:
            server.run()
            write(target, answer)
        else:
            _write_all(target, _obey(server, _read_all(source, int(server.request[1]))))
            request, answer = _bytes_of(server)  # of another plant, perhaps


def _bytes_of(server: Server) -> tuple[memoryview, memoryview]:
    return memoryview(server.request).cast("B"), memoryview(server.answer).cast("B")


def _obey(server: Server, text: bytes) -> bytes:
    """The answer to a command: a header with the length of the JSON that follows."""
    try:
        said: dict[str, Any] = {"ok": True, "result": server.obey(json.loads(text))}
    except (ToolError, TypeError, ValueError) as error:
        said = {"ok": False, "error": str(error)}
    words = json.dumps(said).encode()
    return struct.pack(f"<{ANSWER}d", len(words), *[0.0] * (ANSWER - 1)) + words


def _read_all(source: int, size: int) -> bytes:
    text = b""
    while len(text) < size:
        part = os.read(source, size - len(text))
        if not part:
            break
        text += part
    return text


def _write_all(target: int, text: bytes) -> None:
    while text:
        text = text[os.write(target, text) :]


def _import_numpy() -> Any:
    """numpy when it and numba are there."""
    try:
        import numba  # noqa: F401
        import numpy
    except ImportError:
        return None
    return numpy


def command(unit: str, board: str, seed: int, faults: Sequence[str] = ()) -> list[str]:
    """The command line of the plant's process; its stdin takes requests, its stdout gives answers.

    Faults that are the chip's surroundings' rather than the plant's are left to the emulator.
    """
    known = {*plant.FAULTS, *sensors.FAULTS, *LOST_SENSORS}
    words = [sys.executable, "-m", "host_tools.virtual_pico.plant_server"]
    words += ["--unit", unit, "--board", board, "--seed", str(seed)]
    for name in faults:
        if name in known:
            words += ["--fault", name]
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves one unit's plant on stdin and stdout."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--unit", default="a")
    parser.add_argument("--board", default="rpi_pico")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME")
    parser.add_argument("--f-pwm", type=float, help="PWM frequency in Hz, if not the board's")
    parser.add_argument("--clock", type=float, help="clk_sys in Hz, if not the board's")
    given = parser.parse_args(arguments)
    from host_tools.demo import load_unit

    try:
        unit = load_unit(given.unit, given.board)
        if given.f_pwm or given.clock:
            unit = unit.with_pwm(f_pwm=given.f_pwm or unit.board.f_pwm, clock=given.clock)
        server = Server(unit, given.seed, given.fault)
    except ToolError as error:
        print(f"plant: {error}", file=sys.stderr)
        return error.code
    serve(server, 0, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
