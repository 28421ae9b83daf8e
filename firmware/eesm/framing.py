"""The inner loops of a frame: rows out of the kernel's ring, then CRC-32 and COBS, byte by byte.

On a board they are machine code (viper) and allocate nothing; CPython runs the same lines as they are.
So they use only what means the same to both: `bytearray`, `bytes` and `array`, words of 32 bits, and a
mask wherever a sign could tell the two apart.  A literal has at most 30 bits.
"""

# pyright: reportInvalidTypeForm=false, reportAssignmentType=false, reportMissingImports=false
# (the types of viper are no types elsewhere, and CPython has no module micropython)

from array import array

try:
    import micropython
    from micropython import const
except ImportError:  # CPython

    def const(value):
        """A value that the board's compiler writes into the code."""
        return value

    def _same(thing):
        return thing

    class micropython:  # noqa: N801 - the name that the decorators have
        """In MicroPython's stead."""

        viper = staticmethod(_same)

    ptr8 = ptr32 = _same

_ROW_SHIFT = const(4)  # a row of the ring takes 16 words, of which the first is its period
_ROW_MASK = const(127)  # the ring holds 128 rows
_BLOCK = const(255)  # of COBS: a code and 254 bytes

CRC_SIZE = 4


@micropython.viper
def _fill(table: ptr32):
    """What each value of a byte does to a CRC."""
    quarter = 0x3B6E20C8  # of the polynomial with its bits reversed, 0xEDB88320
    half = 0x3FFFFFFF
    positive = half << 1 | 1
    byte = 0
    while byte < 256:
        word = byte
        bit = 0
        while bit < 8:
            word = (word >> 1 & positive) ^ (quarter << 2 & 0 - (word & 1))
            bit += 1
        table[byte] = word
        byte += 1


_table = array("I", bytes(1024))
_fill(_table)


@micropython.viper
def _append_crc(content: ptr8, at: int, table: ptr32, size: int):
    """Put the CRC-32 (IEEE 802.3, as zlib's) of the bytes from `at` (0) behind them."""
    crc = -1
    while at < size:
        crc = (crc >> 8 & 0xFFFFFF) ^ table[(crc ^ content[at]) & 255]
        at += 1
    crc = crc ^ -1
    while at < size + 4:
        content[at] = crc & 255
        crc = crc >> 8
        at += 1


@micropython.viper
def _stuff(content: ptr8, frame: ptr8, end: int, size: int) -> int:
    """COBS (Cheshire and Baker, 1999) with the zero that ends it; `end` is 1; returns the frame's size."""
    at = 0
    code = 0  # where the present block begins
    while at < size:
        if end - code == _BLOCK:
            frame[code] = _BLOCK
            code = end
            end += 1
        byte = content[at]
        if byte:
            frame[end] = byte
        else:
            frame[code] = end - code
            code = end
        end += 1
        at += 1
    frame[code] = end - code
    frame[end] = 0
    return end + 1


def size_of_frame(size):
    """Most bytes of a frame for `size` bytes, CRC and all, with the zero that ends it."""
    return size + size // 254 + 2


def seal(content, size, frame):
    """Make a frame of the first `size` bytes of `content`, which has CRC_SIZE more; returns its size.

    It is written to the beginning of `frame`, which has room for `size_of_frame` bytes.
    """
    _append_crc(content, 0, _table, size)
    return _stuff(content, frame, 1, size + CRC_SIZE)


@micropython.viper
def copy_rows(content: ptr8, at: int, block: ptr32, ring: int, row: int, end: int, channels: int, wide: int):
    """Rows `row` up to `end` of the ring at block[ring] into `content` from byte `at` on.

    A row becomes its period and `channels` words, little endian, of 32 bits where `wide` has the
    channel's bit, else of 16.
    """
    while row != end:
        place = ring + ((row & _ROW_MASK) << _ROW_SHIFT)
        size = 4
        channel = 0
        while channel <= channels:
            word = int(block[place + channel])
            content[at] = word & 255
            content[at + 1] = word >> 8 & 255
            if size == 4:
                content[at + 2] = word >> 16 & 255
                content[at + 3] = word >> 24 & 255
            at += size
            size = 2 + ((wide >> channel & 1) << 1)
            channel += 1
        row += 1
