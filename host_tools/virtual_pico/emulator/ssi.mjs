// The serial interface to the flash when firmware talks to the chip itself (RP2040 datasheet section 4.10), and
// the pads it does that by. rp2040js answers every command with zeros, so that all boards have one identity.

import { BasePeripheral, RPSSI } from './stock.mjs';

const CTRLR0 = 0x00;
const SSIENR = 0x08;
const BAUDR = 0x14;
const TXFLR = 0x20;
const RXFLR = 0x24;
const SR = 0x28;
const DR0 = 0x60;
const SR_READY = (1 << 1) | (1 << 2); // room to send, nothing left to send
const SR_RECEIVED = 1 << 3;
const SS_CTRL = 0x0c; // of the pads
const OUTOVER_LOW = 2;

// Commands of a W25Q16JV: what the bytes after them read as.
const READ_STATUS_1 = 0x05;
const READ_STATUS_2 = 0x35;
const READ_UNIQUE_ID = 0x4b; // after four more bytes
const READ_JEDEC_ID = 0x9f;
const QUAD_ENABLED = 2;

export class Ssi extends RPSSI {
  /** `identity` are the 8 bytes of the flash's own number. */
  constructor(chip, name, identity) {
    super(chip, name);
    this.identity = identity;
    this.received = [];
    this.sent = 0; // bytes of the present command
    this.command = 0;
  }

  get divider() {
    return Math.max(2, this.baudr || 2);
  }

  /** A new command begins: chip select has moved, or the interface was switched on. */
  begin() {
    this.sent = 0;
    this.received.length = 0;
  }

  readUint32(offset) {
    if (offset === SR) return SR_READY | (this.received.length ? SR_RECEIVED : 0);
    if (offset === RXFLR) return this.received.length;
    if (offset === TXFLR) return 0;
    if (offset === DR0) return this.received.shift() ?? 0;
    return super.readUint32(offset);
  }

  writeUint32(offset, value) {
    if (offset === DR0) {
      if (this.sent === 0) this.command = value & 0xff;
      this.received.push(this.answer(this.sent));
      this.sent += 1;
      // The second stage relies on chip select rising by itself after a command of two bytes.
      if (!this.isHeld && this.sent === 2) this.sent = 0;
      return;
    }
    if (offset === SSIENR || offset === CTRLR0) this.begin();
    super.writeUint32(offset, offset === BAUDR ? value & 0xffff : value);
  }

  answer(place) {
    if (place === 0) return 0xff;
    if (this.command === READ_STATUS_1) return 0;
    if (this.command === READ_STATUS_2) return QUAD_ENABLED;
    if (this.command === READ_JEDEC_ID) return [0xef, 0x40, 0x15][place - 1] ?? 0;
    if (this.command === READ_UNIQUE_ID) return this.identity[place - 5] ?? 0;
    return 0xff;
  }
}

/** Keeps what is written; chip select held low by OUTOVER frames one command. */
export class QspiPads extends BasePeripheral {
  constructor(chip, name, ssi) {
    super(chip, name);
    this.ssi = ssi;
    this.registers = new Uint32Array(0x60 / 4);
  }

  readUint32(offset) {
    return this.registers[offset >> 2] ?? 0;
  }

  writeUint32(offset, value) {
    if (offset >> 2 >= this.registers.length) return;
    this.registers[offset >> 2] = value;
    if (offset !== SS_CTRL) return;
    this.ssi.isHeld = ((value >>> 8) & 3) === OUTOVER_LOW;
    this.ssi.begin();
  }
}
