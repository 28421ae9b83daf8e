"""Letters reach the kernel whole, in order, at their period, and only within their ranges."""

from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eesm.cyclic import MASK
from eesm.mailbox import AHEAD, QUEUE_LIMIT, WORDS, Mailbox, MailboxFull
from eesm.signals import Signals
from eesm.stages.mailbox import take_mailbox

NAMES = [f"word_{k}" for k in range(40)]


class LetterBox:
    """A kernel of which only the letter box works: the real stage over a small block."""

    settings = {"f_pwm": 20_000.0}

    def __init__(self, period=0):
        self.offset = {"period": 0, "mailbox_sequence": 1, "mailbox_taken": 2, "mailbox_due": 3, "scratch": 4}
        self.offset["mailbox_pumps"] = 5
        self.offset |= {"mailbox_index": 8, "mailbox_value": 24}
        self.offset |= {name: 40 + k for k, name in enumerate(NAMES)}
        self.block = array("i", bytes(4 * 80))
        self.block[0] = period
        self.s = Signals(memory=self.block)
        self.taken = []  # (period, words of the letter)

    def index(self, name):
        return self.offset[name]

    def limits_of(self, name):
        if name == "period":
            raise ValueError("period is not for the main loop to write")
        return (-1000, 1000)

    def step(self):
        block = self.block
        s = self.s
        s.period, s.mailbox_sequence, s.mailbox_taken, s.mailbox_due = block[0], block[1], block[2], block[3]
        s.mailbox_index, s.mailbox_value = list(block[8:24]), list(block[24:40])
        take_mailbox(s)
        # By its number, not by mailbox_period: that is 0 at first, as the period is after it wraps.
        took = s.mailbox_taken != block[2]
        block[0], block[2] = s.period, s.mailbox_taken
        if took:
            assert s.mailbox_period == s.period
            entries = zip(s.mailbox_index, s.mailbox_value, strict=True)
            self.taken.append((s.period, [e for e in entries if e[0] != 4]))


def run(box, mailbox, periods, turn=20):
    for k in range(periods):
        if k % turn == 0:
            mailbox.pump()
        box.step()


def test_a_letter_without_due_is_taken_by_the_next_period():
    box = LetterBox(100)
    mailbox = Mailbox(box)
    mailbox.post({"word_0": 5, "word_1": -7})
    assert not mailbox.idle()
    run(box, mailbox, 1)
    assert box.taken == [(101, [(40, 5), (41, -7)])]
    assert (box.block[40], box.block[41]) == (5, -7)
    assert mailbox.idle()


def test_a_letter_is_taken_at_the_period_it_is_due():
    box = LetterBox(1000)
    mailbox = Mailbox(box)
    mailbox.post({"word_0": 1}, 1500)
    mailbox.post({"word_0": 2}, 1525)
    run(box, mailbox, 800)
    assert box.taken == [(1500, [(40, 1)]), (1525, [(40, 2)])]


def test_a_letter_for_later_never_delays_one_for_now():
    box = LetterBox(0)
    mailbox = Mailbox(box)
    mailbox.post({"word_0": 1}, 20000)
    run(box, mailbox, 1000)
    mailbox.post({"word_0": 2})
    run(box, mailbox, 25)
    assert box.block[40] == 2
    assert len(mailbox.queue) == 1


def test_a_letter_for_now_waits_at_most_the_time_that_letters_are_moved_ahead():
    box = LetterBox(0)
    mailbox = Mailbox(box)
    mailbox.post({"word_0": 1}, AHEAD)
    mailbox.pump()
    mailbox.post({"word_0": 2})
    run(box, mailbox, AHEAD + 40)
    assert [period for period, _ in box.taken] == [AHEAD, AHEAD + 1]


@given(st.integers(0, MASK), st.lists(st.integers(0, 2000), min_size=1, max_size=20))
@example(MASK - 1998, [2000])  # the period wraps while the letter waits
def test_letters_are_taken_in_order_of_their_period_and_never_early(start, waits):
    box = LetterBox(start)
    mailbox = Mailbox(box)
    for k, wait in enumerate(waits):
        mailbox.post({"word_0": k}, (start + wait) & MASK)
    run(box, mailbox, 2000 + 25 * len(waits))
    assert len(box.taken) == len(waits)
    order = [entries[0][1] for _, entries in box.taken]
    # One due now is due in the next period.
    assert order == sorted(range(len(waits)), key=lambda k: max(1, waits[k]))
    for (period, _), k in zip(box.taken, order, strict=True):
        late = (period - start - waits[k]) & MASK
        assert late < MASK // 2


def test_a_letter_in_the_box_lets_one_of_its_tag_that_is_due_before_it_go_first():
    box = LetterBox(0)
    mailbox = Mailbox(box)
    mailbox.post({"word_0": 1}, 50, tag="setpoint")
    mailbox.pump()
    mailbox.post({"word_0": 2}, tag="setpoint")
    run(box, mailbox, 100)
    assert [(period, entries[0][1]) for period, entries in box.taken] == [(1, 2), (50, 1)]
    assert mailbox.idle()


def test_a_letter_in_the_box_keeps_its_place_before_one_of_another_tag():
    # What ends a pulse is in the box in time, whatever else is posted.
    box = LetterBox(0)
    mailbox = Mailbox(box)
    mailbox.post({"word_0": 1}, 50, tag="startup")
    mailbox.pump()
    mailbox.post({"word_0": 2}, tag="setpoint")
    mailbox.post({"word_0": 3})
    run(box, mailbox, 100)
    assert [(period, entries[0][1]) for period, entries in box.taken] == [(50, 1), (61, 2), (81, 3)]


