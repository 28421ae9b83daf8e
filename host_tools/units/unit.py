"""A drive unit: its sections, and what firmware, simulation and board are told of it."""

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from host_tools.units.board import Board, check_board, read_board
from host_tools.units.motor import RPM, Motor, read_motor
from host_tools.units.reader import (
    BOARDS,
    Choice,
    Key,
    Reader,
    UnitError,
    Vocabulary,
    count,
    not_negative,
    optional,
    positive,
    stems,
    suggest,
)
from host_tools.units.rules import check_unit
from host_tools.units.words import ENCODERS, EXCITERS, STRATEGIES, SUPPLIES

UNIT: Vocabulary = {
    "transmission": {
        "ratio": positive("1", 1000, "turns of the motor for one of the output", 1.0),
        "efficiency": Key("1", 0.3, 1, "efficiency of the gear", 1.0),
        "J_load": not_negative("kg.m2", 1000, "inertia of what is coupled, at the motor's shaft", 0.0),
    },
    "dc_link": {
        "u_nominal": positive("V", 1500, "nominal voltage"),
        "u_min": positive("V", 1500, "lowest voltage at which the drive works"),
        "u_trip": positive("V", 2000, "voltage that trips"),
        "u_soft": positive(
            "V",
            2000,
            "voltage above which braking gives way; if missing 1.1*u_nominal, or between clamp and u_trip",
            math.nan,
        ),
        "u_low": positive(
            "V",
            1500,
            "voltage below which motoring gives way; if missing 25 % from u_min to u_nominal",
            math.nan,
        ),
        "capacitance": positive("F", 10, "capacitance"),
        "battery_emf": positive("V", 1500, "open-circuit voltage of the battery"),
        "battery_resistance": positive("Ohm", 100, "resistance of battery and cables"),
        "clamp_voltage": positive(
            "V", 2000, "voltage at which the brake resistor closes, if there is one", math.nan
        ),
        "clamp_resistance": positive("Ohm", 1e4, "brake resistor", math.nan),
    },
    "exciter": {
        "kind": Choice(EXCITERS),
        "supply": Choice(SUPPLIES),
        "u_nominal": positive("V", 1500, "nominal voltage of its supply"),
    },
    "encoder": {
        "kind": Choice(ENCODERS, "incremental"),
        "counts": count(16, 32768, "counts of one turn of the motor", 4096),
        "offset": Key("turn", 0, 1, "electrical phase of the d axis where the encoder counts 0", 0.0),
        "reversed": Choice((False, True), False),
    },
    "sensing": {
        "i_full_scale": positive("A", 2e4, "phase current of the converter's half range"),
        "i_f_full_scale": positive("A", 2e3, "field current of the converter's half range"),
        "u_dc_full_scale": positive("V", 3000, "dc-link voltage of the converter's range"),
    },
    "limits": {
        "i_trip": positive("A", 2e4, "phase current that trips"),
        "i_f_trip": positive("A", 2e3, "field current that trips"),
        "n_max": positive("rpm", 1e5, "highest speed of the drive"),
        "n_trip": positive("rpm", 1e5, "speed that trips"),
        "torque_rated": positive("N.m", 1e5, "continuous torque"),
        "torque_max": positive("N.m", 1e5, "highest torque of the machine"),
        "torque_limit": positive(
            "N.m", 1e5, "torque that the drive may use; torque_max if missing", math.nan
        ),
        "power_max_motoring": positive("W", 1e9, "shaft power that the drive may give", 1e9),
        "power_max_braking": positive("W", 1e9, "shaft power that the drive may take", 1e9),
        "torque_slew": positive("N.m/s", 1e8, "slope of the torque reference"),
        "acceleration": positive("rad/s2", 1e6, "slope of the speed ramp"),
    },
    "control": {
        "strategy": Choice(STRATEGIES, "optimal"),
        "bandwidth_current": Key("Hz", 10, 3000, "bandwidth of the d and q current control"),
        "bandwidth_field": Key("Hz", 1, 1000, "bandwidth of the field current control"),
        "bandwidth_speed": Key("Hz", 0.1, 200, "bandwidth of the speed control"),
        "bandwidth_pll": Key("Hz", 5, 1000, "bandwidth of the angle tracker"),
        "driveline_damping": not_negative("N.m.s", 1e4, "torque per quick change of speed, 0: off", 0.0),
        "driveline_corner": Key("Hz", 0.2, 5, "slower changes of speed are not damped", 1.5),
        "field_floor": Key("1", 0, 0.5, "share of i_f_max kept up while ready", 0.12),
        "field_help": Key("1", 0, 4, "how strongly i_d helps a lagging field", 1.0),
        "u_margin": Key("1", 0, 0.3, "share of the voltage kept back by the current control", 0.0),
        "dead_time_compensated": not_negative(
            "s", 10e-6, "dead time that is compensated; all if missing", math.nan
        ),
        "dead_time_zone": positive("A", 1000, "phase current at which it is compensated in full"),
        "host_timeout": Key("s", 0.05, 60, "silence of the host that stops the drive", 0.5),
        "check_direction": count(0, 1, "1: arming moves the shaft a little to check the encoder", 1),
    },
    "safety": {
        "short_allowed": Choice((False, True), False),
        "main_loop_timeout": Key("s", 0.12, 10, "silence of the main loop that trips", 0.15),
        "i_continuous": positive(
            "A", 1e4, "stator current that may flow for ever; 0.55 of the motor's i_max if missing", math.nan
        ),
        "overload_time": Key("s", 0.1, 600, "time that i_max may flow in a cool stator", 10.0),
        "stall_time": Key("s", 0.1, 600, "time that the shaft may stand under full torque", 2.0),
        "board_warm": Key("degC", 0, 150, "temperature of the board above which torque is reduced", 80.0),
        "board_hot": Key("degC", 0, 175, "temperature of the board that trips", 100.0),
        "stator_warm": Key("degC", 0, 200, "temperature of the stator above which torque is reduced", 140.0),
        "stator_hot": Key("degC", 0, 220, "temperature of the stator that trips", 160.0),
        "rotor_warm": Key("degC", 0, 200, "temperature of the rotor above which torque is reduced", 150.0),
        "rotor_hot": Key("degC", 0, 220, "temperature of the rotor that trips", 180.0),
    },
}
CONTINUOUS = 0.55  # share of i_max that windings and bridge stand for ever
UNIT_OPTIONAL = ("transmission", "encoder", "safety")


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
class Safety:
    """What the machine and its bridge bear, and for how long."""

    short_allowed: bool
    main_loop_timeout: float
    i_continuous: float
    overload_time: float
    stall_time: float
    board_warm: float
    board_hot: float
    stator_warm: float
    stator_hot: float
    rotor_warm: float
    rotor_hot: float


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
    safety: Safety

    def with_pwm(self, f_pwm: float, clock: float | None = None) -> "Unit":
        """The same unit at another PWM frequency and clock in Hz; UnitError where its board cannot."""
        unit = replace(self, board=self.board.at(f_pwm, clock))
        problems = [f"unit {self.name}: {where}: {why}" for where, why in check_board(unit.board)]
        if problems:
            raise UnitError("\n".join(problems))
        return unit

    def as_board(self) -> dict[str, Any]:
        """What the driver of a real board is told: flat words, pins by number; empty without pins."""
        board, hardware = self.board, self.board.hardware
        if hardware is None:
            return {}
        return {
            "chip": hardware.chip,
            "clock": round(board.clock),
            "f_pwm": board.f_pwm,
            "pwm_top": board.top,
            "dead_time_counts": board.dead_time_counts,
            "bits": board.bits,
            **hardware.describe(
                self.exciter.kind, self.encoder.kind, board.f_pwm, board.clock, board.dead_time
            ),
        }

    def as_settings(self) -> dict[str, float | int | str]:
        """What the firmware is told: flat SI values by the names of `eesm.parameters`."""
        motor, link, limits, control = self.motor, self.dc_link, self.limits, self.control
        settings: dict[str, float | int | str] = {
            "unit": self.name,
            "motor": motor.name,
            "board": self.board.name,
        }
        for name in (
            *("pole_pairs", "R_s", "L_d", "L_q", "M", "R_f", "L_f", "sigma_L_d", "i_max", "i_f_max"),
            *("k_h", "k_e"),
        ):
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
        for section in (control, self.safety):
            for item in fields(section):
                settings[item.name] = getattr(section, item.name)
        settings["short_allowed"] = int(self.safety.short_allowed)
        settings["u_brush"] = motor.u_brush
        settings["winding_temperature"] = motor.thermal.get("winding_temperature", 20.0)
        hardware = self.board.hardware
        if hardware is not None:
            # When each quantity is sampled, from the carrier's centre, and what the window costs.
            for name in ("i_a", "i_b", "i_f", "u_dc"):
                settings["sample_time_" + name] = hardware.sample_time(name)
            settings["sample_periods_u_dc"] = hardware.sample_periods("u_dc")
            settings["u_margin_window"] = self.u_margin_window
        return settings

    @property
    def u_margin_window(self) -> float:
        """Share of the voltage that the sampling window costs: duties stay in 1 - duty_max .. duty_max."""
        hardware = self.board.hardware
        if hardware is None:
            return 0.0
        return 2 * (1 - hardware.duty_max(self.board.f_pwm, self.board.dead_time))

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
        plant |= motor.thermal
        plant |= self._bridge_heat()
        plant["phase_sensors"] = board.phase_sensors
        if motor.saturation is not None:
            plant["saturated"] = 1
            for item in fields(motor.saturation):
                plant["saturation_" + item.name] = getattr(motor.saturation, item.name)
        return plant

    def _bridge_heat(self) -> dict[str, float]:
        """The bridge as a body that warms: it is sized for the motor."""
        heat, motor = self.board.heat, self.motor
        resistance = heat["rise"] / (heat["loss"] * 1.5 * motor.R_s * (CONTINUOUS * motor.i_max) ** 2)
        return {
            "ambient": heat["ambient"],
            "board_loss": heat["loss"],
            "board_R_th": resistance,
            "board_C_th": heat["time"] / resistance,
        }


