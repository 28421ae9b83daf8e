import assert from 'node:assert/strict';
import test from 'node:test';
import { INSTRUCTIONS, decodeTable } from '../../../host_tools/virtual_pico/emulator/instructions.mjs';
import { DATA, PROGRAM, STACK, VECTORS, ours, randomWords, stateOf, stock } from './core_harness.mjs';

const NAMES = INSTRUCTIONS.map(([name]) => name);
const DECODE = decodeTable();

// What rp2040js computes otherwise than the architecture says, each shown by a test of its own below; and what
// only waits or stops.
const DIFFERS = new Set(['adcs', 'sbcs', 'lsls_reg', 'lsrs_reg', 'asrs_reg', 'rors']);
const NOT_ALONE = new Set(['bkpt', 'wfe', 'wfi', 'sev', 'svc', 'udf', 'wide', 'yield', 'cpsie', 'cpsid', 'ldmia']);
const isFlow = (name) => /^(b\d+|b|bx|blx|pop_pc|mov_pc|add_pc)$/.test(name);

/** Interesting numbers, and any. */
function pick(random) {
  const special = [0, 1, 2, 31, 32, 33, 0x7fffffff, 0x80000000, 0xffffffff, 0x80, 0x8000, 255];
  const word = random();
  return word & 1 ? random() : special[(word >>> 1) % special.length];
}

const PAIR = [ours(), stock()]; // made once: a chip takes milliseconds

function runBoth(program, random, prepare = () => {}) {
  const chips = PAIR;
  for (const chip of chips) {
    [program].flat().forEach((halfword, k) => chip.writeUint16(PROGRAM + 2 * k, halfword));
    chip.core.SP = STACK;
    chip.core.registers[14] = 0;
    chip.core.PC = PROGRAM;
  }
  const values = Array.from({ length: 13 }, () => pick(random));
  const flags = random() & 0xf;
  for (const chip of chips) {
    values.forEach((value, k) => (chip.core.registers[k] = value));
    chip.core.APSR = flags << 28;
    prepare(chip);
  }
  chips[0].core.step();
  chips[1].core.executeInstruction();
  return chips;
}

test('every opcode that computes leaves the registers and flags that rp2040js leaves', () => {
  const random = randomWords(1);
  const seen = new Set();
  for (let n = 0; n < 20000; n++) {
    const opcode = random() & 0xffff;
    const name = NAMES[DECODE[opcode]];
    if (name === undefined || NOT_ALONE.has(name) || DIFFERS.has(name) || isFlow(name)) continue;
    if (/^(ldr|str|push|pop|stm)/.test(name) || /pc|sp/.test(name)) continue;
    if (name === 'cmp_high' && (((opcode >> 3) & 15) === 15 || (opcode & 0x87) === 0x87)) continue; // UNPREDICTABLE
    seen.add(name);
    const [a, b] = runBoth(opcode, random);
    assert.deepEqual(stateOf(a.core), stateOf(b.core), `${name} ${opcode.toString(16)} of test ${n}`);
      }
  assert.ok(seen.size > 25, [...seen].join(' '));
});

