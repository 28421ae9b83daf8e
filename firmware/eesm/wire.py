"""The wire: frames between host and board, and the messages they carry.  The same file on both ends.

A frame is a COBS-coded content that ends with a zero byte.  The content, little endian:

    version u8, kind u8, sequence u16, device period u32, payload, CRC-32 of all that u32

The board fills in its period; the host sends 0.  Each end counts its own frames in `sequence`.
A request's payload begins with the token of the session (u32, 0 for none); each request is
answered by OK or ERROR, whose payload begins with the kind and the sequence of the request.
STREAM and EVENT come by themselves.
"""

import struct
from binascii import crc32

from eesm.framing import CRC_SIZE, seal, size_of_frame

VERSION = 2
HEADER = "<BBHI"
HEADER_SIZE = 8
MAX_PAYLOAD = 480  # with its coding a frame stays below the 512 bytes of the RP2040's input ring
MAX_CONTENT = HEADER_SIZE + MAX_PAYLOAD + CRC_SIZE
MAX_FRAME = size_of_frame(MAX_CONTENT) - 1  # without the zero that ends it

NOW = 0xFFFFFFFF  # a due period that has no number: the next one

# --- kinds --------------------------------------------------------------------------------------

HELLO = 1
DESCRIBE = 2
STATUS = 3
HEARTBEAT = 4
ARM = 5
STOP = 6
CLEAR = 7
CURRENTS = 8
TORQUE = 9
SPEED = 10
GET = 11
SET = 12
READ = 13
FAULTS = 14
STREAM_SETUP = 15
CAPTURE_SETUP = 16
CAPTURE_STATUS = 17
CAPTURE_FETCH = 18
LEAVE = 19
SAVE = 20
ERASE = 21
STORE = 22
SNAPSHOT = 23
BENCH_LOAD = 24
BENCH_ADVANCE = 25
BENCH_QUIT = 26
OK = 64
ERROR = 65
STREAM = 66
EVENT = 67

# Kind: (name, layout of the request after its token, tail of the request, layout of the answer after
# its head, tail of the answer).  A tail is "" for none, "text" (UTF-8) or the struct code of words that
# repeat.  Currents, torque, speed are raw words of their signals; `due` is a period number or NOW.
REQUESTS = {
    # token of an earlier session to be taken up again, or 0 -> new token, JSON of who the board is
    HELLO: ("hello", "<I", "", "<I", "text"),
    # offset -> length of schema.json, offset, bytes from there
    DESCRIBE: ("describe", "<I", "", "<II", "B"),
    # -> state, 1 if this session drives, 1 if the drive is safe, fault bits, COUNTERS
    STATUS: ("status", "", "", "<BBBQ", "I"),
    # -> state, 1 if this session drives
    HEARTBEAT: ("heartbeat", "", "", "<BB", ""),
    ARM: ("arm", "", "", "", ""),
    STOP: ("stop", "", "", "", ""),
    CLEAR: ("clear", "", "", "", ""),
    # i_d, i_q, i_f, due
    CURRENTS: ("currents", "<iiiI", "", "", ""),
    TORQUE: ("torque", "<iI", "", "", ""),
    SPEED: ("speed", "<iI", "", "", ""),
    # name -> value
    GET: ("get", "", "text", "<d", ""),
    SET: ("set", "<d", "text", "<d", ""),
    # memory indices -> values, all of the period in the header
    READ: ("read", "", "H", "", "i"),
    # -> fault bits, bits that came first, period of the first, 1 if the drive is safe; then a line
    # "number NAME: text" each
    FAULTS: ("faults", "", "", "<QQIB", "text"),
    # divider (0: off), channels (memory index, WIDE for 32 bits in the row) -> number of the stream
    STREAM_SETUP: ("stream", "<H", "H", "<B", ""),
    # divider, rows before the trigger, edge, level, source, channels -> number of the capture
    CAPTURE_SETUP: ("capture", "<HHBiH", "H", "<H", ""),
    # -> number, state, period of the trigger, rows before it
    CAPTURE_STATUS: ("capture status", "", "", "<HBIH", ""),
    # number, first row -> first row, columns, values row by row
    CAPTURE_FETCH: ("capture fetch", "<HH", "", "<HB", "i"),
    # -> nothing more: the firmware ends, the prompt of the interpreter takes the port
    LEAVE: ("leave", "", "", "", ""),
    # -> condition, sequence, settings that are kept, settings that differ from those; a line for each that
    # is not used (`eesm.keeper`)
    SAVE: ("save", "", "", "<BIHH", "text"),
    ERASE: ("erase", "", "", "<BIHH", "text"),
    STORE: ("store", "", "", "<BIHH", "text"),
    # offset -> size of the kept fault, offset, bytes from there (`eesm.snapshot`)
    SNAPSHOT: ("snapshot", "<I", "", "<II", "B"),
    # torque in Nm, due
    BENCH_LOAD: ("load", "<dI", "", "", ""),
    # periods; answered when they have passed
    BENCH_ADVANCE: ("advance", "<I", "", "", ""),
    BENCH_QUIT: ("quit", "", "", "", ""),
}
TOKEN_SIZE = 4
# Head of OK and ERROR: kind and sequence of the request.  ERROR goes on with a code (u16) and a text.
ANSWER = "<BH"
ANSWER_SIZE = 3
FAILURE = "<BHH"
FAILURE_SIZE = 5
# Head of STREAM: number of the stream, rows, number of the first row (30 bits), rows dropped so far;
# then the rows: period u32 and a word for each channel.
ROWS = "<BBII"
ROWS_SIZE = 10
WIDE = 0x8000  # flag of a stream channel: its words are i32, else i16
# An EVENT's payload: period u32 (the header's is that of sending), then text "kind\ntext".
HAPPENED = "<I"

