// A Cortex-M0+ as in the RP2040 (ARM DDI 0419, DDI 0484), in place of rp2040js's: the state, interrupts and
// exceptions, and accesses that leave the memory. Instructions are in instructions.mjs.
//
// Fields that rp2040js's peripherals use keep their names (pendingInterrupts, enabledInterrupts,
// interruptPriorities, VTOR, SHPR2, SHPR3, IPSR, pendingSystick, ...).

import { makeInterpreter } from './interpreter.mjs';
import { FLASH_SIZE, ROM_SIZE, SRAM_SIZE } from './memory.mjs';

const NMI = 2;
const HARD_FAULT = 3;
const SVCALL = 11;
const PENDSV = 14;
const SYSTICK = 15;
const THREAD_PRIORITY = 4; // lower than any exception's

const RETURN_TO_HANDLER = 0xfffffff1;
const RETURN_TO_THREAD_MAIN = 0xfffffff9;
const RETURN_TO_THREAD_PROCESS = 0xfffffffd;

// What an access costs beyond the first cycle of its instruction. The APB bridge adds one cycle to a read and two
// to a write, and APB itself takes two (RP2040 datasheet section 2.1.3); the single-cycle I/O port adds nothing.
const AHB = 1;
const APB_READ = 3;
const APB_WRITE = 4;

// Regions of 256 MB in which there is nothing (RP2040 datasheet section 2.2): a bus fault.
const NOWHERE = (1 << 3) | (0x7f << 6) | (1 << 15);

const executors = new Map();

/** The interpreter for a timing, with or without a look at watched addresses and a profile; made when wanted. */
function executorFor(timing, isWatching, isProfiling) {
  const key = `${timing} ${isWatching} ${isProfiling}`;
  if (!executors.has(key)) executors.set(key, makeInterpreter(timing, isWatching, isProfiling));
  return executors.get(key);
}

/** Where the cycles go: sums by place in the code. */
class Profile {
  constructor(memory) {
    this.memory = memory;
    this.cycles = new Float64Array(memory.code.length);
    this.counts = new Uint32Array(memory.code.length);
    this.place = 0;
    this.since = -1;
  }

  step(place, now) {
    if (this.since >= 0) {
      this.cycles[this.place] += now - this.since;
      this.counts[this.place] += 1;
    }
    this.place = place;
    this.since = now;
  }

  /** [address, cycles, times] of all code that ran from `first` up to `last`, by address. */
  read(first = 0, last = 0xffffffff) {
    const found = [];
    for (const region of [0, 1, 2]) {
      const size = [ROM_SIZE, FLASH_SIZE, SRAM_SIZE][region];
      for (let address = region * 2 ** 28; address < region * 2 ** 28 + size; address += 2) {
        const place = (address + this.memory.fetch[region]) >> 1;
        if (this.counts[place] && address >= first && address < last)
          found.push([address, this.cycles[place], this.counts[place]]);
      }
    }
    return found;
  }
}

export class Core {
  constructor(chip, clock, memory) {
    this.chip = chip;
    this.clock = clock;
    this.memory = memory;
    this.registers = new Uint32Array(16);
    this.R = new Int32Array(this.registers.buffer);
    this.pc = 0;
    // Flags as the results they come from: N is the sign of nz, Z is zz === 0, V the sign of vv.
    this.nz = 0;
    this.zz = 1;
    this.c = 0;
    this.vv = 0;
    this.primask = 0;
    this.processStack = 0; // CONTROL.SPSEL
    this.unprivileged = 0; // CONTROL.nPRIV
    this.otherSP = 0; // the stack pointer that is not in R[13]
    this.IPSR = 0;
    this.VTOR = 0;
    this.SHPR2 = 0;
    this.SHPR3 = 0;
    this.lines = 0; // interrupt requests as the peripherals hold them
    this.pendingInterrupts = 0;
    this.enabledInterrupts = 0;
    this.interruptPriorities = [0xffffffff | 0, 0, 0, 0];
    this.pendingNMI = false;
    this.pendingFault = false;
    this.pendingSVCall = false;
    this.pendingPendSV = false;
    this.isSystickPending = false;
    this.active = []; // exception numbers, the innermost last
    this.eventRegistered = false;
    this.waiting = 0; // 1: for an event, 2: for an interrupt
    this.attention = false; // something may have to be taken
    this.returning = 0; // an EXC_RETURN value to act on
    this.stopped = ''; // why no further instruction can run
    this.faults = 0;
    this.cache = null;
    this.exceptionCycles = { entry: 0, exit: 0 };
    this.timing = 'ideal';
    this.watched = null; // one byte per halfword of code
    this.profile = null;
    this.execute = executorFor('ideal', false, false);
    this.callRom = () => {};
    this.onException = null; // called with the number of each exception that is taken
    this.onReturn = null; // and of each that has ended
    this.onAddress = null; // and with each watched address
    this.onWrite = null; // Map of functions by register address
    this.slept = 0; // cycles
  }

