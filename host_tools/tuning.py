"""Step responses of a drive's four control loops, beside what the machine's model makes of the same steps.

A step is planned with its way back by device period, so that it ends whatever the link does, and is
recorded by the drive's own capture.  The expectation is the same step in the simulation of the same unit,
with the parameters that the drive holds now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from eesm.drive import RPM
from host_tools.accept.response import Step, judge_step
from host_tools.errors import FAILED, ToolError

if TYPE_CHECKING:
    from host_tools.client import Drive
    from host_tools.simulate import Simulation

ROWS = 512  # of a capture
PRE = 64
HELD = 360  # rows that a step is held, of those after the trigger
LEAD = 0.02  # s from a command to the period at which it acts
# A response is like the model's when it rises as quickly within a third, and overshoots so much more.
SLOWER, QUICKER, MORE_OVERSHOOT = 1.35, 0.65, 0.08


@dataclass(frozen=True)
class Loop:
    """A control loop: the parameter that sets its bandwidth, and how a step of it is made and seen."""

    name: str
    bandwidth: str
    unit: str
    shown: str  # signal whose response is drawn
    command: str  # signal that holds the set point, whose change is t = 0
    widths: float  # length of the record in 1/(2 pi bandwidth)
    hint: str  # what to look at when the response is not the model's


LOOPS = {
    loop.name: loop
    for loop in (
        Loop("i_d", "bandwidth_current", "A", "i_d", "i_d_set", 40, "R_s, sigma_L_d, dead time, u_dc"),
        Loop("i_q", "bandwidth_current", "A", "i_q", "i_q_set", 40, "R_s, L_q, dead time, u_dc"),
        Loop("i_f", "bandwidth_field", "A", "i_f", "i_f_set", 30, "R_f, L_f, the exciter's voltage"),
        Loop("speed", "bandwidth_speed", "rpm", "w_e", "w_m_set", 22, "J with its load, friction, encoder"),
    )
}


@dataclass(frozen=True)
class Response:
    """A step response: s from the set point's change, values in the loop's unit."""

    t: np.ndarray
    y: np.ndarray
    start: float
    goal: float

    def judge(self) -> Step:
        """Rise, overshoot, settling."""
        after = self.t >= 0
        return judge_step(self.t[after], self.y[after], self.start, self.goal)


@dataclass(frozen=True)
class Result:
    """One loop: bandwidth in Hz, what was measured and what the model makes of it."""

    loop: Loop
    bandwidth: float
    measured: Response
    expected: Response

    def verdict(self) -> str:
        """ "" when the response is the model's, else how it differs and what to look at."""
        found, model = self.measured.judge(), self.expected.judge()
        if not np.isfinite(found.rise):
            return f"never reaches the set point; check {self.loop.hint}"
        ratio = found.rise / model.rise
        if ratio > SLOWER or ratio < QUICKER:
            return f"rises in {ratio:.2f} times the model's time; check {self.loop.hint}"
        if found.overshoot > model.overshoot + MORE_OVERSHOOT:
            more = 100 * (found.overshoot - model.overshoot)
            return f"overshoots {more:.0f} % more than the model; check {self.loop.hint}"
        return ""


@dataclass(frozen=True)
class Plan:
    """Two set points of a loop, as (i_d, i_q, i_f) in A or as a speed in rad/s, and the record's rate."""

    loop: Loop
    low: tuple[float, ...]
    high: tuple[float, ...]
    rate_hz: float

    def ends(self) -> tuple[float, float]:
        """Start and goal of the one value that steps."""
        place = 0 if len(self.low) == 1 else ("i_d", "i_q", "i_f").index(self.loop.name)
        return self.low[place], self.high[place]


def plan_step(loop: Loop, limits: Mapping[str, float], bandwidth: float, f_pwm: float) -> Plan:
    """Steps that keep clear of every limit: a fifth of current and field, a twentieth of speed."""
    i_max, i_f_max, w_m_max = limits["i_max"], limits["i_f_max"], limits["w_m_max"]
    field = 0.5 * i_f_max
    ends = {
        "i_d": ((0.0, 0.0, field), (-0.2 * i_max, 0.0, field)),
        "i_q": ((0.0, 0.0, field), (0.0, 0.2 * i_max, field)),
        "i_f": ((0.0, 0.0, 0.4 * i_f_max), (0.0, 0.0, 0.6 * i_f_max)),
        "speed": ((0.1 * w_m_max,), (0.15 * w_m_max,)),
    }
    low, high = ends[loop.name]
    length = loop.widths / (2 * np.pi * bandwidth)
    return Plan(loop, low, high, min(f_pwm, (ROWS - PRE) / length))


