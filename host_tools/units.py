"""Drive units: board, motor, transmission and limits from their files, checked.

    unit = load("a")                 # boards/units/a.toml
    unit = load("my_drive.toml")     # a file of your own; its motor and board may lie beside it

A number is written `{ value = 60, unit = "mOhm" }`: the unit is part of the file, so a wrong one is
refused.  A motor's numbers also carry `status` (EST, PUB, KNOW) and `source`.
`based_on = "b"` starts from another file of the same folder and changes what is written.
Whatever does not fit is refused by UnitError, which names the file, the key, the value and the rule,
all of them at once.
Standard library only.
"""

import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

BOARDS = Path(__file__).resolve().parent.parent / "boards"

STATUSES = ("EST", "PUB", "KNOW")
EXCITERS = ("unipolar", "half_bridge", "full_bridge")
SUPPLIES = ("link", "own")
ENCODERS = ("incremental", "absolute")
# Ways to share a torque among the currents, see `host_tools.references.strategies`.
STRATEGIES = ("optimal", "i_d_zero", "constant_field", "unity_power_factor", "proportional_field")

# Rules of the control law that a unit must leave room for.
HEADROOM = 1.25  # a sensor reaches at least this far beyond its trip
FIELD_HEADROOM = 1.5  # i_f may be kicked this far by a step of i_d (flux conservation)
DELAY_BUDGET = 0.35  # rad that the delay of 1.5 periods may cost at the current bandwidth
SAMPLES_PER_TURN = 14  # PWM periods of one electrical turn at the highest speed
RPM = 2 * math.pi / 60


class UnitError(ValueError):
    """A unit, motor or board file is unfit; each line says where and why."""


# --- the files' vocabulary ----------------------------------------------------------------------

# unit of a key -> what may be written instead, and the divisor that leads to the key's own unit
_SPELLINGS: dict[str, dict[str, float]] = {
    "Ohm": {"Ohm": 1, "mOhm": 1e3},
    "H": {"H": 1, "mH": 1e3, "uH": 1e6},
    "F": {"F": 1, "mF": 1e3, "uF": 1e6},
    "A": {"A": 1, "mA": 1e3},
    "V": {"V": 1, "mV": 1e3},
    "s": {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9},
    "Hz": {"Hz": 1, "kHz": 1e-3, "MHz": 1e-6},
    "turn": {"turn": 1, "deg": 360},
}


@dataclass(frozen=True)
class _Key:
    """One key of a file: its unit, the range it is refused outside of, a default if it may be missing."""

    unit: str  # "1" for pure numbers
    low: float
    high: float
    meaning: str
    default: float | None = None
    integer: bool = False
    above: bool = False  # the low end itself is refused too


def _positive(unit: str, high: float, meaning: str, default: float | None = None) -> _Key:
    return _Key(unit, 0.0, high, meaning, default, above=True)


def _not_negative(unit: str, high: float, meaning: str, default: float | None = None) -> _Key:
    return _Key(unit, 0.0, high, meaning, default)


def _count(low: int, high: int, meaning: str, default: int | None = None) -> _Key:
    return _Key("1", low, high, meaning, default, integer=True)


@dataclass(frozen=True)
class _Choice:
    """A key that is one of a few words, or true or false."""

    options: tuple[Any, ...]
    default: Any = None


_MOTOR: dict[str, dict[str, _Key | _Choice]] = {
    "machine": {
        "pole_pairs": _count(1, 64, "pole pairs"),
        "R_s": _positive("Ohm", 100, "stator resistance of a phase"),
        "L_d": _positive("H", 1, "d inductance"),
        "L_q": _positive("H", 1, "q inductance"),
        "M": _positive("H", 10, "stator flux linkage per field ampere"),
        "R_f": _positive("Ohm", 1000, "field resistance"),
        "L_f": _positive("H", 100, "field inductance"),
        "sigma_L_d": _positive(
            "H", 1, "d inductance with the field shorted; of L_d, M, L_f if missing", math.nan
        ),
        "u_brush": _not_negative("V", 5, "constant drop of the two brushes", 0.0),
    },
    "limits": {
        "i_max": _positive("A", 1e4, "longest stator current vector, peak"),
        "i_f_max": _positive("A", 1e3, "highest field current"),
        "n_max": _positive("rpm", 1e5, "highest speed"),
    },
    "shaft": {
        "J": _positive("kg.m2", 1000, "inertia of the rotor"),
        "B": _not_negative("N.m.s", 100, "viscous friction", 0.0),
        "T_c": _not_negative("N.m", 1000, "Coulomb friction", 0.0),
    },
    "iron": {
        "k_h": _not_negative("1/Ohm.s", 1e4, "hysteresis: P = k_h*|w_e|*psi^2", 0.0),
        "k_e": _not_negative("1/Ohm", 100, "eddy currents: P = k_e*w_e^2*psi^2", 0.0),
    },
    "saturation": {
        "L_leakage": _positive("H", 1, "stator leakage inductance"),
        "exponent": _count(2, 8, "S of the flux function, even"),
        "a_dd": _not_negative("A/Wb", 1e30, "d-axis saturation, current at 1 Wb"),
        "a_qq": _not_negative("A/Wb", 1e30, "q-axis saturation, current at 1 Wb"),
        "a_dq": _not_negative("A/Wb", 1e30, "cross saturation, current at 1 Wb", 0.0),
    },
}
_MOTOR_OPTIONAL = ("iron", "saturation")

