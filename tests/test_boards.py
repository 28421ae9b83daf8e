"""Boards of a chip: pins, sampling, sensing; what an RP2040 cannot do is refused with key, value, limit."""

import json
import re
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eesm import parameters
from eesm.drive import READY, RPM
from host_tools import build
from host_tools.simulate import Simulation
from host_tools.units import BOARDS, Unit, UnitError, load, load_board
from host_tools.units.rp2040_pins import HEADER_PINS, slice_of

LEGS = ("phase_a", "phase_b", "phase_c")
PICO = (BOARDS / "rpi_pico" / "board.toml").read_text(encoding="utf-8")


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """The Pico's board file with lines replaced."""
    text = PICO
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = tmp_path / "odd.toml"
    path.write_text(text, encoding="utf-8")
    return path


def own(tmp_path: Path, text: str) -> Path:
    """A board file of somebody's own."""
    path = tmp_path / "bench.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UnitError) as caught:
        load_board(path)
    return str(caught.value)


SLOW = 'slow = ["u_dc", "temperature_stator", "u_dc", "temperature_board"]'


# --- what follows from the numbers ------------------------------------------------------------------


def test_full_scales_follow_from_shunts_gains_divider_and_reference() -> None:
    """By hand: 1.65 V / (1 mOhm * 20), 1.65 V / (10 mOhm * 20), 3.3 V * (100 + 4.3) / 4.3."""
    for board in ("rpi_pico", "rpi_pico_spi"):
        unit = load("a", board=board)
        assert unit.sensing.i_full_scale == pytest.approx(82.5)
        assert unit.sensing.i_f_full_scale == pytest.approx(8.25)
        assert unit.sensing.u_dc_full_scale == pytest.approx(80.0442, abs=1e-4)
        settings = unit.as_settings()
        assert (settings["i_base"], settings["u_base"]) == (
            unit.sensing.i_full_scale,
            unit.sensing.u_dc_full_scale,
        )
        assert unit.as_plant()["i_base"] == settings["i_base"]
    assert load("a").sensing.i_full_scale == 70  # the virtual board still scales by the unit


@pytest.mark.parametrize(
    ("unit", "where", "limit"),
    [
        ("b", "limits.i_trip = 112 A", "at most 66 A"),
        ("c", "limits.i_f_trip = 32 A", "at most 6.6 A"),
        ("c", "dc_link.u_trip = 500 V: board rpi_pico measures up to 80.04 V", "at most 64.04 V"),
        ("c", "dc_link.u_trip = 500 V: board rpi_pico stands", "75 V"),
        ("c", "exciter.u_nominal = 400 V", "stands 75 V"),
    ],
)
def test_unit_that_needs_more_than_the_board_measures_is_refused(unit: str, where: str, limit: str) -> None:
    with pytest.raises(UnitError) as caught:
        load(unit, board="rpi_pico")
    (line,) = [line for line in str(caught.value).splitlines() if where in line]
    assert limit in line


def test_another_shunt_in_a_file_of_ones_own_takes_the_larger_unit(tmp_path: Path) -> None:
    board = own(
        tmp_path,
        'based_on = "rpi_pico"\n[sensing]\nphase_shunt = { value = 0.5, unit = "mOhm" }\n'
        'field_shunt = { value = 10, unit = "mOhm" }\n',
    )
    unit = load("b", board=board)
    assert unit.sensing.i_full_scale == pytest.approx(165)
    assert unit.board.name == "bench"
    assert unit.board.hardware is not None and unit.board.hardware.pins["phase_a_high"] == 0
    assert build.folder_of(unit).name == "b-bench"


def test_samples_lie_around_the_centre() -> None:
    for name, pitch, hold in (("rpi_pico", 2.1e-6, 0.0), ("rpi_pico_spi", 1.2e-6, 0.22e-6)):
        hardware = load_board(name).hardware
        assert hardware is not None
        times = [hardware.sample_time(place) for place in hardware.order]
        assert all(b - a == pytest.approx(pitch) for a, b in pairwise(times))
        assert hardware.sample_time("i_a") == pytest.approx(-pitch / 2)
        assert hardware.sample_time("i_b") == pytest.approx(pitch / 2)
        assert hardware.sample_time("u_dc") == hardware.sample_time("slow") == pytest.approx(-2.5 * pitch)
        assert hardware.lead == pytest.approx(2.5 * pitch + hold)  # of the start, not of the hold
        assert [hardware.sample_periods(q) for q in ("i_f", "u_dc", "temperature_stator")] == [1, 2, 4]