  /** "ideal" or "cache"; `cache` and the costs of exceptions belong to the second. */
  setTiming(timing, cache, exceptionCycles) {
    this.timing = timing;
    this.cache = cache;
    this.exceptionCycles = exceptionCycles;
    this.choose();
  }

  /** Calls the functions of `addresses` (a Map) with the cycle when the instruction there is about to run. */
  watch(addresses) {
    this.watched = addresses.size ? new Uint8Array(this.memory.code.length) : null;
    for (const address of addresses.keys()) {
      const place = (address + this.memory.fetch[address >>> 28]) >> 1;
      if (!(place >= 0 && place < this.watched.length)) throw new Error(`There is no code at ${address}.`);
      this.watched[place] = 1;
    }
    this.onAddress = (address, cycle) => addresses.get(address >>> 0)?.(cycle);
    this.choose();
  }

  /** Starts a profile, or ends it. */
  setProfiling(isOn) {
    this.profile = isOn ? new Profile(this.memory) : null;
    this.choose();
  }

  choose() {
    this.execute = executorFor(this.timing, this.watched !== null, this.profile !== null);
    this.clock.interrupt();
  }

  get cycles() {
    return this.clock.cycles;
  }

  // rp2040js adds 8 cycles for a division here; the CPU is free meanwhile, and firmware waits by itself.
  set cycles(_) {}

  get PC() {
    return this.pc >>> 0;
  }

  set PC(value) {
    this.pc = value & ~1;
  }

  get SP() {
    return this.registers[13];
  }

  set SP(value) {
    this.R[13] = value & ~3;
  }

  get APSR() {
    return (this.nz & 0x80000000) | (this.zz === 0 ? 1 << 30 : 0) | (this.c << 29) | ((this.vv >>> 31) << 28);
  }

  set APSR(value) {
    this.nz = value;
    this.zz = value & (1 << 30) ? 0 : 1;
    this.c = (value >>> 29) & 1;
    this.vv = value << 3;
  }

  get xPSR() {
    return this.APSR | this.IPSR | (1 << 24);
  }

  set interruptsUpdated(_) {
    this.lookAgain();
  }

  get pendingSystick() {
    return this.isSystickPending;
  }

  set pendingSystick(value) {
    this.isSystickPending = value;
    this.lookAgain();
  }

  /** Ends the run before the next instruction, to see whether an exception has to be taken. */
  lookAgain() {
    this.attention = true;
    this.clock.interrupt();
  }

  // ---- Running

  /** Runs for `cycles`, or until the chip is to be reset. */
  run(cycles) {
    const { clock } = this;
    const limit = clock.cycles + cycles;
    while (clock.cycles < limit) {
      if (clock.first !== null && clock.first.cycle <= clock.cycles) clock.ring();
      if (this.attention) this.takeException();
      // A core that has locked up leaves its peripherals running, the watchdog among them.
      if (this.waiting !== 0 || this.stopped !== '') {
        const before = clock.cycles;
        clock.skip(limit);
        this.slept += clock.cycles - before;
        if (this.chip.isLeaving) return;
        continue;
      }
      clock.open(limit);
      this.execute(this);
      if (this.returning !== 0) this.returnFromException();
      if (this.chip.isLeaving) return;
    }
  }

  /** One instruction, as rp2040js's core does it: for tests. Returns its cycles. */
  step() {
    const { clock } = this;
    if (clock.first !== null && clock.first.cycle <= clock.cycles) clock.ring();
    const before = clock.cycles;
    if (this.attention) this.takeException();
    if (this.waiting !== 0) clock.skip(clock.cycles + 1e9);
    clock.end = clock.cycles + 1;
    clock.left = 1;
    this.execute(this);
    if (this.returning !== 0) this.returnFromException();
    return clock.cycles - before;
  }

  sleepUntilEvent() {
    if (this.eventRegistered) {
      this.eventRegistered = false;
      return false;
    }
    this.waiting = 1;
    this.attention = true;
    return true;
  }

  sleepUntilInterrupt() {
    this.waiting = 2;
    this.attention = true;
    return true;
  }

  // ---- Interrupts

  /** A peripheral's request line; the NVIC latches it (Cortex-M0+ generic user guide, section 4.2.9). */
  setInterrupt(irq, level) {
    const bit = 1 << irq;
    if (!level) {
      this.lines &= ~bit;
      return;
    }
    if (this.lines & bit) return;
    this.lines |= bit;
    if (this.pendingInterrupts & bit) return;
    this.pendingInterrupts |= bit;
    if (this.enabledInterrupts & bit) this.lookAgain();
  }

