"""What the linker proves of values, and what it then leaves out."""

import pytest

from host_tools.linker import ALL, LinkError, link
from host_tools.linker.ranges import widened

from .small_table import Small, make_module


def linked(folder, body, passes=ALL):
    text = "def stage(s):\n" + "".join(f"    {line}\n" for line in body)
    return link([make_module(folder, text).stage], Small, passes=passes)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (["s.kept = sat(s.gain * 300, 32767)"], False),  # |gain| <= 100
        (["s.kept = sat(s.gain * 400, 32767)"], True),
        (["s.kept = sat(s.x >> 6, 16384)"], False),  # |x| <= 2**20
        (["y = s.x", "if y > 99:", "    y = 99", "s.kept = sat(y, 99)"], True),
        (["y = s.where & 7", "if y > 7:", "    y = 0", "s.kept = y"], False),
    ],
)
def test_a_saturation_goes_where_it_cannot_act(tmp_path, body, kept):
    text = linked(tmp_path, body).python()
    assert ("if " in text) == kept, text
    without = linked(tmp_path, body, [name for name in ALL if name != "ranges"]).python()
    assert "if " in without


def test_half_of_a_saturation_can_go(tmp_path):
    text = linked(tmp_path, ["s.kept = sat(s.where * 30000, 32767)"]).python()
    assert "> 32767" in text or "> 32766" in text
    assert "-32767" not in text


def test_a_mask_that_takes_nothing_off_goes(tmp_path):
    assert "&" not in linked(tmp_path, ["s.kept = s.where & 7"]).python()
    assert "&" in linked(tmp_path, ["s.kept = s.where & 3"]).python()


def test_interpolation_stays_between_its_ends(tmp_path):
    body = [
        "low = s.curve[0]",
        "y = low + (((s.curve[1] - low) * (s.y & 15)) >> 15)",
        "s.kept = sat(y, 1 << 20)",
    ]
    assert "if " not in linked(tmp_path, body).python()


def test_what_always_overflows_is_refused_with_its_line(tmp_path):
    with pytest.raises(LinkError, match="always overflows"):
        linked(tmp_path, ["y = (s.where + 60000) * 60000", "s.kept = y >> 16"])


def test_what_may_overflow_is_named(tmp_path):
    facts = linked(tmp_path, ["s.kept = (s.x * s.y) >> 12"]).facts
    assert facts is not None
    assert ["may reach" in why for why in facts.unproven.values()] == [True]


def test_a_state_that_may_leave_its_row_is_widened(tmp_path):
    facts = linked(tmp_path, ["s.kept = s.x + 5"]).facts
    assert facts is not None
    assert widened(facts, {name: row for name, row in vars(Small).items() if hasattr(row, "low")}) == {
        "kept": (-(1 << 20), (1 << 20) + 5)
    }
