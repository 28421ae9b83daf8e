"""What control law and main loop have to see, on the virtual Pico with the flashed firmware: each fault of a
running drive that plant and sensors of unit a can make, beside those of `test_faults`.

As in `host_tools.campaign.cases`, a case says how a fault is made, and which of its siblings may come first.
From the instant of the fault, or from the one at which what builds up breaks the limit, the phases have their
last edge within the periods of `virtual_pico.reactions`; the field is reversed and goes down.  One board is
cleared and armed again for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from host_tools.client import Drive
from host_tools.virtual_pico.reactions import reaction_to
from tests.pico.fault_rig import Rig

pytestmark = pytest.mark.timeout(900)

Start = Callable[[Rig], Drive]
Act = Callable[[Rig, Drive, ExitStack], None]

# What a current that is measured or turned wrongly may break first.
UPSET = (
    "PHASE_OVERCURRENT",
    "FIELD_OVERCURRENT",
    "ENCODER_JUMPED",
    "ANGLE_SLIPPED",
    "SPIN_OUT",
    "TORQUE_REVERSED",
    "TORQUE_IMPLAUSIBLE",
    "FIELD_SHORTED",
    "OVERSPEED",
)
FIELD = ("FIELD_OVERCURRENT", "PHASE_OVERCURRENT", "OVER_EXCITATION", "FIELD_SHORTED")
NOISE = 0.002  # of a limit that a sensor may be wrong by
# Of unit a.
U_DC, U_DC_TRIP, U_DC_MIN, CLAMP = 48.0, 60.0, 30.0, 56.0  # V
I_TRIP, I_F_MAX = 56.0, 4.0  # A
OVER_EXCITED = U_DC / (3**0.5 * 2 * 15e-3 * I_F_MAX)  # rad/s, where u_dc is less than the EMF of i_f_max


@dataclass(frozen=True)
class Case:
    """A row of `reactions`, how it is made of a drive at `start`, and siblings of its fault.

    `act` begins the fault and leaves in an ExitStack what mends it; `seconds` is waited for the fault.  With
    `mended` the field falls only when what was injected has ended.  What a board does not forget so soon has
    one of its own (`alone`).  Those that are not `quick` run in `make test-pico-full`.
    """

    how: str
    start: Start
    act: Act
    siblings: tuple[str, ...] = ()
    seconds: float = 0.5
    mended: bool = False
    alone: bool = False
    quick: bool = False


# --- where the drive is -------------------------------------------------------------------------------


def turning(rpm: float, load: float) -> Start:
    """At a speed, under a load in N.m."""
    return lambda rig: rig.run(rpm, load)


def coasting(rpm: float) -> Start:
    """At a speed, and no torque is asked for."""

    def start(rig: Rig) -> Drive:
        drive = rig.run(rpm, 0.0)
        drive.torque = 0.0
        rig.sleep(0.15)
        return drive

    return start


def blocked(torque: float) -> Start:
    """At a stand, whatever the torque, of which so many N.m are asked for."""

    def start(rig: Rig) -> Drive:
        drive = rig.ready()
        rig.pico.control("set_load", torque=0.0, brake=20.0)
        drive.torque = torque
        rig.sleep(0.25)
        return drive

    return start


def excited(rig: Rig) -> Drive:
    """Full field by currents: no table lowers it with speed."""
    drive = rig.ready()
    drive.set_currents(0.0, 0.0, I_F_MAX)
    rig.sleep(0.3)
    return drive


SLOW = turning(600.0, 0.5)
LOADED = turning(2000.0, 2.0)


# --- what is done to it, and how it is mended -----------------------------------------------------------


def expect(rig: Rig, after: ExitStack, quantity: str, **bound: float) -> None:
    """The fault begins when the plant's quantity is beyond a bound."""
    rig.pico.control("expect", quantity=quantity, **bound)
    after.callback(rig.pico.control, "expect", quantity=quantity)


def change(drive: Drive, after: ExitStack, name: str, value: float) -> None:
    """Another value of a setting."""
    after.callback(drive.set, name, drive.get(name))
    drive.set(name, value)


def inject(name: str, amount: float | None = None, periods: int | None = None) -> Act:
    """A fault of plant or sensors."""

    def act(rig: Rig, drive: Drive, after: ExitStack) -> None:
        rig.inject(name, amount=amount, **({} if periods is None else {"periods": periods}))
        after.callback(rig.pico.control, "inject", name=name, on=False)

    return act