def test_another_order_needs_no_slow_turns_for_the_dc_link(tmp_path: Path) -> None:
    board = changed(
        tmp_path,
        ('order = ["slow", "i_f", "i_a", "i_b"]', 'order = ["i_f", "i_b", "i_a", "u_dc", "slow"]'),
        (SLOW, 'slow = ["temperature_stator", "temperature_board"]'),
    )
    unit = load("a", board=board)
    data = unit.as_board()
    assert [round(1e6 * data["sample_time_" + name], 2) for name in data["order"]] == [
        -3.15,
        -1.05,
        1.05,
        3.15,
        5.25,
    ]
    assert unit.as_settings()["sample_periods_u_dc"] == 1
    assert data["trigger_lead_counts"] == 394  # 3.15 us at 125 MHz


def test_low_side_window_limits_the_voltage(tmp_path: Path) -> None:
    """0.5 us of dead time, 1.5 us of settling, first sample 1.05 us early: 3.05 us to either side."""
    board = changed(tmp_path, ('kind = "in_line"', 'kind = "low_side"'))
    unit = load("a", board=board)
    duty_max = unit.as_board()["duty_max"]
    assert duty_max == pytest.approx(1 - 2 * 3.05 / 50)
    assert unit.u_margin_window == pytest.approx(2 * (1 - duty_max))
    in_line = load("a", board="rpi_pico")
    assert in_line.u_margin_window == 0 and in_line.as_board()["duty_max"] == 1

    # The highest duty of a vector of length u_max along a line-to-line axis, dead time compensated.
    words = parameters.derive(unit.as_settings())
    share = words["k_u_max"] / 32768 * sqrt(3)
    lost = unit.board.dead_time * unit.board.f_pwm
    assert (1 + share) / 2 + lost == pytest.approx(duty_max, abs=1e-4)
    # A user cannot take the window back, but may keep more.
    settings = unit.as_settings()
    assert parameters.derive(settings | {"u_margin": 0.1})["k_u_max"] == words["k_u_max"]
    assert parameters.derive(settings | {"u_margin": 0.3})["k_u_max"] < words["k_u_max"]


@pytest.mark.slow
def test_a_drive_with_low_side_shunts_keeps_within_the_window_at_any_speed(tmp_path: Path) -> None:
    """Up to 5500 rpm, far beyond where the voltage ends: both shunts are seen in every period."""
    unit = load("a", board=changed(tmp_path, ('kind = "in_line"', 'kind = "low_side"')))
    simulation = Simulation(unit, 1)
    simulation.drive.arm()
    while simulation.drive.state != READY:
        simulation.advance(20)
    simulation.drive.set_speed(5500 * RPM)
    highest = 0
    for _ in range(400):
        simulation.advance(60)
        signals, _ = simulation.loop.record(40, ("compare_a", "compare_b"))
        highest = max(highest, int(signals.max()))
    assert simulation.drive.si("w_e") / unit.motor.pole_pairs / RPM == pytest.approx(5500, rel=1e-3)
    assert 0.99 * 0.878 * unit.board.top < highest <= 0.878 * unit.board.top + 1


def test_window_that_eats_the_voltage_is_refused(tmp_path: Path) -> None:
    board = changed(
        tmp_path,
        ('kind = "in_line"', 'kind = "low_side"'),
        ('settling = { value = 1.5, unit = "us" }', 'settling = { value = 6, unit = "us" }'),
    )
    text = refusal(board)
    assert "sampling.kind = 'low_side'" in text and "39.6 % of the voltage" in text and "50 %" in text


