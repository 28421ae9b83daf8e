// The laboratory around the chip: a plant in lock step, its sensors at the pins, faults at given periods, and probes.
//
// A period of the plant ends at the carrier's zero (slice 0's wrap), where the controller places its samples. Some
// conversions start a little before it. The exchange with the plant therefore happens at the first conversion in the
// second half of a period, else at the wrap: how long each switch will be on until the wrap follows from the latched
// compare values, and what came otherwise (a fault in those microseconds) is made good in the next period.
//
//     to the plant     share of the period for which each switch was on (pins and gate enable); when each quantity is
//                      sampled, relative to the zero, as observed in the period before
//     from the plant   the converter's counts, and the encoder's place and motion
//
// While slice 0 stands there are no periods; the plant makes up for that time when something asks for it.

import { addBenchCommands, CHIP_FAULTS, QUANTITIES } from './bench_commands.mjs';
import { Encoder } from './encoder.mjs';
import { PinRecorder } from './pin_recorder.mjs';
import { PlantPipe } from './plant_pipe.mjs';

const SKEWED = 4; // of them have a slope
const SWITCHES = ['a_high', 'a_low', 'b_high', 'b_low', 'c_high', 'c_low', '1_high', '1_low', '2_high', '2_low'];
const OUTPUT_OVERRIDES = 0x3300; // OUTOVER and OEOVER
const FUNCTION_PWM = 4;
const MUX_RESISTANCE_SHARE = 9; // time constants in `settling`: 12 bits
const HALF_RANGE = 2048;
// Until the plant has described its board: pins that are the same on every board so far.
const PINS = {
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
};

/** One chip's bench; what outlives a reset is in `kept`. */
class Bench {
  constructor(machine, kept) {
    this.machine = machine;
    this.chip = machine.chip;
    this.clock = machine.clock;
    this.kept = kept;
    this.pipe = kept.pipe;
    this.centre = -kept.pendingCycles; // the carrier's zero that was exchanged last, may lie ahead
    this.ahead = null; // cycles on per switch that were foretold for the time up to `centre`
    this.isExchanging = false;
    this.muxChannel = 0;
    this.muxBefore = 0;
    this.muxChangedAt = -Infinity;
    this.asked = 0; // channel that the next frame of an SPI converter answers
    kept.board ??= null;
    this.build(kept.board ?? PINS);
    this.chip.adc.sample = (channel) => this.convert(channel);
    const [slice] = this.chip.pwm.slices;
    slice.onWrap = (cycle) => this.wrapped(cycle);
    // So that the encoder stands where it is before anybody counts its edges.
    this.chip.pwm.onStart = (started) => started === slice && this.catchUp();
    this.applyFaults();
  }

  /** Takes the board's description from the plant, once. */
  describe() {
    if (this.kept.board === null) this.adopt(this.pipe.ask({ do: 'describe' }));
  }

  adopt({ board, period }) {
    const { kept } = this;
    kept.board = board;
    kept.period_s = period;
    kept.recorder.detach();
    kept.recorder = null;
    this.build(board);
  }

  build(board) {
    const { kept, chip } = this;
    const pairs = {};
    for (const leg of ['a', 'b', 'c'])
      pairs[leg] = [board[`pin_phase_${leg}_high`], board[`pin_phase_${leg}_low`], true];
    const isFull = board.exciter_kind === 'full_bridge';
    pairs['1'] = [board.pin_exciter_1_high, board.pin_exciter_1_low, isFull];
    if (isFull) pairs['2'] = [board.pin_exciter_2_high, board.pin_exciter_2_low, true];
    kept.recorder ??= new PinRecorder(pairs, board.pin_gate_enable, board.pin_fault);
    this.recorder = kept.recorder;
    this.recorder.attach(
      chip,
      () => kept.period,
      (name) => this.machine.note?.(name),
    );
    this.switches = SWITCHES.map((name) => this.recorder.switches.find((probe) => probe.name === name) ?? null);
    if (board.chip === undefined) return;
    const { gpio } = chip;
    const pins = { a: gpio[board.pin_encoder_a], b: gpio[board.pin_encoder_b], z: gpio[board.pin_encoder_z] };
    this.encoder = new Encoder(this.clock, board.encoder_kind === 'incremental' ? pins : null);
    if (kept.pipe.exchanges > 0) this.encoder.start(kept.answer[6], 0, kept.answer[8], 0, 1);
    if (board.encoder_kind === 'absolute') this.attachAngleSensor(board);
    if (board.converter === 'adc') this.attachMultiplexer(board);
    else this.attachConverter(board);
    // AINSEL and multiplexer input, or channel of the other converter -> quantity.
    this.channels = new Map();
    QUANTITIES.forEach((name, index) => {
      const channel = board[`channel_${name}`];
      const select = board[`select_${name}`];
      if (channel !== undefined) this.channels.set(select === undefined ? `${channel}` : `${channel}:${select}`, index);
    });
    const multiplexed = board.pin_adc_multiplexed;
    this.muxAdc = multiplexed === undefined ? -1 : multiplexed - 26;
  }

