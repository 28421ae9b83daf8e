// Pulse-width modulation (RP2040 datasheet section 4.5), in place of rp2040js's.
//
// rp2040js wraps a phase-correct slice twice a period and never toggles its pins, reads EN as 0 so that its SET and
// CLR aliases drop other slices, and keeps the DMA request of a wrap for ever.
//
// A slice is a position that runs from 0 to `period` - 1 and wraps. Phase-correct (4.5.2.1) the counter is
//     position           for position <= TOP          0 1 .. TOP
//     period-1-position  after that                   TOP .. 1 0      period = 2*(TOP + 1)
// so that the wrap lies between two zeros, where CC and TOP are latched (4.5.2.3), and an output that is high while
// the counter is less than CC is symmetric about it.
//
// Only wraps are events. The edges between two wraps follow from the latched values; `settle()` hands them to the
// pins in order and with their own cycles, when somebody looks. Pins of `bank.eager` have their edges as events.

import { BasePeripheral, DREQChannel, IRQ } from './stock.mjs';

const CSR = 0x00;
const DIV = 0x04;
const CTR = 0x08;
const CC = 0x0c;
const TOP = 0x10;
const STRIDE = 0x14;
const EN = 0xa0;
const INTR = 0xa4;
const INTE = 0xa8;
const INTF = 0xac;
const INTS = 0xb0;

const CSR_EN = 1;
const CSR_PH_CORRECT = 2;
const CSR_A_INV = 4;
const CSR_B_INV = 8;
const CSR_PH_RET = 0x40;
const CSR_PH_ADV = 0x80;
const CSR_KEPT = 0x3f;

class Slice {
  constructor(pwm, index) {
    this.pwm = pwm;
    this.clock = pwm.rp2040.clock;
    this.index = index;
    this.alarm = this.clock.createCycleAlarm(() => this.ring());
    const second = index < 7 ? 16 + 2 * index : -1;
    this.pinsA = [2 * index, second].filter((pin) => pin >= 0);
    this.pinsB = this.pinsA.map((pin) => pin + 1);
    this.pinMask = [...this.pinsA, ...this.pinsB].reduce((mask, pin) => mask | (1 << pin), 0);
    this.onWrap = null;
    this.a = false;
    this.b = false;
    this.clear();
  }

  clear() {
    this.csr = 0;
    this.div16 = 16; // of the clock, in 16ths
    this.ccA = 0;
    this.ccB = 0;
    this.top = 0xffff;
    this.latch();
    // Position `base` was reached at `base16` 16ths of a cycle; all edges up to position `done` have been told.
    this.base = 0;
    this.base16 = 0;
    this.done = 0;
    this.alarm.cancel();
    this.wraps = 0;
  }

  get running() {
    return (this.csr & (CSR_EN | 0x30)) === CSR_EN;
  }

  get phaseCorrect() {
    return (this.csr & CSR_PH_CORRECT) !== 0;
  }

  latch() {
    this.liveA = this.ccA;
    this.liveB = this.ccB;
    this.liveTop = this.top;
    this.period = (this.top + 1) * (this.phaseCorrect ? 2 : 1);
  }

  /** Where the slice is at `cycle`; before its wrap is served at most the last position. */
  positionAt(cycle) {
    if (!this.running) return this.base;
    return Math.min(this.base + Math.floor((cycle * 16 - this.base16) / this.div16), this.period - 1);
  }

  /** The cycle at which `position` of this period is reached. */
  cycleOf(position) {
    return Math.ceil((this.base16 + (position - this.base) * this.div16) / 16);
  }

  get counter() {
    const position = this.positionAt(this.clock.cycles);
    return position > this.liveTop ? this.period - 1 - position : position;
  }

  /** Cycles from now to the end of the period during which an output with level `cc` is high before inversion. */
  highUntilWrap(cc) {
    const from = this.positionAt(this.clock.cycles);
    const { period } = this;
    if (cc > this.liveTop) return period - from;
    const high = Math.max(cc - from, 0);
    return this.phaseCorrect ? high + period - Math.max(from, period - cc) : high;
  }

  /** Tells the pins of every edge up to `cycle`, the wrap excepted. */
  settle(cycle) {
    if (!this.running) return;
    const end = this.positionAt(cycle);
    const { period, liveA, liveB } = this;
    // At most four edges lie between two wraps.
    while (this.done < end) {
      let next = end;
      if (liveA > this.done && liveA < next) next = liveA;
      if (liveB > this.done && liveB < next) next = liveB;
      if (this.phaseCorrect) {
        if (period - liveA > this.done && period - liveA < next) next = period - liveA;
        if (period - liveB > this.done && period - liveB < next) next = period - liveB;
      }
      this.done = next;
      this.output(next, this.cycleOf(next));
    }
  }

