// Measures cycles between two events of the chip, many times over: the shortest, median and longest way, and how
// often the second event did not come before the first came again.
//
// Events: "irq:N" the first instruction of interrupt N's handler is about to run, "end:N" it has returned,
// "pc:ADDRESS" the instruction there is about to run, "write:ADDRESS" the core writes the register there (a whole
// word, not in SRAM), "note:NAME" a peripheral says so (machine.note).

const MOST = 1 << 20; // samples kept; what comes later is counted only
const FIRST_IRQ = 16;

class Measure {
  constructor(from, to) {
    this.from = from;
    this.to = to;
    this.samples = new Float64Array(1024);
    this.count = 0;
    this.missed = 0;
    this.sum = 0;
    this.began = -1;
  }

  begin(cycle) {
    if (this.began >= 0) this.missed += 1;
    this.began = cycle;
  }

  finish(cycle) {
    if (this.began < 0) return;
    const cycles = cycle - this.began;
    this.began = -1;
    this.sum += cycles;
    if (this.count < MOST) {
      if (this.count === this.samples.length) {
        const longer = new Float64Array(2 * this.count);
        longer.set(this.samples);
        this.samples = longer;
      }
      this.samples[this.count] = cycles;
    }
    this.count += 1;
  }

  summary() {
    const sorted = this.samples.slice(0, Math.min(this.count, MOST)).sort();
    const at = (part) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] : null);
    return {
      from: this.from,
      to: this.to,
      count: this.count,
      missed: this.missed,
      best: at(0),
      median: at(0.5),
      p99: at(0.99),
      worst: at(1),
      mean: this.count ? this.sum / this.count : null,
    };
  }
}

export class Marks {
  constructor(machine) {
    this.machine = machine;
    this.measures = {};
    this.listeners = []; // [event, function of the cycle] of others, such as the recorder
  }

  /** Measures from event `from` to event `to` under `name`, from now on. */
  add(name, from, to) {
    for (const event of [from, to]) checkEvent(event);
    this.measures[name] = new Measure(from, to);
    this.apply();
  }

  remove(name) {
    if (name === undefined) this.measures = {};
    else delete this.measures[name];
    this.apply();
  }

  read() {
    return Object.fromEntries(Object.entries(this.measures).map(([name, measure]) => [name, measure.summary()]));
  }

  /** Hangs the measures on the present chip; what nobody measures costs nothing. */
  apply() {
    const { machine } = this;
    const { core } = machine.chip;
    const listeners = {};
    for (const measure of Object.values(this.measures)) {
      // The end first, so that one event may end a way and begin the next.
      (listeners[measure.to] ??= []).unshift((cycle) => measure.finish(cycle));
      (listeners[measure.from] ??= []).push((cycle) => measure.begin(cycle));
    }
    for (const [event, listener] of this.listeners) (listeners[event] ??= []).push(listener);
    const tell = (event) => {
      const functions = listeners[event];
      return functions && ((cycle) => functions.forEach((each) => each(cycle)));
    };
    const tables = { irq: [], end: [] };
    const addresses = new Map();
    const writes = new Map();
    machine.watchers = {};
    for (const event of Object.keys(listeners)) {
      const [kind, what] = event.split(':');
      if (kind === 'note') machine.watchers[what] = tell(event);
      else if (kind === 'write') writes.set(Number(what), tell(event));
      else if (kind === 'pc') addresses.set(Number(what) & ~1, tell(event));
      else tables[kind][Number(what) + FIRST_IRQ] = tell(event);
    }
    const { clock } = machine;
    core.onException = tables.irq.length ? (number) => tables.irq[number]?.(clock.cycles) : null;
    core.onReturn = tables.end.length ? (number) => tables.end[number]?.(clock.cycles) : null;
    core.onWrite = writes.size ? writes : null;
    core.watch(addresses);
  }
}

function checkEvent(event) {
  const [kind, what] = String(event).split(':');
  const isNumber = Number.isInteger(Number(what)) && what !== '';
  if (kind === 'note' ? !what : !(['irq', 'end', 'pc', 'write'].includes(kind) && isNumber))
    throw new Error(`${event} is no event: irq:N, end:N, pc:ADDRESS, write:ADDRESS or note:NAME.`);
}
