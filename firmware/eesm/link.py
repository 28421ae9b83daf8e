"""The board's end of the wire: decodes requests, obeys or refuses them, pushes events and rows.

`poll` runs once a turn of the main loop and does a bounded amount of work.  Every request gets
exactly one answer.  A request that does not fit its layout, its session or its range changes
nothing.

Sessions: HELLO grants a token.  Whoever arms the drive owns it until it is off again or has a
fault; meanwhile only that session's commands are obeyed, and only its messages count as a sign of
life.  Stopping is everybody's right, and a stop is obeyed as it arrives, before what waits.

Rate: on a board, whose periods do not wait for the main loop, reading and serving take half of its
time at most while the drive is armed.  What comes quicker waits, in the port at last, and is counted.
"""

import gc
import json
import os
import struct
import sys

from eesm import telemetry as _telemetry
from eesm import wire
from eesm.cyclic import MASK, signed
from eesm.drive import FAULT, HOLDS, OFF, Refused
from eesm.mailbox import MailboxFull

READ_SIZE = 256  # bytes taken from the port in one turn
READ_OF_A_BOARD = 64  # which takes some 5 ms for each message
INBOX = 18  # requests that are kept while there is no time for them: as many as one reading can hold
REQUESTS_A_TURN = 2
FRAMES_A_TURN = 8  # of a drive whose periods wait for the main loop
FRAMES_OF_A_BOARD = 2
OUTBOX = 4  # frames that may wait for the port before no more requests are read
SESSIONS = 4
AHEAD = 1024  # requests that a line may lose; one from further ahead is an old one, replayed after the wrap
READ_SIGNALS = 64
SILENCE = 5.0  # s without a message after which nobody is supposed to read the stream
COLLECTION_REST = 0.1  # s between collections of garbage for an idle drive's status; each takes a board 40 ms

# What needs a session, and the drive to be nobody else's.
GUARDED = (
    wire.ARM,
    wire.CLEAR,
    wire.CURRENTS,
    wire.TORQUE,
    wire.SPEED,
    wire.SET,
    wire.STREAM_SETUP,
    wire.CAPTURE_SETUP,
    wire.LEAVE,
    wire.SAVE,
    wire.ERASE,
)
# What needs a session only.
BENCH = (wire.BENCH_LOAD, wire.BENCH_ADVANCE, wire.BENCH_QUIT)


def interpreter():
    """Name, version and word size of what runs this."""
    version = ".".join([str(n) for n in sys.implementation.version[:3]])
    bits = 1
    word = sys.maxsize
    while word:
        word >>= 1
        bits += 1
    return "%s %s %d-bit %s" % (sys.implementation.name, version, bits, sys.platform)


def new_token():
    """A number that another client will not guess by accident; never 0."""
    return struct.unpack("<I", os.urandom(4))[0] or 1


def cut(text, room):
    """UTF-8 of a text, at most `room` bytes."""
    return text.encode()[:room]