  /** Drives the pins as they are at `position`. */
  output(position, cycle) {
    const count = position > this.liveTop ? this.period - 1 - position : position;
    const a = count < this.liveA !== ((this.csr & CSR_A_INV) !== 0);
    const b = count < this.liveB !== ((this.csr & CSR_B_INV) !== 0);
    // What goes low goes first: two edges in one cycle are no overlap.
    if (this.a && !a) this.driveA(a, cycle);
    if (b !== this.b) this.driveB(b, cycle);
    if (a !== this.a) this.driveA(a, cycle);
  }

  driveA(level, cycle) {
    this.a = level;
    this.pwm.drive(this.pinsA, level, cycle);
  }

  driveB(level, cycle) {
    this.b = level;
    this.pwm.drive(this.pinsB, level, cycle);
  }

  /** Takes the position as the new base: what follows may change the speed, the period or the position. */
  rebase() {
    const now = this.clock.cycles;
    this.settle(now);
    const position = this.positionAt(now);
    // A count that has begun stays begun.
    this.base16 = this.running ? this.base16 + (position - this.base) * this.div16 : now * 16;
    this.base = position;
  }

  moveTo(position) {
    const { period } = this;
    this.base = ((position % period) + period) % period;
    this.base16 = this.clock.cycles * 16;
    this.done = this.base;
    this.output(this.base, this.clock.cycles);
    this.schedule();
  }

  schedule() {
    if (!this.running) {
      this.alarm.cancel();
      return;
    }
    let next = this.period;
    if (this.pinMask & this.pwm.rp2040.bank.eager) {
      for (const edge of [this.liveA, this.liveB, this.period - this.liveA, this.period - this.liveB])
        if (edge > this.done && edge < next) next = edge;
    }
    this.alarm.scheduleAt(this.cycleOf(next));
  }

  ring() {
    const now = this.clock.cycles;
    if (now >= this.cycleOf(this.period)) this.wrap(now);
    else this.settle(now);
    this.schedule();
  }

  wrap(now) {
    const { pwm } = this;
    this.settle(now);
    // Those who measure want every slice's edges of the period that ends.
    if (this.onWrap !== null) {
      pwm.settle();
      this.onWrap(now);
    }
    this.base16 += (this.period - this.base) * this.div16;
    this.base = 0;
    this.done = 0;
    this.latch();
    this.wraps += 1;
    this.output(0, now);
    pwm.wrapped(this.index);
  }

  /** A change of CSR. The slice was settled before. */
  control(csr) {
    const starts = (csr & CSR_EN) !== 0 && !(this.csr & CSR_EN);
    this.rebase();
    const wasCorrect = this.phaseCorrect;
    this.csr = csr & CSR_KEPT;
    if (starts) {
      this.base16 = this.clock.cycles * 16;
      this.pwm.started(this);
    }
    if (!(this.csr & CSR_EN)) this.latch();
    // The period follows PH_CORRECT at once; a counter that ran down goes on from where it is.
    if (wasCorrect !== this.phaseCorrect) {
      const counter = this.base > this.liveTop ? 2 * this.liveTop + 1 - this.base : this.base;
      this.period = (this.liveTop + 1) * (this.phaseCorrect ? 2 : 1);
      this.base = this.done = counter;
    }
    this.output(this.base, this.clock.cycles);
    if (this.running && csr & CSR_PH_ADV) this.moveTo(this.base + 1);
    else if (this.running && csr & CSR_PH_RET) this.moveTo(this.base - 1);
    else this.schedule();
  }

  read(offset) {
    switch (offset) {
      case CSR:
        return this.csr;
      case DIV:
        return this.div16 & 0xfff;
      case CTR:
        return this.counter;
      case CC:
        return ((this.ccB << 16) | this.ccA) >>> 0;
      default:
        return this.top;
    }
  }

