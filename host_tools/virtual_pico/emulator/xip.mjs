// Registers of the XIP cache (RP2040 datasheet section 2.6.3.6): flushing it, and its counters of accesses and
// hits, which count only with the timing model "cache".

import { BasePeripheral } from './stock.mjs';

const CTRL = 0x00;
const FLUSH = 0x04;
const STAT = 0x08;
const CTR_HIT = 0x0c;
const CTR_ACC = 0x10;
const ENABLED = 1;
const FLUSH_READY = 1 << 1;
const FIFO_EMPTY = 1 << 2;

export class XipControl extends BasePeripheral {
  get cache() {
    return this.rp2040.core.cache;
  }

  readUint32(offset) {
    if (offset === CTRL) return ENABLED;
    if (offset === STAT) return FLUSH_READY | FIFO_EMPTY;
    if (offset === CTR_HIT) return this.cache ? this.cache.accesses - this.cache.misses : 0;
    if (offset === CTR_ACC) return this.cache ? this.cache.accesses : 0;
    return 0;
  }

  writeUint32(offset) {
    if (offset === FLUSH) this.cache?.flush();
    if ((offset === CTR_HIT || offset === CTR_ACC) && this.cache) this.cache.clearCounters();
  }
}
