// Records what the control law saw and did, interrupt by interrupt, so that it can be computed again elsewhere.
//
// At each entry of the law's interrupt and at each end the first `words` of its block go into the file: 32-bit
// integers, little endian, the row of the entry and then the row of the end. DMA has put the samples there before
// the entry; the mailbox is in the same block.

import fs from 'node:fs';
import { findBlock } from './block.mjs';

const ROWS_AT_ONCE = 256;

export class Recorder {
  constructor(machine) {
    this.machine = machine;
    this.file = -1;
  }

  /** Begins: `irq` is the number of the interrupt, `words` the length of the block. */
  start({ path, irq, words }) {
    if (this.file >= 0) throw new Error('A recording runs already: record_stop.');
    if (!(words > 0 && irq >= 0)) throw new Error('A recording needs irq and words.');
    this.file = fs.openSync(path, 'w');
    this.words = words;
    this.rows = new Int32Array(ROWS_AT_ONCE * words);
    this.filled = 0;
    this.count = 0;
    this.isWithin = false; // an interrupt that began before the recording has no entry row
    const { marks } = this.machine;
    this.listeners = [
      [`irq:${irq}`, () => ((this.isWithin = true), this.take())],
      [`end:${irq}`, () => this.isWithin && (this.take(), (this.count += 1), (this.isWithin = false))],
    ];
    marks.listeners.push(...this.listeners);
    marks.apply();
  }

  take() {
    const { memory } = this.machine;
    const first = findBlock(this.machine);
    this.rows.set(memory.ram32.subarray(first, first + this.words), this.filled * this.words);
    if (++this.filled === ROWS_AT_ONCE) this.flush();
  }

  flush() {
    fs.writeSync(this.file, new Uint8Array(this.rows.buffer, 0, this.filled * this.words * 4));
    this.filled = 0;
  }

  /** Ends; returns how many interrupts were recorded. */
  stop() {
    if (this.file < 0) throw new Error('There is no recording.');
    const { marks } = this.machine;
    marks.listeners = marks.listeners.filter((listener) => !this.listeners.includes(listener));
    marks.apply();
    // A row of an entry whose end is not there is left out.
    if (this.isWithin) {
      if (this.filled === 0) fs.ftruncateSync(this.file, 2 * this.count * this.words * 4);
      else this.filled -= 1;
    }
    this.flush();
    fs.closeSync(this.file);
    this.file = -1;
    return { interrupts: this.count };
  }
}