_BOARD: dict[str, dict[str, _Key | _Choice]] = {
    "pwm": {
        "f_pwm": _Key("Hz", 2000, 100e3, "PWM and control frequency"),
        "clock": _positive("Hz", 1e9, "clock of the PWM counter"),
        "top": _count(256, 32767, "highest count of the centre-aligned counter"),
        "dead_time": _not_negative("s", 20e-6, "dead time of a leg"),
    },
    "bridge": {"R_on": _not_negative("Ohm", 1, "resistance of a switch that conducts", 0.0)},
    "converter": {
        "bits": _count(12, 12, "resolution; the kernel counts in 12 bits"),
        "noise": _not_negative("count", 100, "standard deviation of a sample", 0.0),
        "spur": _not_negative("count", 20, "excess width of codes 512, 1536, 2560, 3584 (RP2040: 9)", 0.0),
        "skew": _not_negative("s", 10e-6, "time from one channel to the next, 0: all at once", 0.0),
        "offset_i_a": _Key("count", -500, 500, "zero of phase a off the middle", 0.0),
        "offset_i_b": _Key("count", -500, 500, "zero of phase b off the middle", 0.0),
        "offset_i_f": _Key("count", -500, 500, "zero of the field off the middle", 0.0),
        "offset_u_dc": _Key("count", -500, 500, "zero of the dc link", 0.0),
        "gain_error_i_a": _Key("1", -0.2, 0.2, "relative gain error of phase a", 0.0),
        "gain_error_i_b": _Key("1", -0.2, 0.2, "relative gain error of phase b", 0.0),
        "gain_error_i_f": _Key("1", -0.2, 0.2, "relative gain error of the field", 0.0),
        "gain_error_u_dc": _Key("1", -0.2, 0.2, "relative gain error of the dc link", 0.0),
    },
}
_BOARD_OPTIONAL = ("bridge",)

_UNIT: dict[str, dict[str, _Key | _Choice]] = {
    "transmission": {
        "ratio": _positive("1", 1000, "turns of the motor for one of the output", 1.0),
        "efficiency": _Key("1", 0.3, 1, "efficiency of the gear", 1.0),
        "J_load": _not_negative("kg.m2", 1000, "inertia of what is coupled, at the motor's shaft", 0.0),
    },
    "dc_link": {
        "u_nominal": _positive("V", 1500, "nominal voltage"),
        "u_min": _positive("V", 1500, "lowest voltage at which the drive works"),
        "u_trip": _positive("V", 2000, "voltage that trips"),
        "u_soft": _positive(
            "V",
            2000,
            "voltage above which braking gives way; if missing 1.1*u_nominal, or between clamp and u_trip",
            math.nan,
        ),
        "u_low": _positive(
            "V",
            1500,
            "voltage below which motoring gives way; if missing 25 % from u_min to u_nominal",
            math.nan,
        ),
        "capacitance": _positive("F", 10, "capacitance"),
        "battery_emf": _positive("V", 1500, "open-circuit voltage of the battery"),
        "battery_resistance": _positive("Ohm", 100, "resistance of battery and cables"),
        "clamp_voltage": _positive(
            "V", 2000, "voltage at which the brake resistor closes, if there is one", math.nan
        ),
        "clamp_resistance": _positive("Ohm", 1e4, "brake resistor", math.nan),
    },
    "exciter": {
        "kind": _Choice(EXCITERS),
        "supply": _Choice(SUPPLIES),
        "u_nominal": _positive("V", 1500, "nominal voltage of its supply"),
    },
    "encoder": {
        "kind": _Choice(ENCODERS, "incremental"),
        "counts": _count(16, 32768, "counts of one turn of the motor", 4096),
        "offset": _Key("turn", 0, 1, "electrical phase of the d axis where the encoder counts 0", 0.0),
        "reversed": _Choice((False, True), False),
    },
    "sensing": {
        "i_full_scale": _positive("A", 2e4, "phase current of the converter's half range"),
        "i_f_full_scale": _positive("A", 2e3, "field current of the converter's half range"),
        "u_dc_full_scale": _positive("V", 3000, "dc-link voltage of the converter's range"),
    },
    "limits": {
        "i_trip": _positive("A", 2e4, "phase current that trips"),
        "i_f_trip": _positive("A", 2e3, "field current that trips"),
        "n_max": _positive("rpm", 1e5, "highest speed of the drive"),
        "n_trip": _positive("rpm", 1e5, "speed that trips"),
        "torque_rated": _positive("N.m", 1e5, "continuous torque"),
        "torque_max": _positive("N.m", 1e5, "highest torque of the machine"),
        "torque_limit": _positive(
            "N.m", 1e5, "torque that the drive may use; torque_max if missing", math.nan
        ),
        "power_max_motoring": _positive("W", 1e9, "shaft power that the drive may give", 1e9),
        "power_max_braking": _positive("W", 1e9, "shaft power that the drive may take", 1e9),
        "torque_slew": _positive("N.m/s", 1e8, "slope of the torque reference"),
        "acceleration": _positive("rad/s2", 1e6, "slope of the speed ramp"),
    },
    "control": {
        "strategy": _Choice(STRATEGIES, "optimal"),
        "bandwidth_current": _Key("Hz", 10, 3000, "bandwidth of the d and q current control"),
        "bandwidth_field": _Key("Hz", 1, 1000, "bandwidth of the field current control"),
        "bandwidth_speed": _Key("Hz", 0.1, 200, "bandwidth of the speed control"),
        "bandwidth_pll": _Key("Hz", 5, 1000, "bandwidth of the angle tracker"),
        "driveline_damping": _not_negative("N.m.s", 1e4, "torque per quick change of speed, 0: off", 0.0),
        "driveline_corner": _Key("Hz", 0.2, 5, "slower changes of speed are not damped", 1.5),
        "field_floor": _Key("1", 0, 0.5, "share of i_f_max kept up while ready", 0.12),
        "field_help": _Key("1", 0, 4, "how strongly i_d helps a lagging field", 1.0),
        "u_margin": _Key("1", 0, 0.3, "share of the voltage kept back by the current control", 0.0),
        "dead_time_compensated": _not_negative(
            "s", 10e-6, "dead time that is compensated; all if missing", math.nan
        ),
        "dead_time_zone": _positive("A", 1000, "phase current at which it is compensated in full"),
        "host_timeout": _Key("s", 0.05, 60, "silence of the host that stops the drive", 0.5),
        "check_direction": _count(0, 1, "1: arming moves the shaft a little to check the encoder", 1),
    },
}
_UNIT_OPTIONAL = ("transmission", "encoder")


