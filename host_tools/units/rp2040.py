"""Boards with an RP2040: pins, sampling and the amplifiers before the converter, and what the chip can do.

Section numbers are those of the RP2040 datasheet.  A pin is written as "GP14"; which pins a board needs
follows from its converter, exciters and encoders.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from host_tools.units.reader import Choice, Key, Reader, Vocabulary, Words, count, not_negative, positive
from host_tools.units.rp2040_pins import (
    ADC_PINS,
    ALWAYS,
    CONVERTER_PINS,
    ENCODER_PINS,
    EXCITER_PINS,
    PINS,
    check_pins,
    spi_of,
)
from host_tools.units.words import ENCODERS, EXCITERS

CONVERTERS = ("adc", "spi")
SAMPLINGS = ("in_line", "low_side")
CURRENTS = ("i_a", "i_b", "i_f")
TEMPERATURES = ("temperature_stator", "temperature_board")
QUANTITIES = (*CURRENTS, "u_dc", *TEMPERATURES)

ADC_RATE = 500e3  # samples a second, 4.9
WATCHDOG_MAX = 8.388  # s, 4.7: 24 bits that erratum E1 counts down by two every microsecond
CLOCK_MAX = 200e6

# The driver selects the next input this long after the start of a conversion, s.
SELECT_DELAY = 0.5e-6
# A sample of u_dc older than this many periods would see an over-voltage too late.
U_DC_PERIODS = 2
# Share of a period that the conversions may take; the kernel needs the rest.
CHAIN_SHARE = 0.5
# Largest share of the voltage that a low-side shunt's window may cost.
WINDOW_SHARE = 0.5


def _channel(meaning: str) -> Key:
    return Key("1", 0, 7, meaning, math.nan, integer=True)


_SECTIONS: Vocabulary = {
    "pins": PINS,
    "exciter": {"kinds": Words(EXCITERS, "exciters that it can drive")},
    "encoder": {
        "kinds": Words(ENCODERS, "encoders that it reads"),
        "count_rate_max": positive("Hz", 20e6, "fastest counts of an incremental encoder"),
    },
    "angle_sensor": {
        "bits": count(8, 16, "resolution of a turn"),
        "frame_bits": count(8, 16, "length of an SPI frame"),
        "shift": count(0, 8, "places below the angle in a frame"),
        "mode": count(0, 3, "SPI mode"),
        "clock": positive("Hz", 30e6, "fastest SPI clock"),
        "command": count(0, 0xFFFF, "word that is sent to read the angle"),
    },
    "channels": {
        "i_a": _channel("converter input of phase a"),
        "i_b": _channel("converter input of phase b"),
        "i_f": _channel("input of the field current"),
        "u_dc": _channel("input of the dc-link voltage"),
        "temperature_stator": _channel("input of the stator's temperature"),
        "temperature_board": _channel("input of the bridge's temperature"),
    },
    "multiplexer": {"settling": not_negative("s", 10e-6, "time from a new selection to its conversion")},
    "spi_converter": {
        "clock": positive("Hz", 50e6, "fastest SPI clock"),
        "mode": count(0, 3, "SPI mode"),
        "frame_bits": count(16, 16, "length of an SPI frame"),
        "address_shift": count(0, 13, "place of the channel's number in the word that is sent"),
        "pipeline": count(0, 2, "frames from a channel's number to its result"),
    },
    "sampling": {
        "kind": Choice(SAMPLINGS),
        "settling": not_negative("s", 20e-6, "time that the amplifiers need after an edge of the bridge"),
    },
    "sensing": {
        "phase_shunt": positive("Ohm", 10, "shunt of a phase"),
        "phase_gain": positive("1", 1000, "gain of its amplifier"),
        "field_shunt": positive("Ohm", 10, "shunt of the field"),
        "field_gain": positive("1", 1000, "gain of its amplifier"),
        "current_filter_r": positive("Ohm", 1e5, "resistor before a current's converter input"),
        "current_filter_c": positive("F", 1e-6, "capacitor at a current's converter input"),
        "divider_top": positive("Ohm", 1e8, "dc-link divider, upper resistor"),
        "divider_bottom": positive("Ohm", 1e8, "dc-link divider, lower resistor"),
        "divider_c": positive("F", 1e-6, "capacitor across the lower resistor"),
    },
    "temperature": {
        "ntc_25": positive("Ohm", 1e6, "resistance of the NTC resistors at 25 degrees Celsius"),
        "ntc_beta": positive("K", 1e4, "their B constant"),
        "ntc_series": positive("Ohm", 1e6, "resistor from the reference to the NTC resistor"),
    },
    "safety": {
        "watchdog": Key("s", 0.01, WATCHDOG_MAX, "silence of the main loop that resets the board"),
        "gate_pull_down": Key("Ohm", 100, 47e3, "resistor from each gate signal to ground"),
        "fault_pull_up": Key("Ohm", 100, 100e3, "resistor from the fault input to 3.3 V"),
        "bleeder": positive("Ohm", 1e6, "resistor that discharges the dc link"),
    },
    "limits": {
        "f_pwm_max": positive("Hz", 100e3, "highest PWM frequency"),
        "clock_max": positive("Hz", CLOCK_MAX, "highest clock"),
        "dead_time_min": positive("s", 20e-6, "least dead time of the bridge"),
        "sample_rate_max": positive("Hz", 20e6, "fastest conversions"),
        "u_dc_max": positive("V", 2000, "voltage that bridge and exciter stand"),
    },
}
_CONVERTER: Mapping[str, Any] = {
    "kind": Choice(CONVERTERS),
    "reference": Key("V", 1, 5, "voltage of the converter's full range"),
    "conversion_time": positive("s", 20e-6, "time of a conversion"),
    "handover": not_negative("s", 2e-6, "time from one conversion's end to the next one's start"),
    "hold": not_negative("s", 5e-6, "time from a conversion's start to the instant that it holds"),
    "order": Words(("slow", *QUANTITIES), "conversions of a period, first to last"),
    "slow": Words(("u_dc", *TEMPERATURES), "what `slow` takes in turn, one a period"),
}
OPTIONAL = ("angle_sensor", "multiplexer", "spi_converter", "temperature")


def vocabulary(common: Vocabulary) -> Vocabulary:
    """Sections of such a board: the common ones, its own, and a converter that is described further."""
    converter = {key: rule for key, rule in common["converter"].items() if key != "skew"}
    return {**common, **_SECTIONS, "converter": {**converter, **_CONVERTER}}


@dataclass(frozen=True)
class Hardware:
    """Pins, sampling and sensing of a board with an RP2040; SI units."""

    chip = "rp2040"

    pins: Mapping[str, int]
    exciters: tuple[str, ...]
    encoders: tuple[str, ...]
    count_rate_max: float
    converter: str
    reference: float
    conversion_time: float
    handover: float
    hold: float
    order: tuple[str, ...]
    slow: tuple[str, ...]
    channels: Mapping[str, int]
    sampling: str
    amplifier_settling: float
    sensing: Mapping[str, float]
    safety: Mapping[str, float]
    limits: Mapping[str, float]
    angle_sensor: Mapping[str, int] | None
    multiplexer_settling: float | None
    spi_converter: Mapping[str, int] | None
    temperature: Mapping[str, float] | None

    # --- what the amplifiers and dividers mean ----------------------------------------------------------

    @property
    def full_scales(self) -> dict[str, float]:
        """What the converter's range means: A of half the range, twice, and V of the whole."""
        s = self.sensing
        return {
            "i_full_scale": self.reference / 2 / (s["phase_shunt"] * s["phase_gain"]),
            "i_f_full_scale": self.reference / 2 / (s["field_shunt"] * s["field_gain"]),
            "u_dc_full_scale": self.reference * (1 + s["divider_top"] / s["divider_bottom"]),
        }

    def formula(self, scale: str) -> str:
        """How a full scale follows, with numbers, for texts."""
        s = self.sensing
        if scale == "u_dc_full_scale":
            return f"{self.reference:g} V * (1 + {s['divider_top']:g} Ohm / {s['divider_bottom']:g} Ohm)"
        which = "phase" if scale == "i_full_scale" else "field"
        return f"{self.reference:g} V / 2 / ({s[which + '_shunt']:g} Ohm * {s[which + '_gain']:g})"

    @property
    def u_dc_filter(self) -> float:
        """Time constant in s of the dc-link divider with its capacitor."""
        top, bottom = self.sensing["divider_top"], self.sensing["divider_bottom"]
        return top * bottom / (top + bottom) * self.sensing["divider_c"]

    @property
    def current_filter(self) -> float:
        """Time constant in s before a current's converter input."""
        return self.sensing["current_filter_r"] * self.sensing["current_filter_c"]

    # --- when samples are taken ---------------------------------------------------------------------------

    @property
    def pitch(self) -> float:
        """Time in s from the start of a conversion to the start of the next."""
        return self.conversion_time + self.handover

    @property
    def lead(self) -> float:
        """Time in s from the first conversion's start to the carrier's centre.

        The instants at which i_a and i_b are held lie symmetric about the centre.
        """
        middle = (self.order.index("i_a") + self.order.index("i_b")) / 2
        return middle * self.pitch + self.hold

    def sample_time(self, quantity: str) -> float:
        """Time in s at which a quantity is held, from the carrier's centre; "slow" is one of them."""
        place = quantity if quantity in self.order else "slow"
        return round(self.order.index(place) * self.pitch + self.hold - self.lead, 12)

    def sample_periods(self, quantity: str) -> int:
        """Periods between two samples of a quantity, at most."""
        if quantity in self.order:
            return 1
        places = [n for n, name in enumerate(self.slow) if name == quantity]
        turn = len(self.slow)
        return max((b - a - 1) % turn + 1 for a, b in zip(places, [*places[1:], places[0]], strict=True))

    def duty_max(self, f_pwm: float, dead_time: float) -> float:
        """Highest duty at which the phase currents can be seen.

        A low-side shunt carries the current only while the low side conducts, which is in the middle
        of the period: the amplifiers must have settled before the first sample, and the last one be
        held before the low side opens.
        """
        if self.sampling == "in_line":
            return 1.0
        times = [self.sample_time("i_a"), self.sample_time("i_b")]
        before = dead_time + self.amplifier_settling - min(times)
        return 1 - 2 * max(before, *times) * f_pwm

    # --- rules that depend on the rate --------------------------------------------------------------------

    def check(self, f_pwm: float, clock: float, dead_time: float) -> list[tuple[str, str]]:
        """What contradicts at this rate: (where, why)."""
        found: list[tuple[str, str]] = []

        def rule(holds: bool, where: str, why: str) -> None:
            if not holds:
                found.append((where, why))

        limits = self.limits
        rule(
            f_pwm <= limits["f_pwm_max"],
            f"pwm.f_pwm = {f_pwm:g} Hz",
            f"limits.f_pwm_max is {limits['f_pwm_max']:g} Hz",
        )
        rule(
            clock <= limits["clock_max"],
            f"pwm.clock = {clock:g} Hz",
            f"limits.clock_max is {limits['clock_max']:g} Hz",
        )
        rule(
            dead_time >= limits["dead_time_min"],
            f"pwm.dead_time = {dead_time:g} s",
            f"limits.dead_time_min is {limits['dead_time_min']:g} s; with less both sides of a leg conduct",
        )
        chain = len(self.order) * self.pitch
        rule(
            chain <= CHAIN_SHARE / f_pwm,
            f"converter.order: {len(self.order)} conversions",
            f"they take {1e6 * chain:.3g} us of a period of {1e6 / f_pwm:.4g} us, "
            f"at most {100 * CHAIN_SHARE:g} % are left to them",
        )
        duty_max = self.duty_max(f_pwm, dead_time)
        rule(
            2 * (1 - duty_max) <= WINDOW_SHARE,
            f"sampling.kind = {self.sampling!r}",
            f"its window leaves {100 * (2 * duty_max - 1):.3g} % of the voltage at {f_pwm:g} Hz, "
            f"at least {100 * (1 - WINDOW_SHARE):g} % are needed; lower f_pwm, or sense in line",
        )
        return found

    # --- what the firmware is told ------------------------------------------------------------------------

    def describe(
        self, exciter: str, encoder: str, f_pwm: float, clock: float, dead_time: float
    ) -> dict[str, Any]:
        """Flat words for the driver, of what a unit with this exciter and encoder uses."""
        used = [*ALWAYS, *EXCITER_PINS[exciter], *ENCODER_PINS[encoder], *CONVERTER_PINS[self.converter]]
        used += [name for name in ("led", "encoder_z") if name in self.pins]
        if encoder != "incremental":
            used = [name for name in used if name != "encoder_z"]
        data: dict[str, Any] = {
            **{"pin_" + name: self.pins[name] for name in used},
            "exciter_kind": exciter,
            "encoder_kind": encoder,
            "watchdog_ms": round(1e3 * self.safety["watchdog"]),
            "converter": self.converter,
            "order": list(self.order),
            "slow": list(self.slow),
            "conversion_counts": math.ceil(self.pitch * clock - 1e-6),
            "trigger_lead_counts": math.ceil(self.lead * clock - 1e-6),
            "sampling": self.sampling,
            "duty_max": round(self.duty_max(f_pwm, dead_time), 9),
        }
        for name in self.order:
            data["sample_time_" + name] = self.sample_time(name)
        if encoder == "absolute":
            assert self.angle_sensor is not None  # `read_hardware` has refused the board
            data["angle_spi"] = spi_of(self.pins["angle_sck"])
            data |= {"angle_" + key: value for key, value in self.angle_sensor.items()}
        if self.converter == "spi":
            assert self.spi_converter is not None
            data["converter_spi"] = spi_of(self.pins["converter_sck"])
            data |= {"converter_" + key: value for key, value in self.spi_converter.items()}
            data |= {"channel_" + name: self.channels[name] for name in self.quantities}
        else:
            assert self.multiplexer_settling is not None
            data["settling_counts"] = math.ceil(self.multiplexer_settling * clock - 1e-6)
            for name in self.quantities:
                pin = self.pins["adc_" + (name if name in ("i_a", "i_b") else "multiplexed")]
                data["channel_" + name] = pin - ADC_PINS[0]
                if name not in ("i_a", "i_b"):
                    data["select_" + name] = self.channels[name]
        data |= self.temperature or {}
        return data

    @property
    def quantities(self) -> list[str]:
        """All quantities that are converted, in the order of QUANTITIES."""
        return [name for name in QUANTITIES if name in self.order or name in self.slow]


