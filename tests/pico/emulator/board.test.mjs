// The parts of the board around the core: clock, timer, watchdog, serial lines, flash, USB.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Clock } from '../../../host_tools/virtual_pico/emulator/clock.mjs';
import { Flash, readUf2 } from '../../../host_tools/virtual_pico/emulator/flash.mjs';
import { DOUBLES, FLOATS } from '../../../host_tools/virtual_pico/emulator/floats.mjs';
import { FLASH_SIZE, Memory } from '../../../host_tools/virtual_pico/emulator/memory.mjs';
import { RPUSBController, USBCDC } from '../../../host_tools/virtual_pico/emulator/stock.mjs';
import { XipCache } from '../../../host_tools/virtual_pico/emulator/timing.mjs';
import { UsbHost, findSerialEndpoints } from '../../../host_tools/virtual_pico/emulator/usb_host.mjs';
import { Watchdog } from '../../../host_tools/virtual_pico/emulator/watchdog.mjs';
import { ours, stock } from './core_harness.mjs';

const TIMER = 0x40054000;
const WATCHDOG = 0x40058000;
const UART0 = 0x40034000;

/** Lets `cycles` pass on a chip of ours with nothing running. */
function pass(chip, cycles) {
  const { clock } = chip;
  const end = clock.cycles + cycles;
  do {
    clock.skip(end);
    clock.ring();
  } while (clock.cycles < end);
}

// ---- Clock

test('alarms ring in order of time, those of one time in the order they were set', () => {
  const clock = new Clock();
  const rung = [];
  for (const [name, cycle] of [['c', 30], ['a', 10], ['b', 20], ['d', 30]])
    clock.createCycleAlarm(() => rung.push([name, clock.cycles])).scheduleAt(cycle);
  clock.end = 100;
  clock.ring();
  assert.deepEqual(rung, [['a', 10], ['b', 20], ['c', 30], ['d', 30]]);
  assert.equal(clock.cycles, 100);
});

test('an alarm that sets itself for the same cycle for ever is an error, not a standstill', () => {
  const clock = new Clock();
  const alarm = clock.createCycleAlarm(() => alarm.scheduleIn(0));
  alarm.scheduleIn(0);
  assert.throws(() => clock.ring(), /ring for ever at cycle 0/);
});

test('an alarm set during a run shortens it', () => {
  const clock = new Clock();
  clock.open(1000);
  clock.left -= 100;
  clock.createCycleAlarm(() => {}).scheduleIn(50);
  assert.deepEqual([clock.cycles, clock.left], [100, 50]);
});

test('a change of clk_sys moves alarms in nanoseconds and leaves those in cycles', () => {
  const clock = new Clock(125e6);
  const inNanos = clock.createAlarm(() => {});
  const inCycles = clock.createCycleAlarm(() => {});
  clock.end = 1000;
  inNanos.schedule(8000);
  inCycles.scheduleIn(1000);
  assert.deepEqual([inNanos.cycle, inCycles.cycle], [2000, 2000]);
  clock.setFrequency(250e6);
  assert.deepEqual([inNanos.cycle, inCycles.cycle], [3000, 2000]);
  assert.equal(clock.nanos, 8000);
});

test('an alarm never rings early', () => {
  const clock = new Clock(133e6);
  for (const nanos of [1, 7, 8, 1000, 12345.6]) {
    const alarm = clock.createAlarm(() => {});
    alarm.schedule(nanos);
    assert.ok(alarm.cycle * clock.nanosPerCycle >= nanos - 0.01, `${nanos}`);
  }
});

// ---- Timer, watchdog, UART

/** Cycle at which a timer alarm for microsecond 10 rings when it is set in the middle of microsecond 5. */
test('the timer interrupts when its count is reached; rp2040js up to a microsecond before', () => {
  const chip = ours();
  pass(chip, 5.5 * 125);
  chip.writeUint32(TIMER + 0x38, 1);
  chip.writeUint32(TIMER + 0x10, 10);
  pass(chip, 4.4 * 125);
  assert.equal(chip.core.pendingInterrupts & 1, 0);
  pass(chip, 0.2 * 125);
  assert.equal(chip.core.pendingInterrupts & 1, 1);

  const other = stock();
  other.clock.tick(5500);
  other.writeUint32(TIMER + 0x38, 1);
  other.writeUint32(TIMER + 0x10, 10);
  other.clock.tick(4000);
  assert.equal(other.core.pendingInterrupts & 1, 1);
  assert.equal(other.readUint32(TIMER + 0x28), 9);
});