# --- what the files mean, in SI units -------------------------------------------------------------


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


@dataclass(frozen=True)
class Board:
    """Controller, bridge and converter."""

    name: str
    title: str
    f_pwm: float
    clock: float
    top: int
    dead_time: float
    R_on: float
    bits: int
    noise: float
    spur: float
    skew: float
    offset_i_a: float
    offset_i_b: float
    offset_i_f: float
    offset_u_dc: float
    gain_error_i_a: float
    gain_error_i_b: float
    gain_error_i_f: float
    gain_error_u_dc: float


@dataclass(frozen=True)
class Transmission:
    """Gear between motor and output."""

    ratio: float
    efficiency: float
    J_load: float


@dataclass(frozen=True)
class DcLink:
    """Capacitor, battery, brake resistor (None if there is none) and limits."""

    u_nominal: float
    u_min: float
    u_trip: float
    capacitance: float
    battery_emf: float
    battery_resistance: float
    clamp_voltage: float | None
    clamp_resistance: float | None
    u_soft: float | None = None
    u_low: float | None = None

    @property
    def soft_limit(self) -> float:
        """Voltage above which braking gives way: the brake resistor, if there is one, comes first."""
        if self.u_soft is not None:
            return self.u_soft
        if self.clamp_voltage is not None:
            return 0.5 * (self.clamp_voltage + self.u_trip)
        return 1.1 * self.u_nominal

    @property
    def low_limit(self) -> float:
        """Voltage below which motoring gives way."""
        return self.u_min + 0.25 * (self.u_nominal - self.u_min) if self.u_low is None else self.u_low


@dataclass(frozen=True)
class Exciter:
    """What feeds the field: topology and supply."""

    kind: str
    supply: str
    u_nominal: float


@dataclass(frozen=True)
class Encoder:
    """Sensor of the rotor's angle."""

    kind: str
    counts: int
    offset: float  # electrical turns
    reversed: bool


@dataclass(frozen=True)
class Sensing:
    """What the converter's range means."""

    i_full_scale: float
    i_f_full_scale: float
    u_dc_full_scale: float


@dataclass(frozen=True)
class Limits:
    """Limits of the drive; those of the motor are in Motor."""

    i_trip: float
    i_f_trip: float
    n_max: float  # rpm
    n_trip: float  # rpm
    torque_rated: float
    torque_max: float
    torque_limit: float
    torque_slew: float
    acceleration: float
    power_max_motoring: float = 1e9  # W, that is none
    power_max_braking: float = 1e9

    @property
    def w_m_max(self) -> float:
        """Highest speed in rad/s."""
        return self.n_max * RPM


