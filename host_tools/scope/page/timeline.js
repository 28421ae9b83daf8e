// Device time along one axis.  A drive that was restarted counts from 0 again: its rows go on to the
// right of the old ones after a gap, and the axis says the device time of each.

const BREAK = 0.5; // s of empty axis between two lives of a drive

export class Timeline {
  constructor() {
    this.epochs = []; // {epoch, start (axis), offset: axis less device time}
    this.last = 0;
  }

  /** Place of a device time on the axis. */
  place(epoch, seconds) {
    let found = this.epochs.find((each) => each.epoch === epoch);
    if (!found) {
      const newest = this.epochs.at(-1);
      if (newest && epoch < newest.epoch) return NaN; // of a life before the first that was seen
      const start = newest ? Math.max(this.last, newest.start) + BREAK : seconds;
      // A drive that only lost its link goes on counting, and so does the axis.
      const goesOn = newest && seconds + newest.offset >= this.last && seconds + newest.offset < this.last + 60;
      const offset = goesOn ? newest.offset : start - seconds;
      found = { epoch, start: goesOn ? seconds + offset : start, offset, fresh: !goesOn };
      this.epochs.push(found);
    }
    const x = seconds + found.offset;
    if (x > this.last) this.last = x;
    return x;
  }

  /** Device time at a place of the axis. */
  device(x) {
    let offset = 0;
    for (const each of this.epochs) if (x >= each.start - BREAK / 2) offset = each.offset;
    return x - offset;
  }

  /** Life of the drive at a place of the axis. */
  epochAt(x) {
    let epoch = this.epochs[0]?.epoch ?? 0;
    for (const each of this.epochs) if (x >= each.start - BREAK / 2) epoch = each.epoch;
    return epoch;
  }

  /** Where the drive was restarted. */
  restarts() {
    return this.epochs.filter((each, k) => k > 0 && each.fresh).map((each) => each.start);
  }
}
