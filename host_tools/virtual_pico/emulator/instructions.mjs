// Every instruction of the Cortex-M0+ (ARMv6-M, ARM DDI 0419), once: its bits and its effect as JavaScript text.
//
// The interpreter is one switch made of these texts. They use the names that `interpreter.mjs` declares:
//   R           registers; R[15] is not kept, `pc` is the address after the instruction
//   nz, zz      the results that N (sign bit) and Z (zero) are of; c is 0 or 1; vv has V in its sign bit
//   left        cycles until the run ends; one cycle is already taken off for the instruction itself
//   delta       from an address of code to its place in the memory buffer
// Cycles beyond the first are those of ARM DDI 0484 table 3-1 with the single-cycle multiplier of the RP2040.

const RAM = 0x20000000;
const FLASH = 0x10000000;

/** Text that leaves the sum of `a`, `b` and an optional carry in `to`, with all flags. */
function add(to, a, b, carry = '') {
  const sum = carry ? `(a + b + c) | 0` : `(a + b) | 0`;
  const over = '(r >>> 0) < (a >>> 0)';
  const carried = carry ? `(c ? (r >>> 0) <= (a >>> 0) : ${over})` : over;
  const keep = to ? `${to} = r;` : '';
  return `const a = ${a}, b = ${b}, r = ${sum};
    c = ${carried} ? 1 : 0; vv = (a ^ r) & (b ^ r); nz = zz = r; ${keep}`;
}

/** Text that leaves `a` - `b` (less a borrow, with `carry`) in `to`, with all flags. */
function subtract(to, a, b, carry = '') {
  const difference = carry ? `(a - b - 1 + c) | 0` : `(a - b) | 0`;
  const over = '(a >>> 0) >= (b >>> 0)';
  const carried = carry ? `(c ? ${over} : (a >>> 0) > (b >>> 0))` : over;
  const keep = to ? `${to} = r;` : '';
  return `const a = ${a}, b = ${b}, r = ${difference};
    c = ${carried} ? 1 : 0; vv = (a ^ b) & (a ^ r); nz = zz = r; ${keep}`;
}

const result = (to, value) => `${to} = nz = zz = ${value};`;

// Places in the views of each width: an aligned access within the memory takes the short way.
const WIDTHS = {
  8: { align: 0, shift: 0, ram: 'RAM8', flash: 'FLASH8', extend: '<< 24 >> 24' },
  16: { align: 1, shift: 1, ram: 'RAM16', flash: 'FLASH16', extend: '<< 16 >> 16' },
  32: { align: 3, shift: 2, ram: 'RAM32', flash: 'FLASH32', extend: '' },
};

function load(width, address, { signed = false } = {}) {
  const { align, shift, ram, flash, extend } = WIDTHS[width];
  const end = signed ? extend : '';
  return (o) => `const a = (${address(o)}) | 0;
    if ((a & ${0xfff80000 | align}) === ${RAM}) { R[${o.t}] = ${ram}[(a & 0x7ffff) >> ${shift}] ${end}; left -= 1; }
    else if ((a & ${0xfce00000 | align}) === ${FLASH}) {
      R[${o.t}] = ${flash}[(a & 0x1fffff) >> ${shift}] ${end}; left -= 1; ${o.readFlash('a')} }
    else { clock.left = left; core.pc = pc; R[${o.t}] = core.read${width}(a) ${end}; left = clock.left; }`;
}

function store(width, address) {
  const { align, shift, ram } = WIDTHS[width];
  return (o) => `const a = (${address(o)}) | 0;
    if ((a & ${0xfff80000 | align}) === ${RAM}) { ${ram}[(a & 0x7ffff) >> ${shift}] = R[${o.t}]; left -= 1; }
    else { clock.left = left; core.pc = pc; core.write${width}(a, R[${o.t}]); left = clock.left; }`;
}

// Several registers: one cycle each, and through the long way only outside of the memory.
const pull = (o) => `if ((a & ${0xfff80003 | 0}) === ${RAM}) R[k] = RAM32[(a & 0x7ffff) >> 2];
      else { clock.left = left; R[k] = core.readWord(a); left = clock.left; ${o.readFlash('a')} }`;
const pushed = (value) => `if ((a & ${0xfff80003 | 0}) === ${RAM}) RAM32[(a & 0x7ffff) >> 2] = ${value};
      else { clock.left = left; core.writeWord(a, ${value}); left = clock.left; }`;

