import assert from 'node:assert/strict';
import test from 'node:test';
import { Bench, CLR, control, DMA, INCR_READ, INCR_WRITE, IO, QUIET, SRAM, Stock } from './harness.mjs';

const TRIGGER = DMA + 0x430;
const ABORT = DMA + 0x444;

test('a transfer takes time: 3 to the bus, 1 and 1 over it in SRAM', () => {
  const bench = new Bench();
  bench.write(SRAM, 0x12345678);
  bench.channel(0, { from: SRAM, to: SRAM + 4, ctrl: control({ index: 0 }), start: true });
  bench.pass(4);
  assert.equal(bench.read(SRAM + 4), 0);
  bench.pass(1);
  assert.equal(bench.read(SRAM + 4), 0x12345678);
});

test('transfers of a sequence follow each other by one cycle in SRAM', () => {
  const bench = new Bench();
  for (let k = 0; k < 4; k++) bench.write(SRAM + 4 * k, k + 1);
  const more = INCR_READ | INCR_WRITE;
  bench.channel(0, { from: SRAM, to: SRAM + 64, count: 4, ctrl: control({ index: 0, more }), start: true });
  bench.pass(7);
  assert.deepEqual([0, 1, 2, 3].map((k) => bench.read(SRAM + 64 + 4 * k)), [1, 2, 3, 0]);
  bench.pass(1);
  assert.equal(bench.read(SRAM + 64 + 12), 4);
});

test('rp2040js transfers in no time', () => {
  const stock = new Stock();
  stock.write(SRAM, 0x12345678);
  stock.write(DMA, SRAM);
  stock.write(DMA + 4, SRAM + 4);
  stock.write(DMA + 8, 100);
  stock.write(DMA + 0xc, control({ index: 0 }));
  stock.pass(1);
  assert.equal(stock.read(DMA + 8), 0);
});

test('addresses advance by the size, sizes of 1, 2 and 4 bytes', () => {
  for (const [code, size] of [[0, 1], [1, 2], [2, 4]]) {
    const bench = new Bench();
    for (let k = 0; k < 4; k++) bench.write(SRAM + 4 * k, 0x01010101 * (k + 1));
    const ctrl = (INCR_READ | INCR_WRITE | (0x3f << 15) | (code << 2) | 1) >>> 0;
    bench.channel(0, { from: SRAM, to: SRAM + 64, count: 3, ctrl, start: true });
    bench.pass(100);
    assert.equal(bench.read(DMA), SRAM + 3 * size);
    assert.equal(bench.read(DMA + 4), SRAM + 64 + 3 * size);
    assert.equal(bench.chip.readUint8(SRAM + 64 + 3 * size - 1), bench.chip.readUint8(SRAM + 3 * size - 1));
    assert.equal(bench.chip.readUint8(SRAM + 64 + 3 * size), 0);
  }
});

test('a ring wraps the address that it is for', () => {
  const bench = new Bench();
  for (let k = 0; k < 8; k++) bench.write(SRAM + 4 * k, k + 1);
  const more = INCR_READ | INCR_WRITE | (4 << 6) | (1 << 10); // 16 bytes, writes
  bench.channel(0, { from: SRAM, to: SRAM + 64, count: 6, ctrl: control({ index: 0, more }), start: true });
  bench.pass(100);
  assert.deepEqual([0, 1, 2, 3, 4].map((k) => bench.read(SRAM + 64 + 4 * k)), [5, 6, 3, 4, 0]);
});

test('a control block written by another channel starts this one, and chains back', () => {
  const bench = new Bench();
  const blocks = SRAM + 0x100;
  const words = [];
  for (let k = 0; k < 3; k++)
    words.push(SRAM + 4 * k, SRAM + 0x40 + 4 * k, 1, control({ chain: k < 2 ? 1 : 0, more: k < 2 ? QUIET : 0 }));
  words.forEach((word, k) => bench.write(blocks + 4 * k, word));
  for (let k = 0; k < 3; k++) bench.write(SRAM + 4 * k, 11 * (k + 1));
  const more = QUIET | INCR_READ | INCR_WRITE | (4 << 6) | (1 << 10);
  bench.channel(1, { from: blocks, to: DMA, count: 4, ctrl: control({ index: 1, more }), start: true });
  bench.pass(300);
  assert.deepEqual([0, 1, 2].map((k) => bench.read(SRAM + 0x40 + 4 * k)), [11, 22, 33]);
  assert.equal(bench.read(DMA + 0x400), 1, 'only the last block raises the interrupt');
});

