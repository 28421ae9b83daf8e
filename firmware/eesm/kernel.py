"""The linked control law and its block of words, loaded from a board folder.

`unit.json` says where each signal lies, what its step is in SI units and what the main loop may
write; `linked.py` holds the linked routines, which the board compiles when it imports them.
"""

import gc
import json
from array import array
from math import pi, sin, sqrt

from eesm import parameters
from eesm.routines import SIZE_BYTES, load_routines

# A signal's word in unit.json, a small integer so that it takes no memory of its own: where it lies in
# the block, and where to look up its step and, if the main loop may write it, its range (else 0).
OFFSET_MASK = 0x3FFF
STEP_SHIFT = 14
INDEX_MASK = 0x7F
RANGE_SHIFT = 21

# What nobody needs any more once the block is filled.
DONE = ("initial", "tables")


class KernelError(Exception):
    """The folder holds no drive unit."""


class Offsets:
    """Place of each signal in the block, by name; a dictionary of its own would take kilobytes of a board."""

    def __init__(self, words):
        self._words = words

    def __getitem__(self, name):
        return self._words[name] & OFFSET_MASK

    def __contains__(self, name):
        return name in self._words

    def __iter__(self):
        return iter(self._words)

    def items(self):
        """(name, place) of every signal."""
        for name in self._words:
            yield name, self._words[name] & OFFSET_MASK


class Steps:
    """SI value of one step of each signal, by name."""

    def __init__(self, kernel):
        self._kernel = kernel

    def __getitem__(self, name):
        return self._kernel.step_of(name)


class Kernel:
    """Block, layout and routines of one drive unit.

    `unit` is the content of unit.json, `tables` the words of tables.bin, `block` an int32 array
    of the right size if the caller brings its own (numpy, say).
    """

    def __init__(self, unit, fast_step=None, outer_step=None, block=None, tables=None):
        self.unit = unit
        self.identity = unit["identity"]
        self.settings = dict(unit["settings"])
        self.bases = unit["bases"]
        self.length = unit["length"]
        # What is known of a signal: its word of unit["signals"], which says where to look it up.
        self._signals = unit["signals"]
        self._steps = unit["steps"]
        self._ranges = unit["ranges"]
        self.offset = Offsets(self._signals)
        self.step = Steps(self)
        self.memory_shift = unit["memory_shift"]
        self.fast_step = fast_step
        self.outer_step = outer_step
        self.on_samples = None  # the whole interrupt, on a board that has one
        if block is None:
            block = array("i", bytes(4 * unit["size"]))
        self.block = block
        self._view = memoryview(block)  # whose words are integers, also where the block is numpy's
        # (fault name, text) when the routines could not be loaded.
        self.failure = None  # type: tuple[str, str] | None
        self._fill()
        if tables is not None:
            self.fill_tables(tables)

    def _fill(self):
        block, offset = self.block, self.offset
        for name, value in self.unit["initial"].items():
            block[offset[name]] = value
        self.words = parameters.derive(self.settings)
        for name, value in self.words.items():
            block[offset[name]] = value
        start = offset["sine"]
        for k in range(self.length["sine"]):
            block[start + k] = round(32767 * sin(2 * pi * k / 512))
        start = offset["root"]
        for k in range(self.length["root"]):
            block[start + k] = min(32768, round(32768 * sqrt(k / 256)))

    def fill_tables(self, tables):
        """Copy the words of tables.bin, the arrays of unit["tables"] in order, to their places."""
        first = 0
        for name in self.unit["tables"]:
            start, count = self.offset[name], self.length[name]
            for k in range(count):
                self.block[start + k] = int(tables[first + k])
            first += count

    def read(self, name):
        """Raw value of a scalar signal."""
        return self._view[self._signals[name] & OFFSET_MASK]

    def si(self, name):
        """Value of a scalar signal in its SI unit."""
        word = self._signals[name]
        return self._view[word & OFFSET_MASK] * self._steps[word >> STEP_SHIFT & INDEX_MASK]

    def raw(self, name, value):
        """Raw integer nearest to an SI value; the range is the mailbox's to check."""
        return round(value / self.step_of(name))

    def step_of(self, name):
        """SI value of one step of a signal."""
        return self._steps[self._signals[name] >> STEP_SHIFT & INDEX_MASK]

    def index(self, name):
        """Memory index of a signal: what mailbox, stream and capture address it by."""
        return self.offset[name] - self.memory_shift

    def limits_of(self, name):
        """(low, high) in raw words of a signal that the main loop may write; ValueError for others."""
        word = self._signals.get(name)
        if word is None:
            raise ValueError("no signal is called %s" % name)
        index = word >> RANGE_SHIFT
        if index == 0:
            raise ValueError("%s is not for the main loop to write" % name)
        return self._ranges[index]


def load(folder=".", routines=None):
    """The kernel of a board folder, compiled and ready; `routines` if they have been loaded before.

    A kernel that cannot run has `failure` = (fault name, text) and no routines, so that the drive
    can still say what is wrong.  Raises KernelError when not even unit.json can be read.
    """
    try:
        if routines is None:
            routines = load_routines(folder)
        with open(folder + "/unit.json") as file:
            unit = json.load(file)
        gc.collect()
        kernel = Kernel(unit, block=routines.block)
        with open(folder + "/tables.bin", "rb") as file:
            file.seek(SIZE_BYTES)
            kernel.fill_tables(array("h", file.read()))
    except MemoryError:
        raise KernelError("MEMORY_SHORT: no memory left while loading the unit; outputs stay off")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise KernelError("KERNEL_FAILED: the files of the board folder cannot be used: %s" % repr(error))
    for key in DONE:
        del unit[key]
    gc.collect()
    kernel.failure = routines.failure
    if kernel.failure is None:
        if routines.identity != unit["identity"]["kernel_hash"]:
            kernel.failure = (
                "KERNEL_FAILED",
                "loading the kernel failed: linked.py and unit.json are of different builds",
            )
        else:
            kernel.fast_step = routines.fast_step
            kernel.outer_step = routines.outer_step
            kernel.on_samples = routines.on_samples
    return kernel