  priorityOf(number) {
    if (number === NMI) return -2;
    if (number === HARD_FAULT) return -1;
    if (number === SVCALL) return this.SHPR2 >>> 30;
    if (number === PENDSV) return (this.SHPR3 >>> 22) & 3;
    if (number === SYSTICK) return this.SHPR3 >>> 30;
    const bit = 1 << (number - 16);
    const { interruptPriorities } = this;
    for (let priority = 0; priority < 4; priority++) if (interruptPriorities[priority] & bit) return priority;
    return THREAD_PRIORITY;
  }

  /** The pending exception that comes first, or 0. */
  get vectPending() {
    if (this.pendingNMI) return NMI;
    if (this.pendingFault) return HARD_FAULT;
    let best = THREAD_PRIORITY;
    let found = 0;
    const consider = (number) => {
      const priority = this.priorityOf(number);
      if (priority < best) {
        best = priority;
        found = number;
      }
    };
    if (this.pendingSVCall) consider(SVCALL);
    if (this.pendingPendSV) consider(PENDSV);
    if (this.isSystickPending) consider(SYSTICK);
    const pending = this.pendingInterrupts & this.enabledInterrupts;
    for (let priority = 0; priority < best; priority++) {
      const level = pending & this.interruptPriorities[priority];
      // Of one priority the lowest number comes first, and system exceptions have lower numbers.
      if (level) return 16 + 31 - Math.clz32(level & -level);
    }
    return found;
  }

  /** Wakes a sleeping core and enters what has to be entered. */
  takeException() {
    this.attention = false;
    const number = this.vectPending;
    if (number === 0) return;
    let current = THREAD_PRIORITY;
    for (const running of this.active) current = Math.min(current, this.priorityOf(running));
    if (this.priorityOf(number) >= current) return;
    // PRIMASK holds an exception back, but WFI ends; so does WFE, for which SEVONPEND would be needed on the chip.
    this.waiting = 0;
    if (this.primask && number > HARD_FAULT) return;
    if (number === NMI) this.pendingNMI = false;
    else if (number === HARD_FAULT) this.pendingFault = false;
    else if (number === SVCALL) this.pendingSVCall = false;
    else if (number === PENDSV) this.pendingPendSV = false;
    else if (number === SYSTICK) this.isSystickPending = false;
    else this.pendingInterrupts &= ~(1 << (number - 16));
    this.enterException(number);
  }

  enterException(number) {
    const { R } = this;
    const inThread = this.active.length === 0;
    const align = (R[13] >>> 2) & 1;
    const frame = ((R[13] - 0x20) & ~4) | 0;
    R[13] = frame;
    this.writeWord(frame, R[0]);
    this.writeWord(frame + 4, R[1]);
    this.writeWord(frame + 8, R[2]);
    this.writeWord(frame + 12, R[3]);
    this.writeWord(frame + 16, R[12]);
    this.writeWord(frame + 20, R[14]);
    this.writeWord(frame + 24, this.pc);
    this.writeWord(frame + 28, (this.xPSR & ~(1 << 9)) | (align << 9));
    R[14] = !inThread ? RETURN_TO_HANDLER : this.processStack ? RETURN_TO_THREAD_PROCESS : RETURN_TO_THREAD_MAIN;
    if (inThread) this.swapStacks(0);
    this.active.push(number);
    this.IPSR = number;
    this.eventRegistered = true;
    this.pc = this.readWord(this.VTOR + 4 * number) & ~1;
    this.clock.left -= this.exceptionCycles.entry;
    if (this.onException !== null) this.onException(number);
  }

  returnFromException() {
    const value = this.returning >>> 0;
    this.returning = 0;
    const { R } = this;
    const ended = this.active.pop();
    this.IPSR = 0;
    if (value === RETURN_TO_THREAD_PROCESS) this.swapStacks(1);
    const frame = R[13];
    R[0] = this.readWord(frame);
    R[1] = this.readWord(frame + 4);
    R[2] = this.readWord(frame + 8);
    R[3] = this.readWord(frame + 12);
    R[12] = this.readWord(frame + 16);
    R[14] = this.readWord(frame + 20);
    this.pc = this.readWord(frame + 24) & ~1;
    const psr = this.readWord(frame + 28);
    R[13] = (frame + 0x20) | (psr & (1 << 9) ? 4 : 0);
    this.APSR = psr;
    this.IPSR = psr & 0x3f;
    this.eventRegistered = true;
    this.clock.left -= this.exceptionCycles.exit;
    if (this.onReturn !== null) this.onReturn(ended);
    // A request that is still there makes its interrupt pending again.
    if (ended >= 16) this.pendingInterrupts |= this.lines & (1 << (ended - 16));
    this.lookAgain();
  }