@pytest.mark.parametrize(
    ("f_pwm", "clock", "top", "counts"),
    [(10e3, 125e6, 6250, 63), (20e3, 125e6, 3125, 63), (40e3, 125e6, 1562, 63), (40e3, 200e6, 2500, 100)],
)
def test_another_rate_and_clock(f_pwm: float, clock: float, top: int, counts: int) -> None:
    unit = load("a", board="rpi_pico").with_pwm(f_pwm, clock)
    data = unit.as_board()
    assert (data["pwm_top"], data["dead_time_counts"], data["clock"]) == (top, counts, clock)
    assert data["trigger_lead_counts"] == pytest.approx(5.25e-6 * clock, abs=1)
    assert unit.as_settings()["pwm_top"] == top


def test_rate_and_clock_beyond_the_board_are_refused() -> None:
    unit = load("a", board="rpi_pico")
    with pytest.raises(UnitError, match=r"pwm.f_pwm = 50000 Hz: limits.f_pwm_max is 40000 Hz"):
        unit.with_pwm(50e3)
    with pytest.raises(UnitError, match=r"pwm.clock = 2.5e\+08 Hz: limits.clock_max is 2e\+08 Hz"):
        unit.with_pwm(20e3, 250e6)


# --- what the driver is told ------------------------------------------------------------------------


def test_built_unit_carries_the_pins_that_it_uses() -> None:
    linked = build.link_unit(load("a", board="rpi_pico"))
    data = json.loads(json.dumps(linked.unit["board"]))
    assert data["chip"] == "rp2040" and linked.unit["identity"]["board"] == "rpi_pico"
    pins = {name: value for name, value in data.items() if name.startswith("pin_")}
    assert len(set(pins.values())) == len(pins)
    assert pins["pin_exciter_1_low"] == 7 and "pin_exciter_2_high" not in pins
    assert pins["pin_encoder_z"] == 12 and "pin_angle_sck" not in pins
    assert [data["channel_" + name] for name in ("i_a", "i_b", "i_f", "u_dc")] == [0, 1, 2, 2]
    assert (data["select_i_f"], data["select_u_dc"]) == (0, 1)
    assert all(isinstance(value, (int, float, str, list)) for value in data.values())
    assert "board" not in build.link_unit(load("a")).unit


def test_signals_say_how_old_their_samples_are() -> None:
    def meanings(unit: Unit) -> dict[str, str]:
        return {row["name"]: row["meaning"] for row in build.link_unit(unit).schema["signals"]}

    pico = meanings(load("a", board="rpi_pico"))
    assert pico["i_a_raw"].endswith(", taken 1.05 us before the middle of the PWM period")
    assert pico["i_b_raw"].endswith(", taken 1.05 us after the middle of the PWM period")
    assert pico["u_dc_raw"].endswith(", taken 5.25 us before the middle of the PWM period, every 2 periods")
    virtual = meanings(load("a"))
    assert "taken" not in virtual["i_a_raw"]
    assert {name for name in pico if pico[name] != virtual[name]} == {
        "i_a_raw",
        "i_b_raw",
        "i_f_raw",
        "u_dc_raw",
    }


def test_built_unit_of_the_other_kinds(tmp_path: Path) -> None:
    text = (BOARDS / "units" / "a.toml").read_text(encoding="utf-8")
    text = text.replace('kind = "half_bridge"', 'kind = "full_bridge"')
    text = text.replace(
        'kind = "incremental"\ncounts = { value = 4096', 'kind = "absolute"\ncounts = { value = 16384'
    )
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    data = load(path, board="rpi_pico_spi").as_board()
    assert [data[f"pin_exciter_{leg}"] for leg in ("1_high", "1_low", "2_high", "2_low")] == [6, 7, 8, 9]
    assert (data["angle_spi"], data["pin_angle_sck"], data["angle_bits"]) == (0, 18, 14)
    assert (data["converter_spi"], data["pin_converter_cs"], data["converter_address_shift"]) == (1, 13, 11)
    assert "pin_encoder_a" not in data and "pin_adc_i_a" not in data and "settling_counts" not in data
    assert [data["channel_" + name] for name in ("i_a", "i_b", "i_f", "u_dc")] == [0, 1, 2, 3]


