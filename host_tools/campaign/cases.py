"""What is done to a running drive for each fault of the table, where, and what else may be named first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

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
    may_hold: bool = False  # the drive may as well keep the limit without a fault, by less torque

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


# What a current that is measured or turned wrongly may break first.
UPSET = (
    "PHASE_OVERCURRENT",
    "FIELD_OVERCURRENT",
    "ANGLE_SLIPPED",
    "ENCODER_JUMPED",
    "SPIN_OUT",
    "TORQUE_REVERSED",
    "TORQUE_IMPLAUSIBLE",
    "PHASE_UNBALANCE",
    "DC_OVERVOLTAGE",
    "SENSOR_RANGE",
    "OVERSPEED",
    "FIELD_SHORTED",
    "PHASE_SUM",
)
# Faults that only a board's hardware can make, and the tests that inject them.
ELSEWHERE = {"PERIODS_STOPPED": "tests/pico/test_faults.py"}


def excite_by_hand(rig: Rig) -> None:
    """Full field by currents: no table lowers it with speed."""
    rig.drive.set_currents(0.0, 0.0, float(rig.settings["i_f_max"]))
    rig.run(0.3)


def speed_set_to(w_m: float) -> Act:
    """The external machine begins from here."""

    def act(rig: Rig) -> None:
        rig.x[plant.W_M] = w_m

    return act


def is_over_excited(rig: Rig, rows: Rows) -> np.ndarray:
    """The field's EMF between terminals above the higher of u_dc and its nominal voltage."""
    settings = rig.settings
    emf = 3**0.5 * abs(rows["w_m"]) * float(settings["pole_pairs"]) * float(settings["M"]) * rows["i_f"]
    return emf > np.maximum(rows["u_dc"], float(settings["u_dc_nominal"]))


def is_overloaded(rig: Rig, rows: Rows) -> np.ndarray:
    """Heat of a first-order body, which i_max takes to that of i_continuous in overload_time, beyond 1.25."""
    settings = rig.settings
    allowed = float(settings["i_continuous"]) ** 2
    time = -float(settings["overload_time"]) / log(1 - allowed / float(settings["i_max"]) ** 2)
    flowing = (rows["i_d"] ** 2 + rows["i_q"] ** 2) / allowed
    heat = np.zeros(len(flowing))
    for k in range(1, len(heat)):
        heat[k] = heat[k - 1] + (flowing[k] - heat[k - 1]) * rig.loop.t_pwm / time
    return heat > 1.25


def short_overload(rig: Rig) -> None:
    """A stator that bears i_max for half a second, so that nobody has to wait."""
    rig.drive.set_setting("overload_time", 0.5)
    rig.run(0.05)


def full_current(rig: Rig) -> None:
    rig.drive.set_currents(0.0, 0.98 * float(rig.settings["i_max"]), 0.5 * float(rig.settings["i_f_max"]))


def short_stall(rig: Rig) -> None:
    rig.drive.set_setting("stall_time", 0.2)
    rig.run(0.05)


def full_torque(rig: Rig) -> None:
    rig.drive.set_torque(0.95 * rig.torque_allowed)


def half_turn(rig: Rig) -> None:
    rig.loop.inject("encoder_jumped", True, 180)


def heat_to(node: int, temperature: float) -> Act:
    """A winding or the bridge that is too hot at once."""

    def act(rig: Rig) -> None:
        rig.loop.heat.temperatures[node] = temperature

    return act


def heat_rotor(rig: Rig) -> None:
    """A field winding whose resistance says that it is too hot."""
    rig.loop.heat.feedback = True
    rig.loop.heat.temperatures[1] = 230.0


def lead_to_ground(rig: Rig) -> None:
    """A leak from leg c that takes half of i_max at half the link."""
    ohms = 0.5 * float(rig.settings["u_dc_nominal"]) / (0.5 * float(rig.settings["i_max"]))
    rig.loop.inject("ground_fault", True, ohms)


def negate_torque(rig: Rig) -> None:
    """A set point that has changed its sign in memory; what watches memory looks later."""
    at = rig.kernel.offset["torque_set"]
    rig.loop.block[at] = -rig.loop.block[at]