test('the watchdog expires once, after its time, and keeps its scratch; rp2040js rings for ever', () => {
  const chip = ours();
  const kept = { scratch: new Uint32Array(8), reason: 0 };
  let expired = 0;
  chip.peripherals[0x40058] = new Watchdog(chip, kept, () => expired++);
  chip.writeUint32(WATCHDOG + 0x0c, 0x1234);
  chip.writeUint32(WATCHDOG + 0x04, 2000); // 1 ms: it counts twice per microsecond
  chip.writeUint32(WATCHDOG, 1 << 30);
  pass(chip, 124000);
  assert.equal(expired, 0);
  chip.writeUint32(WATCHDOG + 0x04, 2000);
  pass(chip, 124000);
  assert.equal(expired, 0);
  pass(chip, 2000);
  assert.deepEqual([expired, kept.reason, kept.scratch[0]], [1, 1, 0x1234]);
  pass(chip, 1e6);
  assert.equal(expired, 1);

  const other = stock();
  let rung = 0;
  other.peripherals[0x40058].onWatchdogTrigger = () => {
    if (++rung > 100) throw new Error('for ever');
  };
  other.writeUint32(WATCHDOG + 0x04, 2000);
  other.writeUint32(WATCHDOG, 1 << 30);
  assert.throws(() => other.clock.tick(2e6), /for ever/);
});

test('a UART that sent nothing has no interrupt for room; rp2040js always has', () => {
  const [chip, other] = [ours(), stock()];
  for (const each of [chip, other]) {
    each.writeUint32(UART0 + 0x30, 0x301);
    each.writeUint32(UART0 + 0x44, 1 << 5);
    each.writeUint32(UART0 + 0x38, 1 << 5);
  }
  assert.equal(chip.core.pendingInterrupts & (1 << 20), 0);
  assert.notEqual(other.core.pendingInterrupts & (1 << 20), 0);
  chip.writeUint32(UART0, 65);
  assert.notEqual(chip.core.pendingInterrupts & (1 << 20), 0);
  chip.writeUint32(UART0 + 0x44, 1 << 5);
  assert.equal(chip.core.lines & (1 << 20), 0);
});

// ---- Flash

function scratchFile(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'eesm-flash-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  return path.join(folder, 'flash.bin');
}

test('the flash file holds each sector and page as soon as it is done', (t) => {
  const file = scratchFile(t);
  const memory = new Memory();
  const clock = new Clock();
  const flash = new Flash(memory.flash8, file, () => clock);
  assert.ok(flash.isNew);
  assert.equal(flash.program(0x1000, 512, (k) => k & 0xff), Math.round(0.8e6 / 8));
  flash.program(0x1000, 256, () => 0xf0); // a page programmed twice: bits only fall
  let held = fs.readFileSync(file);
  assert.equal(held.length, FLASH_SIZE);
  assert.deepEqual([held[0x1001], held[0x10ff], held[0x1101]], [0, 0xf0, 1]);
  assert.equal(flash.erase(0x1000, 4096), Math.round(45e6 / 8));
  held = fs.readFileSync(file);
  assert.ok(held.subarray(0x1000, 0x2000).every((byte) => byte === 0xff));

  const again = new Memory();
  again.flash8.fill(0);
  const reopened = new Flash(again.flash8, file, () => clock);
  assert.ok(!reopened.isNew);
  assert.equal(again.flash8[0], 0xff);
});

test('a file of another size is refused, as is what is no UF2', (t) => {
  const file = scratchFile(t);
  fs.writeFileSync(file, Buffer.alloc(1000));
  assert.throws(() => new Flash(new Memory().flash8, file, () => null), /has 1000 bytes; an image of the flash/);
  assert.throws(() => readUf2(file), /not a UF2 file for this flash: see its block 0/);
});

// ---- Soft float

const asFloat = (value) => new Int32Array(Float32Array.of(value).buffer)[0];
const asDouble = (value) => [...new Int32Array(Float64Array.of(value).buffer)];

function call(table, name, ...registers) {
  const R = new Int32Array(16);
  registers.flat().forEach((word, k) => (R[k] = word));
  table.find(([, each]) => each === name)[3](R);
  return R;
}

