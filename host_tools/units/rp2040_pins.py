"""Pins of an RP2040: what each is for, which of them a board needs, and what a pin can do.

Section numbers are those of the RP2040 datasheet.
"""

import math
from collections.abc import Mapping
from itertools import pairwise

from host_tools.units.reader import Pin, Reader

ADC_PINS = (26, 27, 28)  # 4.9; ADC3 is GP29, which a Pico uses for VSYS
HEADER_PINS = (*range(23), 26, 27, 28)  # what a Pico brings out; 23, 24 and 29 are its own, 25 its LED
TRIGGER_SLICE = 7  # its wrap starts the sampling chain; it drives no pin
SPI_SIGNALS = ("rx", "cs", "sck", "tx")  # function F1 of four neighbouring pins, 1.4.3

EXCITER_PINS = {
    "unipolar": ("exciter_1_high",),
    "half_bridge": ("exciter_1_high", "exciter_1_low"),
    "full_bridge": ("exciter_1_high", "exciter_1_low", "exciter_2_high", "exciter_2_low"),
}
ENCODER_PINS = {
    "incremental": ("encoder_a", "encoder_b"),
    "absolute": ("angle_rx", "angle_cs", "angle_sck", "angle_tx"),
}
CONVERTER_PINS = {
    "adc": ("adc_i_a", "adc_i_b", "adc_multiplexed", "select_0", "select_1", "select_2"),
    "spi": ("converter_rx", "converter_cs", "converter_sck", "converter_tx"),
}
PHASE_PINS = tuple(f"phase_{phase}_{side}" for phase in "abc" for side in ("high", "low"))
ALWAYS = (*PHASE_PINS, "gate_enable", "fault")

PINS: dict[str, Pin] = {
    "phase_a_high": Pin("phase a, high side"),
    "phase_a_low": Pin("phase a, low side"),
    "phase_b_high": Pin("phase b, high side"),
    "phase_b_low": Pin("phase b, low side"),
    "phase_c_high": Pin("phase c, high side"),
    "phase_c_low": Pin("phase c, low side"),
    "gate_enable": Pin("gate enable, high: bridges live"),
    "fault": Pin("fault input, low: fault"),
    "exciter_1_high": Pin("exciter leg 1, high side (asymmetric half bridge: the high switch)", math.nan),
    "exciter_1_low": Pin("exciter leg 1, low side (asymmetric half bridge: the low switch)", math.nan),
    "exciter_2_high": Pin("exciter leg 2, high side", math.nan),
    "exciter_2_low": Pin("exciter leg 2, low side", math.nan),
    "encoder_a": Pin("incremental encoder A", math.nan),
    "encoder_b": Pin("incremental encoder B", math.nan),
    "encoder_z": Pin("incremental encoder's index", math.nan),
    "angle_rx": Pin("angle sensor, data from it", math.nan),
    "angle_cs": Pin("angle sensor, chip select", math.nan),
    "angle_sck": Pin("angle sensor, clock", math.nan),
    "angle_tx": Pin("angle sensor, data to it", math.nan),
    "adc_i_a": Pin("converter input of phase a", math.nan),
    "adc_i_b": Pin("converter input of phase b", math.nan),
    "adc_multiplexed": Pin("converter input behind the multiplexer", math.nan),
    "select_0": Pin("multiplexer, select bit 0", math.nan),
    "select_1": Pin("multiplexer, select bit 1", math.nan),
    "select_2": Pin("multiplexer, select bit 2", math.nan),
    "converter_rx": Pin("converter, data from it", math.nan),
    "converter_cs": Pin("converter, chip select", math.nan),
    "converter_sck": Pin("converter, clock", math.nan),
    "converter_tx": Pin("converter, data to it", math.nan),
    "led": Pin("light that shows the state", math.nan),
}


def slice_of(pin: int) -> int:
    """PWM slice of a pin, 4.5.2."""
    return pin // 2 % 8


