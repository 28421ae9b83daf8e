// Programmable I/O (RP2040 datasheet chapter 3): rp2040js's state machines on the chip's own time.
//
// rp2040js runs them by setTimeout, so that an instruction takes whatever the host's clock says. Here each machine
// knows the cycle of its next instruction. Instructions that others can see, or that look at a pin, run at their own
// cycle; those that only move registers run ahead of it. A machine that waits costs nothing until something it waits
// for changes; so does one that polls, from the moment its state comes back with nothing seen to have happened:
// its loop is then known, and is entered again at the right place when a pin or a FIFO changes.
//
// Inputs pass two flip-flops (section 3.5.6.3) unless INPUT_SYNC_BYPASS has their bit.

import { FIFO, RPPIO, StateMachine } from './stock.mjs';

const CTRL = 0x000;
const RXF0 = 0x020;
const RXF3 = 0x02c;
const INPUT_SYNC_BYPASS = 0x038;
const INSTR_MEM0 = 0x048;
const SM0_CLKDIV = 0x0c8;
const SM0_SHIFTCTRL = 0x0d0;
const SM0_INSTR = 0x0d8;
const SM3_PINCTRL = 0x10c + 0x18;
const SM_STRIDE = 0x18;

const SYNC_CYCLES = 2;
const AHEAD = 64; // instructions that may run before their time
const WAIT_PIN = 1;
const ALL_PINS = 0x3fffffff;

const JMP = 0;
const WAIT = 1;
const IN = 2;
const OUT = 3;
const MOV = 5;
const SET = 7;
const PINS = 0;
const STATUS = 5;

/** A mask of `count` pins from `base` on, round the end of 32. */
function pinRange(base, count) {
  const mask = count > 31 ? 0xffffffff : (1 << count) - 1;
  return base === 0 ? mask : (mask << base) | (mask >>> (32 - base));
}

class Machine extends StateMachine {
  constructor(chip, pio, index) {
    super(chip, pio, index);
    this.clear();
  }

  clear() {
    this.enabled = false;
    this.due = 0; // cycle of the next instruction, with a fraction if the divider has one
    this.isAsleep = true; // nothing to do until poked
    this.loop = 0; // cycles of the loop that it polls in, 0: none is known
    this.isExecuting = false;
    this.snapshot = null;
    this.turns = 0;
    this.outputShiftCount = 32;
    this.waiting = false;
  }

  get divider() {
    return (this.clockDivInt || 65536) + (this.clockDivInt ? this.clockDivFrac / 256 : 0);
  }

  get inPins() {
    const { seen } = this.pio;
    const base = this.inBase;
    return (base ? (seen << (32 - base)) | (seen >>> base) : seen) >>> 0;
  }

  jmpCondition(condition) {
    if (condition === 6) return ((this.pio.seen >>> this.jmpPin) & 1) === 1;
    return super.jmpCondition(condition);
  }

  updateDMARx() {
    if (this.pio.effects !== undefined) this.pio.effects += 1;
    super.updateDMARx();
  }

  updateDMATx() {
    if (this.pio.effects !== undefined) this.pio.effects += 1;
    super.updateDMATx();
  }

  /** rp2040js calls this when something changed that a machine may wait for. It looks at its next cycle. */
  checkWait() {
    if (!this.isExecuting) {
      this.poke();
      return;
    }
    if (this.waiting && this.waitType === WAIT_PIN) {
      if (((this.pio.seen >>> this.waitIndex) & 1) !== (this.waitPolarity ? 1 : 0)) return;
      this.waiting = false;
      this.nextPC();
      this.cycles += this.waitDelay;
      this.execCtrl &= ~0x80000000;
      return;
    }
    const flags = this.pio.irq;
    super.checkWait();
    // A wait for a flag clears it, which rp2040js tells nobody.
    if (this.pio.irq !== flags) this.pio.irqUpdated();
  }

  /** Wakes it: at its first cycle that is not over it goes on. */
  poke() {
    this.snapshot = null;
    if (!this.enabled || !this.isAsleep) return;
    const { now } = this.pio;
    this.catchUp(now);
    this.isAsleep = false;
    this.loop = 0;
  }

  /** Lets whole turns of a known loop go by, or the cycles of a wait. */
  catchUp(now) {
    if (now <= this.due) return;
    if (this.loop > 0) this.due += Math.floor((now - this.due) / this.loop) * this.loop;
    else if (this.isAsleep) this.due += Math.ceil((now - this.due) / this.divider) * this.divider;
  }

