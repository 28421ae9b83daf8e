// The watchdog (RP2040 datasheet section 4.7). rp2040js's rings again at once when it expires, for ever, and
// leaves the reset to others.

import { BasePeripheral } from './stock.mjs';

const CTRL = 0x00;
const LOAD = 0x04;
const REASON = 0x08;
const SCRATCH0 = 0x0c;
const SCRATCH7 = 0x28;
const TICK = 0x2c;
const TRIGGER = 1 << 31;
const ENABLE = 1 << 30;
const PAUSES = 7 << 24;
const TIME = 0xffffff;
const TICK_RUNNING = 1 << 10;
const REASON_TIMER = 1;
const REASON_FORCE = 2;
const NANOS_PER_COUNT = 500; // it counts twice per microsecond (erratum RP2040-E1)

export class Watchdog extends BasePeripheral {
  /** `kept` is {scratch, reason} from before the reset; `onExpire` resets the chip. */
  constructor(chip, kept, onExpire) {
    super(chip, 'WATCHDOG_BASE');
    this.kept = kept;
    this.onExpire = onExpire;
    this.control = PAUSES;
    this.tick = 0;
    this.load = 0;
    this.loadedAt = 0;
    this.alarm = chip.clock.createAlarm(() => this.expire(REASON_TIMER));
  }

  expire(reason) {
    this.kept.reason = reason;
    this.onExpire();
  }

  get count() {
    if (!(this.control & ENABLE)) return this.load;
    const passed = Math.floor((this.rp2040.clock.nanos - this.loadedAt) / NANOS_PER_COUNT);
    return Math.max(0, this.load - passed);
  }

  readUint32(offset) {
    if (offset === CTRL) return (this.control | this.count) >>> 0;
    if (offset === REASON) return this.kept.reason;
    if (offset >= SCRATCH0 && offset <= SCRATCH7) return this.kept.scratch[(offset - SCRATCH0) >> 2];
    if (offset === TICK) return this.tick | TICK_RUNNING;
    return 0;
  }

  writeUint32(offset, value) {
    if (offset === CTRL) {
      const count = this.count;
      this.control = value & (ENABLE | PAUSES);
      this.load = count;
      this.start();
      if (this.rawWriteValue & TRIGGER && value & TRIGGER) this.expire(REASON_FORCE);
    } else if (offset === LOAD) {
      this.load = value & TIME;
      this.start();
    } else if (offset >= SCRATCH0 && offset <= SCRATCH7) this.kept.scratch[(offset - SCRATCH0) >> 2] = value;
    else if (offset === TICK) this.tick = value & 0x3ff;
  }

  start() {
    this.loadedAt = this.rp2040.clock.nanos;
    if (this.control & ENABLE) this.alarm.schedule(this.load * NANOS_PER_COUNT);
    else this.alarm.cancel();
  }
}
