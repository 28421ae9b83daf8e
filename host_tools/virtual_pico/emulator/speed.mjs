// How fast the emulator is: node speed.mjs firmware.uf2 [ideal|cache]
//
// MicroPython runs an endless loop of bytecode; then rp2040js's own core goes on from the same state with its
// own clock. Cycles per second of CPU time, so that a busy machine does not matter.

import { Machine } from './machine.mjs';
import { RP2040, SimulationClock } from './stock.mjs';

const LOOP = '\x01i = 0\nwhile True:\n    i = (i + 7) & 1023\n\x04';
const CYCLES = 200e6;

function cpuSeconds(work) {
  const began = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1e6;
}

const [firmware, timing = 'ideal'] = process.argv.slice(2);
const typed = [];
let said = '';
const port = {
  isOpen: true,
  canWrite: () => true,
  write: (bytes) => (said += Buffer.from(bytes).toString('latin1')),
  read: (limit) => Uint8Array.from(typed.splice(0, limit)),
};
const machine = new Machine({ firmware, timing }, port);
while (!said.includes('>>> ')) machine.run(1e6);
typed.push(...Buffer.from(LOOP));
machine.host.wake();
machine.run(CYCLES); // let V8 see it
const before = machine.cycles;
const seconds = cpuSeconds(() => machine.run(CYCLES));
const rate = (machine.cycles - before) / seconds / 1e6;
console.log(`this emulator, ${timing}: ${rate.toFixed(0)} M cycles per CPU second`);

const { core } = machine.chip;
const clock = new SimulationClock();
const stock = new RP2040(clock);
stock.logger = { debug() {}, info() {}, warn() {}, error() {} };
stock.flash.set(machine.memory.flash8);
stock.sram.set(machine.chip.sram);
stock.core.registers.set(core.registers);
stock.core.PC = core.PC;
stock.core.APSR = core.APSR;
let cycles = 0;
const stockSeconds = cpuSeconds(() => {
  while (cycles < CYCLES / 20) {
    const taken = stock.core.executeInstruction();
    clock.tick(taken * 8);
    cycles += taken;
  }
});
console.log(`rp2040js as it is: ${(cycles / stockSeconds / 1e6).toFixed(0)} M cycles per CPU second`);
