// Which stretch of time is seen: the newest `span` seconds, or one that stands still.

const LEAST = 1e-4; // s
const MOST = 7200;

export class View {
  constructor(changed) {
    this.span = 5;
    this.live = true;
    this.from = 0;
    this.to = 5;
    this.changed = changed;
  }

  /** New rows reach up to x; moves the stretch while it is live. */
  follow(x) {
    if (!this.live) return;
    this.to = x;
    this.from = x - this.span;
  }

  /** Let it stand still, or go on. */
  pause(paused = this.live) {
    this.live = !paused;
    this.changed();
  }

  /** Show so many seconds, up to now or around the middle. */
  width(seconds) {
    const span = Math.min(MOST, Math.max(LEAST, seconds));
    if (!this.live) {
      const middle = (this.from + this.to) / 2;
      this.from = middle - span / 2;
      this.to = middle + span / 2;
    } else this.from = this.to - span;
    this.span = span;
    this.changed();
  }

  /** Zoom by a factor about a place. */
  zoom(factor, about = this.live ? this.to : (this.from + this.to) / 2) {
    const span = Math.min(MOST, Math.max(LEAST, (this.to - this.from) * factor));
    if (this.live) return this.width(span);
    const share = (about - this.from) / (this.to - this.from);
    return this.stretch(about - share * span, about + (1 - share) * span);
  }

  /** Show exactly this. */
  stretch(from, to) {
    if (!(to - from >= LEAST)) return;
    this.live = false;
    this.from = from;
    this.to = to;
    this.span = to - from;
    this.changed();
  }

  /** Move by a share of what is seen. */
  pan(share) {
    const by = share * (this.to - this.from);
    this.stretch(this.from + by, this.to + by);
  }
}
