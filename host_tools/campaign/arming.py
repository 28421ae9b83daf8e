"""Faults that the start-up and the ordered stop find: what is wrong, and that no torque comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from boards.virtual import plant
from eesm.drive import FAULT, FIELD_DOWN, FIELD_UP, OFF, READY, STOPPING
from host_tools.build import Linked
from host_tools.campaign.cases import Act, inject
from host_tools.campaign.measure import FIELD_DOWN as DOWN
from host_tools.campaign.measure import Row
from host_tools.campaign.rig import Record, Rig
from host_tools.units import Unit

TORQUE_ALLOWED = 0.1  # of torque_max: what the test of the direction may use against a shaft that is blocked
SECONDS = 8.0


@dataclass(frozen=True)
class Arming:
    """A fault of an armed or stopping drive.

    `options` of the machine, `settings` of the drive, and `act`, done before arming or, with `at`, when that
    state is entered; `slow` is how many periods a turn of the main loop takes beyond a tick.
    """

    fault: str
    how: str
    options: Callable[[Unit], Mapping[str, Any]] = lambda unit: {}
    settings: Mapping[str, Any] = field(default_factory=dict)
    act: Act | None = None
    act_on: Act | None = None
    at: int = OFF
    settle: float = 0.2  # s from `act` to arming
    slow: int = 0
    stops: bool = False  # it is found on the way from ready to off
    siblings: tuple[str, ...] = ()


def load_torque(share: float) -> Act:
    """A load that drives the shaft, from now on."""

    def act(rig: Rig) -> None:
        rig.x[plant.LOAD_TORQUE] = -share * rig.unit.limits.torque_max

    return act


def thin_field(rig: Rig) -> None:
    """A field circuit whose resistance leaves four fifths of the current that is wanted."""
    settings = rig.settings
    goal = float(settings["field_floor"]) * float(settings["i_f_max"])
    rig.c[plant.R_F] = rig.drive.exciter_voltage() / (0.8 * goal)


def hold_torque(rig: Rig) -> None:
    """A set point that a stop does not end, as of a word that was overwritten."""
    rig.loop.block[rig.kernel.offset["torque_set"]] = 3000


def times(factor: float, *names: str) -> Callable[[Unit], Mapping[str, Any]]:
    """Parameters of the machine that are not those of its file."""
    return lambda unit: {name: factor * getattr(unit.motor, name) for name in names}


WRONG_PLACE = {"encoder_absolute": 1, "encoder_offset": 0.3}

ARMINGS = (
    Arming("OFFSET_OUT_OF_RANGE", "zero of phase b off by 140 counts", act=inject("offset_b", 140)),
    Arming("OFFSET_NOISY", "noise of 40 counts", options=lambda unit: {"adc_noise": 40.0}),
    Arming("PHASES_SWAPPED", "gates of a and b swapped", act=inject("gates_swapped")),
    Arming("SHUNT_INVERTED_A", "sensor of phase a turned round", act=inject("shunt_inverted_a")),
    Arming("SHUNT_INVERTED_B", "sensor of phase b turned round", act=inject("shunt_inverted_b")),
    Arming("WIRING_UNCLEAR", "phase b reads one count", act=inject("adc_stuck_b")),
    Arming("PHASE_OPEN", "no current flows", options=times(100, "L_d", "L_q", "L_f")),
    Arming("ROTOR_MOVING", "a load turns the shaft", act=load_torque(0.04), settle=0.002),
    Arming("ANGLE_UNCLEAR", "field and stator hardly coupled", options=times(0.05, "M")),
    Arming(
        "ANGLE_MISMATCH",
        "absolute encoder mounted elsewhere",
        options=lambda unit: WRONG_PLACE,
        settings={"encoder_absolute": 1, "encoder_offset": 0.45},
    ),
    Arming("FIELD_SHUNT_INVERTED", "sensor turned round", options=lambda unit: {"gain_error_i_f": -2.0}),
    Arming("FIELD_OPEN", "field cable off", act=inject("exciter_open")),
    Arming("FIELD_NOT_UP", "resistance in the field circuit", act=thin_field, at=FIELD_UP),
    Arming("ENCODER_REVERSED", "encoder counts backwards", act=inject("encoder_reversed")),
    Arming("ROTOR_BLOCKED", "shaft blocked", options=lambda unit: {"T_c": 10 * unit.limits.torque_max}),
    Arming("STARTUP_LATE", "each turn takes 20 ms more", slow=400),
    Arming("CURRENT_NOT_ZERO", "the set point stays", act_on=hold_torque, at=STOPPING, stops=True),
    Arming(
        "FIELD_NOT_DOWN",
        "exciter stuck on in an ordered stop",
        act=inject("exciter_stuck"),
        at=FIELD_DOWN,
        stops=True,
        siblings=("EXCITER_STUCK", "FIELD_OVERCURRENT"),
    ),
)


def measure_arming(unit: Unit, linked: Linked, case: Arming) -> Row:
    """Arm the drive, and stop it where that is asked for, with the fault there."""
    rig = Rig(unit, linked, **case.options(unit))
    rig.settings.update(case.settings)
    if "encoder_offset" in case.settings:
        rig.drive.set_setting("encoder_offset", case.settings["encoder_offset"])
        rig.run(0.2)
    rig.record = Record()
    if case.act is not None and case.at == OFF:
        case.act(rig)
        rig.run(case.settle)
    rig.drive.arm()
    acted = was_ready = False
    for _ in range(round(SECONDS / rig.loop.t_pwm / 20)):
        rig.tick()
        if case.slow:
            rig.loop.run(case.slow)
        state = rig.drive.state
        if state == READY and case.stops:
            rig.drive.set_torque(0.1 * rig.unit.limits.torque_max)
            rig.run(0.05)
            rig.drive.stop()
        was_ready = was_ready or (state == READY and not case.stops)
        if state == case.at and case.at != OFF:
            if case.act is not None and not acted:
                case.act(rig)
            if case.act_on is not None:
                case.act_on(rig)
            acted = True
        if state == FAULT or (state == OFF and acted):
            break
    for _ in range(round(SECONDS / rig.loop.t_pwm / 20)):
        rig.tick()
        if abs(rig.x[plant.I_F]) < DOWN * float(rig.settings["i_f_max"]):
            break
    rig.run(0.05)
    rows = rig.record.rows()
    names = rig.names()
    why = []
    if not {case.fault, *case.siblings} & set(names[:1]):
        why.append(f"named {names or 'nothing'}")
    if was_ready:
        why.append("the drive became ready")
    torque = float(abs(rows["torque"]).max()) / unit.limits.torque_max
    if torque > TORQUE_ALLOWED and not case.stops:
        why.append(f"torque {100 * torque:.1f} %")
    i_f = abs(float(rig.x[plant.I_F])) / float(rig.settings["i_f_max"])
    if i_f > DOWN and case.fault != "FIELD_NOT_DOWN":  # that one's exciter cannot be switched off
        why.append(f"the field stayed at {100 * i_f:.0f} %")
    if rows["gate_enable"][-1] & 1 and not rows["shorted"][-1]:
        why.append("the bridge stayed on")
    return Row(
        case.fault,
        case.how,
        unit.name,
        "stopping" if case.stops else "arming",
        tuple(names),
        u_dc=float(np.max(rows["u_dc"])) / float(rig.settings["u_dc_nominal"]),
        shorted=bool(rows["shorted"].any()),
        ok=not why,
        why="; ".join(why),
    )