def test_a_letter_in_the_box_is_withdrawn_with_its_tag():
    box = LetterBox(0)
    mailbox = Mailbox(box)
    mailbox.post({"word_0": 1}, 50, tag="setpoint")
    mailbox.pump()
    mailbox.drop("startup")
    assert mailbox.waiting()
    mailbox.drop("setpoint")
    assert mailbox.idle()
    mailbox.post({"word_1": 7})
    run(box, mailbox, 100)
    assert box.taken == [(1, [(41, 7)])]


class Interrupted:
    """A block whose kernel runs some periods in the midst of what the main loop does, before an access."""

    def __init__(self, box, access, periods):
        self.box = box
        self.words = box.block
        self.left = access
        self.periods = periods

    def _count(self):
        self.left -= 1
        if self.left == 0:
            for _ in range(self.periods):
                self.box.step()

    def __getitem__(self, place):
        self._count()
        return self.words[place]

    def __setitem__(self, place, value):
        self._count()
        self.words[place] = value


@pytest.mark.parametrize("way", ["post", "drop"])
def test_a_letter_that_is_taken_back_in_the_midst_of_its_period_is_taken_once_or_not_at_all(way):
    found = set()
    for access in range(1, 12):
        for ahead in range(1, 5):
            box = LetterBox(0)
            mailbox = Mailbox(box)
            mailbox.post({"word_0": 1}, ahead, tag="setpoint")
            mailbox.pump()
            mailbox.block = Interrupted(box, access, 4)
            if way == "post":
                mailbox.post({"word_0": 2}, tag="setpoint")
            else:
                mailbox.drop("setpoint")
            mailbox.block = box.block
            run(box, mailbox, 200)
            assert mailbox.idle()
            found.add(tuple(entries[0][1] for _, entries in box.taken))
    assert found == ({(1, 2), (2, 1)} if way == "post" else {(), (1,)})


@given(
    st.integers(0, MASK),
    st.lists(
        st.tuples(st.integers(0, 80), st.one_of(st.none(), st.integers(-50, 200))), min_size=1, max_size=12
    ),
)
def test_of_setpoints_the_one_that_is_due_last_holds_whenever_they_are_asked_for(start, asked):
    box = LetterBox(start)
    mailbox = Mailbox(box)
    due = {}
    for k, (pause, wait) in enumerate(asked):
        run(box, mailbox, pause)
        period = mailbox.post(
            {"word_0": k}, None if wait is None else (box.block[0] + wait) & MASK, tag="set"
        )
        due[k] = (period - start) & MASK
    run(box, mailbox, 600)
    assert sorted(entries[0][1] for _, entries in box.taken) == list(due)
    assert box.block[40] == max(due, key=lambda k: (due[k], k))


def test_a_large_set_is_split_and_an_atomic_one_refused():
    box = LetterBox(0)
    mailbox = Mailbox(box)
    words = {name: k for k, name in enumerate(NAMES)}
    with pytest.raises(ValueError, match="16 words, not 40"):
        mailbox.post(words, atomic=True)
    mailbox.post(words)
    run(box, mailbox, 80)
    assert [len(entries) for _, entries in box.taken] == [WORDS, WORDS, 8]
    assert list(box.block[40:80]) == list(range(40))


def test_words_out_of_range_or_not_for_the_main_loop_are_refused_whole():
    box = LetterBox(0)
    mailbox = Mailbox(box)
    with pytest.raises(ValueError, match=r"word_1 = 1001 is outside -1000 \.\. 1000"):
        mailbox.post({"word_0": 5, "word_1": 1001})
    with pytest.raises(ValueError, match="not for the main loop"):
        mailbox.post({"period": 5})
    assert mailbox.idle()


def test_a_tag_is_withdrawn_and_the_rest_stays():
    box = LetterBox(0)
    mailbox = Mailbox(box)
    mailbox.post({"word_0": 1}, 500, tag="setpoint")
    mailbox.post({"word_1": 1}, 500)
    mailbox.drop("setpoint")
    run(box, mailbox, 600)
    assert (box.block[40], box.block[41]) == (0, 1)


def test_the_queue_is_bounded():
    mailbox = Mailbox(LetterBox(0))
    for k in range(QUEUE_LIMIT):
        mailbox.post({"word_0": k}, 9999)
    with pytest.raises(MailboxFull):
        mailbox.post({"word_0": 0})


def test_an_urgent_letter_goes_before_those_that_are_not_and_after_the_urgent_ones():
    mailbox = Mailbox(LetterBox())
    for k in range(QUEUE_LIMIT):
        mailbox.post({"word_0": k})
    mailbox.post({"word_1": 100}, urgent=True)
    mailbox.post({"word_1": 101}, urgent=True)
    mailbox.post({"word_1": 102}, 500, urgent=True)  # due later: in its turn
    values = [letter[2][0][1] for letter in mailbox.queue]
    assert values == [100, 101, *range(QUEUE_LIMIT), 102]


def test_a_sign_of_life_reaches_the_kernel_though_a_letter_waits_for_later():
    box = LetterBox()
    mailbox = Mailbox(box)
    mailbox.post({"word_3": 5}, due=5000)
    for _ in range(10):
        before = box.block[5]
        mailbox.pump()
        assert box.block[5] != before
        run(box, mailbox, 100)
    assert not box.taken
    run(box, mailbox, 5000)
    assert box.block[43] == 5
