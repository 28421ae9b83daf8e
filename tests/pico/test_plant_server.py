"""The plant's end of the pipe: the same machine as in the other simulations, driven by switch times."""

from __future__ import annotations

import json
import struct
import subprocess

import pytest

from boards.virtual import plant, sensors
from host_tools import units
from host_tools.virtual_pico.plant_server import ANSWER, REQUEST, PlantError, Server, command

PHASES = (0.5, 0.5, 0.5, 0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def unit():
    return units.load("a", board="rpi_pico")


def fill(server: Server, words) -> None:
    for place, word in enumerate(words):
        server.request[place] = word


def ask(server: Server, phases=PHASES, exciter=(0.0, 0.0, 0.0, 0.0), periods=1, instants=(0.0,) * 4):
    """One exchange; the answer as a list."""
    fill(server, [1, 0, periods, *phases, *exciter, *instants])
    server.run()
    return list(server.answer)


def leg(compare: float, top: int, dead: int) -> tuple[float, float]:
    """Shares of a complementary pair with dead time on both edges."""
    return (compare - 0.5 * dead) / top, (top - compare - 0.5 * dead) / top


def test_switch_times_drive_the_plant_like_compare_values(unit):
    server = Server(unit, 3, compiled=False)
    values = unit.as_plant()
    x, c = plant.make_plant(values, 3)
    y, k = sensors.make_sensors(values, 3, {"adc_skew": 0.0})
    raw = [0] * 5
    sensors.settle(x, y, k, raw)
    top = unit.board.top
    for period in range(400):
        a, b, c_ = 1700 + period % 7, 1500, 1400
        phases = (*leg(a, top, 63), *leg(b, top, 63), *leg(c_, top, 63))
        answer = ask(server, phases, (0.9, 0.8, 0, 0))
        plant.run_period(x, c, float(a), float(b), float(c_), 0.7 * top, 3)
        sensors.sample(x, y, k, raw)
        assert answer[:4] == raw[:4]
    assert server.x[plant.I_F] == pytest.approx(x[plant.I_F], rel=1e-12)
    assert server.x[plant.I_A] == pytest.approx(x[plant.I_A], rel=1e-9)


def test_compiled_and_plain_agree(unit):
    pytest.importorskip("numba")
    plain, compiled = Server(unit, 5, compiled=False), Server(unit, 5, compiled=True)
    for period in range(200):
        phases = (0.6 + 0.001 * (period % 50), 0.35, 0.5, 0.45, 0.4, 0.55)
        first = ask(plain, phases, (0.9, 0.9, 0, 0))
        fill(compiled, list(plain.request))
        compiled.run()
        assert first[:9] == pytest.approx(list(compiled.answer)[:9], abs=1e-9)


def test_the_same_seed_gives_the_same_counts(unit):
    runs = [[ask(Server(unit, 7, compiled=False))[:4] for _ in range(3)] for _ in range(2)]
    assert runs[0] == runs[1]
    assert ask(Server(unit, 8, compiled=False))[:4] != runs[0][0]


def test_bridges_that_are_off_end_the_currents(unit):
    server = Server(unit, 1, compiled=False)
    top = unit.board.top
    for _ in range(50):
        ask(server, (*leg(1750, top, 63), *leg(1500, top, 63), *leg(1500, top, 63)), (1, 1, 0, 0))
    assert abs(server.state()["i_a"]) > 5
    field = server.state()["i_f"]
    for _ in range(100):
        ask(server, (0,) * 6)
    assert server.state()["i_a"] == 0
    # An asymmetric half bridge with both switches off reverses the field's voltage.
    assert server.state()["u_f"] < -40
    assert server.state()["i_f"] < field


def test_full_bridge_and_chopper(unit):
    full = Server(units.load("a", board="rpi_pico"), 1, compiled=False)
    full.c[plant.EXCITER] = 2.0
    ask(full, exciter=(0.2, 0.75, 0.7, 0.25))
    assert full.state()["u_f"] == pytest.approx(-0.5 * 48, rel=0.01)
    chopper = Server(units.load("a", board="rpi_pico"), 1, compiled=False)
    chopper.c[plant.EXCITER] = 0.0
    ask(chopper, exciter=(0.25, 0, 0, 0))
    assert chopper.state()["u_f"] == pytest.approx(0.25 * 48, rel=0.01)


def test_each_quantity_is_taken_at_its_own_instant(unit):
    top = unit.board.top
    phases = (*leg(2400, top, 63), *leg(900, top, 63), *leg(1500, top, 63))

    def counts(instant: float) -> float:
        server = Server(unit, 1, compiled=False)
        ask(server, phases)
        return ask(server, phases, instants=(instant, 0, 0, 0))[0]

    # Half a period later the current has gone half as far again.
    change = counts(0) - counts(-50e-6)
    assert counts(25e-6) - counts(0) == pytest.approx(change / 2, abs=12)
    assert change > 30


def test_the_encoder_foretells_where_it_goes(unit):
    server = Server(unit, 1, compiled=False)
    server.x[plant.W_M] = 100.0
    *_, place, motion, counts = ask(server)[:9]
    assert counts == 4096
    assert motion == pytest.approx(100 / 6.283185 * 50e-6 * 4096, rel=0.01)
    assert ask(server)[6] == pytest.approx((place + motion) % 4096, abs=0.01)
    server.inject("encoder_lost")
    stuck = ask(server)
    assert stuck[7] == 0
    assert ask(server)[6] == stuck[6]
    server.inject("encoder_lost", False)
    server.inject("encoder_reversed")
    assert ask(server)[7] < 0


def test_new_faults_reach_the_pins(unit):
    server = Server(unit, 1, compiled=False)
    server.x[plant.W_M] = 100.0
    place = ask(server, (0,) * 6)[6]
    server.obey({"do": "inject", "name": "encoder_jumped", "amount": 90})
    motion = ask(server, (0,) * 6)[7]
    # A quarter of an electrical turn of a machine with two pole pairs, and what it turned meanwhile.
    assert (ask(server, (0,) * 6)[6] - place) % 4096 == pytest.approx(512 + 2 * motion, abs=0.1)
    server.obey({"do": "inject", "name": "range_u"})
    assert ask(server, (0,) * 6)[3] == 4095
    server.obey({"do": "inject", "name": "exciter_stuck"})
    ask(server, (0,) * 6)
    assert server.state()["u_f"] == pytest.approx(48, rel=0.01)
    for how, count in (("broken", 4095), ("shorted", 0)):
        server.obey({"do": "inject", "name": "stator_sensor_" + how})
        assert ask(server, (0,) * 6)[4] == count
        server.set_temperature(stator=30.0)
        assert ask(server, (0,) * 6)[4] == count
        server.obey({"do": "inject", "name": "stator_sensor_" + how, "on": False})
        assert ask(server, (0,) * 6)[4] == pytest.approx(1822, abs=60)
    server.inject("encoder_slips", True, 0.1)
    assert ask(server, (0,) * 6)[7] != 0  # a slipping encoder is not a lost one
    with pytest.raises(PlantError, match="amount of supply_sag is 2"):
        server.obey({"do": "inject", "name": "supply_sag", "amount": 2})


def test_supply_and_rotor_are_those_that_are_set(unit):
    server = Server(unit, 1, compiled=False)
    server.obey({"do": "set_supply", "emf": 52.0})
    for _ in range(60):
        ask(server, (0,) * 6)
    assert server.state()["u_dc"] == pytest.approx(52.0, rel=1e-3)
    server.obey({"do": "inject", "name": "supply_sag", "amount": 0.5})
    server.obey({"do": "set_supply", "emf": 40.0})
    assert server.c[plant.EMF] == 20.0  # it still sags
    server.obey({"do": "inject", "name": "supply_sag", "on": False})
    assert server.c[plant.EMF] == 40.0
    # Above the voltage of its brake resistor the link gives that some current.
    server.obey({"do": "set_supply", "emf": 61.5, "clamp": 61.0})
    for _ in range(400):
        ask(server, (0,) * 6)
    assert 60.5 < server.state()["u_dc"] < 61.3
    cold = server.c[plant.R_F]
    server.obey({"do": "set_temperature", "rotor": 120.0})
    assert server.c[plant.R_F] == pytest.approx(1.393 * cold)
    server.obey({"do": "set_temperature", "rotor": 20.0})
    assert server.c[plant.R_F] == pytest.approx(cold)


def test_the_truth_comes_with_each_answer(unit):
    server = Server(unit, 1, compiled=False)
    server.x[plant.W_M] = 100.0
    top = unit.board.top
    for _ in range(50):
        answer = ask(server, (*leg(1750, top, 63), *leg(1500, top, 63), *leg(1500, top, 63)), (1, 1, 0, 0))
    state = server.state()
    assert answer[9:12] == [state["u_dc"], state["w_m"], state["i_f"]]
    assert answer[12] == max(abs(state["i_a"]), abs(state["i_b"]), abs(state["i_a"] + state["i_b"])) > 5


def test_a_gap_is_made_up_for_at_once(unit):
    one, many = Server(unit, 1, compiled=False), Server(unit, 1, compiled=False)
    for server in (one, many):
        server.x[plant.W_M] = 200.0
    ask(one, (0,) * 6, periods=300)
    for _ in range(300):
        ask(many, (0,) * 6)
    assert one.state() == many.state()


def test_another_rate_begins_anew():
    server = Server(units.load("a", board="rpi_pico"), 1, compiled=False)
    server.x[plant.W_M] = 100.0
    said = server.obey({"do": "set_pwm", "f_pwm": 40e3, "clock": 200e6})
    assert said["period"] == pytest.approx(25e-6)
    assert said["board"]["pwm_top"] == 2500
    assert server.state()["w_m"] == 0
    assert ask(server)[8] == 4096
    with pytest.raises(PlantError, match="f_pwm_max is 40000 Hz"):
        server.obey({"do": "set_pwm", "f_pwm": 400e3})


@pytest.mark.parametrize(("celsius", "counts"), [(25, 2048), (100, 267), (-20, 3741)])
def test_temperatures_are_those_of_the_divider(unit, celsius, counts):
    server = Server(unit, 1, compiled=False)
    server.set_temperature(stator=celsius)
    assert ask(server)[4] == pytest.approx(counts, abs=1)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"do": "fly"}, "knows no command fly; it knows describe"),
        ({"do": "inject", "name": "rain"}, "no fault rain; there are adc_stuck_a"),
        ({"do": "set_load", "brake": -1}, "brake is -1 N.m"),
    ],
)
def test_refusals_say_what_there_is(unit, asked, words):
    with pytest.raises(PlantError, match=words):
        Server(unit, 1, compiled=False).obey(asked)


