"""Driver of the virtual board: the plant of boards/virtual behind the interface of a real board.

One period k: sample the plant into the block, run the linked steps with the heap locked (as in a
hard interrupt: nothing may allocate), let the plant run with the compare values of period k - 1,
latch the new ones.  Periods are paced to the wall clock in batches of 1 ms, or granted by the
host in lock step (`--fast`).  A process that falls behind drops wall time, never periods.
"""

import sys
import time

from eesm.drive import TICK_PERIODS

try:
    from micropython import heap_lock, heap_unlock, kbd_intr
except ImportError:  # CPython, in tests

    def heap_lock():
        pass

    def heap_unlock():
        pass

    def kbd_intr(_):
        pass


BEHIND_US = 50_000  # wall time that is dropped, and counted in `late`, beyond this lag


def ticks_us():
    """Wall time in us; wraps on MicroPython."""
    if hasattr(time, "ticks_us"):
        return time.ticks_us()
    return time.perf_counter_ns() // 1000


def ticks_add(a, b):
    """The time b us after a."""
    if hasattr(time, "ticks_add"):
        return time.ticks_add(a, b)
    return a + b


def ticks_diff(a, b):
    """a - b of two `ticks_us`."""
    if hasattr(time, "ticks_diff"):
        return time.ticks_diff(a, b)
    return a - b


class VirtualDriver:
    """Runs the plant and the kernel; `arguments` are those of main.py.

    --fast       periods run only when granted by `advance`
    --seed N     noise and the rotor's first angle
    --fault NAME[,NAME]  what is wrong from the start, see `boards.virtual.plant`
    """

    name = "virtual"

    def __init__(self, unit, arguments=(), port=None):
        options = parse(arguments)
        self.fast = options["fast"]
        self.unit = unit
        self.plant = None
        self.seed = options["seed"]
        self.faults = options["faults"]
        self.port = port if port is not None else StandardPort()
        self.late = 0
        self.granted = 0
        self._quit = False
        self._left = TICK_PERIODS  # periods until the next tick
        self._batch_us = round(1e6 * TICK_PERIODS / unit["settings"]["f_pwm"])
        self._next_us = None

    def start(self, kernel):
        """Connect the block; periods run from now on."""
        self.kernel = kernel
        self._next_us = ticks_us()

    def stop(self):
        """End: gates off."""
        self._quit = True
        self.port.close()

    def alive(self):
        """False when told to quit or when the other end of the port has gone."""
        return not self._quit and not self.port.closed

    def quit(self):
        """Leave the main loop at its next turn."""
        self._quit = True

    def advance(self, periods):
        """Grant periods, in lock step only."""
        self.granted += periods

    def poll(self):
        """Run the periods that are due, one tick's worth at most; True when a tick is due."""
        if self._next_us is None:
            self.port.wait(1)
            return False
        if self.fast:
            count = min(self._left, self.granted)
            if count == 0:
                self.port.wait(1)
                return False
            self.granted -= count
        else:
            behind = ticks_diff(ticks_us(), self._next_us)
            if behind < 0:
                self.port.wait(1)
                return False
            if behind > BEHIND_US:
                self.late += 1
                self._next_us = ticks_us()
            self._next_us = ticks_add(self._next_us, self._batch_us)
            count = self._left
        self.run(count)
        self._left -= count
        if self._left == 0:
            self._left = TICK_PERIODS
            return True
        return False