@dataclass(frozen=True)
class Control:
    """Bandwidths and choices of the control law."""

    bandwidth_current: float
    bandwidth_field: float
    bandwidth_speed: float
    bandwidth_pll: float
    field_floor: float
    field_help: float
    u_margin: float
    dead_time_compensated: float
    dead_time_zone: float
    host_timeout: float
    check_direction: int
    strategy: str = "optimal"
    driveline_damping: float = 0.0
    driveline_corner: float = 1.5


@dataclass(frozen=True)
class Unit:
    """One drive: a board, a motor and what joins them."""

    name: str
    title: str
    path: Path
    board: Board
    motor: Motor
    transmission: Transmission
    dc_link: DcLink
    exciter: Exciter
    encoder: Encoder
    sensing: Sensing
    limits: Limits
    control: Control

    def as_settings(self) -> dict[str, float | int | str]:
        """What the firmware is told: flat SI values by the names of `eesm.parameters`."""
        motor, link, limits, control = self.motor, self.dc_link, self.limits, self.control
        settings: dict[str, float | int | str] = {
            "unit": self.name,
            "motor": motor.name,
            "board": self.board.name,
        }
        for name in ("pole_pairs", "R_s", "L_d", "L_q", "M", "R_f", "L_f", "sigma_L_d", "i_max", "i_f_max"):
            settings[name] = getattr(motor, name)
        settings |= {
            "J": motor.J + self.transmission.J_load,
            "u_dc_nominal": link.u_nominal,
            "u_dc_min": link.u_min,
            "u_dc_trip": link.u_trip,
            "u_dc_soft": link.soft_limit,
            "u_dc_low": link.low_limit,
            "power_max_motoring": limits.power_max_motoring,
            "power_max_braking": limits.power_max_braking,
            "u_f_nominal": self.exciter.u_nominal,
            "exciter_kind": self.exciter.kind,
            "exciter_from_link": int(self.exciter.supply == "link"),
            "i_trip": limits.i_trip,
            "i_f_trip": limits.i_f_trip,
            "w_m_max": limits.w_m_max,
            "w_m_trip": limits.n_trip * RPM,
            "torque_rated": limits.torque_rated,
            "torque_max": limits.torque_max,
            "torque_limit": limits.torque_limit,
            "torque_slew": limits.torque_slew,
            "acceleration": limits.acceleration,
            "i_base": self.sensing.i_full_scale,
            "i_f_base": self.sensing.i_f_full_scale,
            "u_base": self.sensing.u_dc_full_scale,
            "f_pwm": self.board.f_pwm,
            "pwm_top": self.board.top,
            "dead_time": self.board.dead_time,
            "encoder_counts": self.encoder.counts,
            "encoder_offset": self.encoder.offset,
            "encoder_reversed": int(self.encoder.reversed),
            "encoder_absolute": int(self.encoder.kind == "absolute"),
        }
        for item in fields(control):
            settings[item.name] = getattr(control, item.name)
        return settings

    def as_plant(self) -> dict[str, float | int | str]:
        """What the simulated machine is: flat SI values for `boards.virtual.plant.make_plant`.

        It is kept apart from the settings so that a drive may believe other parameters than the
        true ones.
        """
        motor, link, board = self.motor, self.dc_link, self.board
        plant: dict[str, float | int | str] = {}
        for name in (
            *("pole_pairs", "R_s", "L_d", "L_q", "M", "R_f", "L_f", "u_brush"),
            *("i_max", "i_f_max", "B", "T_c", "k_h", "k_e"),
        ):
            plant[name] = getattr(motor, name)
        plant |= {
            "J": motor.J + self.transmission.J_load,
            "u_dc_nominal": link.u_nominal,
            "capacitance": link.capacitance,
            "battery_emf": link.battery_emf,
            "battery_resistance": link.battery_resistance,
            "exciter_kind": self.exciter.kind,
            "exciter_from_link": int(self.exciter.supply == "link"),
            "u_f_nominal": self.exciter.u_nominal,
            "i_base": self.sensing.i_full_scale,
            "i_f_base": self.sensing.i_f_full_scale,
            "u_base": self.sensing.u_dc_full_scale,
            "f_pwm": board.f_pwm,
            "pwm_top": board.top,
            "dead_time": board.dead_time,
            "R_on": board.R_on,
            "adc_noise": board.noise,
            "adc_spur": board.spur,
            "adc_skew": board.skew,
            "encoder_counts": self.encoder.counts,
            "encoder_absolute": int(self.encoder.kind == "absolute"),
            "encoder_offset": self.encoder.offset,
            "encoder_reversed": int(self.encoder.reversed),
        }
        for sensor in ("i_a", "i_b", "i_f", "u_dc"):
            plant["offset_" + sensor] = getattr(board, "offset_" + sensor)
            plant["gain_error_" + sensor] = getattr(board, "gain_error_" + sensor)
        if link.clamp_voltage is not None and link.clamp_resistance is not None:
            plant["clamp_voltage"] = link.clamp_voltage
            plant["clamp_resistance"] = link.clamp_resistance
        if motor.saturation is not None:
            plant["saturated"] = 1
            for item in fields(motor.saturation):
                plant["saturation_" + item.name] = getattr(motor.saturation, item.name)
        return plant


