// The single-cycle I/O block: what rp2040js lacks of it for one core.

import { RPPSM, RPSIO } from './stock.mjs';

const FIFO_ST = 0x50;
const FIFO_WR = 0x54;
const FIFO_RD = 0x58;
const FIFO_VALID = 1 << 0;
const FIFO_READY = 1 << 1;
const FRCE_OFF = 0x04;
const PROC1 = 1 << 16;
const DIV_UDIVIDEND = 0x60;
const DIV_SDIVISOR = 0x6c;
const DIV_QUOTIENT = 0x70;
const DIV_REMAINDER = 0x74;

export class Sio extends RPSIO {
  constructor(chip) {
    super(chip);
    this.fifo = []; // from core 1, which gets no further than its ROM
  }

  readUint32(offset) {
    if (offset === FIFO_ST) return FIFO_READY | (this.fifo.length ? FIFO_VALID : 0);
    if (offset === FIFO_RD) return this.fifo.shift() ?? 0;
    // rp2040js leaves a fraction behind, which a later read as an integer would hide but a write back would not.
    if (offset === DIV_QUOTIENT || offset === DIV_REMAINDER) return super.readUint32(offset) | 0;
    return super.readUint32(offset);
  }

  writeUint32(offset, value) {
    if (offset === FIFO_ST || offset === FIFO_WR) return;
    super.writeUint32(offset, value);
    if (offset >= DIV_UDIVIDEND && offset <= DIV_SDIVISOR && this.divDivisor === 0) {
      // RP2040 datasheet section 2.3.1.5: all ones, or for a negative signed dividend 1.
      const isSigned = (offset & 8) !== 0;
      this.divQuotient = isSigned && (this.divDividend | 0) < 0 ? 1 : -1;
      this.divRemainder = this.divDividend;
    }
  }
}

/** Core 1 coming out of reset says so through the FIFO (RP2040 datasheet section 2.8.2), which firmware awaits. */
export class Psm extends RPPSM {
  writeUint32(offset, value) {
    const wasOff = this.frceOff & PROC1;
    super.writeUint32(offset, value);
    if (offset === FRCE_OFF && wasOff && !(this.frceOff & PROC1)) this.rp2040.sio.fifo.push(0);
  }
}
