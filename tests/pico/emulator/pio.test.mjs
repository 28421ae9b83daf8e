import assert from 'node:assert/strict';
import test from 'node:test';
import { Bench, control, IO, PIO0, SRAM, Stock } from './harness.mjs';

const CTRL = PIO0;
const RXF0 = PIO0 + 0x20;
const TXF0 = PIO0 + 0x10;
const MEMORY = PIO0 + 0x48;
const SM = (n) => PIO0 + 0xc8 + 0x18 * n;

const jmp = (to, condition = 0, delay = 0) => (delay << 8) | (condition << 5) | to;
const wait = (level, source, index) => 0x2000 | (level << 7) | (source << 5) | index;
const GPIO = 0;
const IRQ_FLAG = 2;
const PUSH_NOBLOCK = 0x8000;
const PUSH = 0x8020;
const PULL = 0x80a0;
const NOP = 0xa042;
const mov = (to, from, operation = 0) => 0xa000 | (to << 5) | (operation << 3) | from;
const [PINS, X, Y] = [0, 1, 2];
const ISR = 6;
const OSR = 7;
const set = (to, value, delay = 0) => 0xe000 | (delay << 8) | (to << 5) | value;
const irq = (flag) => 0xc000 | flag;

function program(bench, machine, words, { inBase = 0, setBase = 0, setCount = 1, jmpPin = 0, origin = 0, div = 1 } = {}) {
  words.forEach((word, k) => bench.write(MEMORY + 4 * (origin + k), word));
  bench.write(SM(machine), Math.round(div * 65536));
  bench.write(SM(machine) + 4, (jmpPin << 24) | ((origin + words.length - 1) << 12) | (origin << 7));
  bench.write(SM(machine) + 0x14, (setCount << 26) | (inBase << 15) | (setBase << 5));
  bench.write(SM(machine) + 0x10, jmp(origin));
}

const enable = (bench, mask) => bench.write(CTRL, mask);

test('instructions take cycles of clk_sys and their delays', () => {
  const bench = new Bench();
  bench.write(IO + 8 * 5 + 4, 6);
  program(bench, 0, [set(4, 1), set(PINS, 1, 4), set(PINS, 0, 9)], { setBase: 5 });
  enable(bench, 1);
  const edges = bench.edges(5, 40);
  assert.deepEqual(edges, [[2, 1], [7, 0], [18, 1], [23, 0], [34, 1], [39, 0]]);
});

test('rp2040js runs machines only when the host has time: none passes for the chip', () => {
  const stock = new Stock();
  program(stock, 0, [set(X, 3), mov(ISR, X), PUSH, jmp(0)]);
  enable(stock, 1);
  const before = stock.clock.nanos;
  assert.ok(stock.chip.pio[0].machines[0].cycles > 0);
  assert.equal(stock.clock.nanos, before);
  stock.chip.pio[0].stop();
});

test('a divider slows a machine', () => {
  const bench = new Bench();
  bench.write(IO + 8 * 5 + 4, 6);
  program(bench, 0, [set(4, 1), set(PINS, 1), set(PINS, 0)], { setBase: 5, div: 10 });
  enable(bench, 1);
  assert.deepEqual(bench.edges(5, 60), [[11, 1], [21, 0], [41, 1], [51, 0]]);
});

test('a wait for a pin ends two cycles after its edge, and costs nothing before', () => {
  const bench = new Bench();
  const pin = bench.chip.gpio[15];
  pin.drive(true);
  program(bench, 0, [wait(0, GPIO, 15), irq(0), wait(1, GPIO, 15)]);
  enable(bench, 1);
  bench.pass(1000);
  assert.equal(bench.clock.first, null);
  pin.drive(false);
  bench.pass(3);
  assert.equal(bench.read(PIO0 + 0x30), 1);
});

test('a machine that polls is woken by its pin at the right place of its loop', () => {
  const words = [set(4, 1), jmp(5, 6), NOP | (3 << 8), NOP, jmp(1), set(PINS, 1), jmp(6)];
  for (const gap of [3, 997, 998, 999, 1000, 1001, 1002, 1003, 50003]) {
    const bench = new Bench();
    bench.write(IO + 8 * 5 + 4, 6);
    program(bench, 0, words, { jmpPin: 20, setBase: 5 });
    enable(bench, 1);
    bench.pass(gap);
    bench.chip.gpio[20].drive(true);
    const [[cycle]] = bench.edges(5, 30);
    // It looks at cycles 2, 9, 16 .. and sees the pin two cycles late; then it jumps and sets.
    assert.equal(cycle, 2 + 7 * Math.ceil((gap + 2 - 2) / 7) + 1, `after ${gap}`);
  }
});

test('a machine that counts while it polls is never taken for one at rest', () => {
  const bench = new Bench();
  // mov x, !null; count down until the pin is high
  program(bench, 0, [mov(X, 3, 1), jmp(4, 6), NOP, jmp(1, 2), mov(ISR, X, 1), PUSH, wait(0, GPIO, 20)], { jmpPin: 20 });
  enable(bench, 1);
  bench.pass(3000);
  bench.chip.gpio[20].drive(true);
  bench.pass(30);
  assert.equal(bench.read(RXF0), 1000);
});

