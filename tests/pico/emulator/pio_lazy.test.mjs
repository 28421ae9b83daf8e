// Machines that sleep and run ahead against machines stepped instruction by instruction: random programs, random pins.
// (SMn_ADDR alone may be ahead.)

import assert from 'node:assert/strict';
import test from 'node:test';
import { Bench, IO, PIO0 } from './harness.mjs';

const INPUTS = [10, 11, 12];
const OUTPUTS = [2, 3, 4];

/** A repeatable sequence of numbers below `limit` (xorshift). */
function randomOf(seed) {
  let state = seed * 2654435761 + 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

/** Any instruction that needs no FIFO partner to be meaningful, or none that is reserved. */
function instruction(random, length) {
  const delay = random(4) === 0 ? random(16) << 8 : 0;
  const to = [1, 2, 5, 6, 7][random(5)];
  const from = [0, 1, 2, 3, 6, 7][random(6)];
  switch (random(13)) {
    case 0:
    case 1:
      return delay | (random(8) << 5) | random(length); // jmp
    case 2:
      return delay | 0x2000 | (random(2) << 7) | INPUTS[random(3)]; // wait for a pin
    case 3:
      return delay | 0x4000 | ([0, 1, 2, 6, 7][random(5)] << 5) | (1 + random(31)); // in
    case 4:
      return delay | 0x6000 | ([0, 1, 2, 3][random(4)] << 5) | (1 + random(31)); // out
    case 5:
      return delay | 0x8000 | (random(2) << 7) | (random(8) === 0 ? 0x20 : 0); // push, pull
    case 6:
      return delay | 0xa000 | ((to === 5 ? 1 : to) << 5) | (random(3) << 3) | from; // mov
    case 7:
      return delay | 0xc000 | (random(2) << 6) | random(8); // irq
    case 8:
      return delay | 0xa000 | from; // mov to pins
    default:
      return delay | 0xe000 | ([0, 0, 0, 1, 2][random(5)] << 5) | random(32); // set
  }
}

function run(seed, isLazy) {
  const random = randomOf(seed);
  const bench = new Bench();
  const [pio] = bench.chip.pio;
  if (!isLazy) {
    for (const machine of pio.machines) {
      machine.seekLoop = () => {};
      Object.defineProperty(machine, 'isInvisible', { value: false });
    }
  }
  for (const pin of OUTPUTS) bench.write(IO + 8 * pin + 4, 6);
  const length = 4 + random(10);
  for (let k = 0; k < length; k++) bench.write(PIO0 + 0x48 + 4 * k, instruction(random, length));
  for (const machine of [0, 1]) {
    const base = PIO0 + 0xc8 + 0x18 * machine;
    bench.write(base, [1, 1, 1.5, 3][random(4)] * 65536);
    bench.write(base + 4, (INPUTS[random(3)] << 24) | ((length - 1) << 12));
    bench.write(base + 8, (random(4) << 16) | (3 << 18) | (random(32) << 20) | (random(32) << 25));
    bench.write(base + 0x14, (3 << 26) | (3 << 20) | (10 << 15) | (2 << 5) | 2);
    bench.write(base + 0x10, 0xe087); // set pindirs
  }
  const log = [];
  for (const pin of OUTPUTS)
    bench.chip.gpio[pin].watchers.push((level, cycle) => log.push([cycle, pin, level]));
  bench.write(PIO0, 1 + random(3));
  for (let k = 0; k < 40; k++) {
    bench.pass(1 + random([5, 50, 700][random(3)]));
    switch (random(4)) {
      case 0:
      case 1:
        bench.chip.gpio[INPUTS[random(3)]].drive(random(2) === 1);
        break;
      case 2:
        bench.write(PIO0 + 0x10 + 4 * random(2), random(1 << 30));
        break;
      default:
        log.push([bench.clock.cycles, 'rx', bench.read(PIO0 + 0x0c), bench.read(PIO0 + 0x20 + 4 * random(2))]);
        log.push(['irq', bench.read(PIO0 + 0x30)]);
    }
  }
  return log;
}

test('60 random programs show the same to the cycle', () => {
  let pinEdges = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const lazy = run(seed, true);
    assert.deepEqual(lazy, run(seed, false), `seed ${seed}`);
    pinEdges += lazy.filter(([, pin]) => OUTPUTS.includes(pin)).length;
  }
  assert.ok(pinEdges > 1000, `only ${pinEdges} edges were compared`);
});
