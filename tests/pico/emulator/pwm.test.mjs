import assert from 'node:assert/strict';
import test from 'node:test';
import { Bench, CLR, control, DMA, IO, PWM, SET, SRAM, Stock } from './harness.mjs';

const EN = 1;
const PH_CORRECT = 2;
const A_INV = 4;
const B_INV = 8;

test('a phase-correct slice wraps once in 2*(TOP+1) cycles, at its zero', () => {
  const bench = new Bench();
  bench.slice(0, { top: 99, csr: EN | PH_CORRECT });
  const wraps = [];
  bench.chip.pwm.slices[0].onWrap = (cycle) => wraps.push(cycle);
  bench.pass(1000);
  assert.deepEqual(wraps, [200, 400, 600, 800, 1000]);
});

test('rp2040js wraps twice a period', () => {
  const stock = new Stock();
  stock.write(PWM + 0x10, 99);
  stock.write(PWM + 4, 1 << 4);
  stock.write(PWM, EN | PH_CORRECT);
  let wraps = 0;
  stock.chip.pwm.channelInterrupt = () => wraps++;
  stock.pass(1000);
  assert.ok(wraps >= 9, `${wraps}`);
});

test('the counter stays two cycles at 0 and at TOP', () => {
  const bench = new Bench();
  bench.slice(0, { top: 3, csr: EN | PH_CORRECT });
  const counts = [];
  for (let n = 0; n < 10; n++) {
    counts.push(bench.read(PWM + 8));
    bench.pass(1);
  }
  assert.deepEqual(counts, [0, 1, 2, 3, 3, 2, 1, 0, 0, 1]);
});

test('outputs toggle at exact cycles, symmetric about the wrap', () => {
  const bench = new Bench();
  bench.usePwm(0, 1);
  // A inverted: high while the counter is at least 70. B: high while it is less than 60.
  bench.slice(0, { top: 99, a: 70, b: 60, csr: EN | PH_CORRECT | A_INV });
  assert.deepEqual(bench.edges(0, 400), [[70, 1], [130, 0], [270, 1], [330, 0]]);
  assert.deepEqual(bench.edges(1, 200), [[460, 0], [540, 1]]);
});

test('rp2040js never raises a pin of a phase-correct slice', () => {
  const stock = new Stock();
  for (const pin of [0, 1]) stock.write(IO + 8 * pin + 4, 4);
  stock.write(PWM + 0x10, 99);
  stock.write(PWM + 0x0c, (60 << 16) | 30);
  stock.write(PWM, EN | PH_CORRECT);
  let rises = 0;
  stock.chip.gpio[0].addListener((value) => (rises += value === 1 ? 1 : 0));
  stock.pass(1000);
  assert.equal(rises, 0);
});

test('levels of 0 and of TOP+1 are constant outputs', () => {
  const bench = new Bench();
  bench.usePwm(0, 1);
  bench.slice(0, { top: 99, a: 0, b: 100, csr: EN | PH_CORRECT });
  assert.deepEqual(bench.edges(0, 1000), []);
  assert.deepEqual(bench.edges(1, 1000), []);
  assert.equal(bench.chip.gpio[0].level, false);
  assert.equal(bench.chip.gpio[1].level, true);
});

test('CC and TOP act from the next wrap, at once while the slice stands', () => {
  const bench = new Bench();
  bench.usePwm(0);
  bench.slice(0, { top: 99, a: 70, csr: EN | PH_CORRECT | A_INV });
  bench.pass(50);
  bench.write(PWM + 0x0c, 20);
  bench.write(PWM + 0x10, 49);
  assert.deepEqual(bench.edges(0, 350 - 50), [[70, 1], [130, 0], [220, 1], [280, 0], [320, 1]]);
  bench.write(PWM, PH_CORRECT | A_INV);
  bench.write(PWM + 8, 30);
  assert.equal(bench.chip.gpio[0].level, true);
  bench.write(PWM + 0x0c, 40);
  assert.equal(bench.chip.gpio[0].level, false);
});

test('EN and its SET and CLR aliases start and stop slices together', () => {
  const bench = new Bench();
  for (const index of [0, 1, 2]) bench.slice(index, { top: 99, csr: PH_CORRECT });
  bench.write(PWM + 0xa0, 0b011);
  bench.write(PWM + SET + 0xa0, 0b100);
  assert.equal(bench.read(PWM + 0xa0), 0b111);
  const wraps = [0, 1, 2].map((index) => {
    const seen = [];
    bench.chip.pwm.slices[index].onWrap = (cycle) => seen.push(cycle);
    return seen;
  });
  bench.pass(400);
  assert.deepEqual(wraps, [[200, 400], [200, 400], [200, 400]]);
  bench.write(PWM + CLR + 0xa0, 0b001);
  assert.equal(bench.read(PWM + 0xa0), 0b110);
});