# --- reading ------------------------------------------------------------------------------------


def unit_names() -> list[str]:
    """Names of the units that come with the project."""
    return _stems(BOARDS / "units")


def load(name: str | Path) -> Unit:
    """The unit of that name, or in that file; UnitError when there is none or it is unfit."""
    path = Path(name)
    if path.suffix != ".toml":
        path = BOARDS / "units" / f"{name}.toml"
    if not path.is_file():
        raise UnitError(f"{name}: no such drive unit{_suggest(str(name), unit_names())}")
    reader = _Reader(path)
    reader.start(_UNIT, _UNIT_OPTIONAL, words=("name", "title", "board", "motor"))
    board = _load_board(_find(reader, "board"), reader.problems)
    motor = _load_motor(_find(reader, "motor"), reader.problems)
    values = {section: reader.section(section) for section in _UNIT}
    reader.finish()
    assert board is not None and motor is not None  # else finish has raised

    def build(cls: type, section: str) -> Any:
        return cls(**{key: _optional(value) for key, value in values[section].items()})

    for section, key, default in (
        ("limits", "torque_limit", values["limits"]["torque_max"]),
        ("control", "dead_time_compensated", board.dead_time),
    ):
        if _optional(values[section][key]) is None:
            values[section][key] = default
    unit = Unit(
        name=reader.words["name"],
        title=reader.words["title"],
        path=path.resolve(),
        board=board,
        motor=motor,
        transmission=build(Transmission, "transmission"),
        dc_link=build(DcLink, "dc_link"),
        exciter=build(Exciter, "exciter"),
        encoder=build(Encoder, "encoder"),
        sensing=build(Sensing, "sensing"),
        limits=build(Limits, "limits"),
        control=build(Control, "control"),
    )
    _check_unit(unit, reader)
    reader.finish()
    return unit


def load_motor(name: str | Path) -> Motor:
    """The motor of that name (boards/motors) or in that file."""
    path = Path(name)
    if path.suffix != ".toml":
        path = BOARDS / "motors" / f"{name}.toml"
    problems: list[str] = []
    motor = _load_motor(path, problems)
    if motor is None:
        raise UnitError("\n".join(problems))
    return motor


def _find(reader: "_Reader", kind: str) -> Path:
    """File of the board or motor that a unit names: beside the unit, else among the project's."""
    name = reader.words[kind]
    beside = reader.path.parent / (name if name.endswith(".toml") else name + ".toml")
    if beside.is_file() and beside.resolve() != reader.path.resolve():
        return beside
    if kind == "board":
        return BOARDS / name / "board.toml"
    return BOARDS / "motors" / f"{name}.toml"


def _load_board(path: Path, problems: list[str]) -> Board | None:
    if not path.is_file():
        known = [p.parent.name for p in BOARDS.glob("*/board.toml")]
        problems.append(f"{_shown(path)}: no such board{_suggest(path.parent.name, known)}")
        return None
    reader = _Reader(path, problems)
    before = len(problems)
    reader.start(_BOARD, _BOARD_OPTIONAL, words=("name", "title"))
    values: dict[str, Any] = {}
    for section in _BOARD:
        values |= reader.section(section)
    if len(problems) > before:
        return None
    board = Board(name=reader.words["name"], title=reader.words["title"], **values)
    actual = board.clock / (2 * board.top)
    reader.rule(
        abs(actual - board.f_pwm) <= 0.01 * board.f_pwm,
        f"pwm.top = {board.top}",
        f"a centre-aligned counter of {board.clock:g} Hz gives {actual:g} Hz, f_pwm says {board.f_pwm:g} Hz",
    )
    lost = 2 * board.dead_time * board.f_pwm
    reader.rule(
        lost <= 0.1,
        f"pwm.dead_time = {board.dead_time:g} s",
        f"both edges take {100 * lost:.3g} % of a period, at most 10 % may be lost",
    )
    return board if len(problems) == before else None


def _load_motor(path: Path, problems: list[str]) -> Motor | None:
    if not path.is_file():
        known = _stems(BOARDS / "motors")
        problems.append(f"{_shown(path)}: no such motor{_suggest(path.stem, known)}")
        return None
    reader = _Reader(path, problems, sourced=True)
    before = len(problems)
    reader.start(_MOTOR, _MOTOR_OPTIONAL, words=("name", "title"))
    values: dict[str, Any] = {}
    for section in ("machine", "limits", "shaft", "iron"):
        values |= reader.section(section)
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
    if _optional(values["sigma_L_d"]) is None:
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


def _check_saturation(reader: "_Reader", values: dict[str, Any]) -> Saturation:
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


