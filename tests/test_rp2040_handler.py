"""The interrupt's own lines: levels that never let two switches of a leg overlap, and the period check."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import rp2040_handler
from drivers.rp2040_handler import handler_of
from tests.fake_rp2040 import Memory

PWM = 0x40050000
COUNTER = 0x50000088
BEAT = 0x50300014
FORCE = 0x50300034
SIGNALS: tuple[str, ...] = (
    "period",
    "encoder_raw",
    "board_faults",
    "missed_periods",
    "period_check",
    "compare_a",
    "compare_b",
    "compare_c",
    "compare_f",
    "gate_enable",
)


def board(kind="half_bridge", top=3125, dead=63):
    """What the handler needs of unit["board"]."""
    pins = {f"pin_phase_{name}_high": 2 * n for n, name in enumerate("abc")}
    return {
        "pwm_top": top,
        "dead_time_counts": dead,
        "exciter_kind": kind,
        "encoder_kind": "absolute",
        "angle_bits": 14,
        "angle_shift": 2,
        "pin_exciter_1_high": 6,
        "pin_exciter_2_high": 8,
        **pins,
    }


class Interrupt:
    """The handler's text run as Python over a fake memory."""

    def __init__(self, about):
        self.memory = Memory()
        self.words = dict.fromkeys(SIGNALS, 0)
        lines = handler_of(about)
        assert lines["head"][2] == "p[0] = 1"
        head = [line for line in lines["head"] if not line.startswith("p")]
        text = "\n".join(head + ["period()"] + lines["after_fast"] + lines["after_outer"])
        self.code = compile(re.sub(r"\{(\w+)\}", r"s['\1']", text), "handler", "exec")

    def __call__(self, **words):
        self.words.update(words)

        def period():
            self.words["period"] = (self.words["period"] + 1) & 0x3FFFFFFF

        exec(self.code, {"s": self.words, "ptr32": self.memory.ptr32, "period": period})

    def levels(self, number):
        """(A, B) of a slice."""
        word = self.memory[PWM + 0x14 * number + 0xC]
        return word & 0xFFFF, word >> 16


def on(levels, top, inverted_low=False):
    """Clocks of half a period, from the wrap on, in which (A, B) are high; A is inverted."""
    a, b = levels
    return {n for n in range(top) if n >= a}, {n for n in range(top) if n < b}


def distance(levels_before, levels_after, top, dead):
    """Fewest clocks from one switch's end to the other's begin, also over the wrap; -1: they overlap."""
    least = top
    for a, b in (levels_before, levels_after):
        high, low = on((a, b), top)
        if high & low:
            return -1
        if high and low:
            least = min(least, min(high) - max(low) - 1)
    high, low = on(levels_before, top)
    high_next, low_next = on(levels_after, top)
    if (0 in high and 0 in low_next) or (0 in low and 0 in high_next):
        return -1
    # The counter falls to the wrap: what is on at count n ends n clocks before it.
    if high and low_next:
        least = min(least, min(high) + min(low_next))
    if low and high_next:
        least = min(least, min(low) + min(high_next))
    return least


compares = st.one_of(
    st.integers(0, 3125), st.sampled_from([0, 1, 31, 62, 63, 64, 3061, 3062, 3063, 3124, 3125])
)


@given(before=compares, after=compares, gates=st.tuples(st.integers(0, 1), st.integers(0, 1)))
def test_a_leg_keeps_its_dead_time_whatever_follows_whatever(before, after, gates) -> None:
    interrupt = Interrupt(board())
    seen = []
    for compare, gate in zip((before, after), gates, strict=True):
        interrupt(compare_a=compare, compare_b=3125 - compare, compare_c=compare, gate_enable=gate)
        seen.append([interrupt.levels(n) for n in range(3)])
    for number in range(3):
        assert distance(seen[0][number], seen[1][number], 3125, 63) >= 63


