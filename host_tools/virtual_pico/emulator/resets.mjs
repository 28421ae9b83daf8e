// The subsystem resets (RP2040 datasheet section 2.14): rp2040js keeps the bits and resets nothing.
//
// Firmware counts on it: the SDK's adc_init(), and a driver that takes a block over in an unknown state.

import { RPReset } from './stock.mjs';

const RESET = 0;
const DONE = 8;

const BLOCKS = {
  0: (chip) => chip.adc.reset(),
  2: (chip) => chip.dma.reset(),
  5: (chip) => chip.bank.reset(),
  8: (chip) => chip.bank.resetPads(),
  10: (chip) => chip.pio[0].reset(),
  11: (chip) => chip.pio[1].reset(),
  14: (chip) => chip.pwm.reset(),
  16: (chip) => chip.spi[0].reset(),
  17: (chip) => chip.spi[1].reset(),
};

export class Resets extends RPReset {
  readUint32(offset) {
    if (offset === DONE) return ~this.reset & 0x1ffffff;
    return super.readUint32(offset);
  }

  writeUint32(offset, value) {
    const held = offset === RESET ? value & ~this.reset : 0;
    super.writeUint32(offset, value);
    for (const [bit, reset] of Object.entries(BLOCKS)) if (held & (1 << bit)) reset(this.rp2040);
  }
}

export function attach({ chip }) {
  chip.peripherals[0x4000c] = new Resets(chip, 'RESETS_BASE');
}