class Link:
    """Serves one port for one drive.

    `port` has read(n) -> bytes and write(buffer, at, end) -> number of the bytes from `at` up to `end`
    that it took; neither waits.
    `identity` is that of unit.json, `schema` the path of schema.json, `kept` the way to kept settings.
    """

    def __init__(self, port, drive, telemetry, identity, schema="schema.json", kept=None):
        self.port = port
        self.drive = drive
        self.mailbox = drive.mailbox
        self.telemetry = telemetry
        self.identity = identity
        self.schema = schema
        self.kept = kept
        self.decoder = wire.Decoder()
        self.refused = 0
        self.deferred = 0  # times that requests had to wait for the main loop's other half
        self.overrun = 0  # requests dropped unanswered, since too many came while the drive was urgent
        self.owner = 0  # token of the session that armed the drive
        self._sessions = []  # [token, sequence of its last request], the oldest first
        self._greeted = False
        self._sequence = 0
        self._inbox = []
        self.outbox = []  # frames that wait for the port; always the same list
        self._at = 0  # bytes of the first one that the port has taken
        self._rows_size = 0  # bytes of telemetry.frame, which is longer than what it holds
        self._read_size = READ_SIZE if drive.driver.waits else READ_OF_A_BOARD
        self._frames = FRAMES_A_TURN if drive.driver.waits else FRAMES_OF_A_BOARD
        self._advance = None  # (kind, sequence) of the advance that is still to be answered
        self._quit = False
        self._leaves = False
        self._period = drive.kernel.offset["period"]
        self._heard = 0
        self._foreign_told = 0
        self._silence = int(SILENCE * drive.settings["f_pwm"])
        self._rests = False  # until the period `_rests_until` nothing is read or served
        self._rests_until = 0
        self._collection_rest = int(COLLECTION_REST * drive.settings["f_pwm"])
        self._collected = -1  # period, or -1 before the first collection
        self._handlers = {
            wire.HELLO: self._hello,
            wire.DESCRIBE: self._describe,
            wire.STATUS: self._status,
            wire.HEARTBEAT: self._heartbeat,
            wire.ARM: self._arm,
            wire.STOP: self._stop,
            wire.CLEAR: self._clear,
            wire.CURRENTS: self._currents,
            wire.TORQUE: self._torque,
            wire.SPEED: self._speed,
            wire.GET: self._get,
            wire.SET: self._set,
            wire.READ: self._read,
            wire.FAULTS: self._faults,
            wire.STREAM_SETUP: self._stream_setup,
            wire.CAPTURE_SETUP: self._capture_setup,
            wire.CAPTURE_STATUS: self._capture_status,
            wire.CAPTURE_FETCH: self._capture_fetch,
            wire.LEAVE: self._leave,
            wire.SAVE: lambda fields, tail: self._ask_keeper("save"),
            wire.ERASE: lambda fields, tail: self._ask_keeper("erase"),
            wire.STORE: lambda fields, tail: self._ask_keeper("status"),
            wire.SNAPSHOT: self._snapshot,
            wire.BENCH_LOAD: self._bench_load,
            wire.BENCH_ADVANCE: self._bench_advance,
            wire.BENCH_QUIT: self._bench_quit,
        }

    # --- the turn -----------------------------------------------------------------------------------

    def poll(self):
        """One turn: bytes out, requests in, then events and rows as far as the port takes them."""
        # Most turns have little to do, and a board has little time: no call that is not needed.
        if self.outbox:
            self._flush()
        if len(self.outbox) < OUTBOX and not (self._rests and self._has_to_rest()):
            if self._inbox:
                self._work(b"")
            else:
                data = self.port.read(self._read_size)
                if data:
                    self._work(data)
        telemetry = self.telemetry
        if telemetry.state in _telemetry.SETTING_UP:
            telemetry.pump(self.mailbox)
        if self.drive.events or telemetry.state != _telemetry.OFF:
            self._push()
        if self._advance is not None and not self.outbox and self.drive.driver.granted == 0:
            kind, sequence = self._advance
            self._advance = None
            self._answer(kind, sequence, b"")
        if self._quit and not self.outbox:
            self.drive.driver.quit()

    def listen(self):
        """Obey a stop at once and keep the rest for later: while the drive is urgent, no answer has time.

        Who asks more than there is room for gets no answer; a stop behind it is obeyed all the same.
        """
        data = self.port.read(self._read_size)
        if not data:
            return
        self._take(data)
        inbox = self._inbox
        while len(inbox) > INBOX:
            inbox.pop()
            self.overrun += 1

    def _take(self, data):
        """Bytes to requests in the inbox; a stop among them is obeyed before its turn to be answered."""
        messages = self.decoder.feed(data)
        for message in messages:
            if message[0] == wire.STOP and len(message[3]) == wire.TOKEN_SIZE:
                try:
                    self.drive.stop()
                except MailboxFull:
                    pass  # refused when it is answered, as any command
        self._inbox += messages

    def _work(self, data):
        """Take what has come and serve some of it; then rest for as long as that took."""
        block, period = self.drive.kernel.block, self._period
        began = int(block[period])
        if data:
            self._take(data)
            self.mailbox.pump()  # a board may have taken 0.1 s for that, and a stop may be among it
            if self.decoder.bad_version != self._foreign_told:
                self._refuse_version()
        for _ in range(REQUESTS_A_TURN):
            if self._inbox and len(self.outbox) < OUTBOX:
                self._serve(self._inbox.pop(0))
        now = int(block[period])
        if now != began:
            self._rests = True
            self._rests_until = now + ((now - began) & MASK)

    def _has_to_rest(self):
        """True while an armed drive's main loop has not had as much time for itself as for its host."""
        if self.drive.state in (OFF, FAULT) or signed(self._rests_until - self._now()) <= 0:
            self._rests = False
        elif self._inbox:
            self.deferred += 1
        return self._rests

    def _now(self):
        return int(self.drive.kernel.block[self._period])

    def left(self):
        """True when a host has asked for the prompt and has its answer: the main loop ends."""
        return self._leaves and not self.outbox

    def _flush(self):
        """Give the port what it takes."""
        outbox, rows = self.outbox, self.telemetry.frame
        while outbox:
            frame = outbox[0]
            end = self._rows_size if frame is rows else len(frame)
            self._at += self.port.write(frame, self._at, end)
            if self._at < end:
                return
            self._at = 0
            outbox.pop(0)

    def _send(self, kind, payload):
        now = self._now()
        self.outbox.append(wire.pack(kind, self._sequence, now, payload))
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._flush()

    def _answer(self, kind, sequence, body):
        self._send(wire.OK, struct.pack(wire.ANSWER, kind, sequence) + body)

    def _refuse(self, kind, sequence, code, text):
        self.refused += 1
        body = struct.pack(wire.FAILURE, kind, sequence, code)
        self._send(wire.ERROR, body + cut(text, wire.MAX_PAYLOAD - wire.FAILURE_SIZE))

    def _refuse_version(self):
        self._foreign_told = self.decoder.bad_version
        text = "this board speaks protocol %d, the host %d; use eesm and firmware of the same release" % (
            wire.VERSION,
            self.decoder.foreign,
        )
        self._refuse(0, 0, wire.WRONG_VERSION, text)

    def _push(self):
        """Events and rows; a port that is full delays events, rows are left to the ring."""
        if not self._greeted:
            return
        events = self.drive.events
        for _ in range(self._frames):
            if self.outbox or not events:
                break
            period, kind, text = events.pop(0)
            head = struct.pack(wire.HAPPENED, period)
            self._send(wire.EVENT, head + cut(kind + "\n" + text, wire.MAX_PAYLOAD - len(head)))
        telemetry = self.telemetry
        if telemetry.state == _telemetry.OFF:
            return
        now = self._now()
        if ((now - self._heard) & MASK) > self._silence:
            self._heard = now
            self._end_stream()
            return
        try:
            for _ in range(self._frames):
                if self.outbox:
                    return
                all_now = self._advance is not None and self.drive.driver.granted == 0
                self._rows_size = telemetry.fill(self._sequence, all_now)
                if self._rows_size == 0:
                    return
                self._sequence = (self._sequence + 1) & 0xFFFF
                self.outbox.append(telemetry.frame)
                self._flush()
        except Exception:  # a set-up that cannot be packed must not end the main loop
            self._end_stream()

    def _end_stream(self):
        try:
            self.telemetry.set_stream(self.mailbox, 0, ())
        except MailboxFull:
            pass  # next turn

    # --- requests -----------------------------------------------------------------------------------

    def _serve(self, message):
        """Answer one request, whatever it holds."""
        kind, sequence, _, payload = message
        try:
            token, fields, tail = wire.parse_request(kind, payload)
        except ValueError as error:
            self._refuse(kind, sequence, wire.MALFORMED, str(error))
            return
        self._heard = self._now()
        try:
            self._admit(kind, sequence, token)
            if kind in (wire.HELLO, wire.ARM, wire.HEARTBEAT, wire.STATUS, wire.BENCH_ADVANCE):
                fields = (token, sequence) + fields
            body = self._handlers[kind](fields, tail)
            if body is not None:
                self._answer(kind, sequence, body)
        except Refused as refusal:
            self._refuse(kind, sequence, refusal.code, refusal.text)
        except MailboxFull as error:
            self._refuse(kind, sequence, wire.BUSY, "%s; wait and send the command again" % error)
        except ValueError as error:
            self._refuse(kind, sequence, wire.OUT_OF_RANGE, str(error))
        except Exception as error:
            self._refuse(
                kind,
                sequence,
                wire.INTERNAL,
                "%s failed on the board: %s" % (wire.REQUESTS[kind][0], repr(error)),
            )

    def _admit(self, kind, sequence, token):
        """Refuse what this session may not; note a sign of life of the one that drives."""
        session = None
        for known in self._sessions:
            if known[0] == token:
                session = known
        fresh = False
        if session is not None:
            ahead = (sequence - session[1]) & 0xFFFF
            fresh = 0 < ahead <= AHEAD
            if fresh:
                session[1] = sequence
                if token == self.owner:
                    self.drive.host_seen()
        if kind not in GUARDED and kind not in BENCH:
            return
        if session is None:
            raise Refused(wire.NOT_YOURS, "this command needs a session; connect again")
        if not fresh:
            raise Refused(wire.REPLAYED, "this command has been received before, or late; it is not obeyed")
        if kind in GUARDED and self._driven() and token != self.owner:
            raise Refused(
                wire.NOT_YOURS,
                "another client drives this board; stop the drive first (`eesm stop` is everybody's)",
            )

    def _driven(self):
        """True while a session owns the drive."""
        if self.drive.state in (OFF, FAULT):
            self.owner = 0
        return self.owner != 0

    def _owns(self, token):
        return 1 if self._driven() and token == self.owner else 0

    def _hello(self, fields, tail):
        _, sequence, earlier = fields
        token = new_token()
        # A session that is taken up again gets a new token, so that its old messages are worth nothing.
        if earlier and earlier == self.owner:
            self.owner = token
        kept = [known for known in self._sessions if known[0] != earlier]
        while len(kept) >= SESSIONS:
            k = 1 if kept[0][0] == self.owner else 0
            kept.pop(k)
        kept.append([token, sequence])
        self._sessions = kept
        self._greeted = True
        who = dict(self.identity)
        driver = self.drive.driver
        who["interpreter"] = interpreter()
        who["bench"] = 1 if hasattr(driver, "set_load") else 0
        who["fast"] = 1 if getattr(driver, "fast", False) else 0
        return struct.pack("<I", token) + json.dumps(who).encode()

    def _describe(self, fields, tail):
        offset = fields[0]
        try:
            with open(self.schema, "rb") as file:
                size = file.seek(0, 2)
                file.seek(min(offset, size))
                data = file.read(wire.MAX_PAYLOAD - wire.ANSWER_SIZE - 8)
        except OSError:
            raise Refused(
                wire.NOT_HERE, "this board has no %s; build and load its folder again" % self.schema
            )
        return struct.pack("<II", size, offset) + data

    def _status(self, fields, tail):
        decoder, drive = self.decoder, self.drive
        return struct.pack(
            "<BBBQ14I",
            drive.state,
            self._owns(fields[0]),
            drive.safe,
            drive.fault_word(),
            decoder.frames,
            decoder.bad_crc,
            decoder.bad_version,
            decoder.too_long,
            decoder.malformed,
            decoder.lost,
            decoder.repeated,
            self.refused,
            self.telemetry.dropped_ever,
            drive.events_lost,
            getattr(drive.driver, "late", 0),
            self._memory_free(),
            self.deferred,
            self.overrun,
        )

    def _memory_free(self):
        """Bytes of heap that are left; 0 where nobody counts them, as on CPython.

        What could be collected counts as used, unless the drive is off and there is time to collect it.
        """
        count = getattr(gc, "mem_free", None)
        if count is None:
            return 0
        now = self._now()
        if self.drive.state == OFF and (
            self._collected < 0 or ((now - self._collected) & MASK) >= self._collection_rest
        ):
            gc.collect()
            self._collected = now
        return count()

    def _heartbeat(self, fields, tail):
        return struct.pack("<BB", self.drive.state, self._owns(fields[0]))

    def _arm(self, fields, tail):
        self.drive.arm()
        self.owner = fields[0]
        return b""

    def _stop(self, fields, tail):
        self.drive.stop()
        return b""

    def _clear(self, fields, tail):
        if self.drive.safe:  # else the field is the better reason
            self._wait_for_snapshot()
        self.drive.clear()
        return b""

    def _currents(self, fields, tail):
        i_d, i_q, i_f, due = fields
        self.drive.set_currents_raw(i_d, i_q, i_f, self._due(due))
        return b""

    def _torque(self, fields, tail):
        self.drive.set_torque_raw(fields[0], self._due(fields[1]))
        return b""

    def _speed(self, fields, tail):
        self.drive.set_speed_raw(fields[0], self._due(fields[1]))
        return b""

    def _due(self, due):
        """A due period, None for the next one."""
        if due == wire.NOW:
            return None
        if due > MASK:
            raise ValueError("a period number is 0 .. %d, not %d" % (MASK, due))
        return due

    def _name(self, tail):
        try:
            return str(tail, "utf-8")
        except (UnicodeError, ValueError):
            raise ValueError("a setting's name is text")

    def _get(self, fields, tail):
        name = self._name(tail)
        value = self.drive.get_setting(name)
        if not isinstance(value, (int, float)):
            raise Refused(wire.UNKNOWN, "%s is not a number" % name)
        return struct.pack("<d", value)

    def _set(self, fields, tail):
        name = self._name(tail)
        self.drive.set_setting(name, fields[0])
        return struct.pack("<d", self.drive.get_setting(name))

    def _read(self, fields, tail):
        indices = wire.words_of(tail, "H")
        if len(indices) > READ_SIGNALS:
            raise ValueError("one request reads %d signals, not %d" % (READ_SIGNALS, len(indices)))
        kernel = self.drive.kernel
        for index in indices:
            if not self.telemetry.valid_index(index):
                raise Refused(wire.UNKNOWN, "no signal has the memory index %d" % index)
        block, shift = kernel.block, kernel.memory_shift
        values = []
        for _ in range(3):  # again when the interrupt came in between
            period = int(block[self._period])
            values = [int(block[index + shift]) for index in indices]
            if int(block[self._period]) == period:
                break
        return struct.pack("<%di" % len(values), *values)

    def _faults(self, fields, tail):
        drive = self.drive
        text = "\n".join(["%d %s: %s" % row for row in drive.fault_list()])
        head = struct.pack("<QQIB", drive.fault_word(), drive.first_faults, drive.first_period, drive.safe)
        return head + cut(text, wire.MAX_PAYLOAD - wire.ANSWER_SIZE - len(head))

    def _stream_setup(self, fields, tail):
        channels = wire.words_of(tail, "H")
        return struct.pack("<B", self.telemetry.set_stream(self.mailbox, fields[0], channels))

    def _capture_setup(self, fields, tail):
        if self.drive.snapshot is not None and self.drive.snapshot.writes():
            self._wait_for_snapshot()
        divider, pre, edge, level, source = fields
        channels = wire.words_of(tail, "H")
        number = self.telemetry.set_capture(self.mailbox, divider, pre, edge, level, source, channels)
        return struct.pack("<H", number)

    def _capture_status(self, fields, tail):
        return struct.pack("<HBIH", *self.telemetry.capture_status())

    def _capture_fetch(self, fields, tail):
        number, first = fields
        columns, words = self.telemetry.capture_rows(number, first)
        return struct.pack("<HB", first, columns) + words

    def _leave(self, fields, tail):
        """End the firmware, so that the board can be loaded; never while the drive is armed."""
        if hasattr(self.drive.driver, "set_load"):
            raise Refused(wire.NOT_HERE, "a virtual drive has no prompt to leave to")
        if self.drive.state not in (OFF, FAULT):
            raise Refused(wire.WRONG_STATE, "the drive is armed; stop it first (`eesm stop`)")
        self._leaves = True
        return b""

    def _ask_keeper(self, verb):
        """Have settings saved or erased, and say what is kept."""
        if self.kept is None:
            raise Refused(
                wire.NOT_HERE,
                "this virtual drive keeps nothing; give it a folder for that: eesm virtual --store FOLDER",
            )
        return self.kept.ask(verb, self.drive)[: wire.MAX_PAYLOAD - wire.ANSWER_SIZE]

    def _wait_for_snapshot(self):
        """Refuse, for a moment, what would spoil the first fault that is being kept."""
        snapshot = self.drive.snapshot
        if snapshot is not None and snapshot.stage:
            raise Refused(wire.BUSY, "the first fault is still being kept; ask again in a moment")

    def _snapshot(self, fields, tail):
        self._wait_for_snapshot()
        snapshot = self.drive.snapshot
        try:
            if snapshot is None:
                raise ValueError("this drive keeps no faults")
            size, piece = snapshot.fetch(fields[0], wire.MAX_PAYLOAD - wire.ANSWER_SIZE - 8)
        except ValueError as error:
            raise Refused(wire.NOT_HERE, str(error))
        return struct.pack("<II", size, fields[0]) + piece

    # --- virtual drives only ------------------------------------------------------------------------

    def _bench(self, name):
        """The driver, if it has a bench around it."""
        driver = self.drive.driver
        if not hasattr(driver, name):
            raise Refused(wire.NOT_HERE, "a real board has no %s command; only a virtual drive has" % name)
        return driver

    def _bench_load(self, fields, tail):
        torque, due = fields
        if not -1e6 < torque < 1e6:
            raise ValueError("a load of %g Nm is not -1e6 .. 1e6 Nm" % torque)
        self._bench("set_load").set_load(torque, self._due(due))
        return b""

    def _bench_advance(self, fields, tail):
        _, sequence, periods = fields
        driver = self._bench("advance")
        if not driver.fast:
            raise Refused(wire.NOT_HERE, "this virtual drive runs in real time; start it with --fast")
        if self.drive.kernel.failure is not None:
            raise Refused(HOLDS, "no period runs: %s" % self.drive.kernel.failure[1])
        if self._advance is not None:
            raise Refused(wire.BUSY, "an advance is under way; wait for its answer")
        if periods > 1000000:
            raise ValueError("one advance takes 1000000 periods at most, not %d" % periods)
        driver.advance(periods)
        self._advance = (wire.BENCH_ADVANCE, sequence)

    def _bench_quit(self, fields, tail):
        self._bench("set_load")  # a real board's driver can quit as well, but LEAVE asks for its state first
        self._quit = True
        return b""
