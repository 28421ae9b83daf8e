// The bench with a plant that only notes what it is told.

import assert from 'node:assert/strict';
import test from 'node:test';
import { attach } from '../../../host_tools/virtual_pico/emulator/bench.mjs';
import { ADC, Bench, IO, PADS, PWM, SIO, SPI0 } from './harness.mjs';

const BOARD = {
  chip: 'rp2040',
  exciter_kind: 'half_bridge',
  encoder_kind: 'incremental',
  converter: 'adc',
  pin_phase_a_high: 0,
  pin_phase_a_low: 1,
  pin_phase_b_high: 2,
  pin_phase_b_low: 3,
  pin_phase_c_high: 4,
  pin_phase_c_low: 5,
  pin_exciter_1_high: 6,
  pin_exciter_1_low: 7,
  pin_gate_enable: 14,
  pin_fault: 15,
  pin_encoder_a: 10,
  pin_encoder_b: 11,
  pin_encoder_z: 12,
  pin_select_0: 20,
  pin_select_1: 21,
  pin_select_2: 22,
  pin_adc_multiplexed: 28,
  settling_counts: 125,
  channel_i_a: 0,
  channel_i_b: 1,
  channel_i_f: 2,
  select_i_f: 0,
  channel_u_dc: 2,
  select_u_dc: 1,
  channel_temperature_stator: 2,
  select_temperature_stator: 2,
};

class Plant {
  constructor(board) {
    this.board = board;
    this.request = new Float64Array(17);
    this.answer = new Float64Array(16);
    this.exchanges = 0;
    this.log = [];
    this.asked = [];
    this.answers = (k) => [2000 + k, 2100 + k, 2200 + k, 2300 + k, 2400, 2500, 10 + 4 * k, 4, 4096];
  }

  exchange() {
    this.exchanges += 1;
    this.log.push([...this.request]);
    this.answer.set(this.answers(this.log.length - 1));
  }

  ask(command) {
    this.asked.push(command);
    if (command.do === 'describe') return { board: this.board, period: 50e-6 };
    if (command.do === 'faults') return ['battery_lost'];
    return null;
  }
}

const N = 3125;
const D = 63;

/** A laboratory with the three legs and the exciter on PWM, gate enable by software. */
class Laboratory extends Bench {
  constructor(board = BOARD) {
    super();
    this.plant = new Plant({ ...BOARD, ...board });
    this.machine = {
      chip: this.chip,
      clock: this.clock,
      options: { plant: this.plant },
      kept: {},
      commands: {},
      onReset: [],
      note() {},
    };
    this.setUp();
  }

  setUp() {
    attach(this.machine);
    for (const slice of [0, 1, 2]) this.compare(slice, N / 2);
    this.write(PWM + 3 * 0x14 + 0x0c, 0xffff);
    for (let slice = 0; slice < 4; slice++) {
      this.write(PWM + 0x14 * slice + 0x10, N - 1);
      this.write(PWM + 0x14 * slice, 2 | 4);
    }
    this.usePwm(0, 1, 2, 3, 4, 5, 6, 7);
    this.write(SIO + 0x24, 1 << 14);
    this.write(IO + 8 * 14 + 4, 5);
    this.write(PADS + 4 + 4 * 15, 0x4a);
  }

  /** Resets the chip, as a watchdog would, and sets it up again. */
  reset() {
    for (const callback of this.machine.onReset.splice(0)) callback();
    const { chip, clock } = new Bench();
    Object.assign(this, { chip, clock });
    Object.assign(this.machine, { chip, clock });
    this.setUp();
  }

  compare(slice, level) {
    const c = Math.floor(level);
    this.write(PWM + 0x14 * slice + 0x0c, ((N - c) << 16) | (N + D - c));
  }

  gate(level) {
    this.write(SIO + (level ? 0x14 : 0x18), 1 << 14);
  }

  start() {
    this.write(PWM + 0xa0, 0b1111);
  }

  do(name, given = {}) {
    return this.machine.commands[name](given);
  }
}

const shares = (request) => request.slice(3, 13).map((share) => Math.round(share * 2 * N));

test('on-times of a period are those of the pins, dead time left out', () => {
  const lab = new Laboratory();
  lab.gate(true);
  lab.start();
  lab.compare(0, 1000);
  lab.pass(3 * 2 * N);
  assert.equal(lab.plant.log.length, 3);
  const [a, al, b, bl] = shares(lab.plant.log[2]);
  assert.deepEqual([a, al], [2 * (1000 - D), 2 * (N - 1000)]);
  assert.deepEqual([b, bl], [2 * (1562 - D), 2 * (N - 1562)]);
  const { bridges, alignment_cycles: alignment } = lab.do('pins');
  assert.deepEqual(bridges.a, { dead_cycles_min: D, overlaps: 0, overlap_cycles_max: 0, overlap_last_cycle: null });
  assert.deepEqual(alignment, { 0: 0, 1: 0, 2: 0, 3: 0 });
});