def test_unit_asks_for_what_the_board_has(tmp_path: Path) -> None:
    board = changed(
        tmp_path,
        ('kinds = ["unipolar", "half_bridge", "full_bridge"]', 'kinds = ["unipolar"]'),
        ('exciter_1_low = "GP7"\nexciter_2_high = "GP8"\nexciter_2_low = "GP9"\n', ""),
    )
    with pytest.raises(UnitError, match=r"exciter\.kind = 'half_bridge': board rpi_pico has unipolar"):
        load("a", board=board)
    text = (BOARDS / "units" / "a.toml").read_text(encoding="utf-8")
    path = tmp_path / "own.toml"
    path.write_text(text.replace('kind = "incremental"', 'kind = "absolute"'), encoding="utf-8")
    with pytest.raises(UnitError, match=r"encoder\.counts = 4096: the angle sensor .* 14 bits: write 16384"):
        load(path, board="rpi_pico")
    path.write_text(text.replace("counts = { value = 4096", "counts = { value = 32768"), encoding="utf-8")
    slow = changed(
        tmp_path,
        ('count_rate_max = { value = 5, unit = "MHz" }', 'count_rate_max = { value = 1, unit = "MHz" }'),
    )
    with pytest.raises(UnitError, match=r"encoder.counts = 32768: 3.768e\+06 counts a second at n_trip"):
        load(path, board=slow)


# --- pins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'phase_a_high = "GP0"',
            'phase_a_high = "GP3"',
            "channel B of PWM slice 1; a high side needs channel A",
        ),
        (
            'phase_a_low = "GP1"',
            'phase_a_low = "GP12"',
            "channel A of PWM slice 6; a low side needs channel B",
        ),
        ('phase_a_low = "GP1"', 'phase_a_low = "GP13"', "PWM slice 6, pins.phase_a_high slice 0"),
        (
            'phase_c_high = "GP4"\nphase_c_low = "GP5"',
            'phase_c_high = "GP16"\nphase_c_low = "GP17"',
            "slice 0 is that of phase_a",
        ),
        ('exciter_2_high = "GP8"', 'exciter_2_high = "GP14"', "PWM slice 7 starts the sampling"),
        ('fault = "GP15"', 'fault = "GP14"', "GP14 is pins.gate_enable already"),
        ('adc_i_a = "GP26"', 'adc_i_a = "GP13"', "only GP26, GP27 and GP28"),
        ('angle_sck = "GP18"', 'angle_sck = "GP13"', "it is cs of SPI1, not sck; sck is on GP2, GP6, GP10"),
        ('angle_rx = "GP16"', 'angle_rx = "GP12"', "two SPIs: GP12 (SPI1), GP17 (SPI0)"),
        ('encoder_b = "GP11"', 'encoder_b = "GP13"', "GP10, GP13, GP12: one PIO program reads neighbours"),
        ('select_1 = "GP21"', 'select_1 = "GP13"', "GP20, GP13, GP22: one write sets all three"),
        ('gate_enable = "GP14"', 'gate_enable = "GP23"', "a Pico brings out GP0 to GP22"),
        ('gate_enable = "GP14"', 'gate_enable = "GP25"', "GP25 is its LED"),
        ('gate_enable = "GP14"', 'gate_enable = "14"', 'write the pin as "GP14"'),
        ('gate_enable = "GP14"', "gate_enable = 14", 'write the pin as "GP14"'),
        ('gate_enable = "GP14" # high: bridges live\n', "", "pins.gate_enable: missing (gate enable"),
        ('exciter_2_low = "GP9"\n', "", "pins.exciter_2_low: missing"),
        ('fault = "GP15"', 'falut = "GP15"', "pins.falut: unknown key; did you mean fault?"),
        ('led = "GP25"', 'converter_rx = "GP12"', "nothing uses it; delete it"),
    ],
)
def test_pin_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = refusal(changed(tmp_path, (old, new)))
    assert told in text
    assert all(line.startswith(str(tmp_path / "odd.toml")) for line in text.splitlines())


def test_every_free_pin_works_as_gate_enable_and_no_used_one(tmp_path: Path) -> None:
    used = {int(n) for n in re.findall(r'= "GP(\d+)"', PICO)} - {14}
    for pin in range(30):
        board = changed(tmp_path, ('gate_enable = "GP14"', f'gate_enable = "GP{pin}"'))
        if pin in HEADER_PINS and pin not in used:
            assert load_board(board).hardware is not None
        else:
            assert f'pins.gate_enable = "GP{pin}"' in refusal(
                board
            ) or f"GP{pin} is pins.gate_enable" in refusal(board)