test('loads and stores move what rp2040js moves', () => {
  const random = randomWords(2);
  const seen = new Set();
  for (let n = 0; n < 6000; n++) {
    const opcode = random() & 0xffff;
    const name = NAMES[DECODE[opcode]];
    if (!name || !/^(ldr|str|push|pop|stm)/.test(name) || name === 'pop_pc') continue;
    // The base is written back even if it is in the list, which rp2040js omits: a test of its own.
    if (name === 'stmia' && (opcode >> ((opcode >> 8) & 7)) & 1) continue;
    seen.add(name);
    const isRegister = name.endsWith('_reg');
    const [a, b] = runBoth(opcode, random, (chip) => {
      const { registers } = chip.core;
      registers.fill(DATA, 0, 8);
      // An index register must not be the base as well, or the sum leaves the memory.
      if (isRegister) registers[(opcode >> 6) & 7] = 0x40;
      if (isRegister && ((opcode >> 6) & 7) === ((opcode >> 3) & 7)) registers[(opcode >> 6) & 7] = 0x10001800;
      for (let k = 0; k < 0x400; k += 4) {
        chip.writeUint32(DATA + k, (k * 0x9e3779b1) >>> 0);
        chip.writeUint32(STACK + k, (k * 0x85ebca6b) >>> 0);
      }
    });
    assert.deepEqual(stateOf(a.core), stateOf(b.core), `${name} ${opcode.toString(16)}`);
    for (let k = -0x40; k < 0x400; k += 4) {
      assert.equal(a.readUint32(DATA + k), b.readUint32(DATA + k), `${name} at ${k}`);
      assert.equal(a.readUint32(STACK + k), b.readUint32(STACK + k), `${name} on the stack at ${k}`);
    }
    if (seen.size === 20 && n > 3000) break;
  }
  assert.ok(seen.size > 15, [...seen].join(' '));
});

test('a store of several registers writes its base back though it is one of them; rp2040js does not', () => {
  const program = [0xc403 | 1 << 4]; // stmia r4!, {r0, r1, r4}
  const after = [ours(program), stock(program)].map((chip) => {
    chip.core.registers[4] = DATA;
    (chip.core.executeInstruction ?? chip.core.step).call(chip.core);
    return chip.core.registers[4];
  });
  assert.deepEqual(after, [DATA + 12, DATA]);
});

test('branches go where those of rp2040js go', () => {
  const random = randomWords(3);
  for (let n = 0; n < 4000; n++) {
    const opcode = 0xd000 | (random() & 0xdff) ;
    const name = NAMES[DECODE[opcode]];
    if (!/^b\d+$/.test(name ?? '')) continue;
    const [a, b] = runBoth(opcode, random);
    assert.deepEqual(stateOf(a.core), stateOf(b.core), opcode.toString(16));
  }
  for (let n = 0; n < 300; n++) {
    const first = 0xf000 | (random() & 0x7ff);
    const second = 0xd000 | (random() & 0x2fff);
    const [a, b] = runBoth([first, second], random);
    assert.deepEqual(stateOf(a.core), stateOf(b.core), `bl ${first.toString(16)} ${second.toString(16)}`);
  }
});

// [instruction, opcode, r0, r1, carry in, result, flags NZCV] by ARM DDI 0419 section A6.7; operand r0, by r1.
const BY_THE_BOOK = [
  ['adcs r0, r1: the carry of a sum that wraps', 0x4148, 0xffffffff, 0, 1, 0, 0b0110],
  ['adcs r0, r1: both', 0x4148, 0xffffffff, 0xffffffff, 1, 0xffffffff, 0b1010],
  ['adcs r0, r1: overflow by the carry', 0x4148, 0x7fffffff, 0, 1, 0x80000000, 0b1001],
  ['sbcs r0, r1: no borrow', 0x4188, 5, 3, 1, 2, 0b0010],
  ['sbcs r0, r1: borrow in', 0x4188, 5, 5, 0, 0xffffffff, 0b1000],
  ['sbcs r0, r1: all of it', 0x4188, 0, 0xffffffff, 0, 0, 0b0100],
  ['lsls r0, r1 by 0 keeps the carry', 0x4088, 0x80000000, 0, 1, 0x80000000, 0b1010],
  ['lsls r0, r1 by 32', 0x4088, 1, 32, 0, 0, 0b0110],
  ['lsls r0, r1 by 33', 0x4088, 3, 33, 1, 0, 0b0100],
  ['lsrs r0, r1 by 0 keeps the carry', 0x40c8, 1, 0, 0, 1, 0b0000],
  ['lsrs r0, r1 by 32', 0x40c8, 0x80000000, 32, 0, 0, 0b0110],
  ['lsrs r0, r1 by 33', 0x40c8, 0x80000000, 33, 1, 0, 0b0100],
  ['asrs r0, r1 by 0 keeps the carry', 0x4108, 0x80000001, 0, 0, 0x80000001, 0b1000],
  ['asrs r0, r1 by 40', 0x4108, 0x80000000, 40, 0, 0xffffffff, 0b1010],
  ['rors r0, r1 by 0 keeps the carry', 0x41c8, 0x80000000, 0, 0, 0x80000000, 0b1000],
  ['rors r0, r1 by 32', 0x41c8, 0x80000000, 32, 0, 0x80000000, 0b1010],
  ['rors r0, r1 by 4', 0x41c8, 0xf, 4, 0, 0xf0000000, 0b1010],
];