def change_table(rig: Rig) -> None:
    """One bit of the sine; of all tables the least harmful."""
    at = rig.kernel.offset["sine"] + 400
    rig.loop.block[at] ^= 1


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
    Case(
        "FIELD_OPEN",
        "field cable off",
        inject("exciter_open"),
        siblings=("ANGLE_SLIPPED", "PHASE_OVERCURRENT"),
        field_falls=False,
        seconds=0.5,
    ),
    Case(
        "FIELD_SHORTED",
        "half of the field's turns shorted",
        inject("field_shorted", 0.5),
        lambda point: abs(point.torque) > 0.2,
        ("FIELD_OVERCURRENT", "PHASE_OVERCURRENT", "OVER_EXCITATION"),
        field_falls=False,  # the formula is of the whole winding
        seconds=0.5,
    ),
    Case(
        "EXCITER_STUCK",
        "the exciter's high side stays on",
        inject("exciter_stuck"),
        siblings=("FIELD_OVERCURRENT", "PHASE_OVERCURRENT", "OVER_EXCITATION", "FIELD_SHORTED"),
        field_falls=False,
        link_counts=False,  # an exciter that nobody switches off feeds the link through the machine
        torque_ends=False,
        seconds=0.5,
    ),
    Case(
        "OVER_EXCITATION",
        "the load drives an excited machine up",
        speed_set_to(0.0),
        lambda point: not point.turning,
        ("PHASE_OVERCURRENT", "DC_OVERVOLTAGE", "LOAD_DUMP"),
        prepare=excite_by_hand,
        act_on=speed_up(0.1, 0.9),
        begins=is_over_excited,
        seconds=8.0,
        link_counts=False,
    ),
    Case("SENSOR_STUCK", "phase a keeps its count", inject("adc_stuck_a"), loaded, UPSET, seconds=0.5),
    Case(
        "SENSOR_STUCK",
        "phase b keeps its count",
        inject("adc_stuck_b"),
        loaded,
        UPSET,
        seconds=0.5,
        link_counts=False,  # what a current that nobody sees gives back: 1.26 on c at full power
    ),
    Case(
        "PHASE_SUM",
        "ground fault of leg c",
        lead_to_ground,
        lambda point: loaded(point)
        and point.speed < 0.5,  # beyond, what phases change in two periods is more
        UPSET,
        seconds=0.5,
    ),
    Case("PHASE_UNBALANCE", "phase a reads half too much", inject("gain_a", 0.5), loaded, UPSET, seconds=1.5),
    Case(
        "STATOR_OVERLOAD",
        "i_max at standstill",
        full_current,
        standing,
        prepare=short_overload,
        begins=is_overloaded,
        seconds=3.0,
    ),
    Case(
        "ENCODER_LOST",
        "no count comes any more",
        inject("encoder_lost"),
        turning,
        ("PHASE_OVERCURRENT",),
        seconds=0.1,
    ),
    Case(
        "ENCODER_JUMPED", "60 degrees electrical", inject("encoder_jumped", 60), turning, UPSET, seconds=0.5
    ),
    Case(
        "ANGLE_SLIPPED",
        "2 % of the counts lost",
        inject("encoder_slips", 0.02),
        loaded,
        (*UPSET, "OVER_EXCITATION"),
        seconds=1.0,
    ),
    Case("TORQUE_REVERSED", "encoder half an electrical turn off", half_turn, loaded, UPSET, seconds=0.5),
    Case(
        "SPIN_OUT",
        "the measured speed runs away",
        lambda rig: None,
        turning,
        (*UPSET, "OVERSPEED", "OVER_EXCITATION"),
        act_on=speed_up(4.0, 1.2),
        seconds=0.5,
    ),
    Case(
        "STALLED", "shaft blocked under full torque", full_torque, standing, prepare=short_stall, seconds=1.0
    ),
    Case("BOARD_HOT", "board at 120 degrees Celsius", heat_to(2, 120.0), seconds=0.5),
    Case("STATOR_HOT", "stator at 180 degrees Celsius", heat_to(0, 180.0), seconds=0.5),
    Case(
        "ROTOR_HOT",
        "field winding at 230 degrees Celsius",
        lambda rig: None,
        loaded,
        siblings=("PHASE_OVERCURRENT",),  # of a law whose R_f is far off
        act_on=heat_rotor,
        seconds=3.0,
        may_hold=True,  # torque gives way before, and then there is too little field to measure by
        field_falls=False,  # the formula is that of a cool winding
    ),
    Case("TEMPERATURE_LOST", "stator sensor broken", inject("stator_sensor_broken"), seconds=2.0),
    Case(
        "TORQUE_IMPLAUSIBLE",
        "set point of the other sign",
        negate_torque,
        lambda point: abs(point.torque) >= 0.6,  # the change has to be more than the limit
        UPSET,
        seconds=0.5,
    ),
    Case("KERNEL_CORRUPTED", "a word of a table changed", change_table, seconds=3.0),
)