def _check_unit(unit: Unit, reader: "_Reader") -> None:
    """The rules that tie sections together."""
    motor, board, link, limits = unit.motor, unit.board, unit.dc_link, unit.limits
    sensing, control, exciter, encoder = unit.sensing, unit.control, unit.exciter, unit.encoder
    rule = reader.rule

    rule(
        limits.i_trip > 1.03 * motor.i_max,
        f"limits.i_trip = {limits.i_trip:g} A",
        f"it must leave the control room above i_max = {motor.i_max:g} A (at least {1.03 * motor.i_max:g} A)",
    )
    rule(
        limits.i_f_trip >= FIELD_HEADROOM * motor.i_f_max,
        f"limits.i_f_trip = {limits.i_f_trip:g} A",
        f"steps of i_d kick i_f: at least {FIELD_HEADROOM:g}*i_f_max = {FIELD_HEADROOM * motor.i_f_max:g} A",
    )
    for key, full_scale, trip, what in (
        ("i_full_scale", sensing.i_full_scale, limits.i_trip, "i_trip"),
        ("i_f_full_scale", sensing.i_f_full_scale, limits.i_f_trip, "i_f_trip"),
        ("u_dc_full_scale", sensing.u_dc_full_scale, link.u_trip, "u_trip"),
    ):
        unit_text = "V" if key.startswith("u") else "A"
        rule(
            full_scale >= HEADROOM * trip * (1 - 1e-9),
            f"sensing.{key} = {full_scale:g} {unit_text}",
            f"a trip must be seen: at least {HEADROOM:g}*{what} = {HEADROOM * trip:g} {unit_text}",
        )

    rule(
        link.u_min < 0.95 * link.u_nominal,
        f"dc_link.u_min = {link.u_min:g} V",
        f"it must be below 95 % of u_nominal = {link.u_nominal:g} V",
    )
    rule(
        link.u_min > 0.25 * sensing.u_dc_full_scale,
        f"dc_link.u_min = {link.u_min:g} V",
        f"the kernel divides by u_dc above a quarter of its full scale, {0.25 * sensing.u_dc_full_scale:g} V",
    )
    rule(
        link.u_trip >= 1.15 * link.u_nominal,
        f"dc_link.u_trip = {link.u_trip:g} V",
        f"braking needs room: at least 1.15*u_nominal = {1.15 * link.u_nominal:g} V",
    )
    rule(
        link.u_nominal < link.soft_limit < link.u_trip,
        f"dc_link.u_soft = {link.soft_limit:g} V",
        f"it must lie between u_nominal = {link.u_nominal:g} V and u_trip = {link.u_trip:g} V",
    )
    rule(
        link.u_min < link.low_limit < link.u_nominal,
        f"dc_link.u_low = {link.low_limit:g} V",
        f"it must lie between u_min = {link.u_min:g} V and u_nominal = {link.u_nominal:g} V",
    )
    rule(
        link.u_min < link.battery_emf < link.u_trip,
        f"dc_link.battery_emf = {link.battery_emf:g} V",
        f"it must lie between u_min = {link.u_min:g} V and u_trip = {link.u_trip:g} V",
    )
    if link.clamp_voltage is None or link.clamp_resistance is None:
        rule(
            link.clamp_voltage is link.clamp_resistance,
            "dc_link.clamp_voltage, dc_link.clamp_resistance",
            "a brake resistor needs both, a link without one neither",
        )
    else:
        rule(
            max(link.u_nominal, link.battery_emf) < link.clamp_voltage < link.u_trip,
            f"dc_link.clamp_voltage = {link.clamp_voltage:g} V",
            f"it must lie between u_nominal and u_trip, {link.u_nominal:g} .. {link.u_trip:g} V",
        )

    supply = link.u_nominal if exciter.supply == "link" else exciter.u_nominal
    rule(
        exciter.supply == "own" or exciter.u_nominal == link.u_nominal,
        f"exciter.u_nominal = {exciter.u_nominal:g} V",
        f"an exciter that is fed by the link has the link's {link.u_nominal:g} V",
    )
    rule(
        supply > motor.R_f * motor.i_f_max + motor.u_brush,
        f"exciter.u_nominal = {supply:g} V",
        f"i_f_max = {motor.i_f_max:g} A needs more than R_f*i_f_max = {motor.R_f * motor.i_f_max:g} V",
    )

    rule(
        encoder.counts >= 128 * motor.pole_pairs,
        f"encoder.counts = {encoder.counts}",
        f"a count may not exceed 2.8 degrees electrical: at least 128*pole_pairs = {128 * motor.pole_pairs}",
    )
    f_e = limits.n_trip / 60 * motor.pole_pairs
    rule(
        f_e * SAMPLES_PER_TURN <= board.f_pwm,
        f"limits.n_trip = {limits.n_trip:g} rpm",
        f"{f_e:.4g} Hz electrical leave {board.f_pwm / f_e:.3g} PWM periods a turn, "
        f"{SAMPLES_PER_TURN} are needed",
    )
    rule(
        limits.n_max <= motor.n_max,
        f"limits.n_max = {limits.n_max:g} rpm",
        f"the motor allows {motor.n_max:g} rpm",
    )
    rule(
        1.02 * limits.n_max <= limits.n_trip <= 1.2 * limits.n_max,
        f"limits.n_trip = {limits.n_trip:g} rpm",
        f"it must be 2 to 20 % above n_max = {limits.n_max:g} rpm (the kernel's speed range ends there)",
    )

    best = _most_torque(motor)
    rule(
        limits.torque_max <= best,
        f"limits.torque_max = {limits.torque_max:g} N.m",
        f"i_max and i_f_max make {best:.4g} N.m at most",
    )
    rule(
        limits.torque_rated <= limits.torque_max,
        f"limits.torque_rated = {limits.torque_rated:g} N.m",
        f"it may not exceed torque_max = {limits.torque_max:g} N.m",
    )
    rule(
        limits.torque_limit <= limits.torque_max,
        f"limits.torque_limit = {limits.torque_limit:g} N.m",
        f"it may not exceed torque_max = {limits.torque_max:g} N.m",
    )

    delay = 2 * math.pi * control.bandwidth_current * 1.5 / board.f_pwm
    highest = DELAY_BUDGET * board.f_pwm / (3 * math.pi)
    rule(
        delay <= DELAY_BUDGET,
        f"control.bandwidth_current = {control.bandwidth_current:g} Hz",
        f"1.5 periods of delay cost {delay:.3g} rad there, {DELAY_BUDGET:g} are allowed: "
        f"at most {highest:.4g} Hz at f_pwm = {board.f_pwm:g} Hz",
    )
    for low, high, share in (
        ("bandwidth_field", "bandwidth_current", 2.5),
        ("bandwidth_pll", "bandwidth_current", 2),
        ("bandwidth_speed", "bandwidth_pll", 4),
    ):
        inner, outer = getattr(control, high), getattr(control, low)
        rule(
            outer * share <= inner,
            f"control.{low} = {outer:g} Hz",
            f"it must stay below {high}/{share:g} = {inner / share:g} Hz",
        )
    rule(
        control.dead_time_compensated <= 1.5 * board.dead_time,
        f"control.dead_time_compensated = {control.dead_time_compensated:g} s",
        f"the board's dead time is {board.dead_time:g} s; much more makes the current chatter",
    )
    rule(
        control.dead_time_zone <= 0.25 * motor.i_max,
        f"control.dead_time_zone = {control.dead_time_zone:g} A",
        f"at most a quarter of i_max = {motor.i_max:g} A",
    )