# --- reading and checking -----------------------------------------------------------------------


def read_hardware(reader: Reader, values: Mapping[str, Mapping[str, Any]]) -> Hardware | None:
    """The hardware of a board file whose sections hold `values`; None when something was refused."""
    before = len(reader.problems)
    converter = values["converter"]
    kind = converter["kind"]
    pins = {name: int(pin) for name, pin in values["pins"].items() if not math.isnan(pin)}
    exciters, encoders = values["exciter"]["kinds"], values["encoder"]["kinds"]
    for section, needed in (
        ("multiplexer", kind == "adc"),
        ("spi_converter", kind == "spi"),
        ("angle_sensor", "absolute" in encoders),
        ("temperature", any(name in converter["slow"] + converter["order"] for name in TEMPERATURES)),
    ):
        _section(reader, section, needed)
    check_pins(reader, pins, kind, exciters, encoders)
    channels = {name: int(n) for name, n in values["channels"].items() if not math.isnan(n)}
    _check_order(reader, converter["order"], converter["slow"])
    _check_channels(reader, channels, kind, converter["order"] + converter["slow"])
    limits, safety = values["limits"], values["safety"]
    fastest = min(limits["sample_rate_max"], ADC_RATE) if kind == "adc" else limits["sample_rate_max"]
    reader.rule(
        converter["conversion_time"] * fastest >= 1 - 1e-9,
        f"converter.conversion_time = {converter['conversion_time']:g} s",
        f"the converter takes {fastest:g} samples a second at most, {1 / fastest:g} s each"
        + (" (4.9)" if fastest == ADC_RATE else ""),
    )
    if kind == "spi" and "spi_converter" in reader.data:
        bits = values["spi_converter"]["frame_bits"]
        frame = bits / values["spi_converter"]["clock"]
        reader.rule(
            converter["conversion_time"] >= frame * (1 - 1e-9),
            f"converter.conversion_time = {converter['conversion_time']:g} s",
            f"a frame of {bits} bits takes {frame:.4g} s at spi_converter.clock",
        )
    reader.rule(
        converter["hold"] <= converter["conversion_time"],
        f"converter.hold = {converter['hold']:g} s",
        f"the sample is held within its conversion_time = {converter['conversion_time']:g} s",
    )
    if kind == "adc" and "multiplexer" in reader.data:
        settling = values["multiplexer"]["settling"]
        time = converter["conversion_time"] + converter["handover"] - SELECT_DELAY
        reader.rule(
            settling <= time,
            f"multiplexer.settling = {settling:g} s",
            f"from the new selection to its conversion there are {time:g} s",
        )
    if len(reader.problems) > before:
        return None

    def whole(section: str) -> dict[str, Any] | None:
        if section not in reader.data:
            return None
        return {key: int(v) if float(v).is_integer() else v for key, v in values[section].items()}

    return Hardware(
        pins=pins,
        exciters=exciters,
        encoders=encoders,
        count_rate_max=values["encoder"]["count_rate_max"],
        converter=kind,
        channels=channels,
        **{
            key: converter[key]
            for key in ("reference", "conversion_time", "handover", "hold", "order", "slow")
        },
        sampling=values["sampling"]["kind"],
        amplifier_settling=values["sampling"]["settling"],
        sensing=values["sensing"],
        safety=safety,
        limits=limits,
        angle_sensor=whole("angle_sensor"),
        multiplexer_settling=values["multiplexer"]["settling"] if kind == "adc" else None,
        spi_converter=whole("spi_converter"),
        temperature=whole("temperature"),
    )


