import assert from 'node:assert/strict';
import test from 'node:test';
import { Bench, IO, PADS, PWM, SIO, Stock } from './harness.mjs';

const pad = (pin) => PADS + 4 + 4 * pin;
const ctrl = (pin) => IO + 8 * pin + 4;
const SIO_FUNCTION = 5;

function output(bench, pin, level) {
  bench.write(SIO + 0x24, 1 << pin);
  bench.write(SIO + (level ? 0x14 : 0x18), 1 << pin);
  bench.write(ctrl(pin), SIO_FUNCTION);
}

test('an output reads back', () => {
  const bench = new Bench();
  output(bench, 3, true);
  assert.ok(bench.read(SIO + 4) & 8);
  bench.write(SIO + 0x18, 8);
  assert.ok(!(bench.read(SIO + 4) & 8));
});

test('rp2040js reads an output as 0', () => {
  const stock = new Stock();
  stock.write(pad(3), 0x56);
  output(stock, 3, true);
  assert.ok(!(stock.read(SIO + 4) & 8));
});

test('OUTOVER and OEOVER act at once, whatever drives the pin', () => {
  const bench = new Bench();
  output(bench, 3, true);
  const level = (value) => {
    bench.write(ctrl(3), value | SIO_FUNCTION);
    return bench.chip.gpio[3].level;
  };
  assert.equal(level(2 << 8), false);
  assert.equal(level(3 << 8), true);
  assert.equal(level(1 << 8), false);
  assert.equal(level(0), true);
  assert.equal(level(2 << 12), false); // not driven: the pull-down of reset
  bench.write(SIO + 0x28, 8);
  assert.equal(level(3 << 12), true);
});

test('INOVER changes what the chip sees, not the pad', () => {
  const bench = new Bench();
  bench.write(ctrl(3), (3 << 16) | SIO_FUNCTION);
  assert.ok(bench.read(SIO + 4) & 8);
  assert.equal(bench.chip.gpio[3].level, false);
});

test('pulls decide what nobody drives; both keep the last level', () => {
  const bench = new Bench();
  const pin = bench.chip.gpio[15];
  assert.equal(pin.level, false);
  bench.write(pad(15), 0x4a);
  assert.equal(pin.level, true);
  pin.drive(false);
  assert.equal(pin.level, false);
  pin.drive(null);
  assert.equal(pin.level, true);
  bench.write(pad(15), 0x4e);
  assert.equal(pin.level, true);
  bench.write(pad(15), 0x42);
  assert.equal(pin.level, false);
});

test('an input that is not enabled reads low; an output disabled by its pad does not drive', () => {
  const bench = new Bench();
  output(bench, 3, true);
  bench.write(pad(3), 0x16);
  assert.ok(!(bench.read(SIO + 4) & 8));
  bench.write(pad(3), 0xd6);
  assert.equal(bench.chip.gpio[3].level, false);
});

test('an edge raises its interrupt, which stays until it is cleared', () => {
  const bench = new Bench();
  bench.write(pad(15), 0x4a);
  bench.write(IO + 0xf0 + 4, 0xf0000000);
  bench.write(IO + 0x100 + 4, 1 << 30); // pin 15, falling
  const raised = () => (bench.chip.core.lines & (1 << 13)) !== 0;
  assert.equal(raised(), false);
  bench.chip.gpio[15].drive(false);
  assert.equal(raised(), true);
  bench.chip.gpio[15].drive(null);
  assert.equal(bench.read(IO + 0x120 + 4), (1 << 30) >>> 0);
  bench.write(IO + 0xf0 + 4, 1 << 30);
  assert.equal(raised(), false);
});

test('an input set to what it was is no edge; in rp2040js it is', () => {
  const bench = new Bench();
  bench.chip.gpio[15].drive(false);
  assert.equal((bench.read(IO + 0xf4) >>> 28) & 4, 0);
  const stock = new Stock();
  stock.write(pad(15), 0x56);
  stock.write(IO + 0xf4, 0xf0000000);
  stock.chip.gpio[15].setInputValue(false);
  assert.equal((stock.read(IO + 0xf4) >>> 28) & 4, 4);
});

test('an override written in the middle of a period cuts the pulse there', () => {
  const bench = new Bench();
  bench.usePwm(0);
  bench.slice(0, { top: 99, a: 80, csr: 3 });
  bench.pass(50);
  assert.equal(bench.chip.gpio[0].level, true);
  const seen = [];
  bench.chip.gpio[0].watchers.push((level, cycle) => seen.push([cycle, level]));
  bench.write(ctrl(0), (2 << 8) | 4);
  bench.pass(300);
  bench.write(ctrl(0), 4);
  bench.pass(100);
  bench.chip.bank.settle();
  // High while the counter is less than 80: positions 0..79 and 120..199 of 200.
  assert.deepEqual(seen, [[50, false], [350, true]]);
  assert.equal(bench.read(PWM + 8), 50);
});

test('a reset of IO_BANK0 takes all functions away', () => {
  const bench = new Bench();
  output(bench, 3, true);
  bench.write(0x4000c000, 1 << 5);
  assert.equal(bench.chip.gpio[3].level, false);
  assert.equal(bench.read(ctrl(3)), 0x1f);
});
