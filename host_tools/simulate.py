"""The whole drive in one process: the firmware's state machine over the compiled loop.

`Simulation` offers what `host_tools.runner` needs of a drive, so that a scenario runs here as on
a virtual drive or a board.  Commands go straight to the firmware's `Drive`; there is no link.
Time passes only by `advance`, hundreds of times faster than real time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from boards.virtual.plant import LOAD_TORQUE
from eesm.cyclic import MASK, signed
from eesm.drive import OFF, READY, RUNNING, STATES, TICK_PERIODS, Drive
from eesm.mailbox import AHEAD, Mailbox
from eesm.parameters import SETTINGS
from eesm.signals import STREAM_ROW, STREAM_ROWS
from host_tools.client import Event, Identity
from host_tools.loop import Loop, LoopDriver
from host_tools.recording import Recording
from host_tools.stream import Row
from host_tools.units import Unit

# In these states, with no letter on its way to the kernel or due soon, a tick only looks: take many at once,
# and not always as many: what ripples as often as a watch looks would seem to stand.  Watches then look about
# every 20 ms, as those of a Pico do, and the simulation is twice as quick.
CALM = (OFF, READY, RUNNING)
CALM_TICKS = (10, 30)
CALM_PERIODS = CALM_TICKS[1] * TICK_PERIODS


class Stream:
    """Rows of the kernel's stream ring."""

    lost = 0
    dropped = 0

    def __init__(self, simulation: Simulation, names: Sequence[str], rate_hz: float) -> None:
        loop = simulation.loop
        kernel, table = loop.kernel, loop.linked.program.table
        self.t_pwm = loop.t_pwm
        self.names = tuple(names)
        self.units = tuple(table[name].unit for name in names)
        self.steps = tuple(kernel.step[name] for name in names)
        self.column = {name: place for place, name in enumerate(self.names)}
        self.divider = max(1, round(1 / (rate_hz * loop.t_pwm)))
        self.rate_hz = 1 / (self.divider * loop.t_pwm)
        self._simulation = simulation
        start = kernel.offset["stream_ring"]
        ring = loop.block[start : start + STREAM_ROW * STREAM_ROWS].reshape(STREAM_ROWS, STREAM_ROW)
        self._ring = ring[:, : 1 + len(names)]
        self._next = kernel.read("stream_rows")
        self._rows: list[Row] = []
        place = kernel.index("stream_channel")
        entries = [(place + n, kernel.index(name)) for n, name in enumerate(names)]
        entries.append((kernel.index("stream_divider"), self.divider))
        # In a letter before: 15 channels fill one.
        simulation.mailbox.post({"stream_count": len(names)})
        simulation.mailbox.post_entries(entries, None, True, "stream")

    def drain(self) -> None:
        """Take the rows that the kernel has written."""
        written = self._simulation.loop.kernel.read("stream_rows")
        while self._next != written:
            first = self._next % STREAM_ROWS
            count = min((written - self._next) & MASK, STREAM_ROWS - first)
            for words in self._ring[first : first + count].tolist():
                self._rows.append(Row(self, words[0], tuple(words[1:])))
            self._next = (self._next + count) & MASK

    def read(self, timeout: float | None = None) -> list[Row]:
        """All rows that wait."""
        rows, self._rows = self._rows, []
        return rows

    def close(self) -> None:
        """End the stream."""
        self._simulation.mailbox.post({"stream_divider": 0})


