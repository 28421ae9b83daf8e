"""The board watches itself: control law and tables in memory, parameters, heap and stack.

What the law only reads is summed at boot, in pieces; a piece is summed again every few ms, so that all of
it is seen within a second or so.  Machine code is found by its function object and ends with the
instructions that leave a function; where these are not known it is not looked at.
"""

# pyright: reportUndefinedVariable=false, reportInvalidTypeForm=false, reportAssignmentType=false, reportMissingImports=false
# pyright: reportArgumentType=false, reportRedeclaration=false
# (as in eesm.framing)

import gc
import sys
from binascii import crc32

from eesm.faults import Failed
from eesm.framing import micropython

PIECE = 1024  # words summed at a look: some 0.1 ms of a board
NAMES = 8  # parameters of a look
EVERY = 0.02  # s between looks at memory
HEAP_EVERY = 1.0  # s between looks at heap and stack
HEAP_LEAST = 6144  # bytes that a collection has to leave
HEAP_PLENTY = 16384  # bytes free without one, of which nothing more need be known
# Bytes of the ports' stacks, of which a quarter has to stay free.
STACKS = {"rp2": 8192, "linux": 40000}
CODE_MOST = 65536  # bytes in which a function's end is looked for

LETTERS = (
    "mailbox_index",
    "mailbox_value",
    "stream_channel",
    "capture_channel",
    "stream_ring",
    "capture_ring",
)

# On CPython there is no machine code, and a loop over words would cost more than the simulation.
ON_BOARD = sys.implementation.name == "micropython" and sys.maxsize == 0x7FFFFFFF


if ON_BOARD:

    @micropython.viper
    def sum_words(words: ptr32, first: int, end: int) -> int:
        """A sum of words `first` up to `end` which a change of any one word changes."""
        total = 0
        while first < end:
            total = (total << 1 | (total >> 31 & 1)) ^ words[first]
            first += 1
        return total

    @micropython.viper
    def byte_at(place: ptr8, at: int) -> int:
        """A byte of memory."""
        return place[at]

else:

    def sum_words(words, first, end):
        """A sum of words `first` up to `end` which a change of any one word changes."""
        return crc32(memoryview(words)[first:end])


def code_of(function):
    """(address, bytes) of a routine's machine code; (0, 0) where it is not known.

    `function` is a viper function, or the address of code as a native module gives it.
    """
    if not ON_BOARD or function is None:
        return 0, 0
    if isinstance(function, int):
        return function & -2, size_of_code(function & -2, True)
    at = id(function)
    address = 0
    for k in range(4):  # a function object's fourth word
        address |= byte_at(at, 12 + k) << 8 * k
    return address & -2, size_of_code(address & -2, False)


def size_of_code(address, compiled):
    """Bytes up to the instructions that leave a function.

    A viper function has them once, at its end; what a C compiler made may have them before, and then less
    is watched.
    """
    if byte_at(address, 0) == 0x55:  # i386: push ebp; ... pop edi, esi, ebx, ebp; ret
        end = b"\x5f\x5e\x5b\x5d\xc3"
        k = 0
        for at in range(CODE_MOST):
            byte = byte_at(address, at)
            k = k + 1 if byte == end[k] else 1 if byte == end[0] else 0
            if k == len(end):
                return at + 1
    elif byte_at(address, 1) == 0xB5:  # Thumb: push {..., lr}; ... add sp, #n; pop {..., pc}
        before = 0
        for at in range(1, CODE_MOST, 2):
            byte = byte_at(address, at)
            if byte == 0xBD and (compiled or before == 0xB0):
                return at + 1
            before = byte
    return 0


class BoardWatch:
    """A keeper: raises KERNEL_CORRUPTED, HEAP_LOW and STACK_LOW, in every state of the drive."""

    def __init__(self, drive):
        self.drive = drive
        self.damage = ""  # what was found changed; a restart mends it
        kernel = drive.kernel
        self._pieces = []  # (what, words or address, first, end, sum)
        offset, length = kernel.offset, kernel.length
        tables = [name for name in length if name not in LETTERS]
        for name in tables:
            self._add(name, kernel.block, offset[name], offset[name] + length[name])
        for name in ("fast_step", "outer_step", "on_samples"):
            address, size = code_of(getattr(kernel, name))
            self._add("the code of " + name, address, 0, size // 4)
        self._at = 0
        self._name = 0
        self._names = tuple(drive.words)
        self._looked = self._weighed = drive.now
        self._full = self._collected = False
        stack = STACKS.get(sys.platform, 0) if ON_BOARD else 0
        self._stack_most = stack - stack // 4

    def _add(self, what, words, first, end):
        while first < end:
            upto = min(first + PIECE, end)
            self._pieces.append((what, words, first, upto, sum_words(words, first, upto)))
            first = upto

    def look(self):
        """A piece of memory, or some parameters; now and then heap and stack."""
        drive = self.drive
        f_pwm = drive.settings["f_pwm"]
        if drive.since(self._looked) < EVERY * f_pwm:
            return
        self._looked = drive.now
        if self._full or self._collected or drive.since(self._weighed) >= HEAP_EVERY * f_pwm:
            self._weighed = drive.now
            self._weigh()
        elif self._at < len(self._pieces):
            what, words, first, end, found = self._pieces[self._at]
            self._at += 1
            if sum_words(words, first, end) != found:
                self._at -= 1
                self._fail(what)
        else:
            self._compare()

    def _compare(self):
        """Parameters in the block with those posted last."""
        drive, names = self.drive, self._names
        words, read = drive.words, drive.read
        for k in range(self._name, min(self._name + NAMES, len(names))):
            name = names[k]
            if read(name) != words[name] and not self._is_on_its_way(name):
                self._fail("parameter %s (%d, not %d)" % (name, read(name), words[name]))
        self._name += NAMES
        if self._name >= len(names):
            self._name = self._at = 0

    def _is_on_its_way(self, name):
        """True while a letter with the parameter has not been taken."""
        drive = self.drive
        if drive.mailbox.waiting():
            return True
        index = drive.kernel.index(name)
        for letter in drive.mailbox.queue:
            for entry in letter[2]:
                if entry[0] == index:
                    return True
        # Taken between the first look at the word and here.
        return drive.read(name) == drive.words[name]

    def _fail(self, what):
        self.damage = "%s of the control law changed in memory; restart the board" % what
        raise Failed("KERNEL_CORRUPTED", self.damage)

    def _weigh(self):
        """Heap and stack.

        Counting what is free takes a board 20 ms and collecting 80: one at a look, and the heap is collected
        only when it looks full.
        """
        if self._full:
            gc.collect()
            self._full, self._collected = False, True
            return
        free = getattr(gc, "mem_free", None)
        left = HEAP_PLENTY if free is None else free()
        if self._collected and left < HEAP_LEAST:
            raise Failed("HEAP_LOW", "%d bytes of heap are left, at least %d are needed" % (left, HEAP_LEAST))
        self._full, self._collected = left < HEAP_PLENTY and not self._collected, False
        if self._stack_most:
            used = micropython.stack_use()
            if used > self._stack_most:
                raise Failed("STACK_LOW", "%d bytes of stack are used, %d at most" % (used, self._stack_most))
