"""What a machine's own parameters allow: the limits that a requirement is judged by."""

from __future__ import annotations

import math

import numpy as np

from host_tools.references.closed_form import least_loss
from host_tools.references.machine import LinearMachine, u_max_of
from host_tools.units import Unit

# Torque steps of 10 to 100 % of rated: what the shipped machines were asked for, in s.
T90_ASKED = {"a_lab_48v": 8e-3, "b_claw_pole": 1e-3, "c_traction": 9e-3}


def machine_of(unit: Unit) -> LinearMachine:
    """The unit's machine as the optimum sees it."""
    return LinearMachine.of_motor(unit.motor)


def u_max(unit: Unit, u_dc: float | None = None) -> float:
    """Longest voltage vector of the references in V, 0.92 u_dc/sqrt(3)."""
    return float(u_max_of(unit.dc_link.u_nominal if u_dc is None else u_dc))


def ideal_field_time(unit: Unit, i_f_0: float, i_f_1: float) -> float:
    """Time in s that the exciter's full voltage needs from one field current to another."""
    motor = unit.motor
    end = (unit.exciter.u_nominal - motor.u_brush) / motor.R_f
    return motor.tau_f * math.log((end - i_f_0) / (end - i_f_1))


def ideal_t90(unit: Unit, start: float, goal: float) -> float:
    """Shortest time in s to 90 % of a torque step: the field's flux rises with all of the exciter's voltage,
    and at every instant the stator current within i_max makes the most of it."""
    motor = unit.motor
    machine = machine_of(unit)
    i_d, _, i_f, _ = least_loss(machine, start)
    psi_f = float(1.5 * motor.M * i_d + motor.L_f * i_f)
    wanted = start + 0.9 * (goal - start)
    i_d = np.linspace(-motor.i_max, motor.i_max, 401)
    i_q = np.sqrt(motor.i_max**2 - i_d**2)
    t, step = 0.0, 2e-5
    while t < 1.0:
        i_f = (psi_f - 1.5 * motor.M * i_d) / motor.L_f
        made = motor.torque(i_d, i_q, np.maximum(i_f, 0))  # pyright: ignore[reportArgumentType]  (arrays do too)
        torque = np.where(i_f >= 0, made, 0)
        best = int(np.argmax(torque))
        if torque[best] >= wanted:
            return t
        psi_f += step * (unit.exciter.u_nominal - motor.u_brush - motor.R_f * max(0.0, float(i_f[best])))
        t += step
    return float("nan")


def t90_limit(unit: Unit) -> float:
    """T90 in s that a torque step 10 to 100 % may take: as asked of a shipped motor, else by its physics.

    A quarter more than the ideal, two rises of the current control, and the time that the voltage needs
    to turn the stator's flux.
    """
    asked = T90_ASKED.get(unit.motor.name)
    if asked is not None and unit.exciter.u_nominal >= 48:
        return asked
    rated = unit.limits.torque_rated
    turning = unit.motor.L_q * unit.motor.i_max / u_max(unit)
    return 1.25 * ideal_t90(unit, 0.1 * rated, rated) + turning + 1e-3
