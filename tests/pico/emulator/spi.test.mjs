import assert from 'node:assert/strict';
import test from 'node:test';
import { Bench, control, INCR_READ, INCR_WRITE, QUIET, SPI0, SRAM, Stock } from './harness.mjs';

const DR = SPI0 + 8;
const SR = SPI0 + 0x0c;
const BUSY = 16;

function setUp(bench, { bits = 16, prescale = 2, rate = 7, dma = 3 } = {}) {
  bench.write(SPI0 + 0x10, prescale);
  bench.write(SPI0, (rate << 8) | (bits - 1));
  bench.write(SPI0 + 0x24, dma);
  bench.write(SPI0 + 4, 2);
}

test('a frame takes its bits and half a bit; its answer comes then', () => {
  const bench = new Bench();
  bench.chip.spi[0].exchange = (word, bits) => (bits === 16 ? word ^ 0xffff : 0);
  setUp(bench);
  bench.write(DR, 0x1234);
  bench.pass(263);
  assert.ok(bench.read(SR) & BUSY);
  bench.pass(1);
  assert.ok(!(bench.read(SR) & BUSY));
  assert.equal(bench.read(DR), 0xedcb);
});

test('rp2040js ends a frame within the write that began it', () => {
  const stock = new Stock();
  setUp(stock);
  stock.write(DR, 0x1234);
  assert.ok(!(stock.read(SR) & BUSY));
});

test('words go out and come in by DMA', () => {
  const bench = new Bench();
  const seen = [];
  bench.chip.spi[0].exchange = (word, _, cycle) => (seen.push([word, cycle]), word + 1);
  setUp(bench);
  for (let k = 0; k < 12; k++) bench.write(SRAM + 4 * k, 0x100 + k);
  const to = { from: SRAM, to: DR, count: 12 };
  bench.channel(1, { from: DR, to: SRAM + 256, count: 12, ctrl: control({ request: 17, index: 1, more: INCR_WRITE }), start: true });
  bench.channel(0, { ...to, ctrl: control({ request: 16, index: 0, more: INCR_READ | QUIET }), start: true });
  bench.pass(12 * 264 + 50);
  assert.deepEqual(Array.from({ length: 12 }, (_, k) => bench.read(SRAM + 256 + 4 * k)), Array.from({ length: 12 }, (_, k) => 0x101 + k));
  assert.equal(seen.length, 12);
  assert.equal(seen[11][1] - seen[1][1], 10 * 264);
});

test('no request without SSPDMACR; rp2040js asks anyway', () => {
  const bench = new Bench();
  setUp(bench, { dma: 0 });
  assert.equal(bench.chip.dma.levels[16], false);
  const stock = new Stock();
  setUp(stock, { dma: 0 });
  assert.equal(stock.chip.dma.dreq[16], true);
});

test('nothing is sent while the block is off', () => {
  const bench = new Bench();
  let frames = 0;
  bench.chip.spi[0].exchange = () => (frames += 1);
  bench.write(DR, 1);
  bench.pass(1000);
  assert.equal(frames, 0);
  setUp(bench);
  bench.pass(1000);
  assert.equal(frames, 1);
});
