"""Rows for the host: drains the kernel's stream ring, sets up and reads its capture.

The kernel writes its rings in the interrupt; this runs in the main loop.  A ring may overtake the
reader: a copy counts only when the kernel has not come round to it meanwhile.  Rows that cannot
be sent are dropped and counted; nothing here ever waits.
"""

import struct

from eesm import wire
from eesm.cyclic import MASK
from eesm.framing import copy_rows, seal
from eesm.mailbox import MailboxFull

# As in eesm.signals, which stays on the host.
STREAM_CHANNELS = 15
STREAM_ROW = 16
STREAM_ROWS = 128
CAPTURE_CHANNELS = 8
CAPTURE_ROWS = 512
CAPTURE_DONE = 4
CAPTURE_EDGES = 4
CAPTURE_KEPT = 10.0  # s for which a capture waits to be fetched
DIVIDER_MAX = 20000

# A reader that was overtaken goes on with the newest rows but these, not with one that is next to go.
KEEP = STREAM_ROWS - 32

ROWS_AT = wire.HEADER_SIZE + wire.ROWS_SIZE  # where the rows begin in a frame's content
PATIENCE = 0.02  # s that a row waits for company in its frame
TAG = "stream"

OFF = 0
ENDING = 1  # the kernel has still to end the previous stream
STARTING = 2
RUNNING = 3
SETTING_UP = (ENDING, STARTING)  # when `pump` has something to do


