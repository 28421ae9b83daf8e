"""Driver of boards with an RP2040: the control law in a hard interrupt, everything else in hardware.

A period: the trigger's slice wraps, the chain of DMA transfers converts and fetches (see
`rp2040_sampling`), its last transfer raises the interrupt, whose one routine `on_samples` is linked
with the control law and writes the levels, which the slices take at the next wrap.  The main loop only
watches: it ticks the drive, switches the gates' common enable, feeds the watchdog.

The bridges are off from reset to `arm`, after any trip, and after `stop`, by three means each: levels
that are never reached, pins held low, gate-enable pin low.
"""

import time
from math import log

import machine
from machine import mem32
from micropython import const
from uctypes import addressof

from drivers import rp2040_angle as angle
from drivers import rp2040_dma as dma
from drivers import rp2040_interrupt as interrupt
from drivers import rp2040_pwm as pwm
from drivers import rp2040_safety as safety
from drivers import rp2040_sampling as sampling
from eesm.cyclic import MASK
from eesm.drive import TICK_PERIODS

_PIO1_IRQ = const(0x50300030)
_INTERPOLATOR = const(0xD0000080)  # ACCUM0: where the interrupt finds the block

_RATE_MARGIN = const(2)  # the encoder may turn this much faster than the drive ever should
_SILENCE_MS = const(20)  # without an interrupt: the bridges are switched off by the main loop too
_FAR_BEHIND = const(50)  # ticks; more of a lag than this is given up

OFF = 0  # drive_state, as in eesm.drive
FAULT = 10


class DriverError(Exception):
    """The board does not work as its driver needs; outputs stay off."""


