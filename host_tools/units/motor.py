"""Motors: boards/motors/*.toml, each number with its status and source."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from host_tools.units.reader import (
    BOARDS,
    Key,
    Reader,
    UnitError,
    Vocabulary,
    count,
    not_negative,
    optional,
    positive,
    shown_path,
    stems,
    suggest,
)

RPM = 2 * math.pi / 60

MOTOR: Vocabulary = {
    "machine": {
        "pole_pairs": count(1, 64, "pole pairs"),
        "R_s": positive("Ohm", 100, "stator resistance of a phase"),
        "L_d": positive("H", 1, "d inductance"),
        "L_q": positive("H", 1, "q inductance"),
        "M": positive("H", 10, "stator flux linkage per field ampere"),
        "R_f": positive("Ohm", 1000, "field resistance"),
        "L_f": positive("H", 100, "field inductance"),
        "sigma_L_d": positive(
            "H", 1, "d inductance with the field shorted; of L_d, M, L_f if missing", math.nan
        ),
        "u_brush": not_negative("V", 5, "constant drop of the two brushes", 0.0),
    },
    "limits": {
        "i_max": positive("A", 1e4, "longest stator current vector, peak"),
        "i_f_max": positive("A", 1e3, "highest field current"),
        "n_max": positive("rpm", 1e5, "highest speed"),
    },
    "shaft": {
        "J": positive("kg.m2", 1000, "inertia of the rotor"),
        "B": not_negative("N.m.s", 100, "viscous friction", 0.0),
        "T_c": not_negative("N.m", 1000, "Coulomb friction", 0.0),
    },
    "iron": {
        "k_h": not_negative("1/Ohm.s", 1e4, "hysteresis: P = k_h*|w_e|*psi^2", 0.0),
        "k_e": not_negative("1/Ohm", 100, "eddy currents: P = k_e*w_e^2*psi^2", 0.0),
    },
    "saturation": {
        "L_leakage": positive("H", 1, "stator leakage inductance"),
        "exponent": count(2, 8, "S of the flux function, even"),
        "a_dd": not_negative("A/Wb", 1e30, "d-axis saturation, current at 1 Wb"),
        "a_qq": not_negative("A/Wb", 1e30, "q-axis saturation, current at 1 Wb"),
        "a_dq": not_negative("A/Wb", 1e30, "cross saturation, current at 1 Wb", 0.0),
    },
    "thermal": {
        "winding_temperature": Key("Cel", -40, 200, "winding temperature of R_s and R_f", 20.0),
        "coolant": Key("Cel", -40, 120, "temperature of what cools the windings", 25.0),
        "stator_R_th": positive("K/W", 1e3, "stator winding to coolant", 1.0),
        "stator_C_th": positive("J/K", 1e6, "heat capacity of the stator winding", 100.0),
        "rotor_R_th": positive("K/W", 1e3, "rotor winding to coolant", 1.0),
        "rotor_C_th": positive("J/K", 1e6, "heat capacity of the rotor winding", 100.0),
        "iron_to_stator": Key("1", 0, 1, "share of the iron loss that heats the stator winding", 0.5),
    },
}
MOTOR_OPTIONAL = ("iron", "saturation", "thermal")


@dataclass(frozen=True)
class Saturation:
    """Main-flux saturation (Hinkkanen's form).

    i_md = (a_0 + a_dd*|psi|^S + a_dq/2*psi_q^2) * psi_d, and alike for q; a_0 = 1/(L_d - L_leakage).
    """

    L_leakage: float
    exponent: int
    a_dd: float
    a_qq: float
    a_dq: float


@dataclass(frozen=True)
class Motor:
    """Machine parameters; field quantities are those of the bench, not referred to the stator."""

    name: str
    title: str
    pole_pairs: int
    R_s: float
    L_d: float
    L_q: float
    M: float
    R_f: float
    L_f: float
    sigma_L_d: float
    u_brush: float
    i_max: float
    i_f_max: float
    n_max: float  # rpm
    J: float
    B: float
    T_c: float
    k_h: float = 0.0
    k_e: float = 0.0
    saturation: Saturation | None = None
    thermal: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # name: (status, source)

    @property
    def sigma(self) -> float:
        """Leakage factor 1 - 1.5*M^2/(L_d*L_f)."""
        return 1 - 1.5 * self.M**2 / (self.L_d * self.L_f)

    @property
    def tau_f(self) -> float:
        """Field time constant, stator open, in s."""
        return self.L_f / self.R_f

    @property
    def w_m_max(self) -> float:
        """Highest speed in rad/s."""
        return self.n_max * RPM

    def torque(self, i_d: float, i_q: float, i_f: float) -> float:
        """Air-gap torque of the linear machine."""
        return 1.5 * self.pole_pairs * (self.M * i_f + (self.L_d - self.L_q) * i_d) * i_q


def load_motor(name: str | Path) -> Motor:
    """The motor of that name (boards/motors) or in that file."""
    path = Path(name)
    if path.suffix != ".toml":
        path = BOARDS / "motors" / f"{name}.toml"
    problems: list[str] = []
    motor = read_motor(path, problems)
    if motor is None:
        raise UnitError("\n".join(problems))
    return motor


def read_motor(path: Path, problems: list[str]) -> Motor | None:
    """The motor of a file, or None with the reasons added to `problems`."""
    if not path.is_file():
        known = stems(BOARDS / "motors")
        problems.append(f"{shown_path(path)}: no such motor{suggest(path.stem, known)}")
        return None
    reader = Reader(path, problems, sourced=True)
    before = len(problems)
    reader.open()
    reader.start(MOTOR, MOTOR_OPTIONAL, words=("name", "title"))
    values: dict[str, Any] = {}
    for section in ("machine", "limits", "shaft", "iron"):
        values |= reader.section(section)
    values["thermal"] = reader.section("thermal")
    if "saturation" in reader.data:
        values["saturation"] = reader.section("saturation")
    if len(problems) > before:
        return None
    sigma = 1 - 1.5 * values["M"] ** 2 / (values["L_d"] * values["L_f"])
    reader.rule(
        sigma > 0,
        f"machine.M = {values['M']:g} H",
        f"sigma = 1 - 1.5*M^2/(L_d*L_f) is {sigma:.3g}; energy is stored only with sigma > 0: "
        f"L_f above {1.5 * values['M'] ** 2 / values['L_d']:.4g} H (is it referred to the stator?)",
    )
    if optional(values["sigma_L_d"]) is None:
        values["sigma_L_d"] = sigma * values["L_d"]
    else:
        reader.rule(
            values["sigma_L_d"] <= values["L_d"],
            f"machine.sigma_L_d = {values['sigma_L_d']:g} H",
            f"it is a share of L_d = {values['L_d']:g} H",
        )
    if "saturation" in values:
        values["saturation"] = _check_saturation(reader, values)
    if len(problems) > before:
        return None
    return Motor(
        name=reader.words["name"], title=reader.words["title"], provenance=reader.provenance, **values
    )


def _check_saturation(reader: Reader, values: dict[str, Any]) -> Saturation:
    saturation = Saturation(**values["saturation"])
    leakage = saturation.L_leakage
    where = f"saturation.L_leakage = {leakage:g} H"
    if reader.rule(
        leakage < min(values["L_d"], values["L_q"]), where, "the stator leakage is a part of both L_d and L_q"
    ):
        main = values["L_d"] - leakage
        turns = values["M"] / main
        referred = values["L_f"] / (1.5 * turns**2)
        reader.rule(
            referred > main,
            where,
            f"it leaves the field a negative leakage: L_f is {referred:g} H referred to the stator, "
            f"L_d - L_leakage {main:g} H; lower it",
        )
    reader.rule(
        saturation.exponent % 2 == 0, f"saturation.exponent = {saturation.exponent}", "it must be even"
    )
    return saturation
