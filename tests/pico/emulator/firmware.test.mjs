// MicroPython's own code on our core, and on rp2040js's beside it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Machine } from '../../../host_tools/virtual_pico/emulator/machine.mjs';
import { RP2040, SimulationClock } from '../../../host_tools/virtual_pico/emulator/stock.mjs';

const firmware = process.env.UF2;
const skip = firmware ? false : 'UF2 names no firmware';
const CTRL_A = '\x01';
const CTRL_D = '\x04';

/** A board without a plant, and what its serial port has said. */
class Board {
  constructor(options = {}) {
    this.text = '';
    this.typed = [];
    const port = {
      isOpen: true,
      canWrite: () => true,
      write: (bytes) => (this.text += Buffer.from(bytes).toString('latin1')),
      read: (limit) => Uint8Array.from(this.typed.splice(0, limit)),
    };
    this.said = [];
    this.machine = new Machine({ firmware, ...options }, port, (text) => this.said.push(text));
  }

  /** Runs until `wanted` has been said, at most `seconds` of the chip's time. */
  until(wanted, seconds = 5) {
    const end = this.machine.nanos + seconds * 1e9;
    while (!this.text.includes(wanted)) {
      assert.ok(this.machine.nanos < end, `no ${JSON.stringify(wanted)} in ${JSON.stringify(this.text.slice(-300))}`);
      this.machine.run(125e3);
      assert.equal(this.machine.chip.core.stopped, '');
    }
    return this.text;
  }

  type(text) {
    this.text = '';
    this.typed.push(...Buffer.from(text));
    this.machine.host.wake();
  }

  /** What a script prints, by the raw prompt. */
  ask(script, seconds) {
    this.type(CTRL_A);
    this.until('raw REPL; CTRL-B to exit\r\n>');
    this.type(script + CTRL_D);
    const text = this.until('\x04>', seconds);
    const [out, error] = text.slice(text.indexOf('OK') + 2).split('\x04');
    assert.equal(error, '');
    return out.trim();
  }
}

function booted(options) {
  const board = new Board(options);
  board.until('>>> ');
  return board;
}

test('MicroPython boots to its prompt and computes', { skip }, () => {
  const board = booted();
  assert.equal(board.ask('print(sum(range(100)), 2.5 * 3, 7 // -2)'), '4950 7.5 -4');
  assert.equal(board.ask('import math; print(math.sin(1), math.atan2(1, -1), math.sqrt(2), math.exp(1), math.log(10))'),
    '0.841471 2.356194 1.414214 2.718282 2.302585');
  assert.deepEqual(board.machine.chip.core.faults, 0);
});

test('real code leaves the same registers on rp2040js, instruction by instruction', { skip }, () => {
  const board = booted();
  const { machine } = board;
  const { core } = machine.chip;
  board.type(`${CTRL_A}def f(n):\n d = {}\n for i in range(n):\n  d[i % 17] = [i * 3.5, str(i)]\n return d\nf(10**6)\n${CTRL_D}`);
  machine.run(20e6);
  const other = new RP2040(new SimulationClock());
  other.logger = { debug() {}, info() {}, warn() {}, error() {} };
  other.flash.set(machine.memory.flash8);
  let hasLeft = false;
  for (const name of ['readUint32', 'readUint16', 'readUint8', 'writeUint32', 'writeUint16', 'writeUint8']) {
    const original = other[name].bind(other);
    other[name] = (address, value) => {
      const region = address >>> 28;
      if (region !== 1 && region !== 2) hasLeft = true;
      return original(address, value);
    };
  }
  let compared = 0;
  for (let place = 0; place < 60; place++) {
    machine.run(9973); // somewhere else each time
    if (core.IPSR || core.waiting) continue;
    other.sram.set(machine.chip.sram);
    other.core.registers.set(core.registers);
    other.core.PC = core.PC;
    other.core.APSR = core.APSR;
    other.core.SPSEL = core.processStack;
    other.core.PM = core.primask === 1;
    hasLeft = false;
    for (let n = 0; n < 500; n++) {
      const before = core.PC;
      // A routine of the boot ROM, and rp2040js's known errors (core.test.mjs), end the walk.
      const opcode = machine.memory.code[(before + machine.memory.fetch[before >>> 28]) >> 1];
      if (before < 0x4000 || [0x4140, 0x4180, 0x4080, 0x40c0, 0x4100, 0x41c0].includes(opcode & 0xffc0)) break;
      other.core.executeInstruction();
      if (hasLeft) break;
      core.step();
      if (core.IPSR) break;
      const at = `0x${before.toString(16)} (${opcode.toString(16)})`;
      assert.deepEqual([...core.registers].slice(0, 15), [...other.core.registers].slice(0, 15), at);
      assert.equal(core.PC, other.core.PC, at);
      assert.equal(core.APSR, other.core.APSR | 0, at);
      compared += 1;
    }
  }
  assert.ok(compared > 3000, `${compared} instructions compared`);
});