for (const [name, opcode, x, y, carry, result, flags] of BY_THE_BOOK)
  test(name, () => {
    const { core } = ours([opcode]);
    core.registers[0] = x;
    core.registers[1] = y;
    core.APSR = carry << 29;
    core.step();
    assert.deepEqual([core.registers[0], core.APSR >>> 28], [result, flags]);
  });

test('rp2040js has other flags than the book for some of them', () => {
  const wrong = BY_THE_BOOK.filter(([, opcode, x, y, carry, result, flags]) => {
    const { core } = stock([opcode]);
    core.registers[0] = x;
    core.registers[1] = y;
    core.APSR = carry << 29;
    core.executeInstruction();
    return core.registers[0] !== result || core.APSR >>> 28 !== flags;
  });
  assert.ok(wrong.length >= 3, wrong.map(([name]) => name).join('; '));
});

// ARM DDI 0484 table 3-1; accesses: RP2040 datasheet section 2.1.3.
const CYCLES = [
  ['movs', [0x2001], 1],
  ['muls', [0x4348], 1],
  ['nop', [0xbf00], 1],
  ['b', [0xe000], 2],
  ['beq not taken', [0xd000], 1],
  ['bne taken', [0xd100], 2],
  ['bl', [0xf000, 0xf800], 3],
  ['bx lr', [0x4770], 2],
  ['blx r7', [0x47b8], 2],
  ['mov pc, lr', [0x46f7], 2],
  ['ldr from SRAM', [0x6820], 2],
  ['str to SRAM', [0x6020], 2],
  ['ldr from SIO', [0x6828], 1],
  ['str to SIO', [0x6128], 1],
  ['ldr from APB', [0x6830], 4],
  ['str to APB', [0x6130], 5],
  ['ldmia of 3', [0xcc07], 4],
  ['stmia of 3', [0xc407], 4],
  ['push of 2', [0xb403], 3],
  ['push of 2 with lr', [0xb501], 3],
  ['pop of 2', [0xbc03], 3],
  ['pop of 2 with pc', [0xbd01], 5],
  ['mrs', [0xf3ef, 0x8010], 3],
  ['dmb', [0xf3bf, 0x8f50], 3],
  ['cpsid', [0xb672], 1],
];

function prepareForCycles(chip) {
  const { core } = chip;
  core.APSR = 0;
  core.registers[4] = DATA;
  core.registers[5] = 0xd0000000;
  core.registers[6] = 0x40054000;
  core.registers[7] = PROGRAM;
  core.registers[14] = PROGRAM | 1;
  for (let k = 0; k < 16; k++) chip.writeUint32(STACK + 4 * k, PROGRAM | 1);
}

for (const [name, program, cycles] of CYCLES)
  test(`${name} takes ${cycles} cycles`, () => {
    const chip = ours(program);
    prepareForCycles(chip);
    assert.equal(chip.core.step(), cycles);
  });

test('rp2040js counts one cycle too few for lr and pc on the stack', () => {
  const count = (program) => {
    const chip = stock(program);
    prepareForCycles(chip);
    return chip.core.executeInstruction();
  };
  assert.equal(count([0xb501]), 2);
  assert.equal(count([0xbd01]), 4);
});

