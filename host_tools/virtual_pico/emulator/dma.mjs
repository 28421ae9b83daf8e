// Direct memory access (RP2040 datasheet section 2.5), in place of rp2040js's.
//
// rp2040js moves data in no time, keeps a request that has been served, and takes a wrap of the PWM as a level that
// stays. Here a channel counts requests (2.5.3.2): a pulse of the PWM is one transfer, a level of a FIFO lasts as
// long as the FIFO says, and a sequence that begins has no requests left over from before.
//
// Time of a transfer, in cycles of clk_sys: from the request or trigger to the bus `ISSUE`, then read and write. SRAM
// takes one cycle each way; a peripheral behind the APB bridge three to read and four to write (2.1.3). Within a
// sequence that is not paced, reads and writes overlap: the slower of the two a transfer. The channels share one
// engine, the first to ask being served first; that transfers of two channels overlap in it is not modelled.

import { BasePeripheral, IRQ } from './stock.mjs';

const ISSUE = 3;
const READ_ADDR = 0;
const WRITE_ADDR = 1;
const TRANS_COUNT = 2;
const CTRL = 3;
// Which register each of the 16 words of a channel is, and that the last of each group triggers (2.5.2.1).
const ALIASES = [
  [READ_ADDR, WRITE_ADDR, TRANS_COUNT, CTRL],
  [CTRL, READ_ADDR, WRITE_ADDR, TRANS_COUNT],
  [CTRL, TRANS_COUNT, READ_ADDR, WRITE_ADDR],
  [CTRL, WRITE_ADDR, TRANS_COUNT, READ_ADDR],
].flat();

const CHANNELS = 12;
const CHANNELS_END = CHANNELS * 0x40;
const INTR = 0x400;
const INTE0 = 0x404;
const INTF0 = 0x408;
const INTS0 = 0x40c;
const INTE1 = 0x414;
const INTF1 = 0x418;
const INTS1 = 0x41c;
const TIMER0 = 0x420;
const TIMER3 = 0x42c;
const MULTI_CHAN_TRIGGER = 0x430;
const SNIFF_CTRL = 0x434;
const SNIFF_DATA = 0x438;
const CHAN_ABORT = 0x444;
const N_CHANNELS = 0x448;
const DEBUG = 0x800;

const CTRL_EN = 1;
const CTRL_INCR_READ = 1 << 4;
const CTRL_INCR_WRITE = 1 << 5;
const CTRL_RING_WRITE = 1 << 10;
const CTRL_IRQ_QUIET = 1 << 21;
const CTRL_BSWAP = 1 << 22;
const CTRL_BUSY = 1 << 24;
const CTRL_WRITABLE = 0xffffff;

const TREQ_TIMER0 = 0x3b;
const TREQ_UNPACED = 0x3f;
const MOST_REQUESTS = 63;

/** Cycles of a read or write beyond the bus's own. */
function cost(address, apb) {
  return address >>> 28 === 4 ? apb : 1;
}

