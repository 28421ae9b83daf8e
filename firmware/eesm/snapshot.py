"""The first fault, kept: every signal as the main loop saw it, and what was captured around it.

While the drive is ready the kernel's capture waits for a fault, unless it is in use.  The first fault copies
the signals; once the bridge is off and the field is down, signals and rows go into a file, a piece a look,
because writing stops a board's interrupts.  The file replaces the one before when it is whole, and not
earlier; a CRC ends it.  Without a folder the drive's memory serves, until the capture is armed anew.

The content, little endian, in pieces of words that `host_tools.snapshot` reads:

    "EESF", format u16, size of the JSON text u16, size of all u32; the JSON text, blanks at its end;
    the signals i32, from the block's first word on; the capture's rows of 8 i32, the oldest first; CRC-32
"""

import json
import os
import struct
from array import array
from binascii import crc32

from eesm.cyclic import signed
from eesm.telemetry import CAPTURE_CHANNELS, CAPTURE_DONE, CAPTURE_ROWS

KEPT = "fault.snapshot"
NEW = "fault.new"

MAGIC = b"EESF"
FORMAT = 1
HEAD = "<4sHHI"
HEAD_SIZE = 12
CRC_SIZE = 4
ALIGNMENT = 32  # bytes: a row of the capture

# Captured by default, half of the rows before the fault; the phase currents follow from i_d, i_q, theta_e.
CHANNELS = ("i_d", "i_q", "i_f", "u_dc", "w_e", "torque", "u_f", "theta_e")
EDGE_FAULT = 3
RING = CAPTURE_CHANNELS * CAPTURE_ROWS

PIECE = 512  # bytes written in one look
PATIENCE = 1.0  # s for the last rows of a slow capture, once the drive is safe
AGAIN = 0.25  # s between looks whether the capture is free

OFF, READY, RUNNING, FAULT = 0, 6, 7, 10  # as in eesm.drive

IDLE = 0
WAITING = 1  # for the field to be down, and for the rows after the fault
WRITING = 2