test('soft floats round to nearest, saturate and flush denormals', () => {
  assert.equal(call(FLOATS, 'add', asFloat(0.1), asFloat(0.2))[0], asFloat(0.1 + 0.2));
  assert.equal(call(FLOATS, 'divide', asFloat(1), asFloat(3))[0], asFloat(1 / 3));
  assert.equal(call(FLOATS, 'to_int', asFloat(-2.5))[0], -3);
  assert.equal(call(FLOATS, 'to_int', asFloat(3e9))[0], 0x7fffffff);
  assert.equal(call(FLOATS, 'to_uint', asFloat(3e9))[0] >>> 0, 3e9);
  assert.equal(call(FLOATS, 'to_fix', asFloat(1.75), 4)[0], 28);
  assert.equal(call(FLOATS, 'from_fix', 28, 4)[0], asFloat(1.75));
  assert.equal(call(FLOATS, 'multiply', asFloat(1e-38), asFloat(0.5))[0], 0);
  assert.deepEqual([...call(FLOATS, 'to_other', asFloat(1.5)).slice(0, 2)], asDouble(1.5));
  assert.deepEqual([...call(DOUBLES, 'subtract', asDouble(1), asDouble(1e-9)).slice(0, 2)], asDouble(1 - 1e-9));
  assert.deepEqual([...call(DOUBLES, 'to_int64', asDouble(-1.5)).slice(0, 2)], [-2, -1]);
  assert.deepEqual([...call(DOUBLES, 'from_uint64', [-1, -1]).slice(0, 2)], asDouble(2 ** 64));
});

// ---- XIP cache

test('a miss of the flash cache costs one read of 4 bytes, a hit nothing', () => {
  const cache = new XipCache(() => 2);
  assert.equal(cache.read(0x10000000), 50);
  assert.equal(cache.read(0x10000002), 0);
  assert.equal(cache.read(0x10000004), 50, 'the other half of the line');
  assert.equal(cache.read(0x10000000), 0);
});

test('two lines of one set stay, the third puts the older one out', () => {
  const cache = new XipCache(() => 2);
  const way = 8 * 1024;
  for (const k of [0, 1, 0, 2]) cache.read(0x10000000 + k * way);
  assert.equal(cache.read(0x10000000), 0);
  assert.equal(cache.read(0x10000000 + way), 50);
});

test('a dropped line is fetched again', () => {
  const cache = new XipCache(() => 2);
  cache.read(0x10000000);
  cache.drop(0x10000004);
  assert.equal(cache.read(0x10000000), 50);
});

test('the aliases that do not keep, or do not look, are as slow every time', () => {
  const cache = new XipCache(() => 2);
  for (const base of [0x11000000, 0x13000000])
    for (let n = 0; n < 2; n++) assert.equal(cache.read(base + 0x100), 50);
  cache.read(0x12000200);
  assert.equal(cache.read(0x10000200), 0);
});

// ---- USB

const DPRAM = 0x50100000;
const EP2_OUT_CONTROL = DPRAM + 0x08 + 8 * 1 + 4;
const EP2_IN_CONTROL = DPRAM + 0x08 + 8 * 1;
const EP2_OUT_BUFFER = DPRAM + 0x80 + 8 * 2 + 4;
const EP2_IN_BUFFER = DPRAM + 0x80 + 8 * 2;
const AVAILABLE = 1 << 10;
const FULL = 1 << 15;

class FakePort {
  constructor() {
    this.isOpen = true;
    this.sent = [];
    this.waiting = [];
    this.isBusy = false;
  }
  canWrite() {
    return !this.isBusy;
  }
  write(bytes) {
    this.sent.push(...bytes);
  }
  read(limit) {
    return Uint8Array.from(this.waiting.splice(0, limit));
  }
}

/** Our controller with endpoints 2 in and out as MicroPython sets them up, and the host beyond. */
function usb() {
  const chip = ours();
  const port = new FakePort();
  const host = new UsbHost(port);
  host.attach(chip.usbCtrl);
  host.endpoints = { input: 2, output: 2 };
  chip.writeUint32(EP2_OUT_CONTROL, ((1 << 31) | (1 << 29) | 0x200) >>> 0);
  chip.writeUint32(EP2_IN_CONTROL, ((1 << 31) | (1 << 29) | 0x300) >>> 0);
  return { chip, port, host };
}

