// What the timing model "cache" adds to the ideal cycle counts, and where its numbers come from.
//
// XIP cache (RP2040 datasheet section 2.6.3.1): 16 KB, two ways, lines of 8 bytes of which each half is filled by
// itself, since the SSI reads 32 bits at a time. A hit costs nothing more. A miss costs one continuous quad read:
// 8 clocks of address and mode, 4 of waiting, 8 of data, each as long as the divider in BAUDR that the second
// stage has set (2: 62.5 MHz at 125 MHz), and some cycles for chip select and the bridge.
// Exceptions (ARM DDI 0484 section 3.6.1): 15 cycles to enter with no wait states; the way out is not documented
// and taken as long.
//
// Not modelled, here or in the ideal counts: contention of core and DMA for the same bank of SRAM or the same bus,
// fetches beyond a branch, the other core, and late arrival and tail-chaining of interrupts. Which way of the cache
// is replaced is not documented: the older one is taken.

const SETS = 1024;
const READ_CLOCKS = 8 + 4 + 8;
const OVERHEAD = 10; // cycles: a load that misses takes about 400 ns at 125 MHz on silicon
const EXCEPTION = 15;

export class XipCache {
  /** `divider()` is clk_sys per clock of the flash. */
  constructor(divider) {
    this.divider = divider;
    this.tags = new Int32Array(2 * SETS).fill(-1);
    this.halves = new Uint8Array(2 * SETS); // bit 0: lower word is there, bit 1: upper word
    this.older = new Uint8Array(SETS);
    this.accesses = 0;
    this.misses = 0;
  }

  clearCounters() {
    this.accesses = 0;
    this.misses = 0;
  }

  flush() {
    this.tags.fill(-1);
    this.halves.fill(0);
  }

  /** Cycles that an access to `address` (0x10......) waits. */
  read(address) {
    const alias = (address >>> 24) & 3;
    this.accesses += 1;
    // 0x12 and 0x13 are not looked up, 0x11 and 0x13 are not kept.
    const line = (address & 0xffffff) >>> 3;
    const set = line & (SETS - 1);
    const tag = line >>> 10;
    const half = 1 << ((address >>> 2) & 1);
    let way = this.tags[2 * set] === tag ? 0 : this.tags[2 * set + 1] === tag ? 1 : -1;
    if (alias < 2 && way >= 0 && this.halves[2 * set + way] & half) {
      this.older[set] = 1 - way;
      return 0;
    }
    this.misses += 1;
    if ((alias & 1) === 0) {
      if (way < 0) {
        way = this.older[set];
        this.tags[2 * set + way] = tag;
        this.halves[2 * set + way] = 0;
      }
      this.halves[2 * set + way] |= half;
      this.older[set] = 1 - way;
    }
    return READ_CLOCKS * this.divider() + OVERHEAD;
  }

  /** Forgets the line of `address`. */
  drop(address) {
    const line = (address & 0xffffff) >>> 3;
    const set = line & (SETS - 1);
    for (const way of [0, 1]) if (this.tags[2 * set + way] === line >>> 10) this.halves[2 * set + way] = 0;
  }

  /** As `read`, for code. */
  fetch(address) {
    return this.read(address);
  }
}

// Clearing the tags takes a cycle a set (section 2.6.3.2).
export const FLUSH_CYCLES = SETS;
export const EXCEPTION_CYCLES = { entry: EXCEPTION, exit: EXCEPTION };
export const NO_CYCLES = { entry: 0, exit: 0 };
