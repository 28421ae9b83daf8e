// The flash chip: 2 MB that survive the process in a file, written through at each erase and program.
//
// A power cut (the process is killed) leaves the file as a flash would be left: sectors erased and pages
// programmed before it are done, those after it are not.

import fs from 'node:fs';

import { FLASH_SIZE } from './memory.mjs';

const SECTOR = 4096;
const PAGE = 256;
const FLASH_START = 0x10000000;
// Typical times of a W25Q16JV, in which nothing else runs.
const ERASE_NANOS = 45e6;
const PROGRAM_NANOS = 0.4e6;

const UF2_MAGIC = [0x0a324655, 0x9e5d5157, 0x0ab16f30];
const UF2_NOT_MAIN_FLASH = 1;
export const UF2_BLOCK = 512;

/** A block of a UF2 file: {offset in the flash, bytes, number, count}; null for what is not for the flash. */
export function readBlock(file, at) {
  const word = (k) => file.readUInt32LE(at + k);
  if (word(0) !== UF2_MAGIC[0] || word(4) !== UF2_MAGIC[1] || word(UF2_BLOCK - 4) !== UF2_MAGIC[2]) return null;
  if (word(8) & UF2_NOT_MAIN_FLASH) return null;
  const offset = word(12) - FLASH_START;
  const size = word(16);
  if (offset < 0 || offset + size > FLASH_SIZE) return null;
  return { offset, bytes: file.subarray(at + 32, at + 32 + size), number: word(20), count: word(24) };
}

/** The blocks of a UF2 file; throws Error when it has none or something else in between. */
export function readUf2(path) {
  const file = fs.readFileSync(path);
  const blocks = [];
  for (let at = 0; at + UF2_BLOCK <= file.length; at += UF2_BLOCK) {
    const block = readBlock(file, at);
    if (!block) throw new Error(`${path} is not a UF2 file for this flash: see its block ${at / UF2_BLOCK}.`);
    blocks.push(block);
  }
  if (!blocks.length) throw new Error(`${path} holds no block for the flash.`);
  return blocks;
}

export class Flash {
  /** `bytes` is the memory it fills, `path` the file ("" for none), `clock()` the chip's clock. */
  constructor(bytes, path, clock) {
    this.bytes = bytes;
    this.clock = clock;
    this.file = -1;
    this.erased = 0; // sectors
    this.programmed = 0; // pages
    this.isNew = true;
    if (path) this.open(path);
  }

  open(path) {
    this.file = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
    const { size } = fs.fstatSync(this.file);
    if (size !== 0 && size !== FLASH_SIZE)
      throw new Error(`${path} has ${size} bytes; an image of the flash has ${FLASH_SIZE}.`);
    this.isNew = size === 0;
    if (this.isNew) fs.writeSync(this.file, this.bytes, 0, FLASH_SIZE, 0);
    else fs.readSync(this.file, this.bytes, 0, FLASH_SIZE, 0);
  }

  /** Puts a UF2 image in; the rest of the flash keeps what it holds. */
  install(path) {
    for (const { offset, bytes } of readUf2(path)) this.put(offset, bytes);
  }

  /** Puts bytes in as the boot ROM does, which erases what it programs. */
  put(offset, bytes) {
    this.bytes.set(bytes, offset);
    this.keep(offset, bytes.length);
  }

  /** Erases whole sectors; returns the cycles it takes. */
  erase(offset, size) {
    for (let at = offset; at < offset + size; at += SECTOR) {
      this.bytes.fill(0xff, at, at + SECTOR);
      this.keep(at, SECTOR);
      this.erased += 1;
    }
    return this.wait(ERASE_NANOS * Math.ceil(size / SECTOR));
  }

  /** Programs pages, which can only clear bits; `byteAt(k)` gives the data. Returns the cycles it takes. */
  program(offset, size, byteAt) {
    for (let at = offset; at < offset + size; at += PAGE) {
      const end = Math.min(at + PAGE, offset + size);
      for (let k = at; k < end; k++) this.bytes[k] &= byteAt(k - offset);
      this.keep(at, end - at);
      this.programmed += 1;
    }
    return this.wait(PROGRAM_NANOS * Math.ceil(size / PAGE));
  }

  keep(offset, size) {
    if (this.file >= 0) fs.writeSync(this.file, this.bytes, offset, size, offset);
  }

  wait(nanos) {
    return Math.round(nanos / this.clock().nanosPerCycle);
  }
}