def tune(
    drive: Drive, names: Sequence[str], repeats: int = 4, tell: Callable[[str], None] = lambda text: None
) -> list[Result]:
    """Measure the loops of a drive that is ready; it is left at standstill, running with its field up.

    Raises UnitError or ToolError when the drive's unit is not known here, MissingExtra without numba,
    DriveFault when the drive gives up.
    """
    tell("the model: linking the drive's unit with its present parameters")
    model = model_of(drive)
    limits = {name: model.drive.settings[name] for name in ("i_max", "i_f_max", "w_m_max")}
    model.arm()
    results = []
    for name in names:
        loop = LOOPS[name]
        bandwidth = drive.get(loop.bandwidth)
        plan = plan_step(loop, limits, bandwidth, 1 / drive.t_pwm)
        # Torque one way and the other in turns leaves the shaft where it was.
        plans = [mirror(plan) if name == "i_q" and k % 2 else plan for k in range(repeats)]
        tell(f"{name}: {repeats} steps on the drive")
        measured = mean_of([measure(drive, each) for each in plans])
        tell(f"{name}: {repeats} steps in the model")
        expected = mean_of([simulate(model, each) for each in plans])
        results.append(Result(loop, bandwidth, measured, expected))
    return results


def mirror(plan: Plan) -> Plan:
    """The same step of i_q the other way."""
    i_d, i_q, i_f = plan.high
    return replace(plan, high=(i_d, -i_q, i_f))


def mean_of(responses: Sequence[Response]) -> Response:
    """Mean of responses, each taken as its share from start to goal; in the first one's values."""
    first = responses[0]
    rows = min(len(each.y) for each in responses)
    share = np.mean([((each.y - each.start) / (each.goal - each.start))[:rows] for each in responses], axis=0)
    return replace(first, t=first.t[:rows], y=first.start + share * (first.goal - first.start))


def command(bench: Any, values: tuple[float, ...], at: int | None = None) -> None:
    """Set point of a plan, on a drive or in the simulation."""
    if len(values) == 1:
        bench.set_speed(values[0], at)
    else:
        bench.set_currents(values[0], values[1], values[2], at)


def settle_time(bench: Any, plan: Plan) -> float:
    """s until everything rests at a plan's beginning."""
    if plan.loop.name == "speed":
        return plan.low[0] / bench.get("acceleration") + 8 / (2 * np.pi * bench.get("bandwidth_speed"))
    return 0.05 + 8 / (2 * np.pi * bench.get("bandwidth_field"))


def measure(drive: Drive, plan: Plan) -> Response:
    """One step of the drive, by its capture."""
    command(drive, plan.low)
    drive.sleep(settle_time(drive, plan))
    loop = plan.loop
    low, high = plan.ends()

    def step() -> None:
        at = drive.now() + round(LEAD / drive.t_pwm)
        command(drive, plan.high, at)
        command(drive, plan.low, at + round(HELD / plan.rate_hz / drive.t_pwm))

    taken = drive.capture(
        [loop.shown, loop.command],
        trigger=loop.command,
        level=(low + high) / 2,
        edge="rising" if high > low else "falling",
        pre=PRE,
        rate_hz=plan.rate_hz,
        then=step,
    )
    return cut(
        plan, np.array(taken.times), taken.columns[loop.shown], taken.columns[loop.command], drive.bases
    )


def simulate(model: Simulation, plan: Plan) -> Response:
    """The same step in the simulation, row for row."""
    loop = plan.loop
    command(model, plan.low)
    model.advance(round(settle_time(model, plan) / model.t_pwm))
    stream = model.stream([loop.shown, loop.command], plan.rate_hz)
    model.advance(PRE * stream.divider)
    command(model, plan.high)
    model.advance(HELD * stream.divider)
    rows = stream.read()
    stream.close()
    command(model, plan.low)
    if model.state == "fault":
        raise ToolError("The model of this unit trips at the step.", "eesm simulate --unit ...", FAILED)
    t = np.array([row.period for row in rows]) * model.t_pwm
    return cut(plan, t, [row[loop.shown] for row in rows], [row[loop.command] for row in rows], model.bases)


def cut(plan: Plan, t: np.ndarray, shown: Any, commanded: Any, bases: Mapping[str, float]) -> Response:
    """The record from before the set point's change to the way back; speed in rpm."""
    y, asked = np.array(shown), np.array(commanded)
    low, high = plan.ends()
    changed = np.nonzero(np.abs(asked - low) > 0.5 * abs(high - low))[0]
    first = int(changed[0])
    back = np.nonzero(np.abs(asked[first:] - low) < 0.5 * abs(high - low))[0]
    last = first + int(back[0]) if len(back) else len(y)
    if plan.loop.name == "speed":
        y = y * bases["w_m"] / bases["w_e"] / RPM
        low, high = low / RPM, high / RPM
    begin = max(0, first - 16)
    return Response(t[begin:last] - t[first], y[begin:last], low, high)


def model_of(drive: Drive) -> Simulation:
    """The simulation of the drive's unit with the parameters that it holds now."""
    from eesm.drive import Refused
    from host_tools import units
    from host_tools.simulate import Simulation

    identity = drive.identity
    unit = units.load(identity.unit, board=None if identity.board == "virtual" else identity.board)
    model = Simulation(unit)
    for name, value in drive.settings().items():
        if name != "encoder_offset" and model.get(name) != value:
            try:
                model.set(name, value)
            except Refused as error:
                raise ToolError(
                    f"The model does not take {name} = {value:g} as the drive has it: {error}",
                    "the drive was built from other files: build and load it again",
                ) from error
    return model
