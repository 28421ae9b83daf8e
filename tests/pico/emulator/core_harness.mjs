// Short programs on our core and on rp2040js's, from the same state.

import { Chip } from '../../../host_tools/virtual_pico/emulator/chip.mjs';
import { Memory } from '../../../host_tools/virtual_pico/emulator/memory.mjs';
import { RP2040, SimulationClock } from '../../../host_tools/virtual_pico/emulator/stock.mjs';

export const PROGRAM = 0x20001000;
export const DATA = 0x20003000;
export const STACK = 0x20008000;
export const VECTORS = 0x20000000;

/** Our chip with a program of halfwords at PROGRAM. */
export function ours(program = []) {
  const said = [];
  const chip = new Chip(new Memory(), (text) => said.push(text));
  chip.said = said;
  program.forEach((halfword, k) => chip.writeUint16(PROGRAM + 2 * k, halfword));
  const { core } = chip;
  core.VTOR = VECTORS;
  core.SP = STACK;
  core.pc = PROGRAM;
  return chip;
}

/** rp2040js's with the same. */
export function stock(program = []) {
  const chip = new RP2040(new SimulationClock());
  chip.logger = { debug() {}, info() {}, warn() {}, error() {} };
  program.forEach((halfword, k) => chip.writeUint16(PROGRAM + 2 * k, halfword));
  const { core } = chip;
  core.VTOR = VECTORS;
  core.SP = STACK;
  core.PC = PROGRAM;
  return chip;
}

/** Registers and flags of either core, to compare. */
export function stateOf(core) {
  const registers = [...core.registers].slice(0, 15);
  return { registers, pc: core.PC >>> 0, flags: core.APSR >>> 28 };
}

/** Random numbers that repeat. */
export function randomWords(seed) {
  let x = seed >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}
