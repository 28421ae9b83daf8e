// One state machine of the programmable I/O (RP2040 datasheet sections 3.2 to 3.5) on the chip's own time: see pio.mjs.

import { FIFO, StateMachine } from './stock.mjs';

const SM0_CLKDIV = 0x0c8;
const SM0_SHIFTCTRL = 0x0d0;
const SM0_INSTR = 0x0d8;
const AHEAD = 64; // instructions that run before their time at most
const WAIT_PIN = 1;
const ALL_PINS = 0x3fffffff;
const JMP = 0;
const WAIT = 1;
const IN = 2;
const OUT = 3;
const MOV = 5;
const SET = 7;
const PINS = 0;

/** A mask of `count` pins from `base` on, round the end of 32. */
function pinRange(base, count) {
  const mask = count > 31 ? 0xffffffff : (1 << count) - 1;
  return base === 0 ? mask : (mask << base) | (mask >>> (32 - base));
}

export class Machine extends StateMachine {
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
    this.effects = 0; // counts what makes two turns of a loop different
    this.snapshot = { isTaken: false };
    this.turns = 0;
    this.start = { isTaken: false }; // where it began to run ahead
    this.lastAhead = 0; // cycle of the last instruction that it ran ahead
    this.watchedPins = 0;
    this.isMoving = false;
    this.movedPins = 0xffffffff;
    this.outputShiftCount = 32;
    this.waiting = false;
    this.clockDivInt = 1;
    this.clockDivFrac = 0;
    this.updateDivider();
  }

  /** Cycles of clk_sys an instruction; INT 0 means 65536 (3.5.5). */
  updateDivider() {
    this.divider = this.clockDivInt ? this.clockDivInt + this.clockDivFrac / 256 : 65536;
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
    this.effects += 1;
    super.updateDMARx();
  }

  updateDMATx() {
    this.effects += 1;
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
    this.snapshot.isTaken = false;
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

  /** Writes the registers of the machine to `place`. */
  keep(place) {
    place.isTaken = true;
    place.due = this.due;
    place.pc = this.pc;
    place.x = this.x;
    place.y = this.y;
    place.isr = this.inputShiftReg;
    place.isrCount = this.inputShiftCount;
    place.osr = this.outputShiftReg;
    place.osrCount = this.outputShiftCount;
  }

  /** Sleeps when the machine is as it was at an earlier turn and nothing that others see happened since. */
  seekLoop() {
    const old = this.snapshot;
    if (old.isTaken && old.effects === this.effects) {
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
      old.patience = Math.min(old.patience * 2, 1024);
    } else old.patience = 1;
    this.turns = 0;
    old.effects = this.effects;
    this.keep(old);
  }

  /** Does at once what nobody can see, up to `horizon`. */
  runAhead(horizon) {
    this.start.isTaken = false;
    if (this.isAsleep || this.due >= horizon || !this.isInvisible) return;
    this.keep(this.start);
    for (let n = 0; n < AHEAD && !this.isAsleep && this.due < horizon && this.isInvisible; n++) {
      this.lastAhead = this.due;
      this.advance();
    }
  }

  /** Takes back what was done ahead if some of it belongs to cycle `cycle` or later; true if so. */
  takeBack(cycle) {
    const { start } = this;
    if (!start.isTaken || this.lastAhead < cycle) return false;
    start.isTaken = false;
    this.due = start.due;
    this.pc = start.pc;
    this.x = start.x;
    this.y = start.y;
    this.inputShiftReg = start.isr;
    this.inputShiftCount = start.isrCount;
    this.outputShiftReg = start.osr;
    this.outputShiftCount = start.osrCount;
    this.snapshot.isTaken = false;
    this.isAsleep = false;
    this.loop = 0;
    return true;
  }

  /** True when the next instruction changes nothing but this machine's registers. */
  get isInvisible() {
    const opcode = this.pio.instructions[this.pc];
    if (this.sidesetCount > 0) return false;
    const field = (opcode >> 5) & 7;
    switch (opcode >>> 13) {
      case JMP:
        return true;
      case IN:
        return !(this.shiftCtrl & (1 << 16)); // autopush
      case OUT:
        return (field === 1 || field === 2 || field === 3) && !(this.shiftCtrl & (1 << 17)); // autopull
      case MOV:
        return field !== PINS && field !== 4;
      case SET:
        return field === 1 || field === 2;
      default:
        return false;
    }
  }

  executeInstruction(opcode) {
    this.isMoving = opcode >>> 13 === MOV;
    super.executeInstruction(opcode);
  }

  /** MOV from the pins: 32 of them, of which only those are looked at that the program goes on to use. */
  inSourceValue(source) {
    const value = super.inSourceValue(source);
    return source === PINS && this.isMoving ? (value & this.movedPins) >>> 0 : value;
  }

  /** Instructions within reach: from where it is and from the wrap's target, along jumps; all after a computed one. */
  get reachable() {
    const { instructions } = this.pio;
    const reached = new Set();
    const open = [this.pc, this.wrapBottom];
    while (open.length) {
      const place = open.pop();
      if (reached.has(place)) continue;
      reached.add(place);
      const opcode = instructions[place];
      const [kind, field] = [opcode >>> 13, (opcode >> 5) & 7];
      open.push(place === this.wrapTop ? this.wrapBottom : (place + 1) & 31);
      if (kind === JMP) open.push(opcode & 31);
      if ((kind === OUT && field === 5) || (kind === MOV && field === 5)) for (let k = 0; k < 32; k++) open.push(k);
    }
    return [...reached].map((place) => instructions[place]);
  }

  /** How many of the low bits of scratch register `register` (1 X, 2 Y) the instructions in `words` can tell apart. */
  usedBits(words, register) {
    let bits = 0;
    for (const opcode of words) {
      const [kind, field] = [opcode >>> 13, (opcode >> 5) & 7];
      if (kind === IN && field === register) bits = Math.max(bits, opcode & 31 || 32);
      if (kind === MOV && (opcode & 7) === register) bits = 32;
      if (kind === JMP && (field === 5 || field === 2 * register - 1 || field === 2 * register)) bits = 32;
    }
    return bits;
  }

  /** The pins that instructions within reach look at. */
  findWatchedPins() {
    const words = this.reachable;
    let mask = 0;
    let moved = 0;
    for (const opcode of words) {
      const field = (opcode >> 5) & 7;
      const low = opcode & 31;
      switch (opcode >>> 13) {
        case JMP:
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
          if (field === 7) moved = 32; // an instruction out of nowhere
          break;
        case MOV:
          if ((opcode & 7) === PINS) moved = Math.max(moved, field === 1 || field === 2 ? this.usedBits(words, field) : 32);
          if (field === 4) moved = 32;
          break;
      }
    }
    this.movedPins = moved > 31 ? 0xffffffff : (1 << moved) - 1;
    return (mask | (moved ? pinRange(this.inBase, moved) : 0)) & ALL_PINS;
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
    if (offset === 0) this.updateDivider();
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