def spi_of(pin: int) -> int:
    """Which SPI a pin belongs to, 1.4.3."""
    return (pin // 8) % 2


def check_pins(
    reader: Reader,
    pins: Mapping[str, int],
    converter: str,
    exciters: tuple[str, ...],
    encoders: tuple[str, ...],
) -> None:
    """Pins that are needed are there, none does two things, each can do its own."""
    needed = set(CONVERTER_PINS[converter])
    for kind in exciters:
        needed.update(EXCITER_PINS[kind])
    for kind in encoders:
        needed.update(ENCODER_PINS[kind])
    for name, rule in PINS.items():
        if name in needed and name not in pins:
            reader.refuse(f"pins.{name}", f"missing ({rule.expected})")
    extra = {"led", *(("encoder_z",) if "incremental" in encoders else ())}
    owner: dict[int, str] = {}
    for name, pin in pins.items():
        where = f'pins.{name} = "GP{pin}"'
        if name not in needed and name not in ALWAYS and name not in extra:
            reader.refuse(where, f'nothing uses it; delete it, or write without = ["pins.{name}"]')
            continue
        if pin not in HEADER_PINS and not (name == "led" and pin == 25):
            reader.refuse(where, "a Pico brings out GP0 to GP22 and GP26 to GP28; GP25 is its LED")
            continue
        if pin in owner:
            reader.refuse(where, f"GP{pin} is pins.{owner[pin]} already")
        else:
            owner[pin] = name
        _check_function(reader, where, name, pin)
    _check_legs(reader, pins)
    used_by: dict[int, str] = {}
    for group in ("angle", "converter"):
        members = [pins[f"{group}_{s}"] for s in SPI_SIGNALS if f"{group}_{s}" in pins]
        if len({spi_of(pin) for pin in members}) > 1:
            listed = ", ".join(f"GP{pin} (SPI{spi_of(pin)})" for pin in members)
            reader.refuse(f"pins.{group}_*", f"they belong to two SPIs: {listed} (1.4.3)")
        elif members and used_by.setdefault(spi_of(members[0]), group) != group:
            reader.refuse(f"pins.{group}_*", f"SPI{spi_of(members[0])} is that of pins.angle_* already")
    for names, why in (
        (("encoder_a", "encoder_b", "encoder_z"), "one PIO program reads neighbours in this order"),
        (("select_0", "select_1", "select_2"), "one write sets all three"),
    ):
        found = {name: pins[name] for name in names if name in pins}
        if any(b != a + 1 for a, b in pairwise(found.values())):
            listed = ", ".join(f"GP{pin}" for pin in found.values())
            reader.refuse(", ".join("pins." + name for name in found), f"{listed}: {why}")


def _check_function(reader: Reader, where: str, name: str, pin: int) -> None:
    """Whether the pin can do what its name asks for."""
    if name.startswith(("phase_", "exciter_")):
        wanted = 0 if name.endswith("_high") else 1
        if pin % 2 != wanted:
            has, needs = ("B", "A, an even pin") if pin % 2 else ("A", "B, an odd pin")
            side = name.rpartition("_")[2]
            reader.refuse(
                where,
                f"it is channel {has} of PWM slice {slice_of(pin)}; "
                f"a {side} side needs channel {needs} (4.5.2)",
            )
        elif slice_of(pin) == TRIGGER_SLICE:
            reader.refuse(where, f"PWM slice {TRIGGER_SLICE} starts the sampling and drives no pin")
    elif name.startswith("adc_") and pin not in ADC_PINS:
        reader.refuse(where, "only GP26, GP27 and GP28 reach the converter (4.9)")
    elif name.startswith(("angle_", "converter_")):
        signal = name.rpartition("_")[2]
        if SPI_SIGNALS[pin % 4] != signal:
            groups = ", ".join(f"GP{n}" for n in HEADER_PINS if SPI_SIGNALS[n % 4] == signal)
            reader.refuse(
                where,
                f"it is {SPI_SIGNALS[pin % 4]} of SPI{spi_of(pin)}, not {signal}; "
                f"{signal} is on {groups} (1.4.3)",
            )


def _check_legs(reader: Reader, pins: Mapping[str, int]) -> None:
    """Both sides of a leg share a slice, no two legs do."""
    legs: dict[int, str] = {}
    for leg in ("phase_a", "phase_b", "phase_c", "exciter_1", "exciter_2"):
        high, low = pins.get(leg + "_high"), pins.get(leg + "_low")
        if high is None:
            continue
        if low is not None and slice_of(low) != slice_of(high):
            reader.refuse(
                f'pins.{leg}_low = "GP{low}"',
                f"it is PWM slice {slice_of(low)}, pins.{leg}_high slice {slice_of(high)}; "
                f"both sides share a slice: GP{high + 1}",
            )
        other = legs.setdefault(slice_of(high), leg)
        if other != leg:
            reader.refuse(
                f'pins.{leg}_high = "GP{high}"',
                f"PWM slice {slice_of(high)} is that of {other} already (4.5.2)",
            )