  /** One instruction, or one look of one that waits, at cycle `due`. */
  advance() {
    const before = this.cycles;
    const { pc } = this;
    this.isExecuting = true;
    if (this.waiting) {
      this.checkWait();
      if (this.waiting) this.isAsleep = true;
      else this.due += (1 + this.cycles - before) * this.divider;
    } else {
      this.updatePC = true;
      this.executeInstruction(this.pio.instructions[pc]);
      if (this.updatePC) this.nextPC();
      this.due += (this.cycles - before) * this.divider;
      if (this.waiting) {
        this.isAsleep = true;
        this.loop = 0;
      } else if (this.pc <= pc) this.seekLoop();
    }
    this.isExecuting = false;
    if (this.waiting && !this.isAsleep) this.isAsleep = true;
  }

  /** Sleeps when the machine is as it was at an earlier turn and nothing that others see happened since. */
  seekLoop() {
    const { snapshot: old, pio } = this;
    if (old !== null && old.effects === pio.effects) {
      if (
        old.pc === this.pc &&
        old.x === this.x &&
        old.y === this.y &&
        old.isr === this.inputShiftReg &&
        old.isrCount === this.inputShiftCount &&
        old.osr === this.outputShiftReg &&
        old.osrCount === this.outputShiftCount
      ) {
        this.loop = this.due - old.due;
        this.isAsleep = true;
        return;
      }
      // The snapshot is taken anew after 1, 2, 4 .. turns, so that a loop of any number of turns is found.
      this.turns += 1;
      if (this.turns < old.patience) return;
    }
    this.turns = 0;
    this.snapshot = {
      effects: pio.effects,
      patience: old === null ? 1 : Math.min(old.patience * 2, 1024),
      due: this.due,
      pc: this.pc,
      x: this.x,
      y: this.y,
      isr: this.inputShiftReg,
      isrCount: this.inputShiftCount,
      osr: this.outputShiftReg,
      osrCount: this.outputShiftCount,
    };
  }

  /** True when the next instruction reads and writes nothing but this machine's registers. */
  get isInternal() {
    const opcode = this.pio.instructions[this.pc];
    if (this.sidesetCount > 0) return false;
    const field = (opcode >> 5) & 7;
    switch (opcode >>> 13) {
      case JMP:
        return field !== 6;
      case IN:
        return field !== PINS && field !== STATUS && !(this.shiftCtrl & (1 << 16));
      case OUT:
        return (field === 1 || field === 2 || field === 3) && !(this.shiftCtrl & (1 << 17));
      case MOV:
        return (opcode & 7) !== PINS && (opcode & 7) !== STATUS && field !== PINS && field !== 4;
      case SET:
        return field === 1 || field === 2;
      default:
        return false;
    }
  }

  /** The pins that instructions within reach look at. */
  get watchedPins() {
    const { instructions } = this.pio;
    let mask = 0;
    const reached = new Set();
    const open = [this.pc, this.wrapBottom];
    while (open.length) {
      const place = open.pop();
      if (reached.has(place)) continue;
      reached.add(place);
      const opcode = instructions[place];
      const field = (opcode >> 5) & 7;
      const low = opcode & 31;
      open.push(place === this.wrapTop ? this.wrapBottom : (place + 1) & 31);
      switch (opcode >>> 13) {
        case JMP:
          open.push(low);
          if (field === 6) mask |= 1 << this.jmpPin;
          break;
        case WAIT:
          if ((field & 3) === 0) mask |= 1 << low;
          if ((field & 3) === 1) mask |= 1 << ((low + this.inBase) & 31);
          break;
        case IN:
          if (field === PINS) mask |= pinRange(this.inBase, low || 32);
          break;
        case OUT:
          if (field === 5 || field === 7) return ALL_PINS; // to wherever, doing whatever
          break;
        case MOV:
          if ((opcode & 7) === PINS || field === 4 || field === 5) return ALL_PINS;
          break;
      }
    }
    return mask & ALL_PINS;
  }

  writeUint32(offset, value) {
    if (offset === SM0_SHIFTCTRL - SM0_CLKDIV && (value ^ this.shiftCtrl) >>> 30) {
      // Joined, one FIFO has the other's four words too; both are emptied (3.2.4).
      this.rxFIFO = new FIFO(value >>> 31 ? 8 : (value >>> 30) & 1 ? 0 : 4);
      this.txFIFO = new FIFO((value >>> 30) & 1 ? 8 : value >>> 31 ? 0 : 4);
      this.shiftCtrl = value;
      this.updateDMARx();
      this.updateDMATx();
      return;
    }
    if (offset === SM0_INSTR - SM0_CLKDIV) {
      this.execute(value);
      return;
    }
    this.isExecuting = true;
    super.writeUint32(offset, value);
    this.isExecuting = false;
  }