def inject_until(name: str, quantity: str, amount: float | None = None, **bound: float) -> Act:
    """A fault of the plant after which a quantity goes beyond a bound."""

    def act(rig: Rig, drive: Drive, after: ExitStack) -> None:
        expect(rig, after, quantity, **bound)
        rig.begin("inject", name=name, amount=amount)
        after.callback(rig.sleep, 0.05)
        after.callback(rig.pico.control, "inject", name=name, on=False)

    return act


def raise_supply(rig: Rig, drive: Drive, after: ExitStack) -> None:
    expect(rig, after, "u_dc", above=U_DC_TRIP * (1 + NOISE))
    rig.begin("set_supply", emf=U_DC_TRIP * 1.05)
    after.callback(rig.sleep, 0.05)
    after.callback(rig.pico.control, "set_supply", emf=U_DC)


def lose_battery(rig: Rig, drive: Drive, after: ExitStack) -> None:
    rig.pico.control("set_supply", clamp=1e9)
    # It rises by ten times the sensor's noise in a period.
    inject_until("battery_lost", "u_dc", above=U_DC_TRIP)(rig, drive, after)
    after.callback(rig.pico.control, "set_supply", clamp=CLAMP)


def read_much_field(rig: Rig, drive: Drive, after: ExitStack) -> None:
    rig.begin("force_counts", channel="i_f", counts=3900, periods=40)


def heat(**temperatures: float) -> Act:
    """Temperatures in degrees Celsius, at once."""

    def act(rig: Rig, drive: Drive, after: ExitStack) -> None:
        rig.begin("set_temperature", **temperatures)
        after.callback(rig.pico.control, "set_temperature", **dict.fromkeys(temperatures, 25.0))

    return act


def drive_shaft(torque: float, w_m_trip: float | None = None, **bound: float) -> Act:
    """The load drives the shaft with a torque, beyond a speed."""

    def act(rig: Rig, drive: Drive, after: ExitStack) -> None:
        if w_m_trip is not None:
            change(drive, after, "w_m_trip", w_m_trip)
        expect(rig, after, "w_m", **bound)
        rig.begin("set_load", torque=-torque)
        after.callback(rig.hold_shaft)

    return act


def negate_torque(rig: Rig, drive: Drive, after: ExitStack) -> None:
    """A set point that has changed its sign in memory; what watches memory does not look there."""
    rig.set_word("torque_set", lambda raw: -raw)


def change_table(rig: Rig, drive: Drive, after: ExitStack) -> None:
    """One bit of the sine; of all tables the least harmful."""
    rig.set_word("sine", lambda raw: raw ^ 1, 400)


def ask_for_all(rig: Rig, drive: Drive, after: ExitStack) -> None:
    """Nearly all torque, with a stall_time of 0.2 s."""
    change(drive, after, "stall_time", 0.2)
    expect(rig, after, "i_phase", above=25.0)
    drive.torque = 6.8


def overload(rig: Rig, drive: Drive, after: ExitStack) -> None:
    """i_max, in a stator that bears it for half a second, and cools as quickly."""
    change(drive, after, "overload_time", 0.5)
    after.callback(rig.sleep, 2.0)
    expect(rig, after, "i_phase", above=25.0)
    drive.set_currents(0.0, 39.0, 2.0)