def test_the_process_answers_periods_and_commands():
    words = command("a", "rpi_pico", 1, ("adc_stuck_a", "fault_pin"))
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        read, write, flush = process.stdout.read, process.stdin.write, process.stdin.flush

        def command_of(**asked: object) -> dict:
            text = json.dumps(asked).encode()
            write(struct.pack(f"<{REQUEST}d", 2, len(text), *[0] * 15) + text)
            flush()
            (size, *_) = struct.unpack(f"<{ANSWER}d", read(8 * ANSWER))
            return json.loads(read(int(size)))

        said = command_of(do="describe")
        assert said["ok"] and said["result"]["board"]["pin_gate_enable"] == 14
        for clock in (125e6, 200e6):
            assert command_of(do="set_pwm", f_pwm=20e3, clock=clock)["result"]["board"]["clock"] == clock
            write(struct.pack(f"<{REQUEST}d", 1, 0, 1, *PHASES, *[0] * 8))
            flush()
            answer = struct.unpack(f"<{ANSWER}d", read(8 * ANSWER))
            assert 2000 < answer[1] < 2100
        assert not command_of(do="fly")["ok"]
        process.stdin.close()
        assert process.wait(5) == 0


def test_an_unfit_unit_is_refused_in_words():
    words = command("nosuch", "rpi_pico", 1)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no such drive unit" in done.stderr and "Traceback" not in done.stderr