test('a null trigger ends a list of control blocks with an interrupt, if quiet', () => {
  const bench = new Bench();
  bench.channel(0, { from: SRAM, to: SRAM + 4, ctrl: control({ index: 0, more: QUIET }), start: true });
  bench.pass(20);
  assert.equal(bench.read(DMA + 0x400), 0);
  bench.write(DMA + 0x3c, 0);
  assert.equal(bench.read(DMA + 0x400), 1);
});

test('interrupt status, enables and acknowledgement of both lines', () => {
  const bench = new Bench();
  bench.write(DMA + 0x404, 1);
  bench.channel(0, { from: SRAM, to: SRAM + 4, ctrl: control({ index: 0 }), start: true });
  bench.pass(20);
  assert.equal(bench.read(DMA + 0x40c), 1);
  assert.equal(bench.read(DMA + 0x41c), 0);
  assert.ok(bench.chip.core.lines & (1 << 11));
  bench.write(DMA + 0x40c, 1);
  assert.equal(bench.read(DMA + 0x400), 0);
  assert.ok(!(bench.chip.core.lines & (1 << 11)));
});

test('requests that came before the start do not count', () => {
  const bench = new Bench();
  bench.chip.dma.pulse(24);
  bench.channel(0, { from: SRAM, to: SRAM + 4, count: 5, ctrl: control({ request: 24, index: 0 }), start: true });
  bench.pass(100);
  assert.equal(bench.read(DMA + 8), 5);
  bench.chip.dma.pulse(24);
  bench.chip.dma.pulse(24);
  bench.pass(100);
  assert.equal(bench.read(DMA + 8), 3);
});

test('a pacing timer gives X/Y requests a cycle', () => {
  const bench = new Bench();
  bench.write(DMA + 0x420, (1 << 16) | 100);
  bench.channel(0, { from: SRAM, to: SRAM + 4, count: 50, ctrl: control({ request: 0x3b, index: 0 }), start: true });
  bench.pass(1010);
  assert.equal(bench.read(DMA + 8), 40);
});

test('several channels are triggered at once, and share the engine', () => {
  const bench = new Bench();
  bench.write(SRAM, 7);
  for (const index of [0, 1, 2]) bench.channel(index, { from: SRAM, to: SRAM + 16 + 4 * index, ctrl: control({ index }) });
  bench.write(TRIGGER, 0b111);
  bench.pass(5);
  assert.deepEqual([4, 5, 6].map((k) => bench.read(SRAM + 4 * k)), [7, 0, 0]);
  bench.pass(4);
  assert.deepEqual([4, 5, 6].map((k) => bench.read(SRAM + 4 * k)), [7, 7, 7]);
});

test('abort ends a sequence without interrupt or chain; the channel starts anew', () => {
  const bench = new Bench();
  bench.channel(0, { from: SRAM, to: SRAM + 4, count: 5, ctrl: control({ request: 24, chain: 1 }), start: true });
  bench.channel(1, { from: SRAM, to: SRAM + 8, ctrl: control({ index: 1 }) });
  assert.ok(bench.read(DMA + 0x0c) & (1 << 24));
  bench.write(ABORT, 1);
  bench.pass(50);
  assert.equal(bench.read(DMA + 0x0c) & (1 << 24), 0);
  assert.equal(bench.read(DMA + 0x400), 0);
  assert.equal(bench.read(ABORT), 0);
});

test('clearing EN pauses a sequence, setting it goes on', () => {
  const bench = new Bench();
  bench.chip.dma.setDREQ(5);
  bench.channel(0, { from: SRAM, to: SRAM + 4, count: 100, ctrl: control({ request: 5, index: 0 }), start: true });
  bench.pass(50);
  bench.write(DMA + CLR + 0x10, 1);
  bench.pass(50);
  const left = bench.read(DMA + 8);
  bench.pass(50);
  assert.equal(bench.read(DMA + 8), left);
  assert.ok(bench.read(DMA + 0x0c) & (1 << 24));
  bench.write(DMA + 0x10, control({ request: 5, index: 0 }));
  bench.pass(50);
  assert.ok(bench.read(DMA + 8) < left);
});

test('writes reach the registers that switch a pin off', () => {
  const bench = new Bench();
  bench.write(0xd0000014, 1 << 3);
  bench.write(0xd0000024, 1 << 3);
  bench.write(IO + 8 * 3 + 4, 5);
  assert.equal(bench.chip.gpio[3].level, true);
  bench.write(SRAM, (2 << 8) | 5); // OUTOVER: low
  bench.channel(0, { from: SRAM, to: IO + 8 * 3 + 4, ctrl: control({ index: 0 }), start: true });
  bench.pass(7);
  assert.equal(bench.chip.gpio[3].level, true);
  bench.pass(1);
  assert.equal(bench.chip.gpio[3].level, false);
});