@given(compare=st.integers(-3125, 3125), after=st.integers(-3125, 3125))
def test_a_full_bridge_keeps_its_dead_time(compare, after) -> None:
    interrupt = Interrupt(board("full_bridge"))
    interrupt(compare_f=compare, gate_enable=2)
    before = [interrupt.levels(n) for n in (3, 4)]
    interrupt(compare_f=after)
    for number in (0, 1):
        assert distance(before[number], interrupt.levels(3 + number), 3125, 63) >= 63


@given(compare=st.integers(0, 3125))
def test_a_leg_is_on_for_its_compare_count_less_half_the_dead_time(compare) -> None:
    interrupt = Interrupt(board())
    interrupt(compare_a=compare, gate_enable=1)
    high, low = on(interrupt.levels(0), 3125)
    assert len(high) == max(0, compare - 63)
    assert len(low) == 3125 - compare


@given(compare=st.integers(-3125, 3125))
def test_each_exciter_applies_its_signed_duty(compare) -> None:
    for kind in ("unipolar", "half_bridge", "full_bridge"):
        interrupt = Interrupt(board(kind, dead=0))
        interrupt(compare_f=compare, gate_enable=2)
        high, low = on(interrupt.levels(3), 3125)
        if kind == "unipolar":
            assert len(high) == max(0, compare)
        elif kind == "half_bridge":
            neither = 3125 - len(high | low)
            assert len(high & low) - neither == compare
            assert min(len(high & low), neither) == 0
        else:
            second, _ = on(interrupt.levels(4), 3125)
            assert len(high) - len(second) == compare


@pytest.mark.parametrize("kind", ["unipolar", "half_bridge", "full_bridge"])
def test_closed_gates_leave_no_switch_on(kind) -> None:
    interrupt = Interrupt(board(kind))
    interrupt(compare_a=3125, compare_b=1, compare_c=9, compare_f=3125, gate_enable=0)
    for number in range(5 if kind == "full_bridge" else 4):
        high, low = on(interrupt.levels(number), 3125)
        assert not high and not low


def test_an_absolute_sensors_frame_gives_its_count() -> None:
    interrupt = Interrupt(board())
    interrupt(encoder_raw=0b1110110011001101)
    assert interrupt.words["encoder_raw"] == 0b1110110011001101 >> 2 & 0x3FFF


def run(interrupt, counts):
    """One interrupt for each value of the period counter at the moment of the check."""
    for count in counts:
        interrupt.memory[COUNTER] = count & 0xFFFFFFFF
        interrupt()


@pytest.mark.parametrize("start", [1 << 30, 5, 1000])
def test_no_period_is_missed_when_each_has_its_interrupt(start) -> None:
    interrupt = Interrupt(board())
    interrupt.memory[COUNTER] = start
    interrupt()
    interrupt.words["missed_periods"] = 0
    interrupt.memory.words.pop(FORCE, None)
    # After 1 the channel starts over at 2**30.
    run(interrupt, [(start - k - 1) % (1 << 30) + 1 for k in range(1, 2000)])
    assert interrupt.words["missed_periods"] == 0
    assert FORCE not in interrupt.memory.words
    assert interrupt.memory[BEAT] == rp2040_handler.LOOKS


def test_lost_and_late_interrupts_are_counted_and_latched() -> None:
    interrupt = Interrupt(board())
    run(interrupt, [1000, 999])
    interrupt.words["missed_periods"] = 0
    interrupt.memory.words.pop(FORCE, None)
    run(interrupt, [995])  # three lost
    assert interrupt.words["missed_periods"] == 3
    assert interrupt.memory.words.pop(FORCE) == 64
    run(interrupt, [994, 993])
    assert interrupt.words["missed_periods"] == 3
    run(interrupt, [991, 991, 990])  # one late, which the next one makes up for
    assert interrupt.words["missed_periods"] == 4
    assert interrupt.memory.words.pop(FORCE) == 64
    run(interrupt, [989])
    assert FORCE not in interrupt.memory.words