class Snapshot:
    """A keeper of `drive`, whose capture `telemetry` sets up; `folder` is None where nothing is kept."""

    def __init__(self, drive, telemetry, folder):
        self.drive = drive
        self.kernel = drive.kernel
        self.telemetry = telemetry
        self.folder = folder
        self.stage = IDLE
        # Periods a row: one costs a chip's interrupt 7 % of a period, and the main loop has what that leaves.
        # That takes up to 35 ms from seeing a fault of its own to the letter about it.
        slow = not getattr(drive.driver, "waits", True)
        self._divider, self._before = (2, CAPTURE_ROWS * 3 // 4) if slow else (1, CAPTURE_ROWS // 2)
        offset, length = self.kernel.offset, self.kernel.length
        self._count = min([offset[name] for name in length])  # scalars come first in the block
        # Whole rows, so that every piece begins with a word.
        self._words = array("i", bytes((4 * self._count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT))
        self._ring = offset["capture_ring"]
        self._number = -1  # of the capture that this set up
        self._looked = drive.now
        self._state = OFF
        self._period = 0
        self._since = None  # period from which the drive was safe
        self._head = b""  # with all that follows in memory, when there is no folder
        self._rows = 0
        self._first = 0  # word of the ring with the oldest row
        self._capture = -1  # number of the capture whose rows belong to it
        self._at = 0
        self._crc = 0
        self._file = None
        if folder is not None:
            try:
                os.remove(folder + "/" + NEW)  # what a power cut has left
            except OSError:
                pass

    # --- what the drive calls -----------------------------------------------------------------------

    def take(self):
        """The first fault has been seen: copy the signals."""
        block, words, kernel = self.kernel.block, self._words, self.kernel
        for _ in range(3):  # again when the interrupt came in between
            period = kernel.read("period")
            memoryview(words)[:] = memoryview(block)[: len(words)]
            if kernel.read("period") == period:
                break
        self._state = self.drive.state
        self._period = period
        self._since = None
        self.stage = WAITING

    def begin(self):
        """The drive has become ready: let the capture wait for a fault, if it is free."""
        self._arm()

    def look(self):
        """One step of what is under way."""
        drive, stage = self.drive, self.stage
        if stage == IDLE:
            if drive.state in (READY, RUNNING) and drive.since(self._looked) > AGAIN * self._f_pwm():
                self._arm()
        elif drive.state not in (OFF, FAULT):
            # `arm` waits for a snapshot that is being written; one that has not begun gives way.
            if stage == WAITING:
                self.stage = IDLE
        elif stage == WAITING:
            if not drive.safe:
                self._since = None
                return
            if self._since is None:
                self._since = drive.now
            if self._complete() or drive.since(self._since) > PATIENCE * self._f_pwm():
                self._at_rest(self._open)
        else:
            self._at_rest(self._go_on)

    def writes(self):
        """True while the file is being written: nothing may be armed, neither the drive nor its capture."""
        return self.stage == WRITING

    # --- the default capture --------------------------------------------------------------------------

    def _f_pwm(self):
        return self.drive.settings["f_pwm"]

    def _arm(self):
        self._looked = self.drive.now
        telemetry, kernel = self.telemetry, self.kernel
        if telemetry.capture_number == self._number:
            if kernel.read("capture_armed") != self._number or kernel.read("capture_state") != CAPTURE_DONE:
                return  # it waits already
        elif not telemetry.capture_is_free():
            return
        channels = tuple([kernel.index(name) for name in CHANNELS])
        try:
            self._number = telemetry.set_capture(
                self.drive.mailbox, self._divider, self._before, EDGE_FAULT, 0, channels[0], channels
            )
        except Exception:  # the mailbox is full: the next look tries again
            pass

    # --- the content ------------------------------------------------------------------------------------

    def _complete(self):
        """True when no row is still to come."""
        state = self.kernel.read("capture_state")
        return state in (0, CAPTURE_DONE)

    def _has_fault(self):
        """True when the capture is complete and the first fault lies in it."""
        kernel, telemetry = self.kernel, self.telemetry
        if kernel.read("capture_state") != CAPTURE_DONE:
            return False
        if kernel.read("capture_armed") != telemetry.capture_number:
            return False
        _, _, period, before = telemetry.capture_status()
        rows = signed(self.drive.first_period - period) // kernel.read("capture_divider")
        return -before <= rows < CAPTURE_ROWS - before

    def _describe(self):
        """The JSON text, with blanks so that what follows begins with a whole row."""
        drive, kernel = self.drive, self.kernel
        said = dict(kernel.identity)
        said["first"] = drive.first_faults
        said["period"] = drive.first_period
        said["seen"] = self._period
        said["state"] = self._state
        said["faults"] = [(number, text) for number, _, text in drive.fault_list()]
        said["words"] = self._count
        said["first_index"] = -kernel.memory_shift
        if self._rows:
            number, _, period, before = self.telemetry.capture_status()
            start, count = kernel.offset["capture_channel"], self.telemetry.capture_columns
            said["capture"] = {
                "number": number,
                "period": period,
                "before": before,
                "divider": kernel.read("capture_divider"),
                "rows": self._rows,
                "channels": [int(kernel.block[start + k]) for k in range(count)],
            }
        text = json.dumps(said).encode()
        return text + b" " * (-(HEAD_SIZE + len(text)) % ALIGNMENT)

    def _size(self):
        """Bytes without the CRC."""
        return len(self._head) + 4 * (len(self._words) + CAPTURE_CHANNELS * self._rows)

    def _bytes(self, at, size):
        """`size` bytes from `at` on, or what there is up to the CRC; both are multiples of a row."""
        out = bytearray()
        size = min(size, self._size() - at)
        head, words = len(self._head), len(self._words)
        while size > 0:
            word = (at - head) // 4
            if at < head:
                piece = self._head[at : at + size]
            elif word < words:
                piece = bytes(memoryview(self._words)[word : word + size // 4])
            else:
                word = (self._first + word - words) % RING
                count = min(size // 4, RING - word)
                start = self._ring + word
                piece = bytes(memoryview(self.kernel.block)[start : start + count])
            out += piece
            at += len(piece)
            size -= len(piece)
        return out

    # --- writing ----------------------------------------------------------------------------------------

    def _at_rest(self, work):
        """Do a step of writing, with the periods of a board at rest, whose interrupts it stops."""
        driver = self.drive.driver
        rests = self.folder is not None and hasattr(driver, "pause")
        if rests:
            driver.pause()
        try:
            work()
        except (OSError, MemoryError) as error:
            self._close()
            self._head = b""
            self.stage = IDLE
            self.drive.tell("the snapshot of the fault cannot be kept: %s" % repr(error))
        finally:
            if rests:
                driver.resume()

    def _open(self):
        self._close()
        self._rows = CAPTURE_ROWS if self._has_fault() else 0
        self._capture = self.telemetry.capture_number
        self._first = self.kernel.read("capture_head")
        text = self._describe()
        self._head = b""
        self._head = struct.pack(HEAD, MAGIC, FORMAT, len(text), 0) + text
        size = self._size() + CRC_SIZE
        self._head = struct.pack(HEAD, MAGIC, FORMAT, len(text), size) + text
        self._at = self._crc = 0
        if self.folder is not None:
            self._file = open(self.folder + "/" + NEW, "wb")
        self.stage = WRITING

    def _go_on(self):
        piece = self._bytes(self._at, PIECE)
        if piece:
            self._crc = crc32(piece, self._crc)
            self._at += len(piece)
            if self._file is not None:
                self._file.write(piece)
            return
        if self._file is not None:
            self._file.write(struct.pack("<I", self._crc))
            self._file.flush()
            sync = getattr(os, "fsync", None)  # which a flush does by itself on MicroPython
            if sync is not None:
                sync(self._file.fileno())
            self._close()
            os.rename(self.folder + "/" + NEW, self.folder + "/" + KEPT)
            self._head = b""
        self.stage = IDLE
        self.drive.tell("the first fault is kept; see it with eesm faults dump")

    def _close(self):
        file, self._file = self._file, None
        if file is not None:
            file.close()

    # --- reading ----------------------------------------------------------------------------------------

    def fetch(self, at, size):
        """(size of all, bytes from `at` on, `size` at most); ValueError with a sentence if there is none."""
        if at % ALIGNMENT:
            raise ValueError("a snapshot is read from a multiple of %d bytes on, not %d" % (ALIGNMENT, at))
        if self.folder is not None:
            try:
                with open(self.folder + "/" + KEPT, "rb") as file:
                    whole = file.seek(0, 2)
                    file.seek(min(at, whole))
                    return whole, file.read(size // ALIGNMENT * ALIGNMENT)
            except OSError:
                raise ValueError("no fault has been kept")
        if not self._head:
            raise ValueError("no fault has been kept")
        if self._rows and self.kernel.read("capture_armed") != self._capture:
            raise ValueError("the fault's capture was in memory only, and has made way for another one")
        whole = self._size()
        piece = self._bytes(at, size // ALIGNMENT * ALIGNMENT)
        if at + len(piece) == whole and len(piece) + CRC_SIZE <= size:
            piece += struct.pack("<I", self._crc)
        return whole + CRC_SIZE, piece
