"""Letters from the main loop to the kernel: up to 16 words taken whole at one period.

The kernel has one letter box.  Letters wait here in order of the period they are due, and move
into the box shortly before, so that a letter for later never stands in the way of a stop.  One in the box
comes back when its tag is withdrawn, or to let another of its tag go first.
"""

from eesm.cyclic import MASK, TURN, signed

WORDS = 16
# A letter goes into the box this many periods ahead: longer than a turn of the main loop takes
# as a rule, shorter than anybody minds to wait behind it.
AHEAD = 60
LATE = 0.006  # s by which a pulse may be longer and still tell what it is to tell
# A due period so far ahead: the kernel leaves the letter in the box.
NEVER = TURN // 4
QUEUE_LIMIT = 64
# Beyond the limit there is room for letters that must not be refused: a stop, a fault.
RESERVE = 32


class MailboxFull(Exception):
    """More letters are waiting than the queue holds."""


class Mailbox:
    """Queue of letters in front of a kernel's letter box."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.block = kernel.block
        offset = kernel.offset
        self._period = offset["period"]
        self._sequence = offset["mailbox_sequence"]
        self._taken = offset["mailbox_taken"]
        self._due = offset["mailbox_due"]
        self._index = offset["mailbox_index"]
        self._value = offset["mailbox_value"]
        self._pumps = offset["mailbox_pumps"]
        self._scratch = kernel.index("scratch")
        self._tolerance = round(LATE * kernel.settings["f_pwm"])
        self.late = 0  # letters of a start-up that came into the box by more than LATE too late
        self.queue = []  # (due, tag, [(memory index, value), ...], urgent)
        self._boxed = None  # the letter that went into the box last

    def post(self, words, due=None, atomic=False, tag="", urgent=False):
        """Queue {signal: raw} for period `due` (None: the next one).

        More than 16 words are split into letters of the same period, unless `atomic`.  Letters
        with a `tag` can be withdrawn by `drop(tag)`; `urgent` ones find room in a full queue,
        and if due at once go before all that are not: no flood of settings holds up a stop.
        Returns the period that it is due, the next one for one that has passed: of letters of one period
        the one posted last is taken last.
        Raises ValueError for a word out of its range, MailboxFull when the queue is.
        """
        kernel = self.kernel
        entries = []
        for name in words:
            value = int(words[name])
            low, high = kernel.limits_of(name)
            if not low <= value <= high:
                raise ValueError("%s = %d is outside %d .. %d" % (name, value, low, high))
            entries.append((kernel.index(name), value))
        return self.post_entries(entries, due, atomic, tag, urgent)

    def post_entries(self, entries, due=None, atomic=False, tag="", urgent=False):
        """Queue [(memory index, value), ...] whose ranges the caller has checked; returns as `post` does."""
        if atomic and len(entries) > WORDS:
            raise ValueError("a letter takes %d words, not %d" % (WORDS, len(entries)))
        letters = (len(entries) + WORDS - 1) // WORDS
        if len(self.queue) + letters > QUEUE_LIMIT + (RESERVE if urgent else 0):
            raise MailboxFull("%d letters are waiting already" % len(self.queue))
        now = int(self.block[self._period])
        if due is None:
            due = (now + 1) & MASK
        wait = max(1, signed(due - now))
        boxed = self._boxed
        if boxed is not None and tag and boxed[1] == tag and signed(boxed[0] - now) > wait:
            self._take_back()
        place = len(self.queue)
        while place > 0 and signed(self.queue[place - 1][0] - now) > wait:
            place -= 1
        if urgent and wait <= 1:
            while place > 0 and not self.queue[place - 1][3]:
                place -= 1
        for start in range(0, len(entries), WORDS):
            self.queue.insert(place, (due, tag, entries[start : start + WORDS], urgent))
            place += 1
        return (now + wait) & MASK

    def drop(self, tag):
        """Withdraw the letters of a tag that the kernel has not taken."""
        if self._boxed is not None and self._boxed[1] == tag:
            self._take_back()
        self.queue = [letter for letter in self.queue if letter[1] != tag]

    def _take_back(self):
        """Return the letter in the box to the head of the queue, unless the kernel has taken it.

        A period may begin between any two lines: once the letter is due never, nothing takes it, and what
        has been taken by then shows.
        """
        block = self.block
        block[self._due] = (int(block[self._period]) + NEVER) & MASK
        if self.waiting():
            block[self._sequence] = block[self._taken]
            self.queue.insert(0, self._boxed)
        self._boxed = None

    def waiting(self):
        """True while the kernel has not taken the letter in the box."""
        return int(self.block[self._sequence]) != int(self.block[self._taken])

    def calm(self, periods):
        """True when the kernel has taken its letter and no other is due within so many periods."""
        if self.waiting():
            return False
        return not self.queue or signed(self.queue[0][0] - int(self.block[self._period])) > periods

    def idle(self):
        """True when nothing waits, neither in the queue nor in the box."""
        return not self.queue and not self.waiting()

    def pump(self):
        """Move the next letter into the box when that is free; call it every main-loop turn.

        Tells the kernel as well that the main loop lives.
        """
        block = self.block
        block[self._pumps] = (int(block[self._pumps]) + 1) & MASK
        if not self.queue or self.waiting():
            return
        due, tag, entries, _ = self.queue[0]
        if signed(due - int(block[self._period])) > AHEAD:
            return
        self._boxed = self.queue.pop(0)
        index, value = self._index, self._value
        count = len(entries)
        for k in range(WORDS):
            if k < count:
                block[index + k] = entries[k][0]
                block[value + k] = entries[k][1]
            else:
                block[index + k] = self._scratch
        block[self._due] = due
        # Last: the kernel looks at nothing else before this changes.
        block[self._sequence] = (int(block[self._sequence]) + 1) & 0xFFFF
        if tag == "startup" and signed(int(block[self._period]) - due) > self._tolerance:
            self.late += 1