// ---- Exceptions

const IRQ = 11;
const HANDLER = PROGRAM + 0x100;

/** A chip whose interrupt 11 counts in r4 and returns, asked for while `program` runs. */
function withHandler(program) {
  const chip = ours(program);
  chip.writeUint32(VECTORS + 4 * (16 + IRQ), HANDLER | 1);
  chip.writeUint16(HANDLER, 0x3401); // adds r4, #1
  chip.writeUint16(HANDLER + 2, 0x4770); // bx lr
  chip.core.enabledInterrupts = 1 << IRQ;
  return chip;
}

test('an interrupt runs its handler and comes back with every register and flag', () => {
  const chip = withHandler([0x2001, 0x2102, 0x2203]);
  const { core } = chip;
  core.step();
  core.APSR = 0xa0000000;
  core.setInterrupt(IRQ, true);
  core.step();
  assert.equal(core.IPSR, 16 + IRQ);
  core.setInterrupt(IRQ, false);
  core.step();
  assert.equal(core.IPSR, 0);
  assert.equal(core.pc, PROGRAM + 2);
  assert.equal(core.registers[13], STACK);
  assert.equal(core.APSR >>> 28, 0xa);
  assert.equal(core.registers[4], 1);
});

test('a request that stays makes its interrupt pending again, one that went does not', () => {
  const chip = withHandler([0x2001, 0x2102, 0x2203]);
  const { core } = chip;
  core.setInterrupt(IRQ, true);
  for (let n = 0; n < 4; n++) core.step();
  assert.equal(core.registers[4], 2, 'the line is still high');
  core.setInterrupt(IRQ, false);
  for (let n = 0; n < 3; n++) core.step();
  const after = core.registers[4];
  for (let n = 0; n < 2; n++) core.step();
  assert.equal(core.registers[4], after);
});

test('a pulse on a request line is remembered until the interrupt is taken', () => {
  const chip = withHandler([0xb662, 0x2102, 0x2203]); // cpsie
  const { core } = chip;
  core.setPrimask(1);
  core.setInterrupt(IRQ, true);
  core.setInterrupt(IRQ, false);
  core.step();
  core.step();
  assert.equal(core.registers[4], 1);
});

test('with PRIMASK set WFI ends and the interrupt waits; rp2040js takes it', () => {
  const program = [0xbf30, 0x2102, 0xb662, 0x2203]; // wfi, movs r1, cpsie
  const chip = withHandler(program);
  const { core } = chip;
  core.setPrimask(1);
  core.step();
  core.setInterrupt(IRQ, true);
  core.step();
  assert.deepEqual([core.registers[1], core.registers[4], core.IPSR], [2, 0, 0]);

  const other = stock(program);
  other.writeUint32(VECTORS + 4 * (16 + IRQ), HANDLER | 1);
  other.core.enabledInterrupts = 1 << IRQ;
  other.core.PM = true;
  other.core.executeInstruction();
  other.core.setInterrupt(IRQ, true);
  assert.equal(other.core.IPSR, 16 + IRQ);
});

test('software sets and clears a pending interrupt of the chip; rp2040js cannot clear it', async () => {
  const { Nvic } = await import('../../../host_tools/virtual_pico/emulator/nvic.mjs');
  const chip = ours([0xbf00]);
  chip.ppb = new Nvic(chip, 'PPB', () => {});
  chip.writeUint32(0xe000e200, 1 << IRQ);
  assert.equal(chip.readUint32(0xe000e200), 1 << IRQ);
  chip.writeUint32(0xe000e280, 1 << IRQ);
  assert.equal(chip.readUint32(0xe000e200), 0);

  const other = stock([0xbf00]);
  other.writeUint32(0xe000e200, 1 << IRQ);
  other.writeUint32(0xe000e280, 1 << IRQ);
  assert.equal(other.readUint32(0xe000e200), 1 << IRQ);
});