test('nothing is on while the gate enable is low, or from the moment it falls', () => {
  const lab = new Laboratory();
  lab.start();
  lab.pass(2 * N);
  assert.deepEqual(shares(lab.plant.log[0]).slice(0, 6), [0, 0, 0, 0, 0, 0]);
  lab.gate(true);
  lab.pass(2 * N + 1000);
  lab.gate(false);
  lab.pass(1000 + 2 * N);
  // Low side of a: on until the counter reaches N - 1562 = 1563, the gate fell after 1000.
  assert.equal(shares(lab.plant.log[2])[1], 1000);
});

test('a conversion before the zero brings the exchange forward; a change after it is made good', () => {
  const lab = new Laboratory();
  lab.gate(true);
  lab.start();
  lab.pass(2 * N - 600);
  lab.write(ADC, 1 | 4);
  assert.equal(lab.plant.log.length, 1);
  const foretold = shares(lab.plant.log[0]);
  assert.equal(foretold[1], 2 * (N - 1562));
  assert.equal(lab.chip.adc.taken, 2000);
  lab.pass(100);
  lab.gate(false); // 500 cycles before the zero, while the low side was on
  lab.pass(500);
  lab.pass(2 * N);
  // What is left of the second period is nothing, less the 500 cycles that were promised: no share is below 0.
  assert.equal(lab.plant.log.length, 2);
  assert.equal(shares(lab.plant.log[1])[1], 0);
  lab.gate(true);
  lab.pass(2 * N - 600);
  lab.write(ADC, 1 | 4);
  assert.equal(shares(lab.plant.log[2])[1], 2 * (N - 1562));
});

test('the plant learns when each quantity is sampled', () => {
  const lab = new Laboratory();
  lab.start();
  for (let k = 0; k < 2; k++) {
    lab.pass(2 * N - 131);
    lab.write(ADC, 1 | 4);
    lab.pass(262);
    lab.write(ADC, (1 << 12) | 1 | 4);
    lab.pass(2 * N - 131);
  }
  assert.deepEqual(lab.plant.log[0].slice(13, 15), [0, 0]);
  assert.deepEqual(lab.plant.log[1].slice(13, 15), [-131 / 125e6, 131 / 125e6]);
  const { sampling_cycles: instants } = lab.do('pins');
  assert.deepEqual(instants.i_a, { min: -131, max: -131, last: -131, count: 2 });
  assert.deepEqual(instants.i_b, { min: 131, max: 131, last: 131, count: 2 });
});

test('the multiplexer gives what its select lines say, once it has settled', () => {
  const lab = new Laboratory();
  lab.write(SIO + 0x24, 7 << 20);
  for (const pin of [20, 21, 22]) lab.write(IO + 8 * pin + 4, 5);
  lab.start();
  lab.pass(2 * N);
  const convert = () => {
    lab.write(ADC, (2 << 12) | 1 | 4);
    lab.pass(300);
    return lab.chip.adc.result;
  };
  assert.equal(convert(), 2200);
  lab.write(SIO + 0x14, 1 << 20);
  lab.pass(125);
  assert.equal(convert(), 2300);
  lab.write(SIO + 0x18, 1 << 20);
  lab.write(SIO + 0x14, 1 << 21);
  lab.pass(14); // one time constant
  const early = convert();
  assert.ok(early > 2330 && early < 2370, `${early}`);
});

test('edges of the encoder are spread over the period, A before B', () => {
  const lab = new Laboratory();
  lab.start();
  lab.pass(2 * N);
  const seen = [];
  for (const [pin, name] of [[10, 'a'], [11, 'b']])
    lab.chip.gpio[pin].watchers.push((level, cycle) => seen.push([cycle - 2 * N, level ? name.toUpperCase() : name]));
  lab.pass(2 * N);
  // From place 10 by 4 counts: 11, 12, 13, 14 after each quarter; 10 mod 4 is A B.
  assert.deepEqual(seen, [[1563, 'a'], [3125, 'b'], [4688, 'A'], [6250, 'B']]);
});

test('the index is high at place 0', () => {
  const lab = new Laboratory();
  lab.plant.answers = () => [0, 0, 0, 0, 0, 0, 4095, 2, 4096];
  lab.start();
  lab.pass(2 * N);
  assert.deepEqual(lab.edges(12, 2 * N), [[2 * N + 3125, 1], [4 * N, 0]]);
});

