// Programmable I/O (RP2040 datasheet chapter 3): rp2040js's state machines on the chip's own time.
//
// rp2040js runs them by setTimeout, so that an instruction takes whatever the host's clock says. Here each machine
// knows the cycle of its next instruction, and costs something only when others could see a difference:
//     What others can see (FIFOs, flags, pins) is done at its own cycle, as an event of the clock.
//     What only reads pins and moves registers runs ahead of it. When a pin or FIFO that it may have read changes
//     in the time that it is ahead of, it is taken back to where it began to run ahead, and goes there again.
//     A machine that waits sleeps until something changes. So does one that polls, from the moment its state comes
//     back with nothing seen to have happened: its loop is known then, and is entered again at the right place.
//
// Inputs pass two flip-flops (section 3.5.6.3) unless INPUT_SYNC_BYPASS has their bit.

import { Machine } from './pio_machine.mjs';
import { FIFO, RPPIO } from './stock.mjs';

const CTRL = 0x000;
const TXF0 = 0x010;
const TXF3 = 0x01c;
const RXF0 = 0x020;
const RXF3 = 0x02c;
const INSTR_MEM0 = 0x048;
const SM3_PINCTRL = 0x10c + 0x18;
const SYNC_CYCLES = 2;

export class Pio extends RPPIO {
  constructor(chip, index) {
    super(chip, `PIO${index}`, index ? 9 : 7, index);
    this.seen = 0; // inputs behind the synchronisers
    this.now = 0;
    this.watched = 0;
    this.arriving = []; // [cycle, pin mask, level], oldest first
    this.machines = [0, 1, 2, 3].map((number) => new Machine(chip, this, number));
    this.alarm = chip.clock.createCycleAlarm(() => {
      this.runTo(chip.clock.cycles);
      this.schedule();
    });
    chip.bank.inputListeners.push((pin, level, cycle) => this.takeInput(pin, level, cycle));
  }

  /** An input changed at `cycle`. */
  takeInput(pin, level, cycle) {
    if (!(this.watched & pin.bit)) {
      this.seen = level ? this.seen | pin.bit : this.seen & ~pin.bit;
      return;
    }
    this.arriving.push([cycle + (this.inputSyncBypass & pin.bit ? 0 : SYNC_CYCLES), pin.bit, level]);
    this.schedule();
  }

  /** Does everything that is due up to `cycle`; nothing runs ahead of `horizon`. */
  runTo(cycle, horizon = Infinity) {
    const { arriving, machines } = this;
    for (;;) {
      const change = arriving.length > 0 ? arriving[0][0] : Infinity;
      let first = null;
      for (let k = 0; k < 4; k++) {
        const machine = machines[k];
        if (machine.enabled && !machine.isAsleep && (first === null || machine.due < first.due)) first = machine;
      }
      if (change <= cycle && (first === null || first.due >= change)) {
        this.takeArrival(change);
        continue;
      }
      if (first === null || first.due > cycle) break;
      this.now = first.due;
      first.advance();
      this.checkChangedPins();
      first.runAhead(Math.min(change, horizon));
    }
    this.now = cycle;
  }

  /** An input gets through to the machines at `change`, unless some of them are not yet, or no longer, there. */
  takeArrival(change) {
    const { arriving, machines } = this;
    const [, bit, level] = arriving[0];
    this.now = change;
    let isEarly = false;
    for (const machine of machines) {
      if (!machine.enabled || !(machine.watchedPins & bit)) continue;
      if (machine.takeBack(change)) isEarly ||= machine.due < change;
      else if (machine.isAsleep && machine.loop > 0 && machine.due < change) {
        machine.poke();
        isEarly ||= machine.due < change;
      }
    }
    if (isEarly) return;
    arriving.shift();
    this.seen = level ? this.seen | bit : this.seen & ~bit;
    for (const machine of machines) {
      if (!(machine.watchedPins & bit)) continue;
      machine.effects += 1;
      machine.poke();
    }
  }

  /** Brings a machine exactly to this cycle, before somebody changes its FIFOs or registers. */
  bringUp(machine) {
    const { cycles } = this.rp2040.clock;
    if (!machine.enabled) return;
    const isBack = machine.takeBack(cycles + 0.001);
    if (machine.isAsleep && machine.loop > 0) machine.poke();
    if (isBack || !machine.isAsleep) this.runTo(cycles, cycles + 0.001);
  }

