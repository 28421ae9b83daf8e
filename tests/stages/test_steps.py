"""The order of the stages: the slots of the outer law, and what a letter does to its period."""

from eesm.parameters import OUTER_PERIODS
from eesm.signals import Signals
from eesm.stages.mailbox import take_mailbox
from eesm.steps import outer_step
from eesm.table import signals_of
from tests.stages.bench import make_signals


def ready():
    length = {name: row.length for name, row in signals_of(Signals).items()}
    return make_signals(ratio_axis=list(range(1, 1 + length["ratio_axis"])))


def test_a_cycle_of_the_outer_law_takes_the_periods_that_its_gains_expect() -> None:
    s = ready()
    seen = []
    for _ in range(2 * OUTER_PERIODS):
        seen.append(s.slot)
        outer_step(s)
    assert seen == 2 * list(range(OUTER_PERIODS))


def test_a_period_that_takes_a_letter_runs_no_slot_and_looks_at_every_limit() -> None:
    s = ready()
    take_mailbox(s)
    assert (s.slot_rests, s.suspect) == (0, 0)
    s.mailbox_sequence = 1
    take_mailbox(s)
    assert (s.mailbox_taken, s.slot_rests, s.suspect) == (1, 1, -1)
    outer_step(s)
    assert (s.slot, s.slot_rests) == (0, 0)
    take_mailbox(s)
    outer_step(s)
    assert s.slot == 1