function swap(value, size) {
  if (size === 1) return value;
  if (size === 2) return ((value & 0xff) << 8) | (value >>> 8);
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

class Channel {
  constructor(dma, index) {
    this.dma = dma;
    this.chip = dma.rp2040;
    this.index = index;
    this.alarm = this.chip.clock.createCycleAlarm(() => this.transfer());
    this.reset();
  }

  reset() {
    this.alarm.cancel();
    this.readAddr = 0;
    this.writeAddr = 0;
    this.count = 0;
    this.reload = 0;
    this.requests = 0;
    this.busy = false;
    this.issued = false;
    this.setControl(this.index << 11);
  }

  setControl(value) {
    this.ctrl = value & CTRL_WRITABLE;
    this.treq = (value >>> 15) & 0x3f;
    this.chainTo = (value >>> 11) & 15;
    this.size = 1 << Math.min((value >>> 2) & 3, 2);
    this.ringMask = (1 << ((value >>> 6) & 15)) - 1;
  }

  /** Begins a sequence, unless one is running or the channel is not enabled. */
  trigger() {
    if (!(this.ctrl & CTRL_EN) || this.busy) return;
    this.count = this.reload;
    this.requests = 0;
    if (this.count === 0) {
      this.finish();
      return;
    }
    this.busy = true;
    this.ask();
  }

  /** Puts the next transfer to the engine if there is a request for it; `isNext`: right after another. */
  ask(isNext = false) {
    if (!this.busy || this.issued || !(this.ctrl & CTRL_EN)) return;
    const { dma, treq } = this;
    const { clock } = this.chip;
    let from = clock.cycles;
    if (treq >= TREQ_TIMER0) {
      if (treq !== TREQ_UNPACED) {
        from = dma.nextTick(treq - TREQ_TIMER0, from);
        if (from < 0) return;
      }
    } else if (this.requests > 0) this.requests -= 1;
    else if (!dma.levels[treq]) return;
    this.issued = true;
    const read = cost(this.readAddr, 3);
    const write = cost(this.writeAddr, 4);
    if (isNext && treq === TREQ_UNPACED) dma.freeAt = Math.max(from, dma.freeAt) + Math.max(read, write);
    else dma.freeAt = Math.max(from + ISSUE, dma.freeAt) + read + write;
    this.alarm.scheduleAt(dma.freeAt);
  }

  transfer() {
    const { chip, size, ctrl } = this;
    this.issued = false;
    if (!(ctrl & CTRL_EN)) return;
    const { readAddr, writeAddr } = this;
    let value = size === 4 ? chip.readUint32(readAddr) : size === 2 ? chip.readUint16(readAddr) : chip.readUint8(readAddr);
    if (ctrl & CTRL_BSWAP) value = swap(value, size);
    if (ctrl & CTRL_INCR_READ) this.readAddr = this.advance(readAddr, !(ctrl & CTRL_RING_WRITE));
    if (ctrl & CTRL_INCR_WRITE) this.writeAddr = this.advance(writeAddr, (ctrl & CTRL_RING_WRITE) !== 0);
    this.count -= 1;
    // What is written may be this channel's own registers.
    if (size === 4) chip.writeUint32(writeAddr, value >>> 0);
    else if (size === 2) chip.writeUint16(writeAddr, value);
    else chip.writeUint8(writeAddr, value);
    if (this.dma.onTransfer !== null) this.dma.onTransfer(this.index, writeAddr, value);
    if (!this.busy) return; // aborted by that
    if (this.count > 0) this.ask(true);
    else this.finish();
  }

  advance(address, ringed) {
    const next = (address + this.size) >>> 0;
    return ringed && this.ringMask ? ((address & ~this.ringMask) | (next & this.ringMask)) >>> 0 : next;
  }

  finish() {
    this.busy = false;
    if (!(this.ctrl & CTRL_IRQ_QUIET)) this.dma.raise(this.index);
    if (this.chainTo !== this.index && this.chainTo < CHANNELS) this.dma.channels[this.chainTo].trigger();
  }

  /** Ends the sequence; no interrupt, no chain (2.5.5.3). */
  abort() {
    this.busy = false;
    this.issued = false;
    this.count = 0;
    this.alarm.cancel();
  }

  read(word) {
    switch (ALIASES[word]) {
      case READ_ADDR:
        return this.readAddr;
      case WRITE_ADDR:
        return this.writeAddr;
      case TRANS_COUNT:
        return this.count;
      default:
        return (this.ctrl | (this.busy ? CTRL_BUSY : 0)) >>> 0;
    }
  }

  write(word, value) {
    switch (ALIASES[word]) {
      case READ_ADDR:
        this.readAddr = value >>> 0;
        break;
      case WRITE_ADDR:
        this.writeAddr = value >>> 0;
        break;
      case TRANS_COUNT:
        this.reload = value >>> 0;
        break;
      default: {
        const { treq } = this;
        this.setControl(value);
        if (this.treq !== treq) this.requests = 0;
        if (this.busy) this.ask();
      }
    }
    if ((word & 3) !== 3) return;
    if (value !== 0) this.trigger();
    else if (this.ctrl & CTRL_IRQ_QUIET) this.dma.raise(this.index); // a null trigger
  }
}

export class Dma extends BasePeripheral {
  constructor(chip) {
    super(chip, 'DMA');
    this.levels = new Array(64).fill(false);
    this.onTransfer = null; // called with (channel, address, value) after each transfer
    this.channels = [];
    this.timers = [0, 0, 0, 0];
    this.tickAt = [0, 0, 0, 0];
    this.clear();
    this.channels = Array.from({ length: CHANNELS }, (_, index) => new Channel(this, index));
  }

  clear() {
    this.freeAt = 0; // the cycle at which the engine has done all that it was asked
    this.intRaw = 0;
    this.enables = [0, 0];
    this.forces = [0, 0];
    this.timers.fill(0);
    this.sniff = [0, 0];
  }

  reset() {
    this.clear();
    for (const channel of this.channels) channel.reset();
    this.checkInterrupts();
  }

  /** One request of a peripheral that asks by pulses; lost on a channel that has nothing to do. */
  pulse(request) {
    for (const channel of this.channels) {
      if (channel.treq !== request || !channel.busy) continue;
      channel.requests = Math.min(channel.requests + 1, MOST_REQUESTS);
      channel.ask();
    }
  }

  /** A peripheral with a FIFO asks, until `clearDREQ`. */
  setDREQ(request) {
    if (this.levels[request]) return;
    this.levels[request] = true;
    for (const channel of this.channels) if (channel.treq === request && channel.busy) channel.ask();
  }

  clearDREQ(request) {
    this.levels[request] = false;
  }

  /** The cycle of the next request of pacing timer `index`, from `now` on; -1 while it is off. */
  nextTick(index, now) {
    const x = this.timers[index] >>> 16;
    const y = this.timers[index] & 0xffff;
    if (x === 0 || y === 0) return -1;
    const next = Math.max(now, this.tickAt[index] + Math.max(y / x, 1));
    this.tickAt[index] = next;
    return Math.ceil(next);
  }

  raise(index) {
    this.intRaw |= 1 << index;
    this.checkInterrupts();
  }

  status(line) {
    return (this.intRaw & this.enables[line]) | this.forces[line];
  }

  checkInterrupts() {
    this.rp2040.setInterrupt(IRQ.DMA_IRQ0, this.status(0) !== 0);
    this.rp2040.setInterrupt(IRQ.DMA_IRQ1, this.status(1) !== 0);
  }

  readUint32(offset) {
    if (offset < CHANNELS_END) return this.channels[offset >> 6].read((offset & 0x3f) >> 2);
    if (offset >= DEBUG && offset < DEBUG + CHANNELS_END) {
      const channel = this.channels[(offset - DEBUG) >> 6];
      return offset & 4 ? channel.reload : channel.requests;
    }
    switch (offset) {
      case INTR:
        return this.intRaw;
      case INTE0:
        return this.enables[0];
      case INTE1:
        return this.enables[1];
      case INTF0:
        return this.forces[0];
      case INTF1:
        return this.forces[1];
      case INTS0:
        return this.status(0);
      case INTS1:
        return this.status(1);
      case MULTI_CHAN_TRIGGER:
      case CHAN_ABORT:
        return 0;
      case SNIFF_CTRL:
      case SNIFF_DATA:
        return this.sniff[(offset - SNIFF_CTRL) >> 2];
      case N_CHANNELS:
        return CHANNELS;
    }
    if (offset >= TIMER0 && offset <= TIMER3) return this.timers[(offset - TIMER0) >> 2];
    return super.readUint32(offset);
  }

  writeUint32(offset, value) {
    if (offset < CHANNELS_END) {
      this.channels[offset >> 6].write((offset & 0x3f) >> 2, value);
      return;
    }
    if (offset >= DEBUG && offset < DEBUG + CHANNELS_END) {
      this.channels[(offset - DEBUG) >> 6].requests = 0;
      return;
    }
    switch (offset) {
      case INTR:
      case INTS0:
      case INTS1:
        this.intRaw &= ~this.rawWriteValue;
        break;
      case INTE0:
      case INTE1:
        this.enables[offset === INTE0 ? 0 : 1] = value & 0xffff;
        break;
      case INTF0:
      case INTF1:
        this.forces[offset === INTF0 ? 0 : 1] = value & 0xffff;
        break;
      case MULTI_CHAN_TRIGGER:
        for (const channel of this.channels) if (this.rawWriteValue & (1 << channel.index)) channel.trigger();
        return;
      case CHAN_ABORT:
        for (const channel of this.channels) if (this.rawWriteValue & (1 << channel.index)) channel.abort();
        return;
      case SNIFF_CTRL:
      case SNIFF_DATA:
        this.sniff[(offset - SNIFF_CTRL) >> 2] = value;
        return;
      default:
        if (offset >= TIMER0 && offset <= TIMER3) {
          this.timers[(offset - TIMER0) >> 2] = value;
          for (const channel of this.channels) channel.ask();
        } else super.writeUint32(offset, value);
        return;
    }
    this.checkInterrupts();
  }
}

export function attach({ chip }) {
  const before = chip.dma;
  chip.dma = new Dma(chip);
  // What asks by a level has said so already.
  if (before?.dreq) before.dreq.forEach((level, request) => level && chip.dma.setDREQ(request));
  chip.peripherals[0x50000] = chip.dma;
}
