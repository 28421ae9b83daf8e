"""What is done to a running drive for each fault of the table, where, and what else may be named first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from boards.virtual import plant
from eesm import fault_table
from eesm.signals import FAULT_INPUT, FAULT_PERIOD_MISSED
from host_tools.campaign.rig import Point, Rig, Rows

Act = Callable[[Rig], None]
Begins = Callable[[Rig, Rows], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A fault of a running drive.

    `act` makes it happen; `begins`, if the cause builds up, says in which periods a limit is broken.
    `prepare` changes settings or set points first.  `siblings` are names that may come first or instead,
    since one cause breaks several limits.  `seconds` is waited for the fault, `act_on` called every tick.
    """

    fault: str
    how: str
    act: Act
    where: Callable[[Point], bool] = lambda point: True
    siblings: tuple[str, ...] = ()
    begins: Begins | None = None
    prepare: Act | None = None
    act_on: Act | None = None
    seconds: float = 0.2
    units: tuple[str, ...] = ("a", "b", "c")
    field_falls: bool = True  # the exciter still can force the field down
    link_counts: bool = True  # the link's voltage is not what is injected
    torque_ends: bool = True  # open switches end the current
    may_hold: bool = False  # the drive may as well keep the limit without a fault

    @property
    def claimed(self) -> int:
        """Periods of 20 kHz."""
        periods = fault_table.BY_NAME[self.fault].periods
        assert periods is not None
        return periods


def inject(name: str, amount: float | None = None) -> Act:
    """A fault of the simulated machine or its sensors."""
    return lambda rig: rig.loop.inject(name, True, amount)


def turning(point: Point) -> bool:
    return point.turning


def standing(point: Point) -> bool:
    return not point.turning


def loaded(point: Point) -> bool:
    return point.turning and abs(point.torque) >= 0.5


def phase_current(rows: Rows) -> np.ndarray:
    return np.maximum.reduce([abs(rows["i_a"]), abs(rows["i_b"]), abs(rows["i_a"] + rows["i_b"])])


def lower_limit(name: str, measured: Callable[[Rig], float]) -> Act:
    """The kernel's limit put below what flows now, so that it is broken in the next period."""

    def act(rig: Rig) -> None:
        rig.loop.block[rig.kernel.offset[name]] = rig.kernel.raw(name, 0.9 * measured(rig))

    return act


def lift_link(rig: Rig) -> None:
    """A supply that rises by 1 % a ms."""
    rig.c[plant.EMF] += 0.01 * float(rig.settings["u_dc_nominal"])


def sag_link(rig: Rig) -> None:
    """A supply that has fallen below the least voltage."""
    rig.c[plant.EMF] = rig.x[plant.U_DC] = 0.95 * float(rig.settings["u_dc_min"])


def lose_battery(rig: Rig) -> None:
    """The link alone, without its clamp."""
    rig.c[plant.CLAMP] = 1e9
    rig.loop.inject("battery_lost")


def speed_up(share: float, of_trip: float) -> Act:
    """The load drives the shaft up, with a share of what torque_max makes, to a multiple of w_m_trip."""

    def act_on(rig: Rig) -> None:
        slope = share * rig.unit.limits.torque_max / float(rig.settings["J"])
        goal = of_trip * float(rig.settings["w_m_trip"])
        rig.x[plant.W_M] = min(goal, rig.x[plant.W_M] + slope * 20 * rig.loop.t_pwm)

    return act_on


def latch_on_board(bit: int) -> Act:
    """What the board's hardware has latched, as its driver hands it on."""

    def act(rig: Rig) -> None:
        rig.loop.block[rig.kernel.offset["board_faults"]] = bit

    return act


def stop_main_loop(rig: Rig) -> None:
    rig.alive = False


def leave_host(rig: Rig) -> None:
    rig.host = False


def is_beyond(name: str, truth: Callable[[Rows], np.ndarray], noise: float = 0.005) -> Begins:
    """A quantity beyond the setting of that name, by more than its sensor's noise."""
    return lambda rig, rows: truth(rows) > (1 + noise) * float(rig.settings[name])


def brake_with(share: float) -> Act:
    """Brake with a share of the power that the machine can regenerate at this speed."""

    def prepare(rig: Rig) -> None:
        rig.drive.set_torque(-share * rig.torque_allowed)
        rig.run(0.1)

    return prepare


CASES: tuple[Case, ...] = (
    Case(
        "PHASE_OVERCURRENT",
        "phases a and b shorted at the bridge",
        inject("phase_shorted"),
        turning,
        ("SENSOR_RANGE", "DC_UNDERVOLTAGE"),
        begins=is_beyond("i_trip", phase_current),
        torque_ends=False,  # what is shorted goes on braking until the field is down
    ),
    Case(
        "PHASE_OVERCURRENT",
        "i_trip put below the current",
        lower_limit("i_trip", lambda rig: float(np.hypot(rig.x[plant.I_D], rig.x[plant.I_Q]) / 2)),
    ),
    Case(
        "FIELD_OVERCURRENT", "i_f_trip put below i_f", lower_limit("i_f_trip", lambda rig: rig.x[plant.I_F])
    ),
    Case(
        "DC_OVERVOLTAGE",
        "the supply rises by 1 % a ms",
        lambda rig: None,
        begins=is_beyond("u_dc_trip", lambda rows: rows["u_dc"]),
        act_on=lift_link,
        seconds=1.0,
        link_counts=False,
    ),
    Case("DC_UNDERVOLTAGE", "supply at 0.95 u_dc_min", sag_link),
    Case(
        "LOAD_DUMP",
        "battery lost, no clamp",
        lose_battery,
        lambda point: point.torque <= -0.5,
        ("DC_OVERVOLTAGE",),
        begins=is_beyond("u_dc_trip", lambda rows: rows["u_dc"]),
        link_counts=False,
        may_hold=True,
    ),
    Case(
        "LOAD_DUMP",
        "battery lost at 20 % of the power, no clamp",
        lose_battery,
        lambda point: point.braking,
        ("DC_OVERVOLTAGE",),
        prepare=brake_with(0.2),
        begins=is_beyond("u_dc_trip", lambda rows: rows["u_dc"]),
        may_hold=True,
    ),
    Case(
        "OVERSPEED",
        "the load drives the shaft beyond w_m_trip",
        lambda rig: None,
        lambda point: point.speed > 0.8,
        ("OVER_EXCITATION",),
        begins=is_beyond("w_m_trip", lambda rows: abs(rows["w_m"]), noise=0.0),
        act_on=speed_up(0.5, 1.05),
        seconds=2.0,
    ),
    Case("SENSOR_RANGE", "phase a reads its top count", inject("range_a"), siblings=("PHASE_OVERCURRENT",)),
    Case(
        "SENSOR_RANGE",
        "phase b reads its lowest count",
        inject("range_b", 0),
        siblings=("PHASE_OVERCURRENT",),
    ),
    Case("SENSOR_RANGE", "the field reads its top count", inject("range_f"), siblings=("FIELD_OVERCURRENT",)),
    Case(
        "SENSOR_RANGE",
        "the link reads its top count",
        inject("range_u"),
        siblings=("DC_OVERVOLTAGE", "LOAD_DUMP"),
    ),
    Case("PERIOD_MISSED", "latched by the driver", latch_on_board(FAULT_PERIOD_MISSED)),
    Case("FAULT_INPUT", "latched by the driver", latch_on_board(FAULT_INPUT)),
    Case("MAIN_LOOP_SILENT", "the main loop stops", stop_main_loop, seconds=0.5),
    Case("HOST_LOST", "the host falls silent", leave_host, seconds=3.0),
)