  swapStacks(process) {
    if (this.processStack === process) return;
    const pointer = this.R[13];
    this.R[13] = this.otherSP;
    this.otherSP = pointer;
    this.processStack = process;
  }

  setPrimask(value) {
    this.primask = value;
    if (!value && (this.pendingInterrupts & this.enabledInterrupts || this.pendingPendSV || this.isSystickPending))
      this.lookAgain();
  }

  pendSupervisorCall() {
    this.pendingSVCall = true;
    this.lookAgain();
  }

  /** A HardFault, as of an unaligned or impossible access. */
  fault(what, address) {
    this.faults += 1;
    this.chip.logger.error(
      'core',
      `${what} 0x${(address >>> 0).toString(16)} near 0x${this.PC.toString(16)}`,
    );
    if (this.active.includes(HARD_FAULT)) {
      this.stopped = 'a fault within the HardFault handler';
      this.clock.interrupt();
      return;
    }
    this.pendingFault = true;
    this.lookAgain();
  }

  readSpecial(number) {
    switch (number) {
      case 0:
        return this.APSR;
      case 3:
        return this.APSR | this.IPSR;
      case 5:
        return this.IPSR;
      case 8:
        return this.processStack ? this.otherSP : this.R[13];
      case 9:
        return this.processStack ? this.R[13] : this.otherSP;
      case 16:
        return this.primask;
      case 20:
        return (this.processStack << 1) | this.unprivileged;
      default:
        return 0;
    }
  }

  writeSpecial(number, value) {
    switch (number) {
      case 0:
        this.APSR = value;
        break;
      case 8:
        if (this.processStack) this.otherSP = value & ~3;
        else this.R[13] = value & ~3;
        break;
      case 9:
        if (this.processStack) this.R[13] = value & ~3;
        else this.otherSP = value & ~3;
        break;
      case 16:
        this.setPrimask(value & 1);
        break;
      case 20:
        this.unprivileged = value & 1;
        if (this.active.length === 0) this.swapStacks((value >> 1) & 1);
        break;
    }
  }

  // ---- Accesses outside of the memory, and those of several registers

  readWord(address) {
    if ((address & 0xfff80003) === 0x20000000) return this.memory.ram32[(address & 0x7ffff) >> 2];
    if ((address & 0xfce00003) === 0x10000000) return this.memory.flash32[(address & 0x1fffff) >> 2];
    if (address & 3) return this.misaligned(address);
    return this.chip.readUint32(address >>> 0) | 0;
  }

  writeWord(address, value) {
    if ((address & 0xfff80003) === 0x20000000) this.memory.ram32[(address & 0x7ffff) >> 2] = value;
    else if (address & 3) this.misaligned(address);
    else this.chip.writeUint32(address >>> 0, value >>> 0);
  }

  read32(address) {
    const region = address >>> 28;
    if (address & 3) return this.misaligned(address);
    if (NOWHERE & (1 << region)) return this.unmapped(address);
    if (region === 13) return this.chip.sio.readUint32(address & 0xfff) | 0;
    const value = this.chip.readUint32(address >>> 0) | 0;
    this.clock.left -= region === 4 ? APB_READ : AHB;
    return value;
  }

  read16(address) {
    const region = address >>> 28;
    if (address & 1) return this.misaligned(address);
    const value = this.chip.readUint16(address >>> 0);
    if (region !== 13) this.clock.left -= region === 4 ? APB_READ : AHB;
    return value;
  }

  read8(address) {
    const region = address >>> 28;
    const value = this.chip.readUint8(address >>> 0);
    if (region !== 13) this.clock.left -= region === 4 ? APB_READ : AHB;
    return value;
  }

  write32(address, value) {
    const region = address >>> 28;
    if (this.onWrite !== null) this.onWrite.get(address >>> 0)?.(this.clock.cycles);
    if (address & 3) this.misaligned(address);
    else if (NOWHERE & (1 << region)) this.unmapped(address);
    else if (region === 13) this.chip.sio.writeUint32(address & 0xfff, value >>> 0);
    else {
      this.chip.writeUint32(address >>> 0, value >>> 0);
      this.clock.left -= region === 4 ? APB_WRITE : AHB;
    }
  }

  write16(address, value) {
    const region = address >>> 28;
    if (address & 1) this.misaligned(address);
    else {
      this.chip.writeUint16(address >>> 0, value & 0xffff);
      if (region !== 13) this.clock.left -= region === 4 ? APB_WRITE : AHB;
    }
  }

  write8(address, value) {
    const region = address >>> 28;
    this.chip.writeUint8(address >>> 0, value & 0xff);
    if (region !== 13) this.clock.left -= region === 4 ? APB_WRITE : AHB;
  }

  unmapped(address) {
    this.fault('an access to nothing at', address);
    return 0;
  }

  misaligned(address) {
    this.fault('an unaligned access to', address);
    return 0;
  }
}
