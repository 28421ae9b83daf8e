import assert from 'node:assert/strict';
import test from 'node:test';
import { ADC, Bench, control, DMA, INCR_WRITE, RESETS, SET, SRAM, Stock } from './harness.mjs';

const EN = 1;
const START_ONE = 4;
const START_MANY = 8;
const READY = 1 << 8;
const FIFO_ON = (1 << 24) | 8 | 1; // DREQ at one sample

function board(bench, log = []) {
  bench.chip.adc.sample = (channel) => {
    log.push([bench.clock.cycles, channel]);
    return 100 * (channel + 1);
  };
  return log;
}

test('each channel is reached by AINSEL, and takes 96 cycles of 48 MHz', () => {
  for (const channel of [0, 1, 2, 3, 4]) {
    const bench = new Bench();
    board(bench);
    bench.write(ADC, (channel << 12) | EN | START_ONE);
    assert.equal(bench.read(ADC) & READY, 0);
    bench.pass(249);
    assert.equal(bench.read(ADC) & READY, 0);
    bench.pass(1);
    assert.equal(bench.read(ADC) & READY, READY);
    assert.equal(bench.read(ADC + 4), 100 * (channel + 1));
  }
});

test('a round robin visits the channels of its mask in turn', () => {
  const bench = new Bench();
  const log = board(bench);
  bench.write(ADC, (0b10110 << 16) | (1 << 12) | EN | START_MANY);
  bench.pass(250 * 5 + 10);
  assert.deepEqual(log.map(([, channel]) => channel), [1, 2, 4, 1, 2, 4]);
  assert.deepEqual(log.map(([cycle]) => cycle), [0, 250, 500, 750, 1000, 1250]);
});

test('rp2040js does not leave a round robin in channels 1 to 3', () => {
  const stock = new Stock();
  const seen = [];
  const { onADCRead } = stock.chip.adc;
  stock.chip.adc.onADCRead = (channel) => {
    seen.push(channel);
    onADCRead(channel);
  };
  stock.write(ADC, (0b01110 << 16) | (1 << 12) | EN | START_MANY);
  stock.pass(1500);
  assert.ok(!seen.slice(1).includes(2), `${seen}`);
});

test('DIV sets the time from one start to the next', () => {
  const bench = new Bench();
  const log = board(bench);
  bench.write(ADC + 0x10, 479 << 8); // 480 cycles of clk_adc
  bench.write(ADC, EN | START_MANY);
  bench.pass(3000);
  assert.deepEqual(log.map(([cycle]) => cycle), [0, 1250, 2500]);
});

test('START_ONE clears itself: changing AINSEL by an alias starts nothing', () => {
  const bench = new Bench();
  const log = board(bench);
  bench.write(ADC, EN | START_ONE);
  bench.pass(300);
  bench.write(ADC + SET, 1 << 12);
  bench.pass(300);
  assert.equal(log.length, 1);
});

test('rp2040js starts again when an alias touches CS', () => {
  const stock = new Stock();
  let starts = 0;
  const { onADCRead } = stock.chip.adc;
  stock.chip.adc.onADCRead = (channel) => {
    starts += 1;
    onADCRead(channel);
  };
  stock.write(ADC, EN | START_ONE);
  stock.pass(300);
  stock.write(ADC + SET, 1 << 12);
  assert.equal(starts, 2);
});

test('results go through the FIFO; its level is the interrupt and the request', () => {
  const bench = new Bench();
  board(bench);
  bench.write(ADC + 0x08, (2 << 24) | 8 | 1);
  bench.write(ADC + 0x18, 1);
  bench.write(ADC, EN | START_MANY);
  bench.pass(260);
  assert.equal(bench.read(ADC + 0x20), 0);
  bench.pass(250);
  assert.equal(bench.read(ADC + 0x20), 1);
  assert.equal(bench.chip.dma.levels[36], true);
  assert.equal((bench.read(ADC + 0x08) >>> 16) & 15, 2);
  assert.equal(bench.read(ADC + 0x0c), 100);
  assert.equal(bench.read(ADC + 0x20), 0);
  assert.equal(bench.chip.dma.levels[36], false);
  bench.pass(1500);
  assert.ok(bench.read(ADC + 0x08) & (1 << 11), 'OVER');
  bench.write(ADC + 0x08, (1 << 11) | (2 << 24) | 8 | 1);
  assert.ok(!(bench.read(ADC + 0x08) & (1 << 11)));
});

test('an empty FIFO reads 0 and says so', () => {
  const bench = new Bench();
  bench.write(ADC + 0x08, FIFO_ON);
  assert.equal(bench.read(ADC + 0x0c), 0);
  assert.ok(bench.read(ADC + 0x08) & (1 << 10));
});

test('a threshold of 0 asks for nothing while the FIFO is empty; in rp2040js it always does', () => {
  const bench = new Bench();
  bench.write(ADC + 0x18, 1);
  assert.equal(bench.read(ADC + 0x20), 0);
  const stock = new Stock();
  stock.write(ADC + 0x18, 1);
  assert.equal(stock.read(ADC + 0x20), 1);
});

test('by DMA: a start, its result, the next start, with the time of the transfers between', () => {
  const bench = new Bench();
  const log = board(bench);
  bench.write(ADC + 0x08, FIFO_ON);
  bench.write(SRAM, (1 << 12) | EN | START_ONE);
  bench.write(SRAM + 4, (2 << 12) | EN | START_ONE);
  const at = (offset) => ({ from: SRAM + offset, to: ADC });
  bench.channel(1, { from: ADC + 0x0c, to: SRAM + 16, ctrl: control({ request: 36, chain: 2, more: INCR_WRITE }) });
  bench.channel(2, { ...at(4), ctrl: control({ chain: 3 }) });
  bench.channel(3, { from: ADC + 0x0c, to: SRAM + 20, ctrl: control({ request: 36, index: 3 }) });
  bench.channel(0, { ...at(0), ctrl: control({ chain: 1 }), start: true });
  bench.pass(600);
  assert.deepEqual(log, [[8, 1], [8 + 250 + 7 + 8, 2]]);
  assert.equal(bench.read(SRAM + 16), 200);
  assert.equal(bench.read(SRAM + 20), 300);
  assert.equal(bench.read(DMA + 0x400), 0b1111);
});

test('a reset of the block stops it', () => {
  const bench = new Bench();
  const log = board(bench);
  bench.write(ADC, EN | START_MANY);
  bench.write(RESETS, 1);
  bench.write(RESETS, 0);
  bench.pass(1000);
  assert.equal(log.length, 1);
  assert.equal(bench.read(ADC), 0);
});