  /** An instruction from SMx_INSTR (3.5.7): what waited goes on waiting after it, unless it jumps elsewhere. */
  execute(opcode) {
    const { waiting, waitDelay } = this;
    this.waiting = false;
    this.updatePC = true;
    this.isExecuting = true;
    super.writeUint32(SM0_INSTR - SM0_CLKDIV, opcode);
    this.isExecuting = false;
    const jumped = opcode >>> 13 === JMP && !this.updatePC;
    if (waiting && !this.waiting && !jumped) {
      this.waiting = true;
      this.waitDelay = waitDelay;
    }
    this.poke();
  }

  restart() {
    super.restart();
    this.execValid = false;
  }

  clkDivRestart() {
    this.due = this.pio.now;
  }
}

export class Pio extends RPPIO {
  constructor(chip, index) {
    super(chip, `PIO${index}`, index ? 9 : 7, index);
    this.effects = 0; // counts what others can see
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

  /** Does everything that is due up to `cycle`. */
  runTo(cycle) {
    const { arriving, machines } = this;
    for (;;) {
      const change = arriving.length > 0 ? arriving[0][0] : Infinity;
      let first = null;
      for (const machine of machines)
        if (machine.enabled && !machine.isAsleep && (first === null || machine.due < first.due)) first = machine;
      if (change <= cycle && (first === null || first.due >= change)) {
        // Machines that poll do what they still do before the change.
        this.now = change;
        const behind = machines.filter((machine) => machine.loop > 0 && machine.isAsleep && machine.due < change);
        if (behind.length > 0) {
          for (const machine of behind) machine.poke();
          continue;
        }
        const [, bit, level] = arriving.shift();
        this.seen = level ? this.seen | bit : this.seen & ~bit;
        this.effects += 1;
        for (const machine of machines) machine.poke();
        continue;
      }
      if (first === null || first.due > cycle) break;
      this.now = first.due;
      first.advance();
      this.checkChangedPins();
      for (let n = 0; n < AHEAD && !first.isAsleep && first.isInternal; n++) first.advance();
    }
    this.now = cycle;
  }

  /** Brings everything to this cycle before somebody looks or changes something. */
  bringUp() {
    const { cycles } = this.rp2040.clock;
    this.runTo(cycles);
    for (const machine of this.machines) {
      if (!machine.enabled || !machine.isAsleep || machine.loop === 0) continue;
      machine.poke();
    }
    this.runTo(cycles);
  }

  wakeAll() {
    this.effects += 1;
    for (const machine of this.machines) machine.poke();
    this.schedule();
  }

  schedule() {
    let next = this.arriving.length > 0 ? this.arriving[0][0] : Infinity;
    for (const machine of this.machines)
      if (machine.enabled && !machine.isAsleep && machine.due < next) next = machine.due;
    if (next === Infinity) this.alarm.cancel();
    else if (!this.alarm.scheduled || this.alarm.cycle !== Math.ceil(next)) this.alarm.scheduleAt(Math.ceil(next));
  }

  irqUpdated() {
    this.effects += 1;
    super.irqUpdated();
  }

  checkChangedPins() {
    if (this.oldPinValues === this.pinValues && this.oldPinDirections === this.pinDirections) return;
    this.effects += 1;
    super.checkChangedPins();
  }

  readUint32(offset) {
    this.bringUp();
    const value = super.readUint32(offset) >>> 0;
    if (offset >= RXF0 && offset <= RXF3) this.wakeAll();
    else this.schedule();
    return value;
  }

  writeUint32(offset, value) {
    this.bringUp();
    if (offset === CTRL) this.control(value);
    else super.writeUint32(offset, value);
    this.checkChangedPins();
    if (offset === CTRL || (offset >= INSTR_MEM0 && offset <= SM3_PINCTRL)) this.watch();
    if (offset === INPUT_SYNC_BYPASS) this.inputSyncBypass = value;
    this.wakeAll();
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
        machine.snapshot = null;
      }
      machine.enabled = enabled;
    }
  }

  /** Finds out which pins matter; the others' edges need not be told. */
  watch() {
    let mask = 0;
    for (const machine of this.machines) if (machine.enabled) mask |= machine.watchedPins;
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
      machine.clockDivInt = 1;
      machine.clockDivFrac = 0;
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
