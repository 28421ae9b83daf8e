// The shaft's encoder at the pins: the plant says where it is at a carrier's zero and how fast it turns, and the edges
// of the period that follows are spread accordingly. An absolute sensor is asked where it is at any time.
//
// Place p (0 .. counts-1) shows as A, B = 0 0, 1 0, 1 1, 0 1 for p mod 4 = 0, 1, 2, 3: A leads for positive rotation.
// The index Z is high at place 0.

const A_LEVELS = [false, true, true, false];
const B_LEVELS = [false, false, true, true];

export class Encoder {
  /** `pins`: numbers of a, b, z (z may be missing). */
  constructor(clock, pins) {
    this.clock = clock;
    this.alarm = clock.createCycleAlarm(() => this.step());
    this.turnover = clock.createCycleAlarm(() => this.start(...this.coming));
    this.coming = null;
    this.a = pins?.a;
    this.b = pins?.b;
    this.z = pins?.z;
    this.counts = 0;
    this.place = null; // what the pins show, unwrapped
    this.goal = 0;
    this.from = 0; // position at `begin`
    this.motion = 0; // counts from `begin` to `begin + span`
    this.begin = 0;
    this.span = 1;
    this.edges = 0;
  }

  /** From cycle `begin` on the shaft turns from `position` by `motion` counts in `span` cycles; `counts` a turn. */
  follow(position, motion, counts, begin, span) {
    if (this.place === null || begin <= this.clock.cycles) {
      this.start(position, motion, counts, begin, span);
      return;
    }
    this.coming = [position, motion, counts, begin, span];
    this.turnover.scheduleAt(begin);
  }

  start(position, motion, counts, begin, span) {
    this.finish();
    this.counts = counts;
    if (this.place === null) {
      this.place = Math.floor(position);
      this.show();
    }
    const apart = position - this.place;
    this.from = position - counts * Math.round(apart / counts);
    this.motion = motion;
    this.begin = begin;
    this.span = span;
    // Which way it goes is decided by the end: a forecast that was a hair off makes no edge back and forth.
    this.goal = Math.floor(this.from + motion);
    this.schedule();
  }

  /** Whatever of the last period is left to do, at once. */
  finish() {
    if (this.place === null || this.place === this.goal) return;
    this.alarm.cancel();
    while (this.place !== this.goal) this.move();
  }

  schedule() {
    if (this.place === this.goal) return;
    const boundary = this.goal > this.place ? this.place + 1 : this.place;
    const share = this.motion === 0 ? 0 : (boundary - this.from) / this.motion;
    const cycle = this.begin + Math.ceil(Math.min(Math.max(share, 0), 1) * this.span);
    this.alarm.scheduleAt(Math.max(cycle, this.clock.cycles));
  }

  step() {
    this.move();
    this.schedule();
  }

  move() {
    this.place += this.goal > this.place ? 1 : -1;
    this.edges += 1;
    this.show();
  }

  show() {
    if (this.a === undefined) return;
    const quarter = ((this.place % 4) + 4) % 4;
    this.set(this.a, A_LEVELS[quarter]);
    this.set(this.b, B_LEVELS[quarter]);
    if (this.z !== undefined) this.set(this.z, this.place % this.counts === 0);
  }

  set(pin, level) {
    if (pin.external !== level) pin.drive(level);
  }

  /** Count of an absolute sensor at `cycle`. */
  read(cycle) {
    if (this.counts === 0) return 0;
    const share = Math.min(Math.max((cycle - this.begin) / this.span, -1), 1);
    const place = Math.floor(this.from + this.motion * share) % this.counts;
    return place < 0 ? place + this.counts : place;
  }
}