def _section(reader: Reader, name: str, needed: bool) -> None:
    there = name in reader.data
    if needed and not there:
        reader.refuse(f"[{name}]", "the section is missing")
    elif there and not needed:
        reader.refuse(f"[{name}]", f'nothing uses it; delete it, or write without = ["{name}"]')


def _check_order(reader: Reader, order: tuple[str, ...], slow: tuple[str, ...]) -> None:
    """Every current each period, u_dc often enough, i_a and i_b next to each other."""
    where = f"converter.order = {list(order)}"
    for name in (*CURRENTS, "slow"):
        reader.rule(
            order.count(name) == 1, where, f"{name} must be there once, it is {order.count(name)} times"
        )
    if "i_a" in order and "i_b" in order:
        reader.rule(
            abs(order.index("i_a") - order.index("i_b")) == 1,
            where,
            "i_a and i_b are sampled around the centre, next to each other",
        )
    for name in ("u_dc", *TEMPERATURES):
        reader.rule(
            order.count(name) + (name in slow) <= 1, where, f"{name} is converted twice; once is enough"
        )
    if "u_dc" not in order:
        places = [n for n, name in enumerate(slow) if name == "u_dc"]
        turn = len(slow)
        gaps = [(b - a - 1) % turn + 1 for a, b in zip(places, places[1:] + places[:1], strict=True)]
        reader.rule(
            bool(gaps) and max(gaps) <= U_DC_PERIODS,
            f"converter.slow = {list(slow)}",
            f"u_dc must be sampled every {U_DC_PERIODS} periods at least, "
            + (f"it is every {max(gaps)}" if gaps else "it is never"),
        )


def _check_channels(
    reader: Reader, channels: Mapping[str, int], converter: str, converted: tuple[str, ...]
) -> None:
    """Each quantity that is converted has an input of its own."""
    by_pin = ("i_a", "i_b") if converter == "adc" else ()
    for name in QUANTITIES:
        if name in channels and name in by_pin:
            reader.refuse(f"channels.{name}", f"pins.adc_{name} says where it is; delete it")
        elif name in converted and name not in channels and name not in by_pin:
            reader.refuse(f"channels.{name}", "missing: it is in converter.order or converter.slow")
        elif name in channels and name not in converted:
            reader.refuse(f"channels.{name} = {channels[name]}", "neither converter.order nor .slow has it")
    owner: dict[int, str] = {}
    for name, channel in channels.items():
        other = owner.setdefault(channel, name)
        if other != name:
            reader.refuse(f"channels.{name} = {channel}", f"input {channel} is {other} already")