class Simulation:
    """A drive unit at rest, ready to be armed.

    `seed` gives the rotor's first angle and the noise, `period` where the board's count of periods begins.
    """

    def __init__(
        self,
        unit: Unit,
        seed: int = 1,
        faults: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        period: int | None = None,
    ) -> None:
        self.loop = Loop(unit, seed, options, period=period)
        for name in faults:
            self.loop.inject(name)
        kernel = self.loop.kernel
        self.mailbox = Mailbox(kernel)
        self.drive = Drive(kernel, self.mailbox, LoopDriver(self.loop))
        names = ("board", "unit", "firmware", "kernel_hash", "schema_hash")
        known = {name: kernel.identity[name] for name in names}
        self.identity = Identity(**known, interpreter="numba", bench=True, fast=True, port="simulation")
        self.bases = self.loop.bases
        self.t_pwm = self.loop.t_pwm
        self.recording: Recording | None = None  # set it, and what the kernel is given is kept
        self._stream: Stream | None = None
        self._loads: list[tuple[int, float]] = []  # (periods from the start, torque)
        self._periods = 0
        self._left = TICK_PERIODS
        self._random = Random(seed)
        self.loop.run(1)  # as a board that has just started its interrupt
        self._first = kernel.read("period")

    # --- time -----------------------------------------------------------------------------------

    def advance(self, periods: int) -> int:
        """Let periods pass; returns the period reached."""
        while periods > 0:
            self.mailbox.pump()
            count = self._left
            calm = self.drive.state in CALM and self.mailbox.calm(CALM_PERIODS + AHEAD)
            if calm and not self.drive.read("faults"):
                count += (self._random.randint(*CALM_TICKS) - 1) * TICK_PERIODS
            count = min(count, periods)
            if self._loads:
                until = self._loads[0][0] - self._periods
                if until <= 0:
                    self.loop.x[LOAD_TORQUE] = self._loads.pop(0)[1]
                    continue
                count = min(count, until)
            if self._stream is not None:
                count = min(count, self._stream.divider * (STREAM_ROWS // 2))
            if self.recording is None:
                self.loop.run(count)
            else:
                self.recording.run(self.loop, count)
            self._periods += count
            periods -= count
            self._left -= count
            if self._stream is not None:
                self._stream.drain()
            if self._left <= 0:
                self._left = TICK_PERIODS - -self._left % TICK_PERIODS
                self.drive.host_seen()
                self.drive.tick()
        return self.now()

    def now(self) -> int:
        """Present device period."""
        return self.loop.kernel.read("period")

    # --- what a client offers ---------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Name of the present state."""
        return STATES[self.drive.state]

    def events(self) -> list[Event]:
        """Events since the last call."""
        found = [Event(*event) for event in self.drive.events]
        self.drive.events.clear()
        return found

    def settings(self) -> dict[str, float]:
        """Every setting that may be changed."""
        return {name: self.drive.settings[name] for name in SETTINGS}

    def get(self, name: str) -> float:
        """Present value of a setting."""
        return self.drive.get_setting(name)

    def read(self, names: str) -> float:
        """Present SI value of a signal."""
        return self.loop.kernel.si(names)

    def set(self, name: str, value: float) -> float:
        """Change a setting."""
        self.drive.set_setting(name, value)
        return self.drive.get_setting(name)

    def arm(self, wait: bool = True) -> None:
        """Arm; with `wait` let time pass until the drive is ready or has a fault."""
        self.drive.arm()
        self._await(wait, "ready")

    def stop(self, wait: bool = True) -> None:
        """Stop in order; with `wait` let time pass until the drive is off or has a fault."""
        self.drive.stop()
        self._await(wait, "off")

    def _await(self, wait: bool, state: str) -> None:
        deadline = self._periods + round(20 / self.t_pwm)
        while wait and self.state not in (state, "fault"):
            self.advance(TICK_PERIODS)
            if self._periods > deadline:
                raise TimeoutError(f"the drive is {self.state} after 20 s, {state} was expected")

    def set_speed(self, w_m: float, at: int | None = None) -> None:
        """Shaft speed in rad/s, at a device period or at once."""
        self.drive.set_speed(w_m, at)

    def set_torque(self, torque: float, at: int | None = None) -> None:
        """Torque in N.m."""
        self.drive.set_torque(torque, at)

    def set_currents(self, i_d: float, i_q: float, i_f: float, at: int | None = None) -> None:
        """Open currents in A."""
        self.drive.set_currents(i_d, i_q, i_f, at)

    def load(self, torque: float, at: int | None = None) -> None:
        """Load torque on the shaft in N.m; positive brakes forward motion."""
        ahead = 0 if at is None else max(0, signed(at - self.now()))
        self._loads.append((self._periods + ahead, torque))
        self._loads.sort(key=lambda each: each[0])

    def stream(self, names: Sequence[str], rate_hz: float = 1000.0) -> Stream:
        """Start streaming up to 15 signals; one stream at a time."""
        self._stream = Stream(self, names, rate_hz)
        return self._stream
