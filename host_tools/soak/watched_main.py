"""main.py of a watched board folder (on MicroPython): the firmware's own, with its heap told each so often.

`entry.py` is the firmware's main.py.  Each WATCH ticks a line goes to stderr: tick, bytes of heap in use
after a collection, bytes in use before it.  With plant.so in the folder the machine runs as C.
"""

import gc
import sys
from array import array

from boards.virtual import plant, sensors
from drivers import virtual
from eesm import drive


def use_library(path):
    """Let the compiled plant run in the place of its Python."""
    import ffi  # pyright: ignore[reportMissingImports]  (of the unix port only)

    library = ffi.open(path)
    sample = library.func("v", "sample", "pppp")
    make_plant, make_sensors, make_driver = (
        plant.make_plant,
        sensors.make_sensors,
        virtual.VirtualDriver.__init__,
    )

    def plant_in_arrays(*arguments):
        x, c = make_plant(*arguments)
        return array("d", x), array("d", c)

    def sensors_in_arrays(*arguments):
        y, k = make_sensors(*arguments)
        return array("i", y), array("d", k)

    def sample_for(x, y, k, raw):
        words = array("i", raw)
        sample(x, y, k, words)
        raw[:] = list(words)

    def driver_with_arrays(self, *arguments):
        make_driver(self, *arguments)
        self.raw = array("i", self.raw)
        sensors.sample = sample

    plant.make_plant, sensors.make_sensors = plant_in_arrays, sensors_in_arrays
    sensors.sample = sample_for
    plant.run_period = library.func("v", "run_period", "ppiiiii")
    setattr(virtual.VirtualDriver, "__init__", driver_with_arrays)  # noqa: B010


def watch_heap(every):
    """Tell the heap each so many ticks of the drive."""
    tick = drive.Drive.tick
    count = [0]
    in_use = getattr(gc, "mem_alloc")  # noqa: B009  (not on CPython)

    def watched(self):
        tick(self)
        count[0] += 1
        if count[0] % every == 0:
            before = in_use()
            gc.collect()
            sys.stderr.write("heap %d %d %d\n" % (count[0], in_use(), before))

    drive.Drive.tick = watched


def begin_at(period):
    """Let the board's count of periods begin here."""
    from eesm import kernel

    fill = kernel.Kernel._fill

    def filled(self):
        fill(self)
        self.block[self.offset["period"]] = period

    kernel.Kernel._fill = filled


with open("watch.txt") as file:
    words = file.read().split()
if words[2] != "-":
    use_library(words[2])
watch_heap(int(words[0]))
begin_at(int(words[1]))
import entry  # noqa: E402  # pyright: ignore[reportMissingImports]

sys.exit(entry.main(sys.argv[1:]))