class Rp2040Driver:
    """Runs a linked kernel on the board that unit.json describes."""

    name = "rp2040"
    waits = False  # periods do not wait for the main loop
    store = "."  # the folder of kept settings

    def __init__(self, unit, arguments=(), port=None):
        self._board = unit["board"]
        if port is None:
            from drivers.usb_port import UsbPort  # pyright: ignore[reportMissingImports]

            port = UsbPort()
        self.port = port
        self.skipped = 0  # ticks given up because the main loop was away
        self.silent = False  # True while periods have stopped to come
        self._quit = False
        self._started = False
        self._held = None
        self._angle = None
        self._interrupt = None
        self._safety = safety.Safety(self._board)

    # --- begin and end ------------------------------------------------------------------------------

    def start(self, kernel):
        """Connect the kernel; periods run from now on, with the bridges off.

        Raises DriverError when no interrupt comes.
        """
        try:
            self._start(kernel)
        except BaseException:
            self.stop()
            raise

    def _start(self, kernel):
        board = self._board
        self.block = kernel.block
        offset = kernel.offset
        self._period = offset["period"]
        self._gate = offset["gate_enable"]
        self._state = offset["drive_state"]
        self._missed = offset["missed_periods"]
        self._faults = offset["faults"]
        # Also the clock of the SPI ports, which MicroPython leaves at 48 MHz.
        machine.freq(board["clock"], board["clock"])

        def place(name):
            return addressof(self.block) + 4 * offset[name]

        self._held = dma.claim()
        if board["encoder_kind"] == "absolute":
            self._angle = angle.Absolute(board, place("encoder_raw"))
        else:
            settings = kernel.settings
            rate = _RATE_MARGIN * settings["w_m_max"] / 6.28 * settings["encoder_counts"]
            self._angle = angle.Incremental(board, place("encoder_raw"), board["clock"], rate)
        self._sampling = sampling.Sampling(board, place, self._angle.transfers, _PIO1_IRQ)
        slices = sorted(
            {board[key] // 2 % 8 for key in board if key.startswith(("pin_phase", "pin_exciter"))}
        )
        pwm.set_up(slices, board["pwm_top"], board["trigger_lead_counts"])
        mem32[_INTERPOLATOR] = addressof(self.block)
        # Slice 1's wrap is that of all; each request belongs to one channel only.
        dma.count(dma.COUNTER, dma.PWM_WRAP + slices[1], addressof(self._sampling.dump))
        self._interrupt = interrupt.Interrupt(kernel.on_samples, dma.WORKER)
        self._safety.start()
        self._angle.start()
        self._sampling.start()
        dma.start(1 << dma.COUNTER)
        self._started = True
        first = self.block[self._period]
        self.block[offset["period_check"]] = -first & MASK  # the counter will stand there at the first one
        self._slices = slices
        pwm.start(slices)
        time.sleep_ms(2)
        self._seen = self.block[self._period]
        if self._seen == first:
            raise DriverError("no interrupt came within 2 ms of starting the converter's trigger")
        self._seen_ms = time.ticks_ms()
        self._due = (self._seen + TICK_PERIODS) & MASK

    def stop(self):
        """Bridges off, hardware at rest, port given back: what every exit of main.py calls, once or twice."""
        self._quit = True
        self._safety.switch_off()
        self._started = False
        if self._held is not None:
            pwm.stop()
            if self._interrupt is not None:
                self._interrupt.remove()
            dma.release(self._held)
            self._held = None
        if self._angle is not None:
            self._angle.stop()
        self._safety.stop()
        self.port.close()

    def switch_off(self):
        """Bridges off at once, whatever the kernel says."""
        self._safety.switch_off()

    def pause(self):
        """Bridges off, no periods, the watchdog at rest until the next arming: the flash may be written.

        That takes the processor from the interrupt for up to 0.4 s at a time.  `resume` goes on with the
        period that this one ends in.
        """
        if self._started:
            self._safety.rest()
            pwm.stop()
            time.sleep_ms(1)  # what was converted when the slices stopped is through

    def resume(self):
        """Let periods come again after `pause`."""
        if self._started:
            self._safety.forget_trips()  # no sign of life was given
            self._seen_ms = time.ticks_ms()
            pwm.start(self._slices)

    def alive(self):
        """False when told to quit; an unplugged cable is no reason to leave."""
        return not self._quit

    def quit(self):
        """Leave the main loop at its next turn."""
        self._quit = True

    # --- main loop ----------------------------------------------------------------------------------

    @property
    def late(self):
        """Periods whose interrupt came too late or not at all, since `start`."""
        return self.block[self._missed] if self._started else 0

    def poll(self, busy=False):
        """Watch the hardware; True when the drive's next tick is due.

        `busy` is for drivers that sleep; this one has no time for it.
        """
        if not self._started:
            self.port.wait(1)
            return False
        now = self.block[self._period]
        lag = (now - self._due) & MASK
        if lag > MASK >> 1:  # still to come; a turn takes too much of a tick to sleep or to look often
            if now == self._seen:
                self._watch(now)
            return False
        self._watch(now)
        if lag > _FAR_BEHIND * TICK_PERIODS:
            self.skipped += lag // TICK_PERIODS
            self._due = now
        self._due = (self._due + TICK_PERIODS) & MASK
        return True

    def breathe(self):
        """Watch the hardware in the midst of something long."""
        if self._started:
            self._watch(self.block[self._period])

    def _watch(self, now):
        """Feed the watchdog while periods pass; enable the gates when the drive wants them, and only then."""
        guard = self._safety
        if now != self._seen:
            self._seen = now
            self._seen_ms = time.ticks_ms()
            guard.feed()
            self.silent = False
        elif time.ticks_diff(time.ticks_ms(), self._seen_ms) > _SILENCE_MS:
            self.silent = True
            if guard.live:
                guard.switch_off()
                return
        gate = self.block[self._gate]
        wanted = self.block[self._state] not in (OFF, FAULT)
        if guard.live:
            if guard.trips() or not (wanted or gate):
                guard.switch_off()
        elif guard.trips():
            # The kernel has latched it, so the hardware may forget; not while the pin still says fault.
            if self.block[self._faults] and guard.pin_is_good():
                guard.forget_trips()
        elif wanted and not gate:
            guard.arm()

    def readings(self):
        """Slow quantities in SI units, by name: temperatures in degrees Celsius."""
        board = self._board
        found = {}
        for k in range(len(sampling.SLOW_WORDS)):
            name = sampling.SLOW_WORDS[k]
            if name in board["slow"]:
                found[name] = celsius(board, self._sampling.slow[k])
        return found


def celsius(board, count):
    """Temperature of an NTC to ground with a resistor to the reference; nan if it is broken or shorted."""
    if not 8 <= count <= 4087:
        return float("nan")
    ratio = board["ntc_series"] * count / (4096 - count) / board["ntc_25"]
    return 1 / (1 / 298.15 + log(ratio) / board["ntc_beta"]) - 273.15
