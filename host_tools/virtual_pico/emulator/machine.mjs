// The board: a chip that can be reset, its flash, the cable, and what the modules hang on it.

import { boot, installBootRom } from './bootrom.mjs';
import { Chip } from './chip.mjs';
import { Flash } from './flash.mjs';
import { Memory } from './memory.mjs';
import { MODULES } from './modules.mjs';
import { Nvic } from './nvic.mjs';
import { UsbHost } from './usb_host.mjs';
import { Watchdog } from './watchdog.mjs';

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
    this.inBootsel = false;
    this.isOff = false;
    this.watchers = {};
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
    installBootRom(this, this.memory.rom8, chip.core);
    this.host.attach(chip.usbCtrl);
    for (const attach of this.modules) attach(this);
    boot(this);
  }

  requestReset() {
    this.chip.isLeaving = true;
    this.clock.interrupt();
  }

  reset() {
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

  enterBootsel() {
    this.inBootsel = true;
    this.tell('The board is in BOOTSEL: its USB drive is not emulated.');
    this.chip.core.stopped = 'BOOTSEL';
    this.clock.interrupt();
  }

  flushCache() {}

  /** Marks an event by name, for those who watch it. */
  note(name) {
    const watcher = this.watchers[name];
    if (watcher !== undefined) watcher(this.clock.cycles);
  }

  /** Runs for `cycles`; returns false when nothing more can run until a reset. */
  run(cycles) {
    const goesOn = this.chip.core.run(cycles);
    if (this.chip.isLeaving && !this.isOff) {
      this.reset();
      return true;
    }
    return goesOn;
  }
}