test('time without a carrier is made up for', () => {
  const lab = new Laboratory();
  lab.pass(100 * 2 * N);
  lab.start();
  lab.pass(2 * N);
  assert.deepEqual(lab.plant.log.map((request) => request[2]), [100, 1]);
  lab.pass(2 * N);
  assert.equal(lab.plant.log[2][2], 1);
});

test('a fault comes at its period and cycle, and the time to all off is kept', () => {
  const lab = new Laboratory();
  lab.gate(true);
  lab.start();
  lab.do('inject', { name: 'fault_pin', period: 3, cycle: 1000 });
  const { gpio } = lab.chip;
  gpio[15].watchers.push((level) => level || lab.clock.createCycleAlarm(() => lab.gate(false)).scheduleIn(20));
  lab.pass(5 * 2 * N);
  assert.equal(gpio[15].changedAt, 3 * 2 * N + 1000);
  assert.deepEqual(lab.do('pins').shutdowns, [{ cause: 'fault_pin', cycles: 20, periods: 0 }]);
  assert.equal(lab.do('pins').all_off, true);
});

test('a load comes at its period, and the reading of its transducer where the law looks for it', () => {
  const lab = new Laboratory();
  const ram32 = new Int32Array(8);
  lab.machine.memory = { ram32 };
  lab.start();
  lab.do('set_load', { torque: 1.5, period: 1, word: 2, raw: 99 });
  lab.pass(1.5 * 2 * N);
  assert.deepEqual([...ram32], [0, 0, 0, 0, 0, 0, 0, 0]); // no law runs
  lab.chip.sio.interp0.accum0 = 0x20000008;
  lab.do('set_load', { torque: 2.5, period: 3, word: 2, raw: -7 });
  lab.pass(2 * N);
  assert.equal(lab.plant.asked.at(-1).torque, 1.5);
  lab.pass(2 * N);
  assert.deepEqual(lab.plant.asked.at(-1), { do: 'set_load', torque: 2.5, brake: undefined });
  assert.deepEqual([...ram32], [0, 0, 0, 0, -7, 0, 0, 0]);
  lab.do('set_load', { torque: 0, period: 2, word: 2, raw: 5 }); // that is over
  assert.equal(ram32[4], -7);
  lab.pass(2 * N);
  assert.equal(ram32[4], 5);
});

test('a word of the law changes at its period, which begins a fault', () => {
  const lab = new Laboratory();
  const ram32 = new Int32Array(8);
  lab.machine.memory = { ram32 };
  lab.start();
  assert.throws(() => lab.do('set_word', { word: 1, raw: 5 }), /No control law runs/);
  lab.chip.sio.interp0.accum0 = 0x20000008;
  lab.do('set_word', { word: 1, raw: -5, period: 2 });
  lab.pass(2 * N);
  assert.equal(ram32[3], 0);
  lab.pass(2 * N);
  assert.equal(ram32[3], -5);
  assert.equal(lab.do('pins').injected.cycle, 2 * 2 * N);
});

test('a fault that builds up begins with the zero at which the truth is beyond its bound', () => {
  const lab = new Laboratory();
  lab.plant.answers = (k) => [...new Array(8).fill(0), 4096, 48 + k, 0, 0, 0];
  lab.start();
  lab.do('expect', { quantity: 'u_dc', above: 50.5 });
  lab.do('inject', { name: 'battery_lost', amount: 0.5, period: 1 });
  lab.pass(2.5 * 2 * N);
  assert.deepEqual(lab.plant.asked.at(-1), { do: 'inject', name: 'battery_lost', on: true, amount: 0.5 });
  assert.equal(lab.do('pins').injected.cause, 'battery_lost');
  lab.pass(2 * 2 * N);
  const first = lab.plant.log.length - 1;
  assert.ok(48 + first > 50.5);
  const { injected } = lab.do('pins');
  assert.equal(injected.cause, 'u_dc');
  assert.equal(injected.cycle % (2 * N), 0);
  lab.pass(2 * 2 * N);
  assert.deepEqual(lab.do('pins').injected, injected); // once
  assert.throws(() => lab.do('expect', { quantity: 'rain' }), /there are: u_dc, w_m, i_f, i_phase/);
});

