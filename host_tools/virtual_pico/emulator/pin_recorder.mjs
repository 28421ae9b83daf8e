// What an oscilloscope on the gate pins would have seen since it was last cleared: on-times, dead times, overlaps,
// and how long the bridges took to go off.
//
// A switch is on while its pin is high and the gate enable is high. Dead times and overlaps are those of the pins
// alone, whatever the gate enable says.

const MOST_KEPT = 100;

class Switch {
  constructor(name, pin) {
    this.name = name;
    this.pin = pin; // number
    this.isPhase = /^[abc]_/.test(name);
    this.level = false;
    this.isOn = false;
    this.since = 0; // cycle at which it went on, or was last accounted for
    this.sum = 0; // cycles on
    this.fellAt = -Infinity;
  }
}

class HalfBridge {
  constructor(name, high, low) {
    this.name = name;
    this.high = high;
    this.low = low;
    this.clear();
  }

  clear() {
    this.deadMin = Infinity;
    this.overlaps = 0;
    this.overlapMost = 0;
    this.lastOverlap = -1;
    this.overlapFrom = -1;
  }

  changed(edge, other, cycle) {
    if (edge.level) {
      if (other.level) {
        this.overlaps += 1;
        this.lastOverlap = this.overlapFrom = cycle;
      } else this.deadMin = Math.min(this.deadMin, cycle - other.fellAt);
    } else if (this.overlapFrom >= 0) {
      this.overlapMost = Math.max(this.overlapMost, cycle - this.overlapFrom);
      this.overlapFrom = -1;
    }
  }

  report() {
    return {
      dead_cycles_min: Number.isFinite(this.deadMin) ? this.deadMin : null,
      overlaps: this.overlaps,
      overlap_cycles_max: this.overlapMost,
      overlap_last_cycle: this.lastOverlap < 0 ? null : this.lastOverlap,
    };
  }
}

export class PinRecorder {
  /** `pairs`: name -> [high pin, low pin or undefined, complementary]; `gate`, `fault`: pin numbers. */
  constructor(pairs, gate, fault) {
    this.switches = [];
    this.bridges = [];
    this.gatePin = gate;
    this.faultPin = fault;
    this.gate = false;
    this.shutdowns = []; // [{cause, cycles, gate, periods}]
    this.pending = null;
    this.onCount = 0;
    this.phasesOn = 0; // switches of the three phases that are on
    this.phasesOffAt = 0; // cycle at which the last of them went off
    this.injected = null; // {cause, cycle, period} of the last fault
    this.gateEdges = 0;
    for (const [name, [high, low, complementary]] of Object.entries(pairs)) {
      const upper = new Switch(`${name}_high`, high);
      this.switches.push(upper);
      const lower = low === undefined ? null : new Switch(`${name}_low`, low);
      if (lower !== null) this.switches.push(lower);
      const bridge = complementary ? new HalfBridge(name, upper, lower) : null;
      if (bridge !== null) this.bridges.push(bridge);
      upper.bridge = bridge;
      upper.other = lower;
      if (lower !== null) {
        lower.bridge = bridge;
        lower.other = upper;
      }
    }
  }

  /** Hangs the probes on a chip. */
  attach(chip, countPeriods, note) {
    this.chip = chip;
    this.note = note; // of the event "gate_low"
    this.countPeriods = countPeriods;
    this.onCount = 0;
    this.phasesOn = 0;
    this.pending = null;
    this.hung = [];
    this.gate = chip.gpio[this.gatePin].level;
    const now = chip.clock.cycles;
    for (const probe of this.switches) {
      probe.level = chip.gpio[probe.pin].level;
      probe.isOn = false;
      probe.sum = 0;
      probe.fellAt = -Infinity;
      this.turn(probe, probe.level && this.gate, now);
      this.hang(probe.pin, (level, cycle) => this.edge(probe, level, cycle));
    }
    for (const bridge of this.bridges) bridge.overlapFrom = -1;
    this.hang(this.gatePin, (level, cycle) => this.gateEdge(level, cycle));
    this.hang(this.faultPin, (level, cycle) => {
      if (!level) this.expectShutdown('fault_pin', cycle);
    });
  }

  hang(pin, watcher) {
    this.chip.gpio[pin].watchers.push(watcher);
    this.hung.push([pin, watcher]);
  }

  detach() {
    for (const [pin, watcher] of this.hung) {
      const { watchers } = this.chip.gpio[pin];
      watchers.splice(watchers.indexOf(watcher), 1);
    }
  }

  /** The chip is reset at `cycle`: every pin becomes an input, and the pull-downs hold the gates. */
  fall(cycle) {
    for (const probe of this.switches) this.turn(probe, false, cycle);
    if (this.gate) this.note?.('gate_low');
    this.gate = false;
    this.checkShutdown(cycle);
  }

  edge(probe, level, cycle) {
    probe.level = level;
    if (probe.bridge !== null) probe.bridge.changed(probe, probe.other, cycle);
    if (!level) probe.fellAt = cycle;
    this.turn(probe, level && this.gate, cycle);
  }

  gateEdge(level, cycle) {
    this.chip.bank.settle();
    this.gate = level;
    this.gateEdges += 1;
    for (const probe of this.switches) this.turn(probe, probe.level && level, cycle);
    if (level) return;
    this.note?.('gate_low');
    this.checkShutdown(cycle);
  }

  turn(probe, isOn, cycle) {
    if (isOn === probe.isOn) return;
    if (isOn) {
      probe.since = cycle;
      this.onCount += 1;
    } else {
      probe.sum += cycle - probe.since;
      this.onCount -= 1;
    }
    probe.isOn = isOn;
    if (!probe.isPhase) return;
    this.phasesOn += isOn ? 1 : -1;
    if (this.phasesOn === 0) this.phasesOffAt = cycle;
  }

  /** Accounts for what is on up to `cycle`. The pins were settled before. */
  account(cycle) {
    for (const probe of this.switches) {
      if (!probe.isOn) continue;
      probe.sum += cycle - probe.since;
      probe.since = cycle;
    }
  }

  /** From now on the bridges should go off, because of `cause`. */
  expectShutdown(cause, cycle) {
    this.injected = { cause, cycle, period: this.countPeriods() };
    if (this.pending !== null || !this.gate) return;
    this.pending = { cause, cycle, period: this.countPeriods() };
  }

  checkShutdown(cycle) {
    if (this.pending === null) return;
    const { cause, cycle: from, period } = this.pending;
    this.pending = null;
    this.shutdowns.push({ cause, cycles: cycle - from, periods: this.countPeriods() - period });
    if (this.shutdowns.length > MOST_KEPT) this.shutdowns.shift();
  }

  clear() {
    for (const bridge of this.bridges) bridge.clear();
    this.shutdowns.length = 0;
    this.gateEdges = 0;
  }

  report() {
    return {
      bridges: Object.fromEntries(this.bridges.map((bridge) => [bridge.name, bridge.report()])),
      switches: Object.fromEntries(this.switches.map(({ name, level, isOn }) => [name, { level, on: isOn }])),
      gate: this.gate,
      gate_edges: this.gateEdges,
      all_off: this.onCount === 0,
      phases: { off: this.phasesOn === 0, off_cycle: this.phasesOffAt },
      injected: this.injected,
      shutdowns: this.shutdowns,
      shutdown_pending: this.pending !== null,
    };
  }
}