test('a loop that shows nothing is left alone until its pin changes', () => {
  const bench = new Bench();
  let steps = 0;
  const machine = bench.chip.pio[0].machines[0];
  const { executeInstruction } = machine;
  machine.executeInstruction = (word) => {
    steps += 1;
    executeInstruction.call(machine, word);
  };
  // The shape of a decoder that polls: sample, compare, push without blocking, for ever.
  program(bench, 0, [0x4002, mov(ISR, Y), PUSH_NOBLOCK, mov(ISR, X), jmp(0)], { inBase: 10 });
  enable(bench, 1);
  bench.pass(10_000);
  const settled = steps;
  assert.ok(settled < 100, `${settled}`);
  bench.pass(1_000_000);
  assert.equal(steps, settled);
  bench.chip.gpio[10].drive(true);
  bench.pass(1000);
  assert.ok(steps > settled);
});

test('blocking on a FIFO: pull waits for a word, push for room', () => {
  const bench = new Bench();
  program(bench, 0, [PULL, mov(ISR, OSR), PUSH]);
  enable(bench, 1);
  bench.pass(100);
  for (let k = 1; k <= 4; k++) bench.write(TXF0, k);
  bench.pass(100);
  bench.write(TXF0, 5);
  bench.pass(100);
  assert.equal((bench.read(PIO0 + 0x0c) >>> 4) & 15, 4);
  assert.deepEqual([1, 2, 3, 4, 5].map(() => (bench.pass(20), bench.read(RXF0))), [1, 2, 3, 4, 5]);
});

test('flags: one machine waits for another, and the interrupt follows', () => {
  const bench = new Bench();
  program(bench, 0, [set(X, 31, 20), irq(3), jmp(2)]);
  program(bench, 1, [wait(1, IRQ_FLAG, 3), set(Y, 7), mov(ISR, Y), PUSH, jmp(4 + 8)], { origin: 8 });
  bench.write(PIO0 + 0x12c, 1 << 1); // RX of machine 1 on line 0
  enable(bench, 3);
  bench.pass(20);
  assert.equal(bench.read(PIO0 + 0x30), 0);
  assert.ok(!(bench.chip.core.lines & (1 << 7)));
  bench.pass(15);
  assert.equal(bench.read(PIO0 + 0x30), 0, 'the wait cleared it');
  assert.ok(bench.chip.core.lines & (1 << 7));
  assert.equal(bench.read(PIO0 + 0x24), 7);
});

test('joined FIFOs hold eight words', () => {
  const bench = new Bench();
  bench.write(SM(0) + 8, (1 << 30) | (0b11 << 18)); // FJOIN_TX
  for (let k = 0; k < 9; k++) bench.write(TXF0, k);
  assert.equal(bench.read(PIO0 + 0x0c) & 15, 8);
});

test('a fault pin that PIO watches makes DMA switch an output off, 16 cycles after its edge', () => {
  const bench = new Bench();
  const fault = bench.chip.gpio[15];
  fault.drive(true);
  bench.usePwm(0);
  bench.slice(0, { top: 3124, a: 3125, csr: 3 });
  assert.equal(bench.chip.gpio[0].level, true);
  program(bench, 0, [wait(0, GPIO, 15), PUSH, wait(1, GPIO, 15)]);
  enable(bench, 1);
  bench.write(SRAM, (2 << 8) | 4);
  bench.channel(0, { from: RXF0, to: SRAM + 8, ctrl: control({ request: 4, chain: 1 }), start: true });
  bench.channel(1, { from: SRAM, to: IO + 4, ctrl: control({ index: 1 }) });
  bench.pass(5000);
  const from = bench.clock.cycles;
  fault.drive(false);
  const [[cycle, level]] = bench.edges(0, 100);
  assert.equal(level, 0);
  // 2 of the synchronisers, 2 instructions, 2 transfers
  assert.equal(cycle - from, 16);
});

test('a quadrature counter follows edges in both directions', () => {
  // 16 jumps by (old, new), as the tables of PIO decoders are: X counts down for +1 (mov x, !x about it is left out).
  const bench = new Bench();
  const a = bench.chip.gpio[10];
  const b = bench.chip.gpio[11];
  // wait a rising; b low: up (y--), else down is not needed here. Push count.
  program(bench, 0, [wait(0, GPIO, 10), wait(1, GPIO, 10), jmp(3, 4), mov(ISR, Y), PUSH_NOBLOCK], { inBase: 10 });
  enable(bench, 1);
  for (let k = 0; k < 3; k++) {
    for (const [pin, level] of [[a, true], [b, true], [a, false], [b, false]]) {
      pin.drive(level);
      bench.pass(50);
    }
  }
  assert.deepEqual([1, 2, 3].map(() => bench.read(RXF0) | 0), [-1, -2, -3]);
});
