// BOOTSEL: the boot ROM shows a drive that takes firmware as a UF2 file (RP2040 datasheet section 2.8.4). Here the
// drive is a folder of the computer, which is looked at now and then.

import fs from 'node:fs';
import path from 'node:path';

import { UF2_BLOCK, readBlock } from './flash.mjs';

const INFO = 'INFO_UF2.TXT';
const TEXT = 'UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n';
const BOOT2_SIZE = 252; // bytes that the CRC after them is of

/** The CRC-32 by which the ROM knows a second stage (RP2040 datasheet section 2.8.1.3.1). */
export function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}

/** True when the flash begins with a second stage, without which the ROM goes into BOOTSEL. */
export function isBootable(flash) {
  const view = new DataView(flash.buffer, flash.byteOffset, BOOT2_SIZE + 4);
  return checksum(flash.subarray(0, BOOT2_SIZE)) === view.getUint32(BOOT2_SIZE, true);
}

export class Bootsel {
  /** `folder` is where the drive appears ("" for nowhere). */
  constructor(folder) {
    this.folder = folder;
    this.taken = new Set(); // blocks of the file that is coming in
    if (!folder) return;
    fs.mkdirSync(folder, { recursive: true });
    for (const name of fs.readdirSync(folder)) fs.rmSync(path.join(folder, name));
    fs.writeFileSync(path.join(folder, INFO), TEXT);
  }

  /** Programs the blocks that have come in; returns true when the last one has. */
  poll(flash) {
    if (!this.folder) return false;
    for (const name of fs.readdirSync(this.folder)) {
      if (!name.toLowerCase().endsWith('.uf2')) continue;
      const file = fs.readFileSync(path.join(this.folder, name));
      for (let at = 0; at + UF2_BLOCK <= file.length; at += UF2_BLOCK) {
        const block = readBlock(file, at);
        if (!block || this.taken.has(block.number)) continue;
        this.taken.add(block.number);
        flash.put(block.offset, block.bytes);
        if (this.taken.size === block.count) return true;
      }
    }
    return false;
  }

  /** The drive goes, as the board restarts. */
  close() {
    if (this.folder) fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