PIN_LINES = re.findall(r'^(\w+) = "GP\d+"', PICO, re.M)


@given(moves=st.dictionaries(st.sampled_from(PIN_LINES), st.integers(0, 30), max_size=4))
def test_a_board_whose_pins_were_moved_loads_only_if_the_chip_can_do_it(
    tmp_path_factory: pytest.TempPathFactory, moves: dict[str, int]
) -> None:
    text = PICO
    for name, pin in moves.items():
        text = re.sub(rf'^{name} = "GP\d+"', f'{name} = "GP{pin}"', text, flags=re.M)
    path = own(tmp_path_factory.mktemp("moved"), text)
    try:
        hardware = load_board(path).hardware
    except UnitError as error:
        assert moves and all(re.search(r": pins\.\w+", line) for line in str(error).splitlines())
        return
    assert hardware is not None
    pins = hardware.pins
    assert len(set(pins.values())) == len(pins)
    assert all(pins[name] == pin for name, pin in moves.items())
    legs = [(pins[leg + "_high"], pins[leg + "_low"]) for leg in (*LEGS, "exciter_1", "exciter_2")]
    assert all((high % 2, low % 2) == (0, 1) and slice_of(high) == slice_of(low) for high, low in legs)
    assert len({slice_of(high) for high, _ in legs} | {7}) == 6
    assert [pins["angle_" + signal] % 4 for signal in ("rx", "cs", "sck", "tx")] == [0, 1, 2, 3]


# --- everything else ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('chip = "rp2040"', 'chip = "rp2035"', "chip = 'rp2035': no such chip; did you mean rp2040?"),
        ("dead_time = { value = 0.5", "dead_time = { value = 0.2", "limits.dead_time_min is 3e-07 s"),
        ("top = { value = 3125", "top = { value = 3000", "gives 20833.3 Hz"),
        (
            "conversion_time = { value = 2,",
            "conversion_time = { value = 1.5,",
            "500000 samples a second at most",
        ),
        ("hold = { value = 0,", "hold = { value = 2.5,", "within its conversion_time = 2e-06 s"),
        ("settling = { value = 1, unit", "settling = { value = 3, unit", "there are 1.6e-06 s"),
        ('"i_f", "i_a", "i_b"]', '"i_a", "i_f", "i_b"]', "next to each other"),
        ('"i_f", "i_a", "i_b"]', '"i_a", "i_b"]', "i_f must be there once, it is 0 times"),
        ('order = ["slow", "i_f"', 'order = ["slow", "i_g"', "'i_g': unknown; did you mean i_f?"),
        (
            SLOW,
            'slow = ["u_dc", "temperature_stator", "temperature_board"]',
            "every 2 periods at least, it is every 3",
        ),
        (SLOW, 'slow = ["temperature_stator", "temperature_board"]', "it is never"),
        ('u_dc = { value = 1, unit = "1" }', 'u_dc = { value = 0, unit = "1" }', "input 0 is i_f already"),
        ('u_dc = { value = 1, unit = "1" }', 'u_dc = { value = 8, unit = "1" }', "must lie in 0 .. 7"),
        ('u_dc = { value = 1, unit = "1" }\n', "", "channels.u_dc: missing"),
        (
            'i_f = { value = 0, unit = "1" }',
            'i_f = { value = 0, unit = "1" }\ni_a = { value = 4, unit = "1" }',
            "pins.adc_i_a says where it is",
        ),
        ("watchdog = { value = 200", "watchdog = { value = 9000", "must lie in 0.01 .. 8.388 s"),
        (
            'phase_shunt = { value = 1, unit = "mOhm" }',
            'phase_shunt = { value = 1, unit = "mA" }',
            "needs Ohm or mOhm or kOhm",
        ),
        (
            "[multiplexer]\nsettling",
            "[multiplexed]\nsettling",
            "multiplexed: unknown; did you mean multiplexer?",
        ),
        ('kinds = ["incremental", "absolute"]', "kinds = []", "a list of incremental, absolute"),
        ("clock_max = { value = 200", "clock_max = { value = 250", "must lie in 0 .. 2e+08 Hz"),
        ('name = "rpi_pico"', 'name = "rpi_pico"\nwithout = ["pins"]', "there is none"),
    ],
)
def test_number_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert told in refusal(changed(tmp_path, (old, new)))


