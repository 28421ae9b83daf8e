"""Cyclic numbers: the shorter way, from anywhere to anywhere."""

from hypothesis import example, given
from hypothesis import strategies as st

from eesm.cyclic import HALF, MASK, signed

numbers = st.integers(0, MASK)


@given(numbers, st.integers(-HALF, HALF - 1))
@example(MASK, 1)
@example(0, -1)
@example(0, -HALF)
def test_the_way_to_a_number_leads_there_across_the_wrap(start, way):
    assert signed(((start + way) & MASK) - start) == way