  write(offset, value) {
    switch (offset) {
      case CSR:
        this.control(value);
        return;
      case DIV: {
        this.rebase();
        const div = value & 0xfff;
        this.div16 = div >>> 4 ? div : 4096 + div; // INT 0 means 256
        this.schedule();
        return;
      }
      case CTR: {
        // The direction stays: of a slice that never ran, up.
        const falling = this.positionAt(this.clock.cycles) > this.liveTop;
        const count = Math.min(value & 0xffff, this.liveTop);
        this.moveTo(falling ? this.period - 1 - count : count);
        return;
      }
      case CC:
        this.ccA = value & 0xffff;
        this.ccB = value >>> 16;
        break;
      default:
        this.top = value & 0xffff;
    }
    if (this.csr & CSR_EN) return;
    // While it stands the values act at once.
    this.latch();
    if (this.base >= this.period) this.base = this.done = 0;
    this.output(this.base, this.clock.cycles);
  }
}

export class Pwm extends BasePeripheral {
  constructor(chip) {
    super(chip, 'PWM_BASE');
    this.gpioValue = 0;
    this.gpioDirection = 0x3fffffff;
    this.intRaw = 0;
    this.intEnable = 0;
    this.intForce = 0;
    this.mutedRequests = 0; // slices whose wrap reaches no DMA channel: a fault for tests
    this.onStart = null; // called with a slice that begins to run
    this.slices = Array.from({ length: 8 }, (_, index) => new Slice(this, index));
    this.channels = []; // rp2040js looks for its timers here when clk_sys changes; these count cycles
  }

  settle() {
    const now = this.rp2040.clock.cycles;
    for (const slice of this.slices) slice.settle(now);
  }

  schedule() {
    for (const slice of this.slices) {
      slice.settle(this.rp2040.clock.cycles);
      slice.schedule();
    }
  }

  drive(pins, level, cycle) {
    for (const index of pins) {
      const bit = 1 << index;
      this.gpioValue = level ? this.gpioValue | bit : this.gpioValue & ~bit;
      const pin = this.rp2040.gpio[index];
      if ((pin.ctrl & 0x1f) === 4) pin.refresh(cycle);
    }
  }

  started(slice) {
    if (this.onStart !== null) this.onStart(slice);
  }

  wrapped(index) {
    this.intRaw |= 1 << index;
    if (this.intEnable !== 0) this.checkInterrupts();
    if (!(this.mutedRequests & (1 << index))) this.rp2040.dma.pulse(DREQChannel.DREQ_PWM_WRAP0 + index);
  }

  get intStatus() {
    return (this.intRaw & this.intEnable) | this.intForce;
  }

  checkInterrupts() {
    this.rp2040.setInterrupt(IRQ.PWM_WRAP, this.intStatus !== 0);
  }

  get enabled() {
    return this.slices.reduce((mask, slice) => mask | ((slice.csr & CSR_EN) << slice.index), 0);
  }

  gpioOnInput() {
    // A slice that counts edges or levels of its B pin (DIVMODE) is not modelled.
  }

  readUint32(offset) {
    if (offset < EN) return this.slices[Math.floor(offset / STRIDE)].read(offset % STRIDE);
    switch (offset) {
      case EN:
        return this.enabled;
      case INTR:
        return this.intRaw;
      case INTE:
        return this.intEnable;
      case INTF:
        return this.intForce;
      case INTS:
        return this.intStatus;
    }
    return super.readUint32(offset);
  }

  writeUint32(offset, value) {
    if (offset < EN) {
      if (offset % STRIDE === CSR && value & 0x30) this.warn('DIVMODE other than free-running is not modelled');
      this.slices[Math.floor(offset / STRIDE)].write(offset % STRIDE, value);
      return;
    }
    switch (offset) {
      case EN:
        for (const slice of this.slices) {
          const csr = (slice.csr & ~CSR_EN) | ((value >>> slice.index) & 1);
          if (csr !== slice.csr) slice.control(csr);
        }
        return;
      case INTR:
        this.intRaw &= ~this.rawWriteValue;
        break;
      case INTE:
        this.intEnable = value & 0xff;
        break;
      case INTF:
        this.intForce = value & 0xff;
        break;
      default:
        super.writeUint32(offset, value);
        return;
    }
    this.checkInterrupts();
  }

  reset() {
    this.settle();
    this.intRaw = this.intEnable = this.intForce = 0;
    for (const slice of this.slices) {
      slice.clear();
      slice.output(0, this.rp2040.clock.cycles);
    }
    this.checkInterrupts();
  }
}

export function attach({ chip }) {
  chip.pwm = new Pwm(chip);
  chip.peripherals[0x40050] = chip.pwm;
}