# --- reading ------------------------------------------------------------------------------------


def unit_names() -> list[str]:
    """Names of the units that come with the project."""
    return stems(BOARDS / "units")


def load(name: str | Path, board: str | Path | None = None) -> Unit:
    """The unit of that name, or in that file; UnitError when there is none or it is unfit.

    `board` takes the place of the board that the unit's file names: a name, or a .toml file.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = BOARDS / "units" / f"{name}.toml"
    if not path.is_file():
        raise UnitError(f"{name}: no such drive unit{suggest(str(name), unit_names())}")
    reader = Reader(path)
    reader.open()
    if board is not None:
        reader.data["board"] = str(board)
    file = _board_file(reader, board)
    controller = read_board(file, reader.problems) if file is not None else None
    computed = controller is not None and controller.hardware is not None
    reader.start(
        UNIT,
        (*UNIT_OPTIONAL, "sensing") if computed else UNIT_OPTIONAL,
        words=("name", "title", "board", "motor"),
    )
    motor = read_motor(
        _beside(reader, "motor") or BOARDS / "motors" / f"{reader.words['motor']}.toml", reader.problems
    )
    values = {section: reader.section(section) for section in UNIT}
    reader.finish()
    assert controller is not None and motor is not None  # else finish has raised

    def build(cls: type, section: str) -> Any:
        return cls(**{key: optional(value) for key, value in values[section].items()})

    for section, key, default in (
        ("limits", "torque_limit", values["limits"]["torque_max"]),
        ("control", "dead_time_compensated", controller.dead_time),
        ("safety", "i_continuous", CONTINUOUS * motor.i_max),
    ):
        if optional(values[section][key]) is None:
            values[section][key] = default
    hardware = controller.hardware
    unit = Unit(
        name=reader.words["name"],
        title=reader.words["title"],
        path=path.resolve(),
        board=controller,
        motor=motor,
        transmission=build(Transmission, "transmission"),
        dc_link=build(DcLink, "dc_link"),
        exciter=build(Exciter, "exciter"),
        encoder=build(Encoder, "encoder"),
        sensing=build(Sensing, "sensing") if hardware is None else Sensing(**hardware.full_scales),
        limits=build(Limits, "limits"),
        control=build(Control, "control"),
        safety=build(Safety, "safety"),
    )
    check_unit(unit, reader)
    reader.finish()
    return unit


def _board_file(reader: Reader, chosen: str | Path | None) -> Path | None:
    """File of the board: the chosen one, one beside the unit, or one of the project's."""
    name = reader.data.get("board")
    if not isinstance(name, str) or not name:
        return None  # `start` says that it is missing
    if chosen is not None and Path(chosen).suffix == ".toml":
        return Path(chosen)
    return _beside(reader, "board") or BOARDS / name / "board.toml"


def _beside(reader: Reader, kind: str) -> Path | None:
    """The file beside the unit that the word `kind` names, if there is one."""
    name = reader.data[kind]
    file = reader.path.parent / (name if name.endswith(".toml") else name + ".toml")
    return file if file.is_file() and file.resolve() != reader.path.resolve() else None