const jump = (target) => `pc = ${target}; delta = FETCH[pc >>> 28]; left -= 1;`;
// A branch to 0xFxxxxxxx from a handler ends the exception (ARM DDI 0419 B1.5.8).
const jumpOrReturn = (target) => `const to = ${target}; left -= 1;
    if ((to >>> 28) === 15 && core.IPSR !== 0) { core.returning = to; pc = to; break run; }
    pc = to & ~1; delta = FETCH[pc >>> 28];`;

const RN_IMM = (scale) => (o) => `R[${o.n}] + (${o.k} << ${scale})`;
const RN_RM = (o) => `R[${o.n}] + R[${o.m}]`;
const HIGH = (o) => `(${o.h} << 3 | ${o.d})`;

// The shifts by a register take the low 8 bits of it; 32 and more have their own results.
const SHIFTS = {
  lsl: `r = s < 32 ? x << s : 0; c = s < 32 ? x >>> (32 - s) & 1 : s === 32 ? x & 1 : 0;`,
  lsr: `r = s < 32 ? x >>> s | 0 : 0; c = s < 32 ? x >>> (s - 1) & 1 : s === 32 ? x >>> 31 : 0;`,
  asr: `r = s < 32 ? x >> s : x >> 31; c = s < 32 ? x >>> (s - 1) & 1 : x >>> 31;`,
  ror: `r = x >>> (s & 31) | x << (32 - (s & 31)); c = r >>> 31;`,
};
const shift = (kind) => (o) => `const s = R[${o.m}] & 0xff, x = R[${o.d}]; let r = x;
    if (s !== 0) { ${SHIFTS[kind]} } R[${o.d}] = nz = zz = r;`;

const CONDITIONS = [
  'zz === 0', 'zz !== 0', 'c !== 0', 'c === 0', 'nz < 0', 'nz >= 0', 'vv < 0', 'vv >= 0',
  'c !== 0 && zz !== 0', 'c === 0 || zz === 0', '(nz ^ vv) >= 0', '(nz ^ vv) < 0',
  'zz !== 0 && (nz ^ vv) >= 0', 'zz === 0 || (nz ^ vv) < 0',
];

const system = (call) => () => `clock.left = left; ${call}; left = clock.left;`;