test('files survive a reset, machine.reset is a watchdog reset, and a power cycle is not', { skip }, () => {
  const board = booted();
  assert.equal(board.ask('import machine; print(machine.reset_cause())'), '1');
  board.ask('f = open("kept", "w"); f.write("x" * 5000); f.close()');
  assert.ok(board.machine.flash.programmed >= 20);
  board.type(`${CTRL_A}import machine; machine.reset()\n${CTRL_D}`);
  board.until('>>> ');
  assert.equal(board.machine.resets, 1);
  assert.equal(board.ask('import os, machine; print(os.stat("kept")[6], machine.reset_cause())'), '5000 3');
  board.machine.powerCycle();
  board.text = '';
  board.until('>>> ');
  assert.equal(board.ask('import machine; print(machine.reset_cause())'), '1');
});

test('the watchdog of MicroPython resets the board after its time', { skip }, () => {
  const board = booted();
  board.type(`${CTRL_A}import machine; w = machine.WDT(timeout=300)\nprint("armed")\nwhile True: pass\n${CTRL_D}`);
  board.until('armed');
  const began = board.machine.nanos;
  board.text = '';
  board.until('>>> ');
  assert.equal(board.machine.resets, 1);
  assert.equal(board.machine.watchdogKept.reason, 1);
  assert.ok(board.machine.nanos - began > 0.3e9);
});

test('Ctrl-C ends a loop, a soft reset forgets names', { skip }, () => {
  const board = booted();
  board.ask('a = 5');
  board.type(`${CTRL_A}while True: pass\n${CTRL_D}`);
  board.machine.run(10e6);
  board.type('\x03');
  board.until('KeyboardInterrupt');
  board.type('\x02\x04');
  board.until('soft reboot');
  board.until('>>> ');
  assert.equal(board.ask('print("a" in dir())'), 'False');
});

test('time passes as the clock says, also after the clock has changed', { skip }, () => {
  const board = booted();
  const script = (hertz) => `import machine, time
machine.freq(${hertz})
t = time.ticks_us(); time.sleep_ms(50); print(time.ticks_diff(time.ticks_us(), t) // 1000)`;
  for (const hertz of [125e6, 200e6, 48e6, 125e6]) {
    const before = board.machine.nanos;
    assert.equal(board.ask(script(hertz)), '50');
    assert.ok(board.machine.nanos - before > 50e6);
    assert.equal(board.machine.clock.frequency, hertz);
  }
});

test('the interrupt of a timer is measured from its entry to its end', { skip }, () => {
  const board = booted();
  const { machine } = board;
  machine.commands.measure({ name: 'timer', from: 'irq:3', to: 'end:3' });
  board.ask(`import machine, time
n = 0
def tick(t):
    global n
    n += 1
t = machine.Timer(freq=1000, callback=tick)
time.sleep_ms(100)
t.deinit()`);
  const { timer } = machine.commands.measures();
  assert.ok(timer.count >= 90, JSON.stringify(timer));
  assert.equal(timer.missed, 0);
  assert.ok(timer.best > 50 && timer.best <= timer.median && timer.median <= timer.worst, JSON.stringify(timer));
});

test('with the flash cache modelled the same work takes longer, and misses are counted', { skip }, () => {
  const script = `import time
def f():
    d = {}
    for i in range(2000): d[i % 7] = [i, str(i)]
t = time.ticks_us(); f(); print(time.ticks_diff(time.ticks_us(), t))`;
  const [ideal, cache] = ['ideal', 'cache'].map((timing) => {
    const board = booted({ timing });
    return [Number(board.ask(script)), board.machine.commands.counters()];
  });
  assert.ok(cache[0] > 1.1 * ideal[0], `${ideal[0]} and ${cache[0]} us`);
  assert.equal(ideal[1].cache_misses, 0);
  assert.ok(cache[1].cache_misses > 1000 && cache[1].cache_misses < cache[1].cache_accesses / 10);
});

test('the counters of the flash cache are the model of it', { skip }, () => {
  const board = booted({ timing: 'cache' });
  assert.equal(board.machine.ssi.divider, 2);
  const counters = 'import machine; print(machine.mem32[0x1400000c], machine.mem32[0x14000010])';
  const [hits, accesses] = board.ask(counters).split(' ').map(Number);
  assert.ok(hits > 0.8 * accesses && hits < accesses, `${hits} of ${accesses}`);
  board.ask('import machine; machine.mem32[0x14000010] = 0');
  assert.ok(Number(board.ask(counters).split(' ')[1]) < accesses);
});

test('a chip that stands still after a fault says what it was', { skip }, () => {
  const board = booted();
  board.ask('@micropython.viper\ndef peek(at: int) -> int:\n p = ptr32(at)\n return p[0]');
  board.type(`${CTRL_A}peek(0x20000002)\n${CTRL_D}`);
  for (let n = 0; n < 200 && !board.machine.chip.core.stopped; n++) board.machine.run(125e3);
  assert.match(board.said.join(), /unaligned access to 0x20000002/);
  assert.match(board.said.join(), /core stands still: BKPT/);
});

