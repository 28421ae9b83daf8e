// A boot ROM of our own: what firmware looks up in it by name (RP2040 datasheet section 2.8.3), nothing else.
//
// Each function is two instructions: UDF, at which the core calls the JavaScript of that number, and BX LR.
// Tables and their places are as the datasheet says; the code of the chip's own ROM is not in it.

import { DOUBLES, FLOATS } from './floats.mjs';

const ROM_VERSION = 3; // RP2040-B2
const BX_LR = 0x4770;
const UDF = 0xde00;
const FIRST_FUNCTION = 0x100;
const FUNCTION_TABLE = 0x1000;
const DATA_TABLE = 0x1200;
const FLOAT_TABLE = 0x1400;
const DOUBLE_TABLE = 0x1500;
const TABLE_ENTRIES = 0x80 / 4;
const SRAM5_END = 0x20042000;
const BOOT2 = 0x20041f00; // where the ROM puts the first 256 bytes of the flash to run them
const BOOT2_SIZE = 256;

const code = (name) => name.charCodeAt(0) | (name.charCodeAt(1) << 8);

/** [code in the table, name, function of the machine and its registers, which returns cycles if not 0]. */
const FUNCTIONS = [
  ['P3', 'popcount32', (_, R) => {
    let count = 0;
    for (let x = R[0]; x !== 0; x &= x - 1) count++;
    R[0] = count;
    return 15;
  }],
  ['R3', 'reverse32', (_, R) => {
    let reversed = 0;
    for (let k = 0; k < 32; k++) reversed |= ((R[0] >>> k) & 1) << (31 - k);
    R[0] = reversed;
    return 15;
  }],
  ['L3', 'clz32', (_, R) => {
    R[0] = Math.clz32(R[0]);
    return 15;
  }],
  ['T3', 'ctz32', (_, R) => {
    R[0] = R[0] === 0 ? 32 : 31 - Math.clz32(R[0] & -R[0]);
    return 15;
  }],
  ['MS', 'memset', setMemory],
  ['S4', 'memset4', setMemory],
  ['MC', 'memcpy', copyMemory],
  ['C4', 'memcpy44', copyMemory],
  ['IF', 'connect_internal_flash', () => 0],
  ['EX', 'flash_exit_xip', () => 0],
  ['RE', 'flash_range_erase', (machine, R) => machine.flash.erase(R[0] >>> 0, R[1] >>> 0)],
  ['RP', 'flash_range_program', (machine, R) => {
    const { chip } = machine;
    const from = R[1] >>> 0;
    return machine.flash.program(R[0] >>> 0, R[2] >>> 0, (k) => chip.readUint8(from + k));
  }],
  ['FC', 'flash_flush_cache', (machine) => machine.flushCache()],
  ['CX', 'flash_enter_cmd_xip', () => 0],
  ['UB', 'reset_usb_boot', (machine) => {
    machine.enterBootsel();
    return 0;
  }],
];

function setMemory({ chip }, R) {
  const size = R[2] >>> 0;
  const to = R[0] >>> 0;
  for (let k = 0; k < size; k++) chip.writeUint8(to + k, R[1] & 0xff);
  return 20 + (size >> 1);
}

function copyMemory({ chip }, R) {
  const size = R[2] >>> 0;
  const to = R[0] >>> 0;
  const from = R[1] >>> 0;
  for (let k = 0; k < size; k++) chip.writeUint8(to + k, chip.readUint8(from + k));
  // Words where both ends agree in alignment, else bytes.
  return 20 + ((to ^ from) & 3 ? 5 * size : size);
}

/** Looks a code up in a table of pairs of halfwords: what the ROM offers as rom_table_lookup. */
function lookUp({ chip }, R) {
  let at = R[0] >>> 0;
  const wanted = R[1] & 0xffff;
  let found = 0;
  for (let entry = chip.readUint16(at); entry !== 0; at += 4, entry = chip.readUint16(at)) {
    if (entry === wanted) {
      found = chip.readUint16(at + 2);
      break;
    }
  }
  R[0] = found;
  return 40;
}

/** Writes the ROM into `rom` (bytes) and lets `core` call its functions. */
export function installBootRom(machine, rom, core) {
  const view = new DataView(rom.buffer, rom.byteOffset, rom.byteLength);
  const calls = [];
  const addFunction = (call) => {
    const address = FIRST_FUNCTION + 4 * calls.length;
    view.setUint16(address, UDF | calls.length, true);
    view.setUint16(address + 2, BX_LR, true);
    calls.push(call);
    return address | 1;
  };
  view.setUint32(0, SRAM5_END, true);
  view.setUint32(4, 0, true); // never entered: `boot` does what the reset handler does
  view.setUint8(0x10, 'M'.charCodeAt(0));
  view.setUint8(0x11, 'u'.charCodeAt(0));
  view.setUint8(0x12, 1);
  view.setUint8(0x13, ROM_VERSION);
  view.setUint16(0x14, FUNCTION_TABLE, true);
  view.setUint16(0x16, DATA_TABLE, true);
  view.setUint16(0x18, addFunction((R) => lookUp(machine, R)), true);
  FUNCTIONS.forEach(([name, , call], k) => {
    view.setUint16(FUNCTION_TABLE + 4 * k, code(name), true);
    view.setUint16(FUNCTION_TABLE + 4 * k + 2, addFunction((R) => call(machine, R)), true);
  });
  [['SF', FLOAT_TABLE, FLOATS], ['SD', DOUBLE_TABLE, DOUBLES]].forEach(([name, at, functions], k) => {
    view.setUint16(DATA_TABLE + 4 * k, code(name), true);
    view.setUint16(DATA_TABLE + 4 * k + 2, at, true);
    view.setUint8(at - 2, TABLE_ENTRIES); // the SDK reads here how much there is
    for (const [offset, , cycles, call] of functions) {
      const address = addFunction((R) => {
        call(R);
        return cycles;
      });
      view.setUint32(at + offset, address, true);
    }
  });
  core.callRom = (number) => {
    core.clock.left -= calls[number](core.R);
  };
}

/** What the reset handler does: the second stage of the flash runs in SRAM, and the image behind it starts. */
export function boot({ chip, memory }) {
  const { core } = chip;
  memory.ram8.set(memory.flash8.subarray(0, BOOT2_SIZE), BOOT2 & 0x7ffff);
  core.VTOR = 0;
  core.R.fill(0);
  core.SP = BOOT2; // its stack grows down from where it lies
  core.R[14] = 0; // tells the second stage to go on into the flash by itself
  core.pc = BOOT2;
}