test('a missing trigger, a dead converter, forced counts', () => {
  const lab = new Laboratory();
  lab.start();
  lab.do('inject', { name: 'missing_trigger', period: 1, periods: 1 });
  lab.pass(2 * N + 10);
  assert.equal(lab.chip.pwm.mutedRequests, 0x80);
  lab.pass(2 * N);
  assert.equal(lab.chip.pwm.mutedRequests, 0);
  lab.do('inject', { name: 'adc_dead' });
  lab.write(ADC, 1 | 4);
  lab.pass(10_000);
  assert.equal(lab.read(ADC) & (1 << 8), 0);
  lab.do('inject', { name: 'adc_dead', on: false });
  lab.write(ADC, 0);
  lab.do('force_counts', { channel: 'i_a', counts: 4095 });
  lab.write(ADC, 1 | 4);
  lab.pass(300);
  assert.equal(lab.chip.adc.result, 4095);
  assert.throws(() => lab.do('inject', { name: 'nonsense' }), /there are: adc_dead, battery_lost, fault_pin/);
});

test('an overlap is seen whoever causes it, and lasts in the record', () => {
  const lab = new Laboratory();
  lab.start();
  lab.pass(2 * N);
  lab.write(IO + 4, (3 << 8) | 4); // OUTOVER high on the high side while the low side is on
  lab.pass(50);
  lab.write(IO + 4, 4);
  const { bridges } = lab.do('pins');
  assert.equal(bridges.a.overlaps, 1);
  assert.equal(bridges.a.overlap_cycles_max, 50);
  lab.do('clear_pins');
  assert.equal(lab.do('pins').bridges.a.overlaps, 0);
});

/** One frame of 16 bits on `port`, with chip select `cs` held low. */
function frame(lab, port, cs, word) {
  const base = SPI0 + 0x4000 * port;
  lab.write(base + 0x10, 2);
  lab.write(base, (3 << 8) | 15);
  lab.write(base + 4, 2);
  lab.write(SIO + 0x24, 1 << cs);
  lab.write(IO + 8 * cs + 4, 5);
  lab.write(SIO + 0x18, 1 << cs);
  lab.write(base + 8, word);
  lab.pass(200);
  lab.write(SIO + 0x14, 1 << cs);
  return lab.read(base + 8);
}

test('an absolute sensor answers with the place at the moment of the frame', () => {
  const lab = new Laboratory({ encoder_kind: 'absolute', angle_spi: 0, angle_shift: 0, pin_angle_cs: 17 });
  lab.plant.answers = () => [0, 0, 0, 0, 0, 0, 16380, 8, 16384];
  lab.start();
  lab.pass(2 * N);
  assert.equal(frame(lab, 0, 17, 0xffff), 16380);
  lab.pass(3125);
  assert.equal(frame(lab, 0, 17, 0xffff), 0);
  lab.write(SIO + 0x14, 1 << 17);
  lab.write(SPI0 + 8, 0xffff);
  lab.pass(200);
  assert.equal(lab.read(SPI0 + 8), 0xffff, 'not selected');
});

test('a converter on SPI answers for the channel of the frame before', () => {
  const lab = new Laboratory({
    converter: 'spi',
    converter_spi: 1,
    converter_address_shift: 11,
    converter_pipeline: 1,
    pin_converter_cs: 13,
    pin_adc_multiplexed: undefined,
    channel_i_a: 0,
    channel_i_b: 1,
    channel_i_f: 2,
    select_i_f: undefined,
    channel_u_dc: 3,
    select_u_dc: undefined,
  });
  lab.start();
  lab.pass(2 * N);
  const [, ...seen] = [1, 2, 3, 0, 1].map((channel) => frame(lab, 1, 13, channel << 11));
  assert.deepEqual(seen, [2100, 2200, 2300, 2000]);
});

test('a reset in the middle of a period switches all off; the plant goes on with the time that passed', () => {
  const lab = new Laboratory();
  lab.gate(true);
  lab.start();
  lab.pass(3 * 2 * N + 1000);
  lab.do('force_counts', { channel: 'i_a', counts: 4095 });
  lab.pass(500);
  lab.reset();
  assert.deepEqual(lab.do('pins').shutdowns, [{ cause: 'forced i_a', cycles: 500, periods: 0 }]);
  assert.equal(lab.do('pins').all_off, true);
  lab.pass(10 * 2 * N - 1500);
  lab.start();
  lab.pass(2 * N);
  assert.deepEqual(lab.plant.log.slice(3).map((request) => request[2]), [10, 1]);
  assert.deepEqual(shares(lab.plant.log[3]).slice(0, 6), [0, 0, 0, 0, 0, 0]);
  const { bridges, period } = lab.do('pins');
  assert.equal(bridges.a.overlaps, 0);
  assert.equal(period, 4);
  assert.equal(lab.chip.gpio[10].level, true, 'the encoder stands where it stood: A B');
});
