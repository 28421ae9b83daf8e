"""The files of a drive's kept settings: two slots, the newest whole one of which counts.

    parameters.0, parameters.1    the slots, written in turn
    parameters.new                what is being written; a rename makes it a slot

A set of settings is written beside the slots, read back, and renamed over the older slot, which a folder on
a computer and littlefs both do in one step.  So a power cut at any moment leaves the old set or the new one,
and a slot that is not whole has been damaged since; then the other one counts.

A slot, little endian:

    "EESM", format u16, bytes of the rest u16, sequence u32 (30 bits, cyclic), schema u32,
    unit, then for each setting "name unit-of-measure" and its value f64, CRC-32 of all that u32

A text is its length (u8) and UTF-8.  The schema is a CRC-32 over names and units of `parameters.SETTINGS`.
"""

import os
import struct
from binascii import crc32

from eesm.cyclic import MASK, signed
from eesm.parameters import SETTINGS

SLOTS = ("parameters.0", "parameters.1")
NEW = "parameters.new"

MAGIC = b"EESM"
FORMAT = 1
HEADER = "<4sHHII"
HEADER_SIZE = 16
CRC_SIZE = 4
MAX_SIZE = 2048  # bytes of a slot; what is longer is none of ours

MISSING = 2  # the error number of a file that is not there (ENOENT)


def label_of(name):
    """How a slot calls a setting: a value is worth nothing once its unit of measure is another one."""
    return name + " " + SETTINGS[name][0]


def hash_schema():
    """A number for the names and units of all settings."""
    found = 0
    for name in sorted(SETTINGS):
        found = crc32((label_of(name) + "\n").encode(), found)
    return found


def pieces(sequence, unit, values):
    """The content of a slot that keeps `values` {setting: SI} of a drive unit, a few bytes at a time.

    A board's heap has room for the whole, but not always in one place.
    """
    first = text_of(unit)
    rest = len(first) + CRC_SIZE
    for name in values:
        rest += 1 + len(label_of(name)) + 8
    piece = struct.pack(HEADER, MAGIC, FORMAT, rest, sequence, hash_schema()) + first
    check = crc32(piece)
    yield piece
    for name in sorted(values):
        piece = text_of(label_of(name)) + struct.pack("<d", values[name])
        check = crc32(piece, check)
        yield piece
    yield struct.pack("<I", check)


def text_of(text):
    """A text with its length, of 255 bytes at most."""
    data = text.encode()
    return bytes([len(data)]) + data


def parse(data):
    """(sequence, schema, unit, [(label, value), ...]) of a slot; None unless it is whole."""
    size = len(data)
    if not HEADER_SIZE + CRC_SIZE <= size <= MAX_SIZE:
        return None
    magic, number, rest, sequence, schema = struct.unpack_from(HEADER, data, 0)
    if magic != MAGIC or number != FORMAT or rest != size - HEADER_SIZE:
        return None
    end = size - CRC_SIZE
    if crc32(data[:end]) != struct.unpack_from("<I", data, end)[0]:
        return None
    try:
        unit, at = text_at(data, HEADER_SIZE, end)
        entries = []
        while at < end:
            label, at = text_at(data, at, end)
            if at + 8 > end:
                return None
            entries.append((label, struct.unpack_from("<d", data, at)[0]))
            at += 8
    except ValueError:  # a right CRC over what nobody wrote
        return None
    return sequence, schema, unit, entries


def text_at(data, at, end):
    """(text, place behind it); ValueError when it goes beyond `end` or is no text."""
    if at >= end or at + 1 + data[at] > end:
        raise ValueError("a text is cut short")
    behind = at + 1 + data[at]
    return str(data[at + 1 : behind], "utf-8"), behind


class Store:
    """The slots in a folder.  `read` tells what they keep, `write` and `erase` change it.

    What goes wrong with a file is an OSError; the set that was kept before is then still there.
    """

    def __init__(self, folder):
        self.folder = folder
        self.sequence = 0  # of the newest whole slot
        self.damaged = []  # names of slots that are not whole
        self._newest = 1  # its number, so that slot 0 is the first to be written

    def read(self):
        """What the newest whole slot keeps, as of `parse`; None when there is none."""
        self.sequence, self.damaged, self._newest = 0, [], 1
        best = None
        for number in range(len(SLOTS)):
            try:
                found = parse(self._bytes_of(SLOTS[number]))
            except OSError as error:
                if error.args[0] == MISSING:
                    continue
                found = None
            if found is None:
                self.damaged.append(SLOTS[number])
            elif best is None or signed(found[0] - self.sequence) > 0:
                best, self.sequence, self._newest = found, found[0], number
        return best

    def write(self, unit, values):
        """Keep `values` of a unit in place of those before."""
        sequence = (self.sequence + 1) & MASK
        number = 1 - self._newest
        with open(self._path(NEW), "wb") as file:
            for piece in pieces(sequence, unit, values):
                file.write(piece)
            file.flush()
            sync = getattr(os, "fsync", None)  # which a flush does by itself on MicroPython
            if sync is not None:
                sync(file.fileno())
        with open(self._path(NEW), "rb") as file:
            for piece in pieces(sequence, unit, values):
                if file.read(len(piece)) != piece:
                    raise OSError("%s reads back as something else" % NEW)
        os.rename(self._path(NEW), self._path(SLOTS[number]))
        self.sequence, self._newest = sequence, number
        for name in self.damaged:
            if name != SLOTS[number]:
                self._remove(name)
        self.damaged = []

    def erase(self):
        """Keep nothing.  The newest slot goes last: a power cut must not leave the one before."""
        for name in (NEW, SLOTS[1 - self._newest], SLOTS[self._newest]):
            self._remove(name)
        self.sequence, self.damaged, self._newest = 0, [], 1

    def _remove(self, name):
        try:
            os.remove(self._path(name))
        except OSError as error:
            if error.args[0] != MISSING:
                raise

    def _bytes_of(self, name):
        """A slot's content; b"" for what is too long to be one."""
        with open(self._path(name), "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            return file.read(size) if size <= MAX_SIZE else b""

    def _path(self, name):
        return self.folder + "/" + name