CASES = (
    Case(
        "phases a and b shorted",
        LOADED,
        inject_until("phase_shorted", "i_phase", above=I_TRIP * (1 + NOISE)),
        ("SENSOR_RANGE", "DC_UNDERVOLTAGE"),
        seconds=0.2,
    ),
    Case("field reads 7.2 A", SLOW, read_much_field, seconds=0.2),
    Case("battery at 105 % of u_dc_trip", SLOW, raise_supply, ("LOAD_DUMP",), seconds=0.2, mended=True),
    Case(
        "battery at 40 %",
        SLOW,
        inject_until("supply_sag", "u_dc", 0.6, below=U_DC_MIN * (1 - NOISE)),
        seconds=0.2,
        mended=True,
        quick=True,
    ),
    Case(
        "battery lost while braking",
        turning(2000.0, -5.0),
        lose_battery,
        ("DC_OVERVOLTAGE",),
        seconds=0.2,
        mended=True,
    ),
    Case("load drives beyond w_m_trip", coasting(600.0), drive_shaft(3.6, 75.0, above=75.0)),
    Case("phase a reads its top count", SLOW, inject("range_a"), ("PHASE_OVERCURRENT",), seconds=0.2),
    Case("phase b reads its lowest count", SLOW, inject("range_b", 0), ("PHASE_OVERCURRENT",), seconds=0.2),
    Case("field reads its top count", SLOW, inject("range_f"), ("FIELD_OVERCURRENT",), seconds=0.2),
    Case(
        "link reads its top count",
        SLOW,
        inject("range_u"),
        ("DC_OVERVOLTAGE", "LOAD_DUMP"),
        seconds=0.2,
        mended=True,
    ),
    Case("field cable off", SLOW, inject("exciter_open"), ("ANGLE_SLIPPED", "PHASE_OVERCURRENT"), quick=True),
    Case("half of the field's turns shorted", SLOW, inject("field_shorted", 0.5), FIELD, quick=True),
    Case("exciter's high side stays on", SLOW, inject("exciter_stuck"), FIELD, mended=True),
    Case(
        "load drives an excited machine up",
        excited,
        drive_shaft(10.0, above=OVER_EXCITED),
        ("FIELD_OVERCURRENT", "PHASE_OVERCURRENT", "DC_OVERVOLTAGE", "LOAD_DUMP"),
        seconds=3.0,
        mended=True,
    ),
    Case("170 degrees of counts lost at once", LOADED, inject("encoder_slips", 0.5, 300), UPSET),
    Case("60 degrees of counts lost at once", LOADED, inject("encoder_slips", 0.5, 100), UPSET, quick=True),
    Case("2 % of the counts lost", LOADED, inject("encoder_slips", 0.02), UPSET, seconds=1.0),
    Case("phase a reads half too much", LOADED, inject("gain_a", 0.5), UPSET, seconds=2.0),
    Case("load runs away with the shaft", coasting(3000.0), drive_shaft(-16.5, below=310.0), UPSET),
    Case("phase a is open", LOADED, inject("phase_open"), (*UPSET, "SENSOR_STUCK"), seconds=2.0),
    Case("set point of the other sign", blocked(3.5), negate_torque, UPSET, seconds=1.0, quick=True),
    Case("shaft blocked under full torque", blocked(0.0), ask_for_all, seconds=1.0),
    Case("i_max for longer than it may flow", blocked(0.0), overload, seconds=2.0),
    Case("board at 120 degrees Celsius", SLOW, heat(board=120.0)),
    Case("stator at 180 degrees Celsius", SLOW, heat(stator=180.0)),
    Case("stator sensor broken", SLOW, inject("stator_sensor_broken"), seconds=2.0),
    Case(
        "rotor at 230 degrees Celsius",
        LOADED,
        heat(rotor=230.0),
        ("PHASE_OVERCURRENT",),
        seconds=4.0,
        alone=True,
    ),
    Case("word of a table changed", SLOW, change_table, seconds=3.0, alone=True),
)


def assert_seen(board: Rig, case: Case, rows: float = 0.0) -> None:
    """The case's fault comes in time, while the host is sent so many rows of telemetry a second."""
    drive = case.start(board)
    with ExitStack() as after:
        if rows:
            after.enter_context(drive.stream(["i_d", "i_q", "i_f", "w_e"], rows))
            board.sleep(0.1)
        case.act(board, drive, after)
        board.wait_for_fault(case.seconds)
        names, periods = board.names(), board.since_injection()
        if not case.mended:
            board.wait_for_field()
    print(f"{case.how}: {', '.join(names)}")
    assert {reaction_to(case.how).name, *case.siblings} & set(names), names
    board.assert_reacted(case.how, periods)


@pytest.mark.parametrize(
    "case", [pytest.param(row, id=row.how, marks=[] if row.quick else pytest.mark.full) for row in CASES]
)
def test_fault_is_seen_and_opens_the_bridges_in_the_claimed_periods(
    case: Case, request: pytest.FixtureRequest
) -> None:
    assert_seen(request.getfixturevalue("rig" if case.alone else "shared"), case)


@pytest.mark.full
@pytest.mark.parametrize(
    "how",
    [
        "field cable off",
        "half of the field's turns shorted",
        "60 degrees of counts lost at once",
        "2 % of the counts lost",
        "load runs away with the shaft",
        "set point of the other sign",
    ],
)
def test_claims_hold_while_the_board_sends_telemetry(shared: Rig, how: str) -> None:
    (case,) = (row for row in CASES if row.how == how)
    assert_seen(shared, case, rows=500.0)
