"""The watches of a drive that is ready, made one a tick at the end of the first start-up.

A board's watchdog would not wait for all at once.
"""

import sys

from eesm.faults import Failed
from eesm.memory import SCARCE

FIRST = (
    ("watch_field", "FieldWatch"),
    ("watch_encoder", "JumpWatch"),
    ("watch_currents", "CurrentWatch"),
)
# With their code in its heap a Pico has 10 kB of it left, and its main loop mostly collects garbage.
MORE = (
    ("watch_balance", "BalanceWatch"),
    ("watch_angle", "AngleWatch"),
    ("watch_motion", "MotionWatch"),
    ("watch_torque", "TorqueWatch"),
)
SUM = ("watch_sum", "SumWatch")  # for a board that measures the third current
MODULES = ["sight", "watch_sum", "watch_board", "watch_heat", "watch_winding"]
MODULES += [module for module, _ in FIRST + MORE]


def load():
    """Load the modules of all watches and keepers."""
    for name in MODULES:
        __import__("eesm." + name)


def make(module, name, argument):
    """An object of a class of `eesm`; Failed when there is no memory for its module."""
    try:
        __import__("eesm." + module)
        return getattr(sys.modules["eesm." + module], name)(argument)
    except MemoryError:
        raise Failed("HEAP_LOW", "no memory is left for %s; restart the board" % module)


class Lending:
    """The last step of the start-up: the drive gets what it looks with."""

    def __init__(self, drive):
        driver = drive.driver
        self._wanted = FIRST if SCARCE else FIRST + MORE
        if not SCARCE and hasattr(driver, "readings") and "i_c" in driver.readings():
            self._wanted += (SUM,)
        self._made = []

    def step(self, drive):
        """Load one more; True when all are there."""
        made, wanted = self._made, self._wanted
        if drive.sight is None:
            drive.sight = make("sight", "Sight", drive.kernel)
            return False
        module, name = wanted[len(made)]
        watch = make(module, name, drive)
        made.append(watch)
        if name == "CurrentWatch":
            drive.current_watch = watch
        elif name == "TorqueWatch":
            drive.second_level = watch
        if len(made) < len(wanted):
            return False
        drive.watches, drive.always = tuple(made), len(FIRST)
        return True
