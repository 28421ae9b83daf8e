// A chip with our peripherals and no program: registers are written as the core would, and time is let pass.

import { attach as attachAdc } from '../../../host_tools/virtual_pico/emulator/adc.mjs';
import { Chip } from '../../../host_tools/virtual_pico/emulator/chip.mjs';
import { attach as attachDma } from '../../../host_tools/virtual_pico/emulator/dma.mjs';
import { attach as attachGpio } from '../../../host_tools/virtual_pico/emulator/gpio.mjs';
import { Memory } from '../../../host_tools/virtual_pico/emulator/memory.mjs';
import { attach as attachPio } from '../../../host_tools/virtual_pico/emulator/pio.mjs';
import { attach as attachPwm } from '../../../host_tools/virtual_pico/emulator/pwm.mjs';
import { attach as attachResets } from '../../../host_tools/virtual_pico/emulator/resets.mjs';
import { attach as attachSpi } from '../../../host_tools/virtual_pico/emulator/spi.mjs';
import { RP2040, SimulationClock } from '../../../host_tools/virtual_pico/emulator/stock.mjs';

export const PWM = 0x40050000;
export const ADC = 0x4004c000;
export const DMA = 0x50000000;
export const IO = 0x40014000;
export const PADS = 0x4001c000;
export const SIO = 0xd0000000;
export const PIO0 = 0x50200000;
export const SPI0 = 0x4003c000;
export const RESETS = 0x4000c000;
export const SRAM = 0x20000000;
export const XOR = 0x1000;
export const SET = 0x2000;
export const CLR = 0x3000;

export class Bench {
  constructor() {
    this.chip = new Chip(new Memory(), () => {});
    this.clock = this.chip.clock;
    for (const attach of [attachGpio, attachDma, attachPwm, attachAdc, attachPio, attachSpi, attachResets])
      attach({ chip: this.chip });
  }

  write(address, value) {
    this.chip.writeUint32(address, value >>> 0);
  }

  read(address) {
    return this.chip.readUint32(address) >>> 0;
  }

  /** Lets `cycles` of clk_sys pass. */
  pass(cycles) {
    const { clock } = this;
    const end = clock.cycles + cycles;
    do {
      clock.skip(end);
      clock.ring();
    } while (clock.cycles < end);
  }

  /** Gives pins to the PWM. */
  usePwm(...pins) {
    for (const pin of pins) this.write(IO + 8 * pin + 4, 4);
  }

  slice(index, { top, a = 0, b = 0, csr = 0 }) {
    const base = PWM + 0x14 * index;
    this.write(base + 0x10, top);
    this.write(base + 0x0c, (b << 16) | a);
    this.write(base, csr);
  }

  /** Cycles of the edges of `pin` while `cycles` pass, as [cycle, level]. */
  edges(pin, cycles) {
    const seen = [];
    const watcher = (level, cycle) => seen.push([cycle, level ? 1 : 0]);
    const { watchers } = this.chip.gpio[pin];
    watchers.push(watcher);
    this.pass(cycles);
    this.chip.bank.settle();
    watchers.splice(watchers.indexOf(watcher), 1);
    return seen;
  }

  /** A DMA channel's registers; `start` begins it. */
  channel(index, { from, to, count = 1, ctrl, start = false }) {
    const base = DMA + 0x40 * index;
    this.write(base, from);
    this.write(base + 4, to);
    this.write(base + 8, count);
    this.write(base + (start ? 0x0c : 0x10), ctrl);
  }
}

/** CTRL of a DMA channel: 32 bits, enabled. */
export function control({ request = 0x3f, chain, index, more = 0 }) {
  return (more | (request << 15) | ((chain ?? index) << 11) | (2 << 2) | 1) >>> 0;
}

export const INCR_READ = 1 << 4;
export const INCR_WRITE = 1 << 5;
export const QUIET = 1 << 21;

/** rp2040js as it is. Time passes in steps of one cycle's nanoseconds. */
export class Stock {
  constructor() {
    this.clock = new SimulationClock();
    this.chip = new RP2040(this.clock);
    this.chip.logger = { debug() {}, info() {}, warn() {}, error() {} };
  }

  write(address, value) {
    this.chip.writeUint32(address, value >>> 0);
  }

  read(address) {
    return this.chip.readUint32(address) >>> 0;
  }

  pass(cycles) {
    for (let n = 0; n < cycles; n++) this.clock.tick(8);
  }
}
