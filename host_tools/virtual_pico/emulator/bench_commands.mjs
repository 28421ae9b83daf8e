// What the control channel can ask of the bench: loads, faults, and what the probes saw.

import { findBlock } from './block.mjs';

// In the order of the plant's answer.
export const QUANTITIES = ['i_a', 'i_b', 'i_f', 'u_dc', 'temperature_stator', 'temperature_board'];

// What the plant's answer tells of the truth, from word TRUTH on: V, rad/s, A, A.
export const TRUTH = 9;
export const TRUTHS = ['u_dc', 'w_m', 'i_f', 'i_phase'];

// What is wrong with the chip's surroundings rather than with plant or sensors.
export const CHIP_FAULTS = ['missing_trigger', 'adc_dead', 'fault_pin'];

/** `kept` is the bench's state that outlives a reset; `kept.bench` the present chip's. */
export function addBenchCommands(machine, kept) {
  const bench = () => kept.bench;
  const ask = (command) => kept.pipe.ask(command);
  const clear = () => {
    kept.recorder.clear();
    for (const times of kept.instants) Object.assign(times, { min: Infinity, max: -Infinity, count: 0 });
  };
  Object.assign(machine.commands, {
    /** {torque, brake, period}: N.m of the coupled machine, against positive rotation, and of a brake; from `period`
     * on, or the next one if that is over. With {word, raw} also the reading of a torque transducer: `raw` goes to that
     * word of the law's block, between two periods as every sample does. */
    set_load: ({ torque, brake, period, word, raw }) => {
      const waits = period !== undefined || word !== undefined;
      bench().at({ period: waits ? Math.max(period ?? 0, kept.period + 1) : undefined }, () => {
        ask({ do: 'set_load', torque, brake });
        const block = findBlock(machine);
        if (word !== undefined && block >= 0) machine.memory.ram32[block + word] = raw;
      });
    },
    /** {f_pwm, clock} in Hz: the plant begins anew at that rate, while the carrier stands. */
    set_pwm: ({ f_pwm, clock }) => {
      if (bench().chip.pwm.slices[0].running) throw new Error('The carrier runs: set the rate before the drive starts.');
      bench().adopt(ask({ do: 'set_pwm', f_pwm, clock }));
    },
    /** {emf, clamp, period}: V of the battery, and V from which the brake resistor of the link takes current. */
    set_supply: ({ emf, clamp, period }) => bench().at({ period }, () => ask({ do: 'set_supply', emf, clamp })),
    /** {stator, board, rotor, period}: degrees Celsius; with `period` it is a fault from then on. */
    set_temperature: ({ stator, board, rotor, period }) =>
      bench().at({ period }, (now) => {
        ask({ do: 'set_temperature', stator, board, rotor });
        if (period !== undefined) now.recorder.expectShutdown('temperature', now.clock.cycles);
      }),
    /** {word, raw, period}: a word of the law's block changes by itself, between two periods. */
    set_word: ({ word, raw, period }) => {
      const block = findBlock(machine);
      if (block < 0) throw new Error('No control law runs: its driver has told no address of its block.');
      bench().at({ period: Math.max(period ?? 0, kept.period + 1) }, (now) => {
        machine.memory.ram32[block + word] = raw;
        now.recorder.expectShutdown(`word ${word}`, now.clock.cycles);
      });
    },
    /** {quantity, above, below}: a fault that builds up begins with the zero at which that truth is there. */
    expect: ({ quantity, above = Infinity, below = -Infinity }) => {
      const word = TRUTHS.indexOf(quantity);
      if (word < 0) throw new Error(`There is no truth ${quantity}; there are: ${TRUTHS.join(', ')}.`);
      kept.expected = { quantity, word: TRUTH + word, above, below };
    },
    /** {name, on, amount, period, cycle, periods}: a fault from `period` on, for `periods` (for good by default). */
    inject: ({ name, on = true, amount, period, cycle, periods }) => {
      const isChips = CHIP_FAULTS.includes(name);
      if (!isChips) {
        const known = ask({ do: 'faults' });
        if (!known.includes(name))
          throw new Error(`There is no fault ${name}; there are: ${[...known, ...CHIP_FAULTS].sort().join(', ')}.`);
      }
      const set = (state) => (now) => {
        if (isChips) now.chipFault(name, state);
        else {
          ask({ do: 'inject', name, on: state, amount });
          if (state) now.recorder.expectShutdown(name, now.clock.cycles);
        }
      };
      bench().at({ period, cycle }, set(on));
      if (periods !== undefined) bench().at({ period: (period ?? kept.period) + periods }, set(!on));
    },
    /** {channel, counts, period, periods}: what the converter reads for a quantity; null ends it. */
    force_counts: ({ channel, counts, period, periods }) => {
      const index = QUANTITIES.indexOf(channel);
      if (index < 0) throw new Error(`There is no quantity ${channel}; there are: ${QUANTITIES.join(', ')}.`);
      const set = (value) => (now) => {
        kept.forced[index] = value;
        if (value !== null) now.recorder.expectShutdown(`forced ${channel}`, now.clock.cycles);
      };
      bench().at({ period }, set(counts));
      if (periods !== undefined) bench().at({ period: (period ?? kept.period) + periods }, set(null));
    },
    /** Periods of the carrier since power-on, exchanges with the plant. */
    bench: () => ({ period: kept.period, exchanges: kept.pipe.exchanges, faults: [...kept.faults] }),
    /** State of the plant in SI units. */
    plant: () => {
      if (!bench().chip.pwm.slices[0].running) bench().catchUp();
      return ask({ do: 'state' });
    },
    /** What the probes saw since `clear_pins`: dead times, overlaps, shutdowns, sampling instants, alignment. */
    pins: () => {
      const { chip, clock } = bench();
      chip.bank.settle();
      return {
        ...kept.recorder.report(),
        period: kept.period,
        cycle: clock.cycles,
        sampling_cycles: Object.fromEntries(
          QUANTITIES.map((name, k) => {
            const { min, max, last, count } = kept.instants[k];
            return [name, count ? { min, max, last, count } : null];
          }),
        ),
        // Cycles by which each running slice's wrap follows slice 0's.
        alignment_cycles: alignment(chip.pwm.slices),
      };
    },
    clear_pins: clear,
  });
}

function alignment(slices) {
  const [first] = slices;
  if (!first.running) return null;
  const result = {};
  for (const slice of slices) {
    if (!slice.running) continue;
    const { period } = slice;
    const apart = (slice.cycleOf(period) - first.cycleOf(first.period)) % period;
    result[slice.index] = apart > period / 2 ? apart - period : apart < -period / 2 ? apart + period : apart;
  }
  return result;
}