test('an unaligned access is a HardFault; rp2040js carries on', () => {
  const chip = ours([0x6800]); // ldr r0, [r0]
  chip.writeUint32(VECTORS + 12, HANDLER | 1);
  chip.writeUint16(HANDLER, 0x2507); // movs r5, #7
  chip.core.registers[0] = DATA + 2;
  chip.core.step();
  chip.core.step();
  assert.deepEqual([chip.core.IPSR, chip.core.registers[5], chip.core.faults], [3, 7, 1]);
  assert.match(chip.said.join(), /unaligned access to 0x20003002/);

  const other = stock([0x6800, 0x2001]);
  other.core.registers[0] = DATA + 2;
  other.core.executeInstruction();
  assert.equal(other.core.IPSR, 0);
});

test('an access to nothing is a HardFault, and a write to ROM or flash changes nothing', () => {
  const chip = ours([0x6001, 0x6001, 0x6001]); // str r1, [r0]
  chip.writeUint32(VECTORS + 12, HANDLER | 1);
  chip.writeUint16(HANDLER, 0x2507); // movs r5, #7
  const { core } = chip;
  core.registers[1] = 0x12345678;
  for (const address of [0x100, 0x10000100]) {
    core.registers[0] = address;
    const before = chip.readUint32(address);
    core.step();
    assert.equal(chip.readUint32(address), before);
  }
  assert.equal(core.faults, 0);
  core.registers[0] = 0x30000000;
  core.step();
  core.step();
  assert.deepEqual([core.IPSR, core.registers[5]], [3, 7]);

  const other = stock([0x6001]);
  other.core.registers[0] = 0x10000100;
  other.core.registers[1] = 0x12345678;
  other.core.executeInstruction();
  assert.equal(other.readUint32(0x10000100), 0x12345678, 'rp2040js writes to the flash');
});

test('a higher priority interrupts a lower one, an equal one waits', () => {
  const chip = withHandler([0x2001, 0x2001]);
  const { core } = chip;
  const other = IRQ + 1;
  chip.writeUint32(VECTORS + 4 * (16 + other), (HANDLER + 0x20) | 1);
  chip.writeUint16(HANDLER + 0x20, 0x3501); // adds r5, #1
  core.enabledInterrupts |= 1 << other;
  core.interruptPriorities = [~(1 << IRQ), 0, 1 << IRQ, 0];
  core.setInterrupt(IRQ, true);
  core.step();
  core.setInterrupt(other, true);
  core.step();
  assert.deepEqual(core.active, [16 + IRQ, 16 + other]);
  assert.equal(core.registers[5], 1);
  assert.equal(core.registers[14], 0xfffffff1);
});

test('watched addresses are told with their cycle, others not', () => {
  const chip = ours([0x2001, 0x2102, 0x6860, 0x2203]);
  const { core } = chip;
  core.registers[4] = DATA;
  const told = [];
  core.watch(new Map([[PROGRAM + 2, (cycle) => told.push(['second', cycle])], [PROGRAM + 6, (cycle) => told.push(['last', cycle])]]));
  core.run(5);
  assert.deepEqual(told, [['second', 1], ['last', 4]]);
  assert.throws(() => core.watch(new Map([[0x50000000, () => {}]])), /no code/);
});

test('entering and leaving an exception costs what the timing model says, and nothing in the ideal one', () => {
  const cost = (entry, exit) => {
    const chip = withHandler([0x2001, 0x2001]);
    const { core } = chip;
    core.exceptionCycles = { entry, exit };
    core.setInterrupt(IRQ, true);
    const first = core.step();
    core.setInterrupt(IRQ, false);
    const second = core.step();
    return first + second;
  };
  assert.equal(cost(0, 0), 3);
  assert.equal(cost(15, 15), 33);
});