  attachMultiplexer(board) {
    this.selects = [0, 1, 2].map((bit) => this.chip.gpio[board[`pin_select_${bit}`]]);
    this.tau = board.settling_counts / MUX_RESISTANCE_SHARE;
    for (const pin of this.selects)
      pin.watchers.push((level, cycle) => {
        if (cycle !== this.muxChangedAt) this.muxBefore = this.muxChannel;
        this.muxChangedAt = cycle;
        this.muxChannel = this.selects.reduce((sum, { level: high }, bit) => sum | (high ? 1 << bit : 0), 0);
      });
  }

  attachAngleSensor(board) {
    const select = this.chip.gpio[board.pin_angle_cs];
    this.chip.spi[board.angle_spi].exchange = (word, bits, cycle) =>
      select.level ? 0xffff : this.encoder.read(cycle) << board.angle_shift;
  }

  attachConverter(board) {
    const select = this.chip.gpio[board.pin_converter_cs];
    this.chip.spi[board.converter_spi].exchange = (word) => {
      if (select.driven && (select.ctrl & 0x1f) !== 1 && select.level) return 0xffff;
      const named = (word >> board.converter_address_shift) & 7;
      const channel = board.converter_pipeline ? this.asked : named;
      this.asked = named;
      return this.take(this.channels.get(`${channel}`));
    };
  }

  // ---- Conversions

  /** A conversion of the chip's own converter starts. */
  convert(channel) {
    this.describe();
    if (channel !== this.muxAdc) return this.take(this.channels.get(`${channel}`));
    const now = this.take(this.channels.get(`${channel}:${this.muxChannel}`));
    const since = this.clock.cycles - this.muxChangedAt;
    if (!(since < 2 * this.tau * MUX_RESISTANCE_SHARE)) return now;
    // The multiplexer has just been moved: something of the old voltage is still there.
    const before = this.counts(this.channels.get(`${channel}:${this.muxBefore}`));
    return Math.round(now + (before - now) * Math.exp(-since / this.tau));
  }

  /** Counts of a quantity sampled now. */
  take(index) {
    this.describe();
    const now = this.clock.cycles;
    const [slice] = this.chip.pwm.slices;
    if (!slice.running) this.catchUp();
    else if (this.centre <= now && 2 * slice.positionAt(now) >= slice.period) this.exchange(slice.cycleOf(slice.period));
    if (index === undefined) return 0;
    if (!slice.running) return this.counts(index);
    const offset = now - this.centre;
    const times = this.kept.instants[index];
    times.last = offset;
    times.count += 1;
    if (offset < times.min) times.min = offset;
    if (offset > times.max) times.max = offset;
    return this.counts(index);
  }

  counts(index) {
    if (index === undefined) return 0;
    const { answer, forced } = this.kept;
    const value = forced[index] ?? answer[index];
    return Math.min(Math.max(Math.round(value), 0), 4095);
  }

  // ---- Periods

  get cyclesOfPeriod() {
    return this.clock.frequency * this.kept.period_s;
  }

  wrapped(cycle) {
    if (this.centre < cycle) this.exchange(cycle);
    else this.settleForecast(cycle);
    this.kept.period += 1;
    this.machine.note('pwm_zero');
    const { actions, period } = this.kept;
    while (actions.length > 0 && actions[0].period <= period) this.run(actions.shift());
  }

  /** Says what the switches did since the last zero, and will do until the zero at cycle `centre`. */
  exchange(centre) {
    const { pipe, recorder, kept } = this;
    const { request, answer } = pipe;
    const now = this.clock.cycles;
    this.chip.bank.settle();
    recorder.account(now);
    const elapsed = centre - this.centre;
    this.checkRate(elapsed);
    const ahead = this.switches.map((probe) => (probe === null ? 0 : this.foretell(probe, centre - now)));
    request[1] = kept.period;
    request[2] = Math.max(Math.round(elapsed / this.cyclesOfPeriod), 1);
    this.switches.forEach((probe, k) => {
      const past = probe === null ? 0 : probe.sum - (this.ahead === null ? 0 : this.ahead[k]);
      request[3 + k] = Math.min(Math.max((past + ahead[k]) / elapsed, 0), 1);
      if (probe !== null) probe.sum = 0;
    });
    this.ahead = centre > now ? ahead : null;
    for (let k = 0; k < SKEWED; k++) request[13 + k] = kept.instants[k].last / this.clock.frequency;
    this.centre = centre;
    pipe.exchange();
    kept.answer.set(answer);
    this.seeWhetherExpected(centre);
    this.encoder.follow(answer[6], answer[7], answer[8], centre, this.cyclesOfPeriod);
  }

  /** A fault that builds up begins when the truth is what the command `expect` has said. */
  seeWhetherExpected(centre) {
    const { expected, answer, recorder } = this.kept;
    if (expected === null) return;
    const { quantity, word, above, below } = expected;
    if (!(answer[word] > above || answer[word] < below)) return;
    this.kept.expected = null;
    recorder.expectShutdown(quantity, centre);
  }

