// The hot loop: one switch over the decoded opcode, its cases taken from instructions.mjs.
//
// Written as text because a hundred cases share their parts (memory access, flags), which V8 would not inline
// from functions of this number; and because the loop of the timing model "cache" differs from the ideal one in
// two places that must cost nothing where they are not wanted.

import { INSTRUCTIONS, decodeTable, operand } from './instructions.mjs';

const DECODE = decodeTable();
const BITS = Uint8Array.from({ length: 512 }, (_, list) => {
  let count = 0;
  for (; list; list &= list - 1) count++;
  return count;
});

/** Text of the case of one instruction. */
function caseText([name, bits, effect], number, timing) {
  const operands = new Proxy({}, {
    get(_, letter) {
      if (letter === 'readFlash') return timing === 'cache' ? (at) => `left -= cache.read(${at});` : () => '';
      return operand(bits, letter);
    },
  });
  return `case ${number}: { /* ${name} */ ${effect(operands)} break; }`;
}

/** The function that runs `core` until its clock's run ends, it sleeps, or stops at an undefined instruction. */
export function makeInterpreter(timing, isWatching, isProfiling) {
  const cases = INSTRUCTIONS.map((instruction, number) => caseText(instruction, number, timing)).join('\n');
  // Two instructions come with one fetch of 32 bits; the cache is asked once for both.
  const fetched = timing === 'cache'
    ? 'if ((pc & -4) !== word) { word = pc & -4; if ((pc >>> 28) === 1) left -= cache.fetch(pc); }'
    : '';
  const watched = isWatching
    ? 'if (WATCHED[(pc + delta) >> 1] !== 0) { clock.left = left; core.onAddress(pc, clock.cycles); }'
    : '';
  // The time since the last instruction began is the last one's, with what its accesses and exceptions took.
  const profiled = isProfiling
    ? 'core.profile.step((pc + delta) >> 1, clock.end - left);'
    : '';
  const text = `'use strict'; return function execute(core) {
    const clock = core.clock, cache = core.cache;
    const R = core.R, CODE = core.memory.code, FETCH = core.memory.fetch;
    const RAM8 = core.memory.ram8, RAM16 = core.memory.ram16, RAM32 = core.memory.ram32;
    const FLASH8 = core.memory.flash8, FLASH16 = core.memory.flash16, FLASH32 = core.memory.flash32;
    const WATCHED = core.watched;
    let pc = core.pc, left = clock.left, delta = FETCH[pc >>> 28], word = 1;
    let nz = core.nz, zz = core.zz, c = core.c, vv = core.vv;
    run: while (left > 0) {
      ${profiled}
      ${watched}
      ${fetched}
      const i = CODE[(pc + delta) >> 1];
      pc = (pc + 2) | 0;
      left -= 1;
      switch (DECODE[i]) {
        ${cases}
        default: pc -= 2; core.stopped = 'an undefined instruction'; break run;
      }
    }
    core.pc = pc; core.nz = nz; core.zz = zz; core.c = c; core.vv = vv;
    clock.left = left;
  };`;
  return new Function('DECODE', 'BITS', text)(DECODE, BITS);
}