def _most_torque(motor: Motor) -> float:
    """Highest torque at i_max and i_f_max, searched over the angle of the current."""
    best = 0.0
    for step in range(181):
        angle = math.pi * step / 180
        i_d, i_q = motor.i_max * math.cos(angle), motor.i_max * math.sin(angle)
        best = max(best, motor.torque(i_d, i_q, motor.i_f_max))
    return best * 1.0005  # the search's own step


def _optional(value: Any) -> Any:
    """None for a number that was left out and has no default."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _suggest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1, 0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(sorted(known))}" if known else ""


def _shown(path: Path) -> str:
    """A path as the user would write it."""
    for root in (BOARDS.parent, Path.cwd()):
        try:
            return path.resolve().relative_to(root).as_posix()
        except ValueError:
            pass
    return str(path)


class _Reader:
    """Reads one file by its vocabulary and collects what is wrong with it."""

    def __init__(self, path: Path, problems: list[str] | None = None, sourced: bool = False):
        self.path = path
        self.sourced = sourced
        self.problems = [] if problems is None else problems
        self.words: dict[str, str] = {}
        self.provenance: dict[str, tuple[str, str]] = {}
        self.data: dict[str, Any] = {}
        self.vocabulary: dict[str, dict[str, _Key | _Choice]] = {}

    def refuse(self, where: str, why: str) -> None:
        self.problems.append(f"{_shown(self.path)}: {where}: {why}")

    def rule(self, holds: bool, where: str, why: str) -> bool:
        if not holds:
            self.refuse(where, why)
        return holds

    def finish(self) -> None:
        if self.problems:
            raise UnitError("\n".join(self.problems))

    def start(
        self,
        vocabulary: dict[str, dict[str, _Key | _Choice]],
        optional: tuple[str, ...],
        words: tuple[str, ...],
    ) -> None:
        """Parse the file, check its words and that its sections are known and there."""
        self.data = _parse(self.path)
        base = self.data.pop("based_on", None)
        if base is not None:
            self.data = self._merge(base)
        self.vocabulary = vocabulary
        for word in words:
            value = self.data.get(word)
            if word == "name" and value is None:
                value = self.path.stem
            if word == "title" and value is None:
                value = self.data.get("name", self.path.stem)
            if not isinstance(value, str) or not value:
                self.refuse(
                    word, "a name in quotes is missing" if value is None else f"{value!r} is not a name"
                )
                value = ""
            self.words[word] = value
        for name in self.data:
            if name not in vocabulary and name not in words:
                self.refuse(name, f"unknown{_suggest(name, [*vocabulary, *words])}")
            elif name in vocabulary and not isinstance(self.data[name], dict):
                self.refuse(name, f"[{name}] is a section")
                self.data[name] = {}
        for name in vocabulary:
            if name not in self.data and name not in optional:
                self.refuse(f"[{name}]", "the section is missing")
        if any(not self.words[word] for word in words):
            self.finish()

    def _merge(self, base: Any) -> dict[str, Any]:
        """What `based_on` names, a file of the same folder, with this file's own keys put over it."""
        file = self.path.parent / (base if str(base).endswith(".toml") else f"{base}.toml")
        if not file.is_file():
            self.refuse(
                f"based_on = {base!r}", "no such file" + _suggest(str(base), _stems(self.path.parent))
            )
            self.finish()
        merged = _parse(file)
        if "based_on" in merged:
            self.refuse(f"based_on = {base!r}", "that file is itself based on another; name the first")
            self.finish()
        for name, value in self.data.items():
            if isinstance(value, dict) and isinstance(merged.get(name), dict):
                merged[name] = merged[name] | value
            else:
                merged[name] = value
        return merged

    def section(self, name: str) -> dict[str, Any]:
        """SI values of a section; what is wrong goes to `problems`, and is NaN or the default here."""
        keys = self.vocabulary[name]
        table = self.data.get(name, {})
        for key in table:
            if key not in keys:
                self.refuse(f"{name}.{key}", f"unknown key{_suggest(key, list(keys))}")
        values: dict[str, Any] = {}
        for key, rule in keys.items():
            where = f"{name}.{key}"
            if key not in table:
                values[key] = rule.default
                if rule.default is None:
                    values[key] = math.nan
                    if name in self.data:
                        expected = (
                            " or ".join(map(str, rule.options))
                            if isinstance(rule, _Choice)
                            else f"{rule.meaning}, in {rule.unit}"
                        )
                        self.refuse(where, f"missing ({expected})")
            elif isinstance(rule, _Choice):
                values[key] = self._choose(where, rule, table[key])
            else:
                values[key] = self._number(where, key, rule, table[key])
        return values

    def _choose(self, where: str, rule: _Choice, value: Any) -> Any:
        for option in rule.options:
            if value == option and type(value) is type(option):
                return option
        words = [str(option).lower() for option in rule.options]
        self.refuse(f"{where} = {value!r}", f"must be {' or '.join(words)}{_near(value, words)}")
        return rule.options[0]

    def _number(self, where: str, key: str, rule: _Key, entry: Any) -> float | int:
        if not isinstance(entry, dict):
            self.refuse(f"{where} = {entry!r}", f'write {{ value = ..., unit = "{rule.unit}" }}')
            return math.nan
        allowed = ("value", "unit", "status", "source")
        for word in entry:
            if word not in allowed:
                self.refuse(f"{where}.{word}", f"unknown{_suggest(word, list(allowed))}")
        value, unit = entry.get("value"), entry.get("unit")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            self.refuse(where, "the value is missing" if value is None else f"{value!r} is not a number")
            return math.nan
        spellings = _SPELLINGS.get(rule.unit, {rule.unit: 1})
        if unit not in spellings:
            said = "no unit" if unit is None else f"the unit {unit!r}"
            self.refuse(f"{where} = {value!r}", f"has {said}, needs {' or '.join(spellings)}")
            return math.nan
        shown = f"{where} = {value:g} {unit}".removesuffix(" 1")
        result = value / spellings[unit] if spellings[unit] != 1 else value
        if rule.integer:
            if result != int(result):
                self.refuse(shown, "must be a whole number")
                return math.nan
            result = int(result)
        else:
            result = float(result)
        in_unit = "" if rule.unit == "1" else f" {rule.unit}"
        if rule.above and result <= rule.low:
            self.refuse(shown, f"{rule.meaning}: must be above {rule.low:g}{in_unit}")
        elif not rule.low <= result <= rule.high:
            self.refuse(shown, f"{rule.meaning}: must lie in {rule.low:g} .. {rule.high:g}{in_unit}")
        if self.sourced:
            status, source = entry.get("status"), entry.get("source")
            if status not in STATUSES:
                self.refuse(f"{where}.status", f"{status!r} is not one of {', '.join(STATUSES)}")
            if not isinstance(source, str) or not source.strip():
                self.refuse(f"{where}.source", "says where the value comes from, and is missing")
            self.provenance[key] = (str(status), str(source))
        return result


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnitError(f"{_shown(path)}: not a TOML file: {error}") from None


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def _near(value: Any, words: list[str]) -> str:
    near = difflib.get_close_matches(str(value), words, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""
