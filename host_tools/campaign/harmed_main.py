"""main.py of a board folder that is harmed while it drives (on MicroPython).

`entry.py` is the firmware's own main.py.

`harm.txt` says how: memory, stack or error.  It happens SETTLED periods after the drive has begun to run.
To stderr goes, each with the period: `harmed`, `open` when the bridge's last level was an off, with i_f in A
then, `down` when the field is below the A of harm.txt; at the end `peak`, the highest u_dc in V since, and
`named` with the drive's faults.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import gc
import sys

from boards.virtual import plant
from drivers import virtual
from eesm import drive

SETTLED = 4000
HEAP_LEFT = 5000  # bytes
STACK_USED = 31000  # bytes of the 40000 that the unix port has

held = []
said = {}


def say(what, driver, *values):
    """Once, with the period."""
    if what not in said:
        said[what] = True
        words = [what, driver.block[driver._period]]
        words.extend(values)
        sys.stderr.write(" ".join([str(word) for word in words]) + "\n")


def take_memory():
    """Hold what there is but for some kB, in ever smaller pieces: a chain, since a list would grow."""
    chain = None
    for size in (4096, 512, 64):
        gc.collect()
        try:
            while gc.mem_free() > HEAP_LEFT + size:
                chain = chain, bytearray(size)
        except MemoryError:
            pass
    held.append(chain)


def call_deep(function):
    """Call from where the stack is nearly used up."""
    import micropython

    if micropython.stack_use() < STACK_USED:
        call_deep(function)
    else:
        function()


def harm_ticks(how, field_down):
    """Let the drive's ticks be harmed from some time on."""
    tick, stop = drive.Drive.tick, virtual.VirtualDriver.stop
    began, peak, drives = [], [0.0], []

    def watch(driver):
        if "harmed" in said:
            peak[0] = max(peak[0], driver.x[plant.U_DC])
        if "harmed" in said and not driver.latch[4] & 1:
            say("open", driver, driver.x[plant.I_F], driver.x[plant.U_DC])
            if abs(driver.x[plant.I_F]) < field_down:
                say("down", driver)

    def harmed(self):
        watch(self.driver)
        if self.state == drive.RUNNING and not began:
            drives.append(self)
            began.append(self.now)
        if began and self.since(began[0]) > SETTLED:
            if "harmed" not in said:
                say("harmed", self.driver)
                if how == "memory":
                    take_memory()
            if how == "error":
                raise RuntimeError("harmed")
            if how == "stack":
                call_deep(lambda: tick(self))
                return
        tick(self)

    def stopped(self):
        watch(self)
        say("peak", self, peak[0])
        names = [name for _, name, _ in drives[0].fault_list()]
        sys.stderr.write("named " + " ".join(names) + "\n")
        stop(self)

    drive.Drive.tick = harmed
    virtual.VirtualDriver.stop = stopped


with open("harm.txt") as file:
    way, limit = file.read().split()
harm_ticks(way, float(limit))
import entry  # noqa: E402

sys.exit(entry.main(sys.argv[1:]))
