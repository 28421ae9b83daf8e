"""Driver of the virtual board: the plant of boards/virtual behind the interface of a real board.

One period k: sample the plant into the block, run the linked steps with the heap locked (as in a
hard interrupt: nothing may allocate), let the plant run with the outputs of period k - 1, latch
the new ones.  Periods are paced to the wall clock in batches of one tick, or granted by the host
in lock step (`--fast`).  A process that falls behind drops wall time, never periods.
"""

import time

from boards.virtual import plant, sensors, thermal
from eesm.cyclic import MASK, signed
from eesm.drive import TICK_PERIODS

try:
    import micropython
except ImportError:  # CPython, in tests
    micropython = None


def _nothing(*_):
    """What CPython has no need of."""


heap_lock = getattr(micropython, "heap_lock", _nothing)
heap_unlock = getattr(micropython, "heap_unlock", _nothing)
kbd_intr = getattr(micropython, "kbd_intr", _nothing)

# What a driver writes before a step and reads after it; the order is that of sensors and plant.
INPUTS = ("i_a_raw", "i_b_raw", "i_f_raw", "u_dc_raw", "encoder_raw")
OUTPUTS = ("compare_a", "compare_b", "compare_c", "compare_f", "gate_enable")

LOADS = 64  # torques that may wait for their periods
BEHIND_US = 50_000  # a lag beyond this is given up, and counted in `late`


