// What the control channel can be asked of the board itself; modules add their own.

import { findBlock } from './block.mjs';
import { Recorder } from './recorder.mjs';

/** Puts the commands on `machine`. */
export function addCommands(machine) {
  const recorder = new Recorder(machine);
  Object.assign(machine.commands, {
    /** Counts since power-on. */
    counters: () => {
      const { chip, flash, clock } = machine;
      return {
        cycles: machine.cycles,
        nanos: machine.nanos,
        clk_sys: clock.frequency,
        resets: machine.resets,
        sectors_erased: flash.erased,
        pages_programmed: flash.programmed,
        usb_transfers: chip.usbCtrl.transfers,
        usb_connected: machine.host.isConnected,
        faults: chip.core.faults,
        stopped: chip.core.stopped,
        sleeping: chip.core.waiting !== 0,
        slept_cycles: chip.core.slept,
        pc: chip.core.PC,
        timing: machine.timing,
        cache_accesses: chip.core.cache?.accesses ?? 0,
        cache_misses: chip.core.cache?.misses ?? 0,
      };
    },
    /** {timing: "ideal" | "cache"} */
    set_timing: ({ timing }) => machine.setTiming(timing),
    /** {pace: "real" | "free"} */
    set_pace: ({ pace }) => {
      if (pace !== 'real' && pace !== 'free') throw new Error(`pace is ${pace}, not "real" or "free".`);
      machine.options.pace = pace;
    },
    /** A push on the RUN pin's button. */
    run_pin: () => machine.requestReset(),
    power_cycle: () => machine.powerCycle(),
    usb_unplug: () => machine.host.unplug(),
    usb_plug: () => machine.host.plug(),
    /** {name, from, to}: see marks.mjs. */
    measure: ({ name, from, to }) => machine.marks.add(name, from, to),
    measures: () => machine.marks.read(),
    measure_stop: ({ name }) => machine.marks.remove(name),
    /** Where the cycles go, from now on; slows the emulator down. */
    profile_start: () => machine.chip.core.setProfiling(true),
    profile_stop: () => machine.chip.core.setProfiling(false),
    /** {first, last}: [address, cycles, times] of each instruction that ran between. */
    profile: ({ first, last }) => {
      const { profile } = machine.chip.core;
      if (!profile) throw new Error('There is no profile: profile_start.');
      return profile.read(first, last);
    },
    /** {path, irq, words}: see recorder.mjs. */
    record: (given) => recorder.start(given),
    record_stop: () => recorder.stop(),
    /** {first, count}: words of the law's block, and the carrier's period (null without a bench) they are of. */
    read_block: ({ first, count }) => {
      const block = findBlock(machine);
      if (block < 0) throw new Error('No control law runs: its driver has told no address of its block.');
      const words = machine.memory.ram32.subarray(block + first, block + first + count);
      return { period: machine.kept.bench?.period ?? null, words: [...words] };
    },
    /** {address, size}: bytes as hexadecimal text, as the core would read them. */
    read_memory: ({ address, size }) => {
      let text = '';
      for (let k = 0; k < size; k++) text += machine.chip.readUint8(address + k).toString(16).padStart(2, '0');
      return text;
    },
    /** {address, data: hexadecimal text}: writes SRAM. */
    write_memory: ({ address, data }) => {
      for (let k = 0; k < data.length / 2; k++)
        machine.chip.writeUint8(address + k, parseInt(data.slice(2 * k, 2 * k + 2), 16));
    },
  });
}