test('the watchdog resets a core that stands still', { skip }, () => {
  const board = booted();
  board.ask('@micropython.viper\ndef peek(at: int) -> int:\n p = ptr32(at)\n return p[0]');
  board.type(`${CTRL_A}import machine; w = machine.WDT(timeout=100); peek(0x20000002)\n${CTRL_D}`);
  const { machine } = board;
  for (let n = 0; n < 2000 && machine.resets === 0; n++) machine.run(125e3);
  assert.match(board.said.join(), /core stands still/);
  assert.equal(machine.resets, 1);
  board.text = '';
  board.until('>>> ');
});

test('a profile says where the cycles go', { skip }, () => {
  const board = booted();
  const { machine } = board;
  const before = machine.cycles;
  machine.commands.profile_start();
  board.ask('print(sum(range(1000)))');
  const rows = machine.commands.profile({});
  const [cycles, times] = [1, 2].map((k) => rows.reduce((sum, row) => sum + row[k], 0));
  assert.ok(cycles > times && cycles <= machine.cycles - before);
  assert.ok(rows.every(([address]) => address % 2 === 0));
  assert.deepEqual(machine.commands.profile({ first: 0x20000000, last: 0x10000000 }), []);
  machine.commands.profile_stop();
  assert.throws(() => machine.commands.profile({}), /profile_start/);
});

test('writes of a register are measured', { skip }, () => {
  const board = booted();
  const { machine } = board;
  machine.commands.measure({ name: 'blink', from: `write:${0xd0000014}`, to: `write:${0xd0000018}` });
  board.ask('import machine\nfor n in range(20): machine.mem32[0xd0000014] = 1 << 25; machine.mem32[0xd0000018] = 1 << 25');
  const { blink } = machine.commands.measures();
  assert.equal(blink.count, 20);
  assert.ok(blink.median > 100 && blink.median < 20000, JSON.stringify(blink));
});

test('a recording has the block at each entry of the interrupt and at its end', { skip }, (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'eesm-record-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'rows.bin');
  const board = booted();
  const { machine } = board;
  assert.throws(() => machine.commands.read_block({ first: 0, count: 2 }), /No control law runs/);
  // The timer's interrupt stands for the driver's: it raises the microsecond count that the block watches.
  board.ask(`import array, machine, uctypes, time
block = array.array('i', [7, -8, 9])
machine.mem32[0xd0000080] = uctypes.addressof(block)
def tick(t): block[2] += 1
t = machine.Timer(freq=1000, callback=tick)`);
  assert.deepEqual(machine.commands.read_block({ first: 0, count: 2 }), { period: null, words: [7, -8] });
  machine.commands.record({ path: file, irq: 3, words: 3 });
  assert.throws(() => machine.commands.record({ path: file, irq: 3, words: 3 }), /runs already/);
  machine.run(125e3 * 400);
  const { interrupts } = machine.commands.record_stop();
  const bytes = fs.readFileSync(file);
  const rows = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  assert.ok(interrupts > 300, `${interrupts}`);
  assert.equal(rows.length, 2 * 3 * interrupts);
  assert.deepEqual([...rows.subarray(0, 2)], [7, -8]);
  assert.ok(rows[rows.length - 1] > rows[2] + 200);
  assert.throws(() => machine.commands.record_stop(), /no recording/);
});

test('a flash without a second stage waits in BOOTSEL for a UF2 file, in pieces too', { skip }, (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'eesm-bootsel-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const volume = path.join(folder, 'RPI-RP2');
  const board = new Board({ firmware: undefined, volume });
  const { machine } = board;
  assert.match(fs.readFileSync(path.join(volume, 'INFO_UF2.TXT'), 'latin1'), /Board-ID: RPI-RP2/);
  assert.equal(machine.pollBootsel(), false);
  const uf2 = fs.readFileSync(firmware);
  const file = path.join(volume, 'firmware.uf2');
  fs.writeFileSync(file, uf2.subarray(0, 100_000));
  assert.equal(machine.pollBootsel(), false);
  fs.appendFileSync(file, uf2.subarray(100_000));
  assert.equal(machine.pollBootsel(), true);
  assert.ok(!fs.existsSync(volume));
  board.until('>>> ');
});

test('machine.bootloader() leads to BOOTSEL, and the button held at power-on does', { skip }, () => {
  const board = booted();
  board.type(`${CTRL_A}import machine; machine.bootloader()\n${CTRL_D}`);
  for (let n = 0; n < 2000 && !board.machine.bootsel; n++) board.machine.run(125e3);
  assert.ok(board.machine.bootsel);
  assert.ok(new Board({ bootsel: true }).machine.bootsel);
});