# Wall time in us, which wraps on MicroPython.
ticks_us = getattr(time, "ticks_us", None) or (lambda: getattr(time, "perf_counter_ns")() // 1000)  # noqa: B009
ticks_add = getattr(time, "ticks_add", None) or (lambda a, b: a + b)
ticks_diff = getattr(time, "ticks_diff", None) or (lambda a, b: a - b)


def parse(arguments):
    """(fast, seed, fault names, folder of kept settings) of main.py's arguments; ValueError for others.

    --fast               periods run only when granted by `advance`
    --seed N             noise, offsets and the rotor's first angle
    --fault NAME[,NAME]  what is wrong with the machine or its sensors
    --store FOLDER       where settings are kept; without it none are
    """
    fast, seed, faults, store = False, 1, [], None
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--fast":
            fast = True
        elif word == "--seed" and rest:
            seed = int(rest.pop(0))
        elif word == "--fault" and rest:
            faults += rest.pop(0).split(",")
        elif word == "--store" and rest:
            store = rest.pop(0)
        else:
            raise ValueError(
                "unknown argument %s; known: --fast, --seed N, --fault NAME[,NAME], --store FOLDER" % word
            )
    known = sorted(list(plant.FAULTS) + list(sensors.FAULTS) + list(thermal.FAULTS))
    for name in faults:
        if name not in known:
            raise ValueError(
                "no fault of the virtual board is called %s; known: %s" % (name, ", ".join(known))
            )
    return fast, seed, faults, store


class VirtualDriver:
    """Runs plant and kernel.  `arguments` are those of main.py, `port` replaces stdin and stdout."""

    name = "virtual"
    waits = True  # periods wait for the main loop
    silent = False  # its periods cannot stop while its main loop runs

    def __init__(self, unit, arguments=(), port=None):
        self.fast, seed, faults, self.store = parse(arguments)
        options = unit["plant"]
        self.x, self.c = plant.make_plant(options, seed)
        self.y, self.k = sensors.make_sensors(options, seed)
        self.heat = thermal.Thermal(options)
        self._readings = thermal.Readings(options, self.heat, 1 / options["f_pwm"])
        self._read_at = 0  # period of the last readings
        for name in faults:
            self.inject(name)
        self.raw = [0] * 5
        sensors.settle(self.x, self.y, self.k, self.raw)
        self.latch = [0] * 5
        if port is None:
            from drivers.standard_port import StandardPort

            port = StandardPort()
            kbd_intr(-1)  # 0x03 is a byte like others
        self.port = port
        self.late = 0
        self.granted = 0
        self.loads = []  # [(due period, torque)], the next one first
        self._quit = False
        self._left = TICK_PERIODS  # periods until the next tick
        self._batch_us = round(1e6 * TICK_PERIODS / unit["settings"]["f_pwm"])
        self._next_us = None
        self._torque_step = unit["bases"]["torque"] / 32768

    def start(self, kernel):
        """Connect the kernel; periods run from now on."""
        offset = kernel.offset
        self.block = kernel.block
        self.fast_step = kernel.fast_step
        self.outer_step = kernel.outer_step
        self._inputs = [offset[name] for name in INPUTS]
        self._outputs = [offset[name] for name in OUTPUTS]
        self._period = offset["period"]
        self._load = offset["load_torque"]
        self._next_us = ticks_us()

    def stop(self):
        """End; the port is given back as it was found."""
        self._quit = True
        kbd_intr(3)
        self.port.close()

    def switch_off(self):
        """Bridges off at once, whatever the kernel says."""
        self.latch[4] = 0

    def alive(self):
        """False when told to quit, or when the other end of the port has gone."""
        return not (self._quit or self.port.closed)

    # --- bench commands: what a real board has not -----------------------------------------------------

    def quit(self):
        """Leave the main loop at its next turn."""
        self._quit = True

    def advance(self, periods):
        """Grant periods to a drive in lock step."""
        self.granted += periods

    def set_load(self, torque, due=None):
        """Torque in Nm of the coupled machine, against positive rotation, from a period on.

        Raises ValueError when LOADS of them are waiting already.
        """
        if len(self.loads) >= LOADS:
            raise ValueError("%d loads wait for their periods, no more fit; send this one later" % LOADS)
        now = self.block[self._period]
        if due is None:
            due = (now + 1) & MASK
        place = len(self.loads)
        while place > 0 and signed(self.loads[place - 1][0] - now) > signed(due - now):
            place -= 1
        self.loads.insert(place, (due, torque))

    def inject(self, name, on=True, amount=None):
        """Make or mend a fault of plant, sensors or cooling; how bad it is says `amount`, see their `inject`.

        Raises KeyError when there is none of that name, ValueError for an amount out of its range.
        """
        if name in plant.FAULTS:
            plant.inject(self.c, name, on, amount, self.x)
        elif name in sensors.FAULTS:
            sensors.inject(self.k, name, on, amount)
        else:
            self.heat.inject(name, on, amount)

    def readings(self):
        """Slow quantities by name: temperatures in degrees Celsius, i_c in A of a third phase sensor."""
        now = self.block[self._period]
        periods = (now - self._read_at) & MASK
        self._read_at = now
        return self._readings.read(self.x, self.c, self.k, periods)

    # --- time -----------------------------------------------------------------------------------------

    def poll(self, busy=False):
        """Run the periods that are due, up to the next tick; True when that has come.

        `busy`: the link has bytes waiting.  A drive in lock step waits with them, so nothing is
        lost; a paced one does not.
        """
        count = self._due_periods(busy)
        if count == 0:
            self.port.wait(1)
            return False
        self.run(count)
        self._left -= count
        if self._left > 0:
            return False
        self._left = TICK_PERIODS
        return True

    def _due_periods(self, busy):
        """How many periods may run now, at most up to the next tick."""
        if self._next_us is None:
            return 0
        if self.fast:
            count = 0 if busy else min(self._left, self.granted)
            self.granted -= count
            return count
        behind = ticks_diff(ticks_us(), self._next_us)
        if behind < 0:
            return 0
        if behind > BEHIND_US:
            self.late += 1
            self._next_us = ticks_us()
        self._next_us = ticks_add(self._next_us, self._batch_us)
        return self._left

    def run(self, count):
        """Run whole periods."""
        block, x, c, y, k = self.block, self.x, self.c, self.y, self.k
        raw, latch = self.raw, self.latch
        in_a, in_b, in_f, in_u, in_e = self._inputs
        out_a, out_b, out_c, out_f, out_gate = self._outputs
        fast_step, outer_step = self.fast_step, self.outer_step
        sample, run_period = sensors.sample, plant.run_period
        for _ in range(count):
            if self.loads:
                self._apply_loads()
            sample(x, y, k, raw)
            block[in_a] = raw[0]
            block[in_b] = raw[1]
            block[in_f] = raw[2]
            block[in_u] = raw[3]
            block[in_e] = raw[4]
            heap_lock()
            fast_step(block)
            outer_step(block)
            heap_unlock()
            run_period(x, c, latch[0], latch[1], latch[2], latch[3], latch[4])
            latch[0] = block[out_a]
            latch[1] = block[out_b]
            latch[2] = block[out_c]
            latch[3] = block[out_f]
            latch[4] = block[out_gate]

    def _apply_loads(self):
        """Put the load on that is due in the coming period; the block gets the transducer's reading."""
        coming = (self.block[self._period] + 1) & MASK
        while self.loads and signed(self.loads[0][0] - coming) <= 0:
            torque = self.loads.pop(0)[1]
            self.x[plant.LOAD_TORQUE] = torque
            self.block[self._load] = max(-32767, min(32767, int(torque / self._torque_step)))