/** [name, bits (letters are operands), effect of the operands]; the first that fits is taken. */
export const INSTRUCTIONS = [
  ['movs_reg', '0000000000mmmddd', (o) => result(`R[${o.d}]`, `R[${o.m}]`)],
  ['lsls_imm', '00000kkkkkmmmddd',
    (o) => `const x = R[${o.m}]; c = x >>> (32 - ${o.k}) & 1; ${result(`R[${o.d}]`, `x << ${o.k}`)}`],
  ['lsrs_32', '0000100000mmmddd', (o) => `c = R[${o.m}] >>> 31; ${result(`R[${o.d}]`, '0')}`],
  ['lsrs_imm', '00001kkkkkmmmddd',
    (o) => `const x = R[${o.m}]; c = x >>> (${o.k} - 1) & 1; ${result(`R[${o.d}]`, `x >>> ${o.k} | 0`)}`],
  ['asrs_32', '0001000000mmmddd',
    (o) => `const x = R[${o.m}]; c = x >>> 31; ${result(`R[${o.d}]`, 'x >> 31')}`],
  ['asrs_imm', '00010kkkkkmmmddd',
    (o) => `const x = R[${o.m}]; c = x >>> (${o.k} - 1) & 1; ${result(`R[${o.d}]`, `x >> ${o.k}`)}`],
  ['adds_reg', '0001100mmmnnnddd', (o) => add(`R[${o.d}]`, `R[${o.n}]`, `R[${o.m}]`)],
  ['subs_reg', '0001101mmmnnnddd', (o) => subtract(`R[${o.d}]`, `R[${o.n}]`, `R[${o.m}]`)],
  ['adds_imm3', '0001110kkknnnddd', (o) => add(`R[${o.d}]`, `R[${o.n}]`, o.k)],
  ['subs_imm3', '0001111kkknnnddd', (o) => subtract(`R[${o.d}]`, `R[${o.n}]`, o.k)],
  ['movs_imm', '00100dddkkkkkkkk', (o) => result(`R[${o.d}]`, o.k)],
  ['cmp_imm', '00101nnnkkkkkkkk', (o) => subtract('', `R[${o.n}]`, o.k)],
  ['adds_imm8', '00110dddkkkkkkkk', (o) => add(`R[${o.d}]`, `R[${o.d}]`, o.k)],
  ['subs_imm8', '00111dddkkkkkkkk', (o) => subtract(`R[${o.d}]`, `R[${o.d}]`, o.k)],

  ['ands', '0100000000mmmddd', (o) => result(`R[${o.d}]`, `R[${o.d}] & R[${o.m}]`)],
  ['eors', '0100000001mmmddd', (o) => result(`R[${o.d}]`, `R[${o.d}] ^ R[${o.m}]`)],
  ['lsls_reg', '0100000010mmmddd', shift('lsl')],
  ['lsrs_reg', '0100000011mmmddd', shift('lsr')],
  ['asrs_reg', '0100000100mmmddd', shift('asr')],
  ['adcs', '0100000101mmmddd', (o) => add(`R[${o.d}]`, `R[${o.d}]`, `R[${o.m}]`, 'carry')],
  ['sbcs', '0100000110mmmddd', (o) => subtract(`R[${o.d}]`, `R[${o.d}]`, `R[${o.m}]`, 'carry')],
  ['rors', '0100000111mmmddd', shift('ror')],
  ['tst', '0100001000mmmddd', (o) => `nz = zz = R[${o.d}] & R[${o.m}];`],
  ['negs', '0100001001mmmddd', (o) => subtract(`R[${o.d}]`, '0', `R[${o.m}]`)],
  ['cmp_reg', '0100001010mmmddd', (o) => subtract('', `R[${o.d}]`, `R[${o.m}]`)],
  ['cmn', '0100001011mmmddd', (o) => add('', `R[${o.d}]`, `R[${o.m}]`)],
  ['orrs', '0100001100mmmddd', (o) => result(`R[${o.d}]`, `R[${o.d}] | R[${o.m}]`)],
  ['muls', '0100001101mmmddd', (o) => result(`R[${o.d}]`, `Math.imul(R[${o.d}], R[${o.m}])`)],
  ['bics', '0100001110mmmddd', (o) => result(`R[${o.d}]`, `R[${o.d}] & ~R[${o.m}]`)],
  ['mvns', '0100001111mmmddd', (o) => result(`R[${o.d}]`, `~R[${o.m}]`)],

  ['add_pc', '010001001mmmm111', (o) => jump(`(pc + 2 + R[${o.m}]) & ~1`)],
  ['add_high_pc', '01000100h1111ddd', (o) => `R[${HIGH(o)}] += pc + 2;`],
  ['add_sp_reg', '010001001mmmm101', (o) => `R[13] = (R[13] + R[${o.m}]) & ~3;`],
  ['add_high', '01000100hmmmmddd', (o) => `R[${HIGH(o)}] += R[${o.m}];`],
  ['cmp_high', '01000101hmmmmddd', (o) => subtract('', `R[${HIGH(o)}]`, `R[${o.m}]`)],
  ['mov_pc', '010001101mmmm111', (o) => jump(`R[${o.m}] & ~1`)],
  ['mov_from_pc', '01000110h1111ddd', (o) => `R[${HIGH(o)}] = pc + 2;`],
  ['mov_sp', '010001101mmmm101', (o) => `R[13] = R[${o.m}] & ~3;`],
  ['mov_high', '01000110hmmmmddd', (o) => `R[${HIGH(o)}] = R[${o.m}];`],
  ['bx', '010001110mmmm000', (o) => jumpOrReturn(`R[${o.m}]`)],
  ['blx', '010001111mmmm000', (o) => `const to = R[${o.m}] & ~1; R[14] = pc | 1; ${jump('to')}`],

  ['ldr_literal', '01001tttkkkkkkkk', load(32, (o) => `((pc + 2) & ~3) + (${o.k} << 2)`)],
  ['str_reg', '0101000mmmnnnttt', store(32, RN_RM)],
  ['strh_reg', '0101001mmmnnnttt', store(16, RN_RM)],
  ['strb_reg', '0101010mmmnnnttt', store(8, RN_RM)],
  ['ldrsb_reg', '0101011mmmnnnttt', load(8, RN_RM, { signed: true })],
  ['ldr_reg', '0101100mmmnnnttt', load(32, RN_RM)],
  ['ldrh_reg', '0101101mmmnnnttt', load(16, RN_RM)],
  ['ldrb_reg', '0101110mmmnnnttt', load(8, RN_RM)],
  ['ldrsh_reg', '0101111mmmnnnttt', load(16, RN_RM, { signed: true })],
  ['str_imm', '01100kkkkknnnttt', store(32, RN_IMM(2))],
  ['ldr_imm', '01101kkkkknnnttt', load(32, RN_IMM(2))],
  ['strb_imm', '01110kkkkknnnttt', store(8, RN_IMM(0))],
  ['ldrb_imm', '01111kkkkknnnttt', load(8, RN_IMM(0))],
  ['strh_imm', '10000kkkkknnnttt', store(16, RN_IMM(1))],
  ['ldrh_imm', '10001kkkkknnnttt', load(16, RN_IMM(1))],
  ['str_sp', '10010tttkkkkkkkk', store(32, (o) => `R[13] + (${o.k} << 2)`)],
  ['ldr_sp', '10011tttkkkkkkkk', load(32, (o) => `R[13] + (${o.k} << 2)`)],
  ['adr', '10100dddkkkkkkkk', (o) => `R[${o.d}] = ((pc + 2) & ~3) + (${o.k} << 2);`],
  ['add_from_sp', '10101dddkkkkkkkk', (o) => `R[${o.d}] = R[13] + (${o.k} << 2);`],
  ['add_sp', '101100000kkkkkkk', (o) => `R[13] += ${o.k} << 2;`],
  ['sub_sp', '101100001kkkkkkk', (o) => `R[13] -= ${o.k} << 2;`],

  ['sxth', '1011001000mmmddd', (o) => `R[${o.d}] = R[${o.m}] << 16 >> 16;`],
  ['sxtb', '1011001001mmmddd', (o) => `R[${o.d}] = R[${o.m}] << 24 >> 24;`],
  ['uxth', '1011001010mmmddd', (o) => `R[${o.d}] = R[${o.m}] & 0xffff;`],
  ['uxtb', '1011001011mmmddd', (o) => `R[${o.d}] = R[${o.m}] & 0xff;`],
  ['push', '1011010kllllllll', (o) => `let a = R[13] - 4 * BITS[${o.l} | ${o.k} << 8];
    left -= BITS[${o.l} | ${o.k} << 8]; R[13] = a;
    for (let k = 0, list = ${o.l}; list !== 0; k++, list >>= 1) if (list & 1) { ${pushed('R[k]')} a += 4; }
    if (${o.k}) { ${pushed('R[14]')} }`],
  ['pop', '10111100llllllll', (o) => `let a = R[13]; left -= BITS[${o.l}]; R[13] = a + 4 * BITS[${o.l}];
    for (let k = 0, list = ${o.l}; list !== 0; k++, list >>= 1) if (list & 1) { ${pull(o)} a += 4; }`],
  // 3 + N cycles, N with the program counter.
  ['pop_pc', '10111101llllllll', (o) => `let a = R[13]; left -= 2 + BITS[${o.l}]; R[13] = a + 4 + 4 * BITS[${o.l}];
    for (let k = 0, list = ${o.l}; list !== 0; k++, list >>= 1) if (list & 1) { ${pull(o)} a += 4; }
    { const k = 15; ${pull(o)} }
    ${jumpOrReturn('R[15]')}`],
  ['cpsie', '1011011001100010', system('core.setPrimask(0)')],
  ['cpsid', '1011011001110010', system('core.setPrimask(1)')],
  ['rev', '1011101000mmmddd',
    (o) => `const x = R[${o.m}]; R[${o.d}] = x << 24 | (x & 0xff00) << 8 | x >>> 8 & 0xff00 | x >>> 24;`],
  ['rev16', '1011101001mmmddd',
    (o) => `const x = R[${o.m}]; R[${o.d}] = x >>> 8 & 0xff00ff | (x & 0xff00ff) << 8;`],
  ['revsh', '1011101011mmmddd',
    (o) => `const x = R[${o.m}]; R[${o.d}] = (x << 24 >> 16) | x >>> 8 & 0xff;`],
  ['bkpt', '10111110kkkkkkkk', (o) => `pc -= 2; core.stopped = 'BKPT ' + ${o.k}; break run;`],
  ['nop', '1011111100000000', () => ''],
  ['yield', '1011111100010000', () => ''],
  ['wfe', '1011111100100000', () => 'left -= 1; if (core.sleepUntilEvent()) break run;'],
  ['wfi', '1011111100110000', () => 'left -= 1; if (core.sleepUntilInterrupt()) break run;'],
  ['sev', '1011111101000000', () => 'core.eventRegistered = true;'],

  // The base register is not written back by a load of itself.
  ['stmia', '11000nnnllllllll', (o) => `let a = R[${o.n}]; left -= BITS[${o.l}];
    for (let k = 0, list = ${o.l}; list !== 0; k++, list >>= 1) if (list & 1) { ${pushed('R[k]')} a += 4; }
    R[${o.n}] = a;`],
  ['ldmia', '11001nnnllllllll', (o) => `let a = R[${o.n}]; left -= BITS[${o.l}];
    for (let k = 0, list = ${o.l}; list !== 0; k++, list >>= 1) if (list & 1) { ${pull(o)} a += 4; }
    if (!(${o.l} >> ${o.n} & 1)) R[${o.n}] = a;`],
  ...CONDITIONS.map((condition, code) => [
    `b${code}`, `1101${code.toString(2).padStart(4, '0')}kkkkkkkk`,
    (o) => `if (${condition}) { pc += ((${o.k} << 24) >> 23) + 2; left -= 1; }`,
  ]),
  ['udf', '11011110kkkkkkkk', (o) => `if (pc >>> 0 > 0x4000) { pc -= 2; core.stopped = 'UDF'; break run; }
    clock.left = left; core.pc = pc; core.callRom(${o.k}); left = clock.left;`],
  ['svc', '11011111kkkkkkkk', system('core.pendSupervisorCall()')],
  ['b', '11100kkkkkkkkkkk', (o) => `pc += ((${o.k} << 21) >> 20) + 2; left -= 1;`],
  // Two halfwords: BL with its 25-bit distance; MSR, MRS and barriers in 3 (barriers: at least) cycles.
  ['wide', '11110sxxxxkkkkkk', () => `const w = CODE[(pc + delta) >> 1]; pc += 2; left -= 2;
    if ((w & 0xd000) === 0xd000) {
      const s = i << 21 >> 31;
      R[14] = pc | 1;
      pc += (s & 0xff000000) | (~(w >> 13 ^ s) & 1) << 23 | (~(w >> 11 ^ s) & 1) << 22
        | (i & 0x3ff) << 12 | (w & 0x7ff) << 1;
    } else if ((w & 0xd000) !== 0x8000) { pc -= 4; core.stopped = 'an undefined instruction'; break run; }
    else if (i === 0xf3ef || (i & 0xfff0) === 0xf380) {
      core.nz = nz; core.zz = zz; core.c = c; core.vv = vv; clock.left = left;
      if (i === 0xf3ef) R[w >> 8 & 15] = core.readSpecial(w & 0xff);
      else core.writeSpecial(w & 0xff, R[i & 15]);
      nz = core.nz; zz = core.zz; c = core.c; vv = core.vv; left = clock.left;
    }`],
];

/** How an operand of `letter` is read from an opcode `i`. */
export function operand(bits, letter) {
  const first = bits.indexOf(letter);
  const low = 15 - bits.lastIndexOf(letter);
  const mask = 2 ** (bits.lastIndexOf(letter) - first + 1) - 1;
  return low ? `(i >> ${low} & ${mask})` : `(i & ${mask})`;
}

/** For each 16-bit opcode, the number of its instruction in INSTRUCTIONS, or its length for none. */
export function decodeTable() {
  const table = new Uint8Array(65536).fill(INSTRUCTIONS.length);
  for (let number = INSTRUCTIONS.length - 1; number >= 0; number--) {
    const bits = INSTRUCTIONS[number][1];
    const mask = parseInt(bits.replace(/[01]/g, '1').replace(/[^01]/g, '0'), 2);
    const value = parseInt(bits.replace(/[^01]/g, '0'), 2);
    for (let opcode = 0; opcode < 65536; opcode++) if ((opcode & mask) === value) table[opcode] = number;
  }
  return table;
}
