// Time of one chip, from one reset to the next, counted in cycles of clk_sys.
//
// rp2040js keeps nanoseconds and walks through its alarms after every instruction. Here the core runs until
// `end`, the next cycle at which anything happens, and counts `left` down; an alarm that is set meanwhile only
// shortens the run. Alarms are sorted by cycle; alarms in nanoseconds move when clk_sys changes, alarms in
// cycles do not.

const SOON = 2 ** 30; // the longest run, so that `left` stays a small integer

const MOST_AT_ONCE = 1e6;

class Alarm {
  constructor(clock, callback, inCycles) {
    this.clock = clock;
    this.callback = callback;
    this.inCycles = inCycles;
    this.cycle = 0;
    this.nanos = 0;
    this.scheduled = false;
    this.next = null;
  }

  /** Rings `delta` nanoseconds from now, never early. */
  schedule(delta) {
    const { clock } = this;
    this.inCycles = false;
    this.nanos = clock.nanos + delta;
    clock.insert(this, clock.cycleAt(this.nanos));
  }

  /** Rings at cycle `cycle`, or at once when that is over. */
  scheduleAt(cycle) {
    this.inCycles = true;
    this.clock.insert(this, Math.max(cycle, this.clock.cycles));
  }

  /** Rings `delta` cycles from now. */
  scheduleIn(delta) {
    this.inCycles = true;
    this.clock.insert(this, this.clock.cycles + delta);
  }

  cancel() {
    if (this.scheduled) this.clock.remove(this);
  }
}

export class Clock {
  /** `frequency` of clk_sys in Hz. */
  constructor(frequency = 125e6) {
    this.frequency = frequency;
    this.end = 0;
    this.left = 0;
    this.first = null;
    // The cycle and the nanosecond at which clk_sys last changed.
    this.baseCycle = 0;
    this.baseNanos = 0;
    this.nanosPerCycle = 1e9 / frequency;
  }

  /** Cycles of clk_sys since reset. */
  get cycles() {
    return this.end - this.left;
  }

  /** Nanoseconds since reset. */
  get nanos() {
    return this.baseNanos + (this.end - this.left - this.baseCycle) * this.nanosPerCycle;
  }

  get micros() {
    return this.nanos / 1000;
  }

  /** The first cycle that is not before `nanos`. */
  cycleAt(nanos) {
    // A thousandth of a cycle is rounding, not time.
    return this.baseCycle + Math.ceil((nanos - this.baseNanos) / this.nanosPerCycle - 0.001);
  }

  setFrequency(frequency) {
    const { nanos, cycles } = this;
    this.baseNanos = nanos;
    this.baseCycle = cycles;
    this.frequency = frequency;
    this.nanosPerCycle = 1e9 / frequency;
    const moving = [];
    for (let alarm = this.first; alarm; alarm = alarm.next) if (!alarm.inCycles) moving.push(alarm);
    for (const alarm of moving) this.insert(alarm, Math.max(cycles, this.cycleAt(alarm.nanos)));
  }

  createAlarm(callback) {
    return new Alarm(this, callback, false);
  }

  createCycleAlarm(callback) {
    return new Alarm(this, callback, true);
  }

  insert(alarm, cycle) {
    if (alarm.scheduled) this.remove(alarm);
    alarm.cycle = cycle;
    alarm.scheduled = true;
    let before = null;
    let after = this.first;
    while (after && after.cycle <= cycle) {
      before = after;
      after = after.next;
    }
    alarm.next = after;
    if (before) before.next = alarm;
    else {
      this.first = alarm;
      if (cycle < this.end) this.shorten(cycle);
    }
  }

  remove(alarm) {
    alarm.scheduled = false;
    if (this.first === alarm) {
      this.first = alarm.next;
      return;
    }
    let before = this.first;
    while (before && before.next !== alarm) before = before.next;
    if (before) before.next = alarm.next;
  }

  /** Ends the run at `cycle`, or at once when that is over. */
  shorten(cycle) {
    const now = this.end - this.left;
    this.end = cycle > now ? cycle : now;
    this.left = this.end - now;
  }

  /** Ends the run before the next instruction. */
  interrupt() {
    this.end -= this.left;
    this.left = 0;
  }

  /** Rings every alarm that is due. */
  ring() {
    const now = this.end - this.left;
    let alarm = this.first;
    let count = 0;
    while (alarm !== null && alarm.cycle <= now) {
      // Two alarms that set each other for the same cycle would never let time pass.
      if (++count > MOST_AT_ONCE) throw new Error(`Alarms ring for ever at cycle ${alarm.cycle}: ${alarm.callback}`);
      this.first = alarm.next;
      alarm.scheduled = false;
      // A callback sees its own cycle, though the instruction that was running may have ended later.
      this.end = alarm.cycle;
      this.left = 0;
      alarm.callback();
      alarm = this.first;
    }
    this.end = now;
    this.left = 0;
  }

  /** Starts a run up to the next alarm, at most to `limit`. */
  open(limit) {
    const now = this.end - this.left;
    let end = this.first !== null && this.first.cycle < limit ? this.first.cycle : limit;
    if (end - now > SOON) end = now + SOON;
    this.end = end;
    this.left = end - now;
  }

  /** Time passes with nothing running, up to the next alarm, at most to `limit`. */
  skip(limit) {
    this.end = this.first !== null && this.first.cycle < limit ? this.first.cycle : limit;
    this.left = 0;
  }
}