  /** Says once that the carrier's period is not the plant's. */
  checkRate(elapsed) {
    const periods = elapsed / this.cyclesOfPeriod;
    if (this.kept.period < 2 || this.saidRate || Math.abs(periods - Math.round(periods)) < 0.01) return;
    this.saidRate = true;
    const measured = (this.clock.frequency / elapsed / 1e3).toFixed(2);
    const set = (1e-3 / this.kept.period_s).toFixed(2);
    this.machine.tell?.(`The carrier runs at ${measured} kHz, the plant at ${set} kHz: command set_pwm.`);
  }

  /** Cycles that a switch will be on in the `left` cycles to the end of the period. */
  foretell(probe, left) {
    if (left <= 0) return 0;
    const pin = this.chip.gpio[probe.pin];
    if ((pin.ctrl & (0x1f | OUTPUT_OVERRIDES)) !== FUNCTION_PWM) return probe.isOn ? left : 0;
    if (!this.recorder.gate) return 0;
    const slice = this.chip.pwm.slices[(probe.pin >> 1) & 7];
    if (!slice.running) return probe.isOn ? left : 0;
    const isB = (probe.pin & 1) === 1;
    const high = slice.highUntilWrap(isB ? slice.liveB : slice.liveA);
    return slice.csr & (isB ? 8 : 4) ? left - high : high;
  }

  /** The zero that was exchanged ahead is here: what the switches did since then is kept apart from what follows. */
  settleForecast(cycle) {
    if (this.ahead === null) return;
    this.recorder.account(cycle);
    this.switches.forEach((probe, k) => {
      if (probe !== null) probe.sum -= this.ahead[k];
    });
    this.ahead = null;
  }

  /** Without a carrier the plant is brought to the present, by whole periods. */
  catchUp() {
    this.describe();
    const { cyclesOfPeriod } = this;
    const periods = Math.floor((this.clock.cycles - this.centre) / cyclesOfPeriod);
    if (periods >= 1) this.exchange(this.centre + periods * cyclesOfPeriod);
  }

  // ---- Faults and commands at a given period

  /** Does `action()` at `period` (counted from power-on) and `cycle` cycles after its zero; at once without a period. */
  at({ period, cycle = 0 }, action) {
    const { actions } = this.kept;
    if (period === undefined) {
      action(this);
      return;
    }
    if (period <= this.kept.period && this.kept.period > 0)
      throw new Error(`period ${period} is over: it is ${this.kept.period} now.`);
    const place = actions.findIndex((other) => other.period > period);
    actions.splice(place < 0 ? actions.length : place, 0, { period, cycle, action });
  }

  run({ cycle, action }) {
    if (cycle <= 0) action(this);
    else this.clock.createCycleAlarm(() => action(this)).scheduleIn(cycle);
  }

  /** Puts the faults that hold on a fresh chip. */
  applyFaults() {
    const { faults } = this.kept;
    this.chip.pwm.mutedRequests = faults.has('missing_trigger') ? 0x80 : 0;
    this.chip.adc.isDead = faults.has('adc_dead');
    const pin = this.chip.gpio[(this.kept.board ?? PINS).pin_fault];
    pin.drive(faults.has('fault_pin') ? false : null);
  }

  chipFault(name, on) {
    const { faults } = this.kept;
    if (on) faults.add(name);
    else faults.delete(name);
    if (on) this.recorder.expectShutdown(name, this.clock.cycles);
    this.applyFaults();
  }

  /** The chip is about to be reset. */
  leave() {
    this.chip.bank.settle();
    this.recorder.fall(this.clock.cycles);
    this.kept.pendingCycles = Math.max(this.clock.cycles - this.centre, 0);
  }
}

/** With `options.plant_read_fd` and `plant_write_fd`, or a pipe of the caller's in `options.plant`. */
export function attach(machine) {
  const { options } = machine;
  if (options.plant_read_fd === undefined && options.plant === undefined) return;
  let { bench: kept } = machine.kept;
  if (kept === undefined) {
    kept = machine.kept.bench = {
      pipe: options.plant ?? new PlantPipe(options.plant_read_fd, options.plant_write_fd),
      recorder: null,
      board: null,
      period_s: 50e-6,
      period: 0,
      pendingCycles: 0,
      answer: new Float64Array(16).fill(0, 0, 16),
      forced: QUANTITIES.map(() => null),
      instants: QUANTITIES.map(() => ({ min: Infinity, max: -Infinity, last: 0, count: 0 })),
      actions: [],
      expected: null,
      faults: new Set((options.faults ?? []).filter((name) => CHIP_FAULTS.includes(name))),
    };
    kept.answer.fill(HALF_RANGE, 0, 3);
    addBenchCommands(machine, kept);
  }
  kept.bench = new Bench(machine, kept);
  machine.onReset.push(() => kept.bench.leave());
}