class Telemetry:
    """The stream and the capture of one kernel."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.block = kernel.block
        offset = kernel.offset
        self._ring = offset["stream_ring"]
        self._written = offset["stream_rows"]
        self._divider = offset["stream_divider"]
        self._capture_ring = offset["capture_ring"]
        self._period = offset["period"]
        self._patience = int(PATIENCE * kernel.settings["f_pwm"])
        self._words = len(kernel.block)
        self.state = OFF
        self.number = 0  # of the stream, so that the host can tell rows of an earlier one
        self.dropped = 0  # rows of this stream
        self.dropped_ever = 0
        self._next = 0  # row to be sent next
        self._first = 0  # row that this stream began with
        self._sent = 0  # period of the last frame
        self._letter = []
        self._row_size = 4
        self._channels = 0
        self._wide = 0  # a bit for each channel of 32 bits
        self._frame_rows = 0
        self._content = bytearray(wire.MAX_CONTENT)
        self.frame = bytearray(wire.MAX_FRAME + 1)  # the last frame that `fill` made
        self.capture_number = 0
        self.capture_columns = 0
        self._capture_pre = 0
        self._capture_read = True  # the rows of the last capture have been fetched, or nobody will

    def valid_index(self, index):
        """True when a memory index lies within the block."""
        return 0 <= index + self.kernel.memory_shift < self._words

    # --- stream -------------------------------------------------------------------------------------

    def set_stream(self, mailbox, divider, channels):
        """Stream `channels` (memory index, wire.WIDE for 32 bits) each `divider` periods; 0 ends it.

        Returns the number of the stream.  Raises ValueError with a sentence, and changes nothing,
        when the request cannot be met; MailboxFull when too much waits for the kernel.
        """
        if divider > DIVIDER_MAX:
            raise ValueError("a stream's divider is 0 .. %d, not %d" % (DIVIDER_MAX, divider))
        if len(channels) > STREAM_CHANNELS or (divider and not channels):
            raise ValueError("a stream takes 1 .. %d signals, not %d" % (STREAM_CHANNELS, len(channels)))
        kernel = self.kernel
        size, wide = 4, 0
        entries = [(kernel.index("stream_divider"), divider)]
        place = kernel.index("stream_channel")
        for k in range(len(channels)):
            channel = channels[k]
            index = channel & ~wire.WIDE
            if not self.valid_index(index):
                raise ValueError("no signal has the memory index %d" % index)
            size += 2
            if channel & wire.WIDE:
                size += 2
                wide |= 1 << k
            entries.append((place, index))
            place += 1
        mailbox.drop(TAG)
        # Urgent: a refusal here would leave half of the old stream's set-up behind.
        first = [(kernel.index("stream_divider"), 0), (kernel.index("stream_count"), len(channels))]
        mailbox.post_entries(first, None, True, TAG, True)
        self.number = (self.number + 1) & 0xFF
        self.dropped = 0
        self._letter = entries
        self._row_size = size
        self._channels = len(channels)
        self._wide = wide
        self._frame_rows = min(255, (wire.MAX_PAYLOAD - wire.ROWS_SIZE) // self._row_size)
        self.state = ENDING
        return self.number

    def pump(self, mailbox):
        """Carry a new set-up to the kernel; call it every main-loop turn."""
        if self.state == ENDING and self.block[self._divider] == 0 and not self._in_post(mailbox):
            # Rows of the stream before, if any, are left behind: nothing is written now.
            self._next = self._first = int(self.block[self._written])
            if self._letter[0][1] == 0:
                self.state = OFF
                return
            try:
                mailbox.post_entries(self._letter, None, True, TAG)
            except MailboxFull:
                return  # next turn
            self.state = STARTING
        if self.state == STARTING and self.block[self._divider] != 0:
            self._sent = int(self.block[self._period])
            self.state = RUNNING

    def _in_post(self, mailbox):
        """True while the kernel may still take an older letter about the stream."""
        if mailbox.waiting():
            return True
        for letter in mailbox.queue:
            if letter[1] == TAG:
                return True
        return False

    def waiting(self):
        """Rows that wait in the ring."""
        if self.state != RUNNING:
            return 0
        return (int(self.block[self._written]) - self._next) & MASK

    def skip(self, written):
        """Give up the rows that the ring has lost or is about to lose."""
        missed = ((written - self._next) & MASK) - KEEP
        self.dropped += missed
        self.dropped_ever += missed
        self._next = (self._next + missed) & MASK

    def fill(self, sequence, all_now=False):
        """Make the next STREAM frame in `frame`; returns its size in bytes, 0 when it is not time for one.

        A frame waits until it is full or PATIENCE has passed, unless `all_now`.  Nothing is allocated.
        """
        waiting = self.waiting()
        if waiting == 0:
            return 0
        block, written = self.block, self._written
        period = int(block[self._period])
        if waiting < self._frame_rows and not all_now and ((period - self._sent) & MASK) < self._patience:
            return 0
        if waiting >= STREAM_ROWS:
            self.skip(int(block[written]))
            waiting = KEEP
        count = min(waiting, self._frame_rows)
        first = self._next
        content = self._content
        copy_rows(content, ROWS_AT, block, self._ring, first, first + count, self._channels, self._wide)
        now = int(block[written])
        if ((now - first) & MASK) >= STREAM_ROWS:
            # Overtaken while copying: the first rows may be torn.
            self.skip(now)
            return 0
        self._next = (first + count) & MASK
        self._sent = period
        struct.pack_into(wire.HEADER, content, 0, wire.VERSION, wire.STREAM, sequence, period)
        first = (first - self._first) & MASK
        struct.pack_into(wire.ROWS, content, wire.HEADER_SIZE, self.number, count, first, self.dropped)
        return seal(content, ROWS_AT + count * self._row_size, self.frame)

    # --- capture ------------------------------------------------------------------------------------

    def set_capture(self, mailbox, divider, pre, edge, level, source, channels):
        """Arm the capture; returns its number.  Raises as `set_stream` does."""
        if not 1 <= divider <= DIVIDER_MAX:
            raise ValueError("a capture's divider is 1 .. %d, not %d" % (DIVIDER_MAX, divider))
        if not 0 <= pre < CAPTURE_ROWS:
            raise ValueError(
                "a capture keeps 0 .. %d rows before its trigger, not %d" % (CAPTURE_ROWS - 1, pre)
            )
        if edge >= CAPTURE_EDGES:
            raise ValueError("a capture's edge is 0 .. %d, not %d" % (CAPTURE_EDGES - 1, edge))
        low, high = self.kernel.limits_of("capture_level")
        if not low <= level <= high:
            raise ValueError("a capture's level is %d .. %d, not %d" % (low, high, level))
        if not 1 <= len(channels) <= CAPTURE_CHANNELS:
            raise ValueError("a capture takes 1 .. %d signals, not %d" % (CAPTURE_CHANNELS, len(channels)))
        for index in channels + (source,):
            if not self.valid_index(index):
                raise ValueError("no signal has the memory index %d" % index)
        kernel = self.kernel
        number = (kernel.read("capture_armed") + 1) & 0xFFFF
        if number == self.capture_number:  # set up again before the kernel took the last one
            number = (number + 1) & 0xFFFF
        index = kernel.index
        entries = [
            (index("capture_divider"), divider),
            (index("capture_pre"), pre),
            (index("capture_edge"), edge),
            (index("capture_level"), level),
            (index("capture_source"), source),
            (index("capture_arm"), number),
        ]
        place = index("capture_channel")
        for channel in channels:
            entries.append((place, channel))
            place += 1
        mailbox.post_entries(entries, None, True)
        self.capture_number = number
        self.capture_columns = len(channels)
        self._capture_pre = pre
        self._capture_read = False
        return number

    def capture_is_free(self):
        """True when no capture waits for trigger or rows, nor for somebody to fetch what it has."""
        read = self.kernel.read
        if read("capture_armed") != self.capture_number:
            return False
        state = read("capture_state")
        if state != CAPTURE_DONE:
            return state == 0
        age = (read("period") - read("capture_period")) & MASK
        return self._capture_read or age > CAPTURE_KEPT * self.kernel.settings["f_pwm"]

    def capture_status(self):
        """(number, state, period of the trigger, rows before it) of the capture set up last."""
        read = self.kernel.read
        taken = read("capture_armed") == self.capture_number
        return (
            self.capture_number,
            read("capture_state") if taken else 0,
            read("capture_period"),
            self._capture_pre,
        )

    def capture_rows(self, number, first):
        """(columns, bytes of i32 words) of rows from `first`, oldest row 0; as many as a frame takes.

        Raises ValueError with a sentence unless capture `number` is complete.
        """
        read = self.kernel.read
        if number != self.capture_number:
            raise ValueError("capture %d is not the last one, which is %d" % (number, self.capture_number))
        if read("capture_armed") != number or read("capture_state") != CAPTURE_DONE:
            raise ValueError("the capture is not complete; ask for its status")
        if not 0 <= first < CAPTURE_ROWS:
            raise ValueError("a capture has rows 0 .. %d, not %d" % (CAPTURE_ROWS - 1, first))
        columns = self.capture_columns
        room = wire.MAX_PAYLOAD - wire.ANSWER_SIZE - struct.calcsize(wire.REQUESTS[wire.CAPTURE_FETCH][3])
        count = min(CAPTURE_ROWS - first, room // (4 * columns))
        if first + count == CAPTURE_ROWS:
            self._capture_read = True
        head = read("capture_head")  # the oldest row: the one that would be written next
        size = CAPTURE_CHANNELS * CAPTURE_ROWS
        layout = "<%di" % columns
        out = bytearray(4 * columns * count)
        for k in range(count):
            start = self._capture_ring + (head + CAPTURE_CHANNELS * (first + k)) % size
            struct.pack_into(layout, out, 4 * columns * k, *self.block[start : start + columns])
        return columns, out