COUNTERS = (
    "frames",  # good frames received by the board
    "bad_crc",
    "bad_version",
    "too_long",
    "malformed",
    "lost",  # frames missing by sequence
    "repeated",
    "refused",  # requests answered by an error
    "stream_dropped",  # rows that had to make way
    "events_dropped",
    "late",  # times that the board fell behind its clock
    "memory_free",  # bytes of heap, 0 where it has no bound
    "deferred",  # times that requests had to wait for the main loop's other half
    "overrun",  # requests dropped unanswered, since too many came while the drive was urgent
)

# Codes of an ERROR; the first five are those of `eesm.drive`.
WRONG_STATE = 1
OUT_OF_RANGE = 2
UNKNOWN = 3
FIXED = 4
HOLDS = 5
MALFORMED = 16
NOT_YOURS = 17  # another session drives
REPLAYED = 18
BUSY = 19
NOT_HERE = 20
INTERNAL = 21
WRONG_VERSION = 22


# --- frames -------------------------------------------------------------------------------------


def unstuff(data):
    """The inverse of COBS; None when `data`, which holds no zero, cannot have come from it."""
    out = []
    add = out.append
    at, size = 0, len(data)
    while at < size:
        code = data[at]
        end = at + code
        if code == 0 or end > size:
            return None
        add(data[at + 1 : end])
        if code < 255 and end < size:
            add(b"\0")
        at = end
    return b"".join(out)


def pack(kind, sequence, period, payload, version=VERSION):
    """A whole frame with the zero that ends it; ValueError when the payload is too long."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError("a payload takes %d bytes, not %d" % (MAX_PAYLOAD, len(payload)))
    size = HEADER_SIZE + len(payload)
    content = bytearray(size + CRC_SIZE)
    struct.pack_into(HEADER, content, 0, version, kind, sequence & 0xFFFF, period)
    content[HEADER_SIZE:size] = payload
    frame = bytearray(size_of_frame(size + CRC_SIZE))
    size = seal(content, size, frame)
    return bytes(memoryview(frame)[:size])


class Decoder:
    """Bytes to messages, whatever the bytes; keeps at most one frame, and counts what it drops."""

    def __init__(self):
        self.frames = 0
        self.bad_crc = 0
        self.bad_version = 0
        self.too_long = 0
        self.malformed = 0
        self.lost = 0
        self.repeated = 0
        self.foreign = 0  # version of the last well-formed frame of another protocol
        self._tail = b""
        self._skip = False  # inside a frame that is too long: drop all up to the next zero
        self._expected = -1

    def resynchronise(self):
        """Forget what was received so far: the other end has begun anew."""
        self._tail = b""
        self._skip = False
        self._expected = -1

    def feed(self, data):
        """Messages completed by `data`: [(kind, sequence, period, payload), ...]."""
        pieces = bytes(data).split(b"\0")
        messages = []
        last = len(pieces) - 1
        for k in range(last):
            piece = pieces[k]
            if k == 0 and self._tail:
                piece = self._tail + piece
                self._tail = b""
            if self._skip:
                self._skip = False
            elif len(piece) > MAX_FRAME:
                self.too_long += 1
            elif piece:
                message = self._open(piece)
                if message is not None:
                    messages.append(message)
        if not self._skip:
            self._tail += pieces[last]
            if len(self._tail) > MAX_FRAME:
                self.too_long += 1
                self._tail = b""
                self._skip = True
        return messages

    def _open(self, piece):
        """The message in a frame, or None."""
        content = unstuff(piece)
        if content is None or len(content) < HEADER_SIZE + CRC_SIZE:
            self.malformed += 1
            return None
        end = len(content) - CRC_SIZE
        if crc32(content[:end]) != struct.unpack_from("<I", content, end)[0]:
            self.bad_crc += 1
            return None
        version, kind, sequence, period = struct.unpack_from(HEADER, content, 0)
        if version != VERSION:
            self.bad_version += 1
            self.foreign = version
            return None
        self.frames += 1
        if self._expected >= 0 and kind != HELLO:  # which begins a new count
            gap = (sequence - self._expected) & 0xFFFF
            if gap < 0x8000:
                self.lost += gap
            else:
                self.repeated += 1
        self._expected = (sequence + 1) & 0xFFFF
        return kind, sequence, period, content[HEADER_SIZE:end]


# --- requests -----------------------------------------------------------------------------------


def parse_request(kind, payload):
    """(token, fields, tail bytes) of a request; ValueError with a sentence unless it fits its layout."""
    row = REQUESTS.get(kind)
    if row is None:
        raise ValueError("no request has kind %d" % kind)
    name, layout, tail = row[:3]
    fixed = TOKEN_SIZE + struct.calcsize(layout)
    size = len(payload)
    step = 1 if tail == "text" else struct.calcsize(tail) if tail else 0
    if size < fixed or (size > fixed if not tail else (size - fixed) % step):
        raise ValueError("%s takes %d bytes%s, not %d" % (name, fixed, " and a tail" if tail else "", size))
    token = struct.unpack_from("<I", payload, 0)[0]
    fields = struct.unpack_from(layout, payload, TOKEN_SIZE) if layout else ()
    return token, fields, payload[fixed:]


def words_of(tail, code):
    """The repeated words of a tail, by their struct code."""
    return struct.unpack("<%d%s" % (len(tail) // struct.calcsize(code), code), tail)
