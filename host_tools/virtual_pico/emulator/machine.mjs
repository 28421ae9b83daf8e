// The board: a chip that can be reset, its flash, the cable, and what the modules hang on it.

import { boot, installBootRom } from './bootrom.mjs';
import { Bootsel, isBootable } from './bootsel.mjs';
import { Chip } from './chip.mjs';
import { addCommands } from './commands.mjs';
import { Flash } from './flash.mjs';
import { Marks } from './marks.mjs';
import { Memory } from './memory.mjs';
import { MODULES } from './modules.mjs';
import { Nvic } from './nvic.mjs';
import { QspiPads, Ssi } from './ssi.mjs';
import { EXCEPTION_CYCLES, FLUSH_CYCLES, NO_CYCLES, XipCache } from './timing.mjs';
import { UsbHost } from './usb_host.mjs';
import { Watchdog } from './watchdog.mjs';
import { XipControl } from './xip.mjs';

export class Machine {
  /** `port` is the host's end of the serial line, `tell(text)` takes remarks. */
  constructor(options, port, tell = () => {}) {
    this.options = options;
    this.tell = tell;
    this.memory = new Memory();
    this.flash = new Flash(this.memory.flash8, options.flash ?? '', () => this.clock);
    if (options.firmware && (this.flash.isNew || options.install)) this.flash.install(options.firmware);
    this.host = new UsbHost(port);
    this.kept = {};
    this.commands = {};
    this.modules = options.modules ?? MODULES;
    this.watchdogKept = { scratch: new Uint32Array(8), reason: 0 };
    this.resets = 0;
    this.bootsel = null; // the drive, while the board waits for firmware
    this.saidStopped = '';
    this.isOff = false;
    this.isButtonHeld = options.bootsel ?? false;
    this.watchers = {};
    this.marks = new Marks(this);
    this.timing = options.timing ?? 'ideal';
    this.identity = identityOf(options.seed ?? 1);
    addCommands(this);
    this.nanosBefore = 0;
    this.cyclesBefore = 0;
    this.start();
  }

  get nanos() {
    return this.nanosBefore + this.clock.nanos;
  }

  /** Cycles of clk_sys since power-on, across resets. */
  get cycles() {
    return this.cyclesBefore + this.clock.cycles;
  }

  start() {
    this.onReset = [];
    const chip = new Chip(this.memory, this.tell);
    this.chip = chip;
    this.clock = chip.clock;
    const reset = () => this.requestReset();
    chip.peripherals[0x40058] = new Watchdog(chip, this.watchdogKept, reset);
    chip.ppb = new Nvic(chip, 'PPB', reset);
    this.ssi = new Ssi(chip, 'SSI', this.identity);
    chip.peripherals[0x18000] = this.ssi;
    chip.peripherals[0x14000] = new XipControl(chip, 'XIP_CTRL');
    chip.peripherals[0x40018] = new QspiPads(chip, 'IO_QSPI_BASE', this.ssi);
    installBootRom(this, this.memory.rom8, chip.core);
    this.host.attach(chip.usbCtrl);
    for (const attach of this.modules) attach(this);
    this.setTiming(this.timing);
    this.marks.apply();
    if (isBootable(this.memory.flash8) && !this.isButtonHeld) boot(this);
    else this.enterBootsel();
  }

  requestReset() {
    this.chip.isLeaving = true;
    this.clock.interrupt();
  }

  reset() {
    this.isButtonHeld = false;
    for (const callback of this.onReset) callback();
    this.nanosBefore = this.nanos;
    this.cyclesBefore = this.cycles;
    this.resets += 1;
    this.start();
  }

  /** Takes the power off and on: the SRAM and the watchdog's memory are lost too. */
  powerCycle() {
    this.memory.ram8.fill(0);
    this.watchdogKept.scratch.fill(0);
    this.watchdogKept.reason = 0;
    this.reset();
  }

  powerOff() {
    this.isOff = true;
    this.requestReset();
  }

  /** The boot ROM waits for firmware; the chip runs nothing. */
  enterBootsel() {
    this.bootsel = new Bootsel(this.options.volume ?? '');
    this.chip.core.stopped = 'BOOTSEL, waiting for firmware,';
    this.saidStopped = this.chip.core.stopped;
    this.clock.interrupt();
  }

  /** Looks at the drive; restarts the board when firmware has come. Returns true then. */
  pollBootsel() {
    if (!this.bootsel.poll(this.flash)) return false;
    this.bootsel.close();
    this.bootsel = null;
    this.reset();
    return true;
  }

  /** "ideal": no wait states, exceptions cost nothing; "cache": see timing.mjs. */
  setTiming(timing) {
    if (timing !== 'ideal' && timing !== 'cache') throw new Error(`timing is ${timing}, not "ideal" or "cache".`);
    this.timing = timing;
    const isCache = timing === 'cache';
    const cache = isCache ? new XipCache(() => this.ssi.divider) : null;
    this.chip.core.setTiming(timing, cache, isCache ? EXCEPTION_CYCLES : NO_CYCLES);
  }

  /** Returns the cycles it takes. */
  flushCache() {
    const { cache } = this.chip.core;
    cache?.flush();
    return cache ? FLUSH_CYCLES : 0;
  }

  /** Marks an event by name, for those who watch it. */
  note(name) {
    const watcher = this.watchers[name];
    if (watcher !== undefined) watcher(this.clock.cycles);
  }

  /** Runs for `cycles`, or up to a reset; not in BOOTSEL. */
  run(cycles) {
    this.chip.core.run(cycles);
    const { stopped, PC } = this.chip.core;
    if (stopped !== this.saidStopped) {
      this.saidStopped = stopped;
      if (stopped) this.tell(`The core stands still: ${stopped} at 0x${PC.toString(16)}.`);
    }
    if (this.chip.isLeaving && !this.isOff) this.reset();
  }
}

/** The 8 bytes that tell one board from another. */
function identityOf(seed) {
  return Uint8Array.of(0xe6, 0x61, 0x41, 0x04, ...[24, 16, 8, 0].map((shift) => (seed >>> shift) & 0xff));
}