test('rp2040js drops slices through the SET alias of EN', () => {
  const stock = new Stock();
  stock.write(PWM + 0xa0, 0b011);
  stock.write(PWM + SET + 0xa0, 0b100);
  const running = stock.chip.pwm.channels.map((channel) => channel.csr & 1);
  assert.deepEqual(running.slice(0, 3), [0, 0, 1]);
});

test('a counter written before the start makes a slice wrap early', () => {
  const bench = new Bench();
  bench.slice(0, { top: 99, csr: PH_CORRECT });
  bench.slice(7, { top: 199, csr: 0 });
  bench.write(PWM + 7 * 0x14 + 8, 30);
  const wraps = [];
  bench.chip.pwm.slices[7].onWrap = (cycle) => wraps.push(cycle);
  bench.write(PWM + 0xa0, 0x81);
  bench.pass(600);
  assert.deepEqual(wraps, [170, 370, 570]);
});

test('PH_ADV and PH_RET shift a running slice by one count', () => {
  const bench = new Bench();
  bench.slice(1, { top: 99, csr: EN | PH_CORRECT });
  bench.pass(10);
  bench.write(PWM + 0x14, EN | PH_CORRECT | 0x80);
  assert.equal(bench.read(PWM + 0x14 + 8), 11);
  assert.equal(bench.read(PWM + 0x14), EN | PH_CORRECT);
  bench.write(PWM + 0x14, EN | PH_CORRECT | 0x40);
  assert.equal(bench.read(PWM + 0x14 + 8), 10);
});

test('the divider slows the counter, with its fraction', () => {
  const bench = new Bench();
  bench.write(PWM + 4, (2 << 4) | 8); // 2.5
  bench.slice(0, { top: 99, csr: EN });
  const wraps = [];
  bench.chip.pwm.slices[0].onWrap = (cycle) => wraps.push(cycle);
  bench.pass(1000);
  assert.deepEqual(wraps, [250, 500, 750, 1000]);
});

test('a wrap sets its interrupt once, and stays cleared until the next', () => {
  const bench = new Bench();
  bench.slice(0, { top: 99, csr: EN | PH_CORRECT });
  bench.write(PWM + 0xa8, 1);
  bench.pass(200);
  assert.equal(bench.read(PWM + 0xb0), 1);
  assert.ok(bench.chip.core.lines & (1 << 4));
  bench.write(PWM + 0xa4, 1);
  assert.equal(bench.read(PWM + 0xa4), 0);
  bench.pass(199);
  assert.equal(bench.read(PWM + 0xa4), 0);
  assert.ok(!(bench.chip.core.lines & (1 << 4)));
});

test('a wrap asks for one transfer', () => {
  const bench = new Bench();
  bench.slice(0, { top: 99, csr: EN | PH_CORRECT });
  bench.channel(0, { from: SRAM, to: SRAM + 4, count: 10, ctrl: control({ request: 24, index: 0 }), start: true });
  bench.pass(650);
  assert.equal(bench.read(DMA + 8), 7);
});

test('rp2040js lets the request of a wrap stand, so that the channel runs free', () => {
  const stock = new Stock();
  stock.write(PWM + 0x10, 99);
  stock.write(PWM + 4, 1 << 4);
  stock.write(DMA, SRAM);
  stock.write(DMA + 4, SRAM + 4);
  stock.write(DMA + 8, 10);
  stock.write(DMA + 0xc, control({ request: 24, index: 0 }));
  stock.write(PWM, EN | PH_CORRECT);
  stock.pass(250);
  assert.equal(stock.read(DMA + 8), 0);
});

test('inversion of a pin at rest shows at once: a slice that stands is safe as its levels say', () => {
  const bench = new Bench();
  bench.usePwm(0, 1);
  bench.slice(0, { top: 99, a: 0, b: 0, csr: A_INV | B_INV });
  assert.equal(bench.chip.gpio[0].level, true);
  bench.slice(0, { top: 99, a: 100, b: 0, csr: A_INV });
  assert.equal(bench.chip.gpio[0].level, false);
  assert.equal(bench.chip.gpio[1].level, false);
});

test('pins that somebody watches have their edges as events', () => {
  const bench = new Bench();
  bench.usePwm(0);
  bench.slice(0, { top: 99, a: 70, csr: EN | PH_CORRECT | A_INV });
  let at = -1;
  bench.write(IO + 0x100, 8); // interrupt at the rising edge of pin 0
  bench.chip.gpio[0].watchers.push((level) => level && (at = bench.clock.cycles));
  bench.pass(100);
  assert.equal(at, 70);
  assert.ok(bench.chip.core.lines & (1 << 13));
});