def test_too_many_conversions_for_the_rate_are_refused(tmp_path: Path) -> None:
    board = changed(
        tmp_path,
        ("f_pwm = { value = 20,", "f_pwm = { value = 40,"),
        ("top = { value = 3125", "top = { value = 1562"),
        ("conversion_time = { value = 2,", "conversion_time = { value = 4,"),
    )
    assert "they take 16.4 us of a period of 25 us, at most 50 % are left" in refusal(board)


def test_based_on_another_board(tmp_path: Path) -> None:
    spi = load_board("rpi_pico_spi")
    assert spi.title == "Raspberry Pi Pico with a converter on SPI" and spi.spur == 0
    told = refusal(own(tmp_path, 'based_on = "rpi_pica"'))
    assert "no such file; did you mean rpi_pico" in told
    told = refusal(own(tmp_path, 'based_on = "rpi_pico"\nwithout = ["pins.select_9"]'))
    assert "without 'pins.select_9': the base has none; did you mean pins.select_" in told
    assert "is a list such as" in refusal(own(tmp_path, 'based_on = "rpi_pico"\nwithout = "pins"'))
    told = refusal(own(tmp_path, 'based_on = "rpi_pico"\n[converter]\nkind = "spi"\n'))
    assert "[multiplexer]: nothing uses it" in told and "[spi_converter]: the section is missing" in told
    assert 'pins.adc_i_a = "GP26": nothing uses it' in told
    # Leaving the multiplexer out of a board with the chip's converter is no board.
    assert "[multiplexer]: the section is missing" in refusal(
        own(tmp_path, 'based_on = "rpi_pico"\nwithout = ["multiplexer"]')
    )


def test_spi_converter_needs_time_for_its_frame(tmp_path: Path) -> None:
    path = own(tmp_path, 'based_on = "rpi_pico_spi"\n')
    assert "itself based on another" in refusal(path)
    text = (BOARDS / "rpi_pico_spi" / "board.toml").read_text(encoding="utf-8")
    path.write_text(text.replace("clock = { value = 16,", "clock = { value = 10,"), encoding="utf-8")
    assert "a frame of 16 bits takes 1.6e-06 s" in refusal(path)


def test_two_devices_do_not_share_an_spi(tmp_path: Path) -> None:
    """A chopper alone leaves GP7, the one pin that completes a second group of SPI0."""
    text = (BOARDS / "rpi_pico_spi" / "board.toml").read_text(encoding="utf-8")
    text = text.replace(
        "without = [", 'without = ["pins.exciter_1_low", "pins.exciter_2_high", "pins.exciter_2_low",'
    )
    text += '[exciter]\nkinds = ["unipolar"]\n'
    for signal, old, new in (("cs", 13, 21), ("sck", 26, 22), ("tx", 27, 7), ("rx", 28, 20)):
        text = text.replace(f'converter_{signal} = "GP{old}"', f'converter_{signal} = "GP{new}"')
    (told,) = refusal(own(tmp_path, text)).splitlines()
    assert "pins.converter_*: SPI0 is that of pins.angle_* already" in told


def test_all_problems_of_a_board_are_told_at_once(tmp_path: Path) -> None:
    text = refusal(
        changed(tmp_path, ('fault = "GP15"', 'fault = "GP14"'), ('adc_i_a = "GP26"', 'adc_i_a = "GP13"'))
    )
    assert "pins.fault" in text and "pins.adc_i_a" in text


def describe_keys(data: dict[str, Any]) -> set[str]:
    return {re.sub(r"_(i_a|i_b|i_f|u_dc|slow|temperature_\w+)$", "_*", name) for name in data}


def test_both_boards_name_things_alike() -> None:
    """The driver reads one set of words; only what belongs to a converter differs."""
    adc, spi = (describe_keys(load("a", board=b).as_board()) for b in ("rpi_pico", "rpi_pico_spi"))
    assert all(name.startswith(("pin_adc", "pin_select", "select_", "settling")) for name in adc - spi)
    assert all(name.startswith(("pin_converter", "converter_")) for name in spi - adc)
