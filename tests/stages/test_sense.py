"""The reciprocal of the dc-link voltage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eesm.stages.sense import invert_u_dc
from tests.stages.bench import make_signals


@given(st.integers(8193, 32767))
def test_reciprocal_settles_from_its_least(u_dc: int) -> None:
    s = make_signals(u_dc=u_dc)
    for _ in range(12):
        invert_u_dc(s)
    assert s.inv_u_dc == pytest.approx(2**28 / u_dc, abs=4)


@given(st.lists(st.integers(0, 32767), max_size=60))
def test_reciprocal_is_never_lost_whatever_the_link_does(voltages: list[int]) -> None:
    s = make_signals()
    for s.u_dc in voltages:
        invert_u_dc(s)
        assert 4096 <= s.inv_u_dc <= 32767


def test_reciprocal_follows_a_link_that_jumps_up_fourfold() -> None:
    s = make_signals(u_dc=8193)
    for _ in range(12):
        invert_u_dc(s)
    s.u_dc = 32767
    for _ in range(8):
        invert_u_dc(s)
    assert s.inv_u_dc == pytest.approx(8192, abs=4)