  schedule() {
    let next = this.arriving.length > 0 ? this.arriving[0][0] : Infinity;
    for (const machine of this.machines)
      if (machine.enabled && !machine.isAsleep && machine.due < next) next = machine.due;
    if (next === Infinity) this.alarm.cancel();
    else if (!this.alarm.scheduled || this.alarm.cycle !== Math.ceil(next)) this.alarm.scheduleAt(Math.ceil(next));
  }

  irqUpdated() {
    for (const machine of this.machines) if (machine.isExecuting) machine.effects += 1;
    super.irqUpdated();
  }

  // Even a write that changes nothing shows: another machine may have changed the pin before the next one.
  pinValuesChanged(value, first, count) {
    for (const machine of this.machines) if (machine.isExecuting) machine.effects += 1;
    super.pinValuesChanged(value, first, count);
  }

  pinDirectionsChanged(value, first, count) {
    for (const machine of this.machines) if (machine.isExecuting) machine.effects += 1;
    super.pinDirectionsChanged(value, first, count);
  }

  readUint32(offset) {
    this.runTo(this.rp2040.clock.cycles);
    const isFifo = offset >= RXF0 && offset <= RXF3;
    const machine = this.machines[(offset - RXF0) >> 2];
    if (isFifo) this.bringUp(machine);
    const value = super.readUint32(offset) >>> 0;
    if (isFifo) machine.poke();
    this.schedule();
    return value;
  }

  writeUint32(offset, value) {
    this.runTo(this.rp2040.clock.cycles);
    if (offset >= TXF0 && offset <= TXF3) {
      const machine = this.machines[(offset - TXF0) >> 2];
      this.bringUp(machine);
      super.writeUint32(offset, value);
      machine.poke();
    } else {
      for (const machine of this.machines) this.bringUp(machine);
      if (offset === CTRL) this.control(value);
      else super.writeUint32(offset, value);
      this.checkChangedPins();
      if (offset === CTRL || (offset >= INSTR_MEM0 && offset <= SM3_PINCTRL)) this.watch();
      for (const machine of this.machines) machine.poke();
    }
    this.schedule();
  }

  control(value) {
    for (const machine of this.machines) {
      const bit = 1 << machine.index;
      if (this.rawWriteValue & (bit << 4)) machine.restart();
      if (this.rawWriteValue & (bit << 8)) machine.clkDivRestart();
      const enabled = (value & bit) !== 0;
      if (enabled && !machine.enabled) {
        machine.due = this.now + 1;
        machine.isAsleep = false;
        machine.loop = 0;
        machine.snapshot.isTaken = false;
        machine.start.isTaken = false;
      }
      machine.enabled = enabled;
    }
  }

  /** Finds out which pins matter; the others' edges need not be told. */
  watch() {
    let mask = 0;
    for (const machine of this.machines) {
      machine.watchedPins = machine.enabled ? machine.findWatchedPins() : 0;
      mask |= machine.watchedPins;
    }
    if (mask === this.watched) return;
    this.watched = mask;
    const { bank } = this.rp2040;
    bank.setEager(this, mask);
    bank.settle();
    const settled = this.arriving.reduce((bits, [, bit]) => bits | bit, 0);
    this.seen = (this.seen & settled) | (bank.inputs & ~settled);
  }

  run() {
    // rp2040js's own way of running is not used.
  }

  reset() {
    for (const machine of this.machines) {
      machine.restart();
      machine.clear();
      machine.pc = 0;
      machine.execCtrl = 0x1f << 12;
      machine.shiftCtrl = 0b11 << 18;
      machine.pinCtrl = 0x5 << 26;
      machine.rxFIFO = new FIFO(4);
      machine.txFIFO = new FIFO(4);
      machine.updateDMARx();
      machine.updateDMATx();
    }
    this.instructions.fill(0);
    this.irq = this.fdebug = this.txStall = this.rxStall = this.inputSyncBypass = 0;
    this.irq0IntEnable = this.irq0IntForce = this.irq1IntEnable = this.irq1IntForce = 0;
    this.pinValues = this.pinDirections = 0;
    this.checkChangedPins();
    this.checkInterrupts();
    this.watch();
    this.schedule();
  }
}

export function attach({ chip }) {
  chip.pio = [new Pio(chip, 0), new Pio(chip, 1)];
  chip.peripherals[0x50200] = chip.pio[0];
  chip.peripherals[0x50300] = chip.pio[1];
}