test('a device that waits for bytes is not disturbed until there are some; rp2040js completes with none', () => {
  const { chip, port, host } = usb();
  chip.writeUint32(EP2_OUT_BUFFER, AVAILABLE | 64);
  pass(chip, 125e3);
  assert.equal(chip.usbCtrl.buffStatus, 0);
  port.waiting.push(1, 2, 3);
  host.wake();
  pass(chip, 125 * 60);
  assert.equal(chip.usbCtrl.buffStatus, 1 << 5);
  const control = chip.readUint32(EP2_OUT_BUFFER);
  assert.deepEqual([control & FULL, control & 0x3ff, control & AVAILABLE], [FULL, 3, 0]);
  assert.deepEqual([...chip.usbDPRAM.slice(0x200, 0x203)], [1, 2, 3]);

  const other = stock();
  const serial = new USBCDC(other.usbCtrl);
  serial.outEndpoint = 2;
  assert.ok(other.usbCtrl instanceof RPUSBController);
  other.writeUint32(EP2_OUT_BUFFER, AVAILABLE | 64);
  other.clock.tick(20e3);
  assert.notEqual(other.usbCtrl.buffStatus, 0);
});

test('a packet is sent when the host takes it, after its time on the wire; rp2040js reports it at once', () => {
  const { chip, port, host } = usb();
  port.isBusy = true;
  chip.writeUint32(EP2_IN_BUFFER, AVAILABLE | FULL | 64);
  pass(chip, 125e3);
  assert.deepEqual([chip.usbCtrl.buffStatus, port.sent.length], [0, 0]);
  port.isBusy = false;
  host.wake();
  pass(chip, 125 * 40);
  assert.equal(chip.usbCtrl.buffStatus, 0);
  pass(chip, 125 * 20);
  assert.deepEqual([chip.usbCtrl.buffStatus, port.sent.length], [1 << 4, 64]);

  const other = stock();
  other.writeUint32(EP2_IN_BUFFER, AVAILABLE | FULL | 64);
  assert.notEqual(other.usbCtrl.buffStatus, 0);
});

test('both halves of a double buffer go in order, with one report; rp2040js sends the second first', () => {
  const { chip, port } = usb();
  const both = (each) => {
    each.writeUint32(EP2_IN_CONTROL, ((1 << 31) | (1 << 30) | (1 << 28) | 0x300) >>> 0);
    each.usbDPRAM.fill(1, 0x300, 0x340);
    each.usbDPRAM.fill(2, 0x340, 0x344);
    each.writeUint32(EP2_IN_BUFFER, (((AVAILABLE | FULL | 4) << 16) | AVAILABLE | FULL | 64) >>> 0);
  };
  both(chip);
  pass(chip, 125 * 60);
  assert.equal(chip.usbCtrl.buffStatus, 0);
  pass(chip, 125 * 60);
  assert.equal(chip.usbCtrl.buffStatus, 1 << 4);
  assert.deepEqual([port.sent.length, port.sent[0], port.sent[63], port.sent[64]], [68, 1, 1, 2]);

  const other = stock();
  const order = [];
  other.usbCtrl.onEndpointWrite = (_, bytes) => order.push(bytes[0]);
  both(other);
  other.clock.tick(20e3);
  assert.deepEqual(order, [2, 1]);
});

test('writing a byte of a buffer control does not start its transfer again', () => {
  const { chip, port } = usb();
  chip.writeUint32(EP2_IN_BUFFER, AVAILABLE | FULL | 1);
  pass(chip, 125 * 60);
  chip.writeUint8(DPRAM + 0x300, 7);
  pass(chip, 125 * 60);
  assert.equal(port.sent.length, 1);
});

test('the serial port is found in a configuration descriptor', () => {
  const descriptor = [
    9, 2, 0, 0, 2, 1, 0, 0, 0,
    9, 4, 0, 0, 1, 2, 2, 0, 0,
    7, 5, 0x81, 3, 8, 0, 16,
    9, 4, 1, 0, 2, 10, 0, 0, 0,
    7, 5, 0x02, 2, 64, 0, 0,
    7, 5, 0x83, 2, 64, 0, 0,
  ];
  assert.deepEqual(findSerialEndpoints(descriptor), { input: 3, output: 2 });
  assert.deepEqual(findSerialEndpoints(descriptor.slice(0, 25)), { input: -1, output: -1 });
});
