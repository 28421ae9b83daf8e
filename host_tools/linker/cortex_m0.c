/* Runs ARMv6-M code and counts the cycles of a Cortex-M0+ with RP2040's one-cycle multiplier.

   Cycles: ARM DDI 0484, table 3-1, code and data in SRAM without wait states: loads and stores 2, a taken
   branch 2, BL 3, BX and BLX 2, PUSH/POP/LDM/STM 1 + registers (POP of PC 3 + registers), all else 1; the SIO
   (0xD...) answers in 1 (RP2040 datasheet section 2.3.1).  Not modelled: exceptions, flash, contention.

   cortex_m0 INPUT OUTPUT, all words int32, little-endian.
   INPUT: steps, columns, block words, traced words, code words, entries; per entry: address of its code within the code
   in bytes, 1 when it is called as a viper function; the code; per step the columns' values follow the columns and
   the block at the beginning.
   OUTPUT: per step the cycles of each entry (and, when `traced`, the first words of the block); then per half word of
   code how often it ran and how often its branch was taken; then the block. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM 0x20000000u
#define SIZE 0x100000u
#define BLOCK 0x20040000u
#define STACK 0x20080000u
#define FAKES 0x20090000u /* function object, its context, object table, function table, arguments */
#define FAKE 0x1000u
#define RETURN 0xFFFFFFF0u
#define SERVICE 0xFFFFFFE0u /* stands for every function of MicroPython: gives back what it is given */

static uint8_t ram[SIZE];
static uint32_t r[16], carry, zero, negative, overflow;
static uint32_t ran[SIZE / 2], taken[SIZE / 2];

static void stop(const char *why, uint32_t word)
{
    fprintf(stderr, "%s 0x%08x at 0x%08x\n", why, (unsigned)word, (unsigned)r[15]);
    exit(3);
}

static uint32_t load(uint32_t at, unsigned bytes, uint32_t *cycles)
{
    uint32_t word = 0;
    if (at >= 0xD0000000u) {
        *cycles = 1;
        return BLOCK; /* the interpolator's accumulator holds the block's address */
    }
    if (at >= 0x40000000u && at < 0x60000000u)
        return 0;
    if (at - RAM > SIZE - bytes || at % bytes)
        stop("load from", at);
    memcpy(&word, ram + (at - RAM), bytes);
    return word;
}

static void store(uint32_t at, uint32_t word, unsigned bytes, uint32_t *cycles)
{
    if (at >= 0xD0000000u)
        *cycles = 1;
    else if (at >= 0x40000000u && at < 0x60000000u)
        return;
    else if (at - RAM > SIZE - bytes || at % bytes)
        stop("store to", at);
    else
        memcpy(ram + (at - RAM), &word, bytes);
}

static uint32_t flags(uint32_t word)
{
    zero = word == 0;
    negative = word >> 31;
    return word;
}

static uint32_t add(uint32_t a, uint32_t b, uint32_t c)
{
    uint64_t wide = (uint64_t)a + b + c;
    uint32_t sum = (uint32_t)wide;
    carry = (uint32_t)(wide >> 32);
    overflow = (~(a ^ b) & (a ^ sum)) >> 31;
    return flags(sum);
}

static uint32_t shift(unsigned kind, uint32_t word, uint32_t by, int immediate)
{
    if (immediate && by == 0 && kind != 0)
        by = 32;
    if (by == 0)
        return flags(word);
    if (kind == 0) {
        carry = by <= 32 ? (uint32_t)(((uint64_t)word << by) >> 32) & 1 : 0;
        word = by < 32 ? word << by : 0;
    } else if (kind == 1) {
        carry = by <= 32 ? (uint32_t)(word >> (by - 1 > 31 ? 31 : by - 1)) & 1 : 0;
        word = by < 32 ? word >> by : 0;
    } else {
        uint32_t n = by > 31 ? 31 : by;
        uint32_t sign = word >> 31 ? 0xFFFFFFFFu : 0;
        carry = by > 31 ? sign & 1 : (word >> (by - 1)) & 1;
        word = by > 31 ? sign : (word >> n) | (n ? sign << (32 - n) : 0);
    }
    return flags(word);
}

static int holds(unsigned condition)
{
    int yes;
    switch (condition >> 1) {
    case 0: yes = zero; break;
    case 1: yes = carry; break;
    case 2: yes = negative; break;
    case 3: yes = overflow; break;
    case 4: yes = carry && !zero; break;
    case 5: yes = negative == overflow; break;
    case 6: yes = negative == overflow && !zero; break;
    default: stop("condition", condition); return 0;
    }
    return yes != (int)(condition & 1);
}

static void alu(unsigned op)
{
    unsigned kind = (op >> 6) & 15, d = op & 7, m = (op >> 3) & 7;
    switch (kind) {
    case 0: r[d] = flags(r[d] & r[m]); break;
    case 1: r[d] = flags(r[d] ^ r[m]); break;
    case 2: case 3: case 4: r[d] = shift(kind - 2, r[d], r[m] & 255, 0); break;
    case 5: r[d] = add(r[d], r[m], carry); break;
    case 6: r[d] = add(r[d], ~r[m], carry); break;
    case 7: {
        uint32_t by = r[m] & 255, n = by & 31;
        if (by) {
            r[d] = n ? (r[d] >> n) | (r[d] << (32 - n)) : r[d];
            carry = r[d] >> 31;
        }
        flags(r[d]);
        break;
    }
    case 8: flags(r[d] & r[m]); break;
    case 9: r[d] = add(0, ~r[m], 1); break;
    case 10: add(r[d], ~r[m], 1); break;
    case 11: add(r[d], r[m], 0); break;
    case 12: r[d] = flags(r[d] | r[m]); break;
    case 13: r[d] = flags(r[d] * r[m]); break;
    case 14: r[d] = flags(r[d] & ~r[m]); break;
    default: r[d] = flags(~r[m]);
    }
}

static unsigned many(unsigned list, uint32_t *at, int loads)
{
    unsigned count = 0;
    uint32_t unused = 0;
    for (unsigned n = 0; n < 16; n++)
        if (list >> n & 1) {
            if (loads)
                r[n] = load(*at, 4, &unused);
            else
                store(*at, r[n], 4, &unused);
            *at += 4;
            count++;
        }
    return count;
}

/* Runs until the routine returns; gives its cycles. */
static uint32_t run(uint32_t entry)
{
    uint32_t total = 0;
    r[13] = STACK;
    r[14] = RETURN | 1;
    r[15] = RAM + entry;
    for (;;) {
        uint32_t here = r[15], next = here + 2, cycles = 1, index = (here - RAM) / 2;
        if (here == RETURN)
            return total;
        if (here == SERVICE) {
            r[15] = r[14] & ~1u;
            continue;
        }
        if (here - RAM >= SIZE)
            stop("code at", here);
        unsigned op = ram[here - RAM] | ram[here - RAM + 1] << 8;
        unsigned a = op & 7, b = (op >> 3) & 7, c = (op >> 6) & 7, i5 = (op >> 6) & 31, i8 = op & 255, d = (op >> 8) & 7;
        ran[index]++;
        switch (op >> 11) {
        case 0: case 1: case 2: r[a] = shift(op >> 11, r[b], i5, 1); break;
        case 3: {
            uint32_t right = op >> 10 & 1 ? c : r[c];
            r[a] = op >> 9 & 1 ? add(r[b], ~right, 1) : add(r[b], right, 0);
            break;
        }
        case 4: r[d] = flags(i8); break;
        case 5: add(r[d], ~i8, 1); break;
        case 6: r[d] = add(r[d], i8, 0); break;
        case 7: r[d] = add(r[d], ~i8, 1); break;
        case 8:
            if (!(op >> 10 & 1)) {
                alu(op);
            } else {
                unsigned to = a | (op >> 4 & 8), from = op >> 3 & 15;
                uint32_t word = from == 15 ? here + 4 : r[from];
                unsigned kind = op >> 8 & 3;
                if (kind == 3) {
                    if (op >> 7 & 1)
                        r[14] = next | 1;
                    next = word & ~1u;
                    cycles = 2;
                    taken[index]++;
                } else if (kind == 1) {
                    add(r[to], ~word, 1);
                } else {
                    word = kind == 0 ? (to == 15 ? here + 4 : r[to]) + word : word;
                    if (to == 15) {
                        next = word & ~1u;
                        cycles = 2;
                        taken[index]++;
                    } else {
                        r[to] = word;
                    }
                }
            }
            break;
        case 9: cycles = 2; r[d] = load(((here + 4) & ~3u) + 4 * i8, 4, &cycles); break;
        case 10: case 11: {
            uint32_t at = r[b] + r[c];
            cycles = 2;
            switch (op >> 9 & 7) {
            case 0: store(at, r[a], 4, &cycles); break;
            case 1: store(at, r[a], 2, &cycles); break;
            case 2: store(at, r[a], 1, &cycles); break;
            case 3: r[a] = (uint32_t)(int32_t)(int8_t)load(at, 1, &cycles); break;
            case 4: r[a] = load(at, 4, &cycles); break;
            case 5: r[a] = load(at, 2, &cycles); break;
            case 6: r[a] = load(at, 1, &cycles); break;
            default: r[a] = (uint32_t)(int32_t)(int16_t)load(at, 2, &cycles);
            }
            break;
        }
        case 12: cycles = 2; store(r[b] + 4 * i5, r[a], 4, &cycles); break;
        case 13: cycles = 2; r[a] = load(r[b] + 4 * i5, 4, &cycles); break;
        case 14: cycles = 2; store(r[b] + i5, r[a], 1, &cycles); break;
        case 15: cycles = 2; r[a] = load(r[b] + i5, 1, &cycles); break;
        case 16: cycles = 2; store(r[b] + 2 * i5, r[a], 2, &cycles); break;
        case 17: cycles = 2; r[a] = load(r[b] + 2 * i5, 2, &cycles); break;
        case 18: cycles = 2; store(r[13] + 4 * i8, r[d], 4, &cycles); break;
        case 19: cycles = 2; r[d] = load(r[13] + 4 * i8, 4, &cycles); break;
        case 20: r[d] = ((here + 4) & ~3u) + 4 * i8; break;
        case 21: r[d] = r[13] + 4 * i8; break;
        case 22: case 23:
            if ((op & 0xFF00) == 0xB000) {
                r[13] += op & 0x80 ? -4u * (op & 127) : 4u * (op & 127);
            } else if ((op & 0xF600) == 0xB400) {
                unsigned list = (op & 255) | (op & 0x100 && !(op & 0x800) ? 0x4000u : 0) |
                                (op & 0x100 && op & 0x800 ? 0x8000u : 0);
                if (op & 0x800) {
                    uint32_t at = r[13];
                    cycles = 1 + many(list, &at, 1);
                    r[13] = at;
                    if (list & 0x8000) {
                        next = r[15] & ~1u;
                        cycles += 2;
                        taken[index]++;
                    }
                } else {
                    unsigned count = (unsigned)__builtin_popcount(list);
                    uint32_t at = r[13] -= 4 * count;
                    many(list, &at, 0);
                    cycles = 1 + count;
                }
            } else if ((op & 0xFF00) == 0xB200) {
                uint32_t word = r[b];
                r[a] = op & 0x80 ? (op & 0x40 ? word & 255 : word & 0xFFFF)
                                 : (uint32_t)(op & 0x40 ? (int32_t)(int8_t)word : (int32_t)(int16_t)word);
            } else if (op != 0xBF00) {
                stop("instruction", op);
            }
            break;
        case 24: case 25: {
            uint32_t at = r[d];
            cycles = 1 + many(i8, &at, op >> 11 & 1);
            if (!(op >> 11 & 1) || !(i8 >> d & 1))
                r[d] = at;
            break;
        }
        case 26: case 27:
            if (holds(op >> 8 & 15)) {
                next = here + 4 + 2 * (uint32_t)(int32_t)(int8_t)i8;
                cycles = 2;
                taken[index]++;
            }
            break;
        case 28:
            next = here + 4 + (uint32_t)((int32_t)(op << 21) >> 20);
            cycles = 2;
            taken[index]++;
            break;
        case 30: {
            unsigned low = ram[here - RAM + 2] | ram[here - RAM + 3] << 8;
            uint32_t sign = op >> 10 & 1, j1 = !((low >> 13 & 1) ^ sign), j2 = !((low >> 11 & 1) ^ sign);
            uint32_t reach = sign << 24 | j1 << 23 | j2 << 22 | (op & 0x3FF) << 12 | (low & 0x7FF) << 1;
            if ((low & 0xD000) != 0xD000)
                stop("instruction", op << 16 | low);
            r[14] = (here + 4) | 1;
            next = here + 4 + (uint32_t)((int32_t)(reach << 7) >> 7);
            cycles = 3;
            taken[index]++;
            break;
        }
        default: stop("instruction", op);
        }
        total += cycles;
        r[15] = next;
    }
}

static void read_words(FILE *file, void *words, size_t count)
{
    if (fread(words, 4, count, file) != count) {
        fprintf(stderr, "the input ends early\n");
        exit(2);
    }
}

static void fill(unsigned fake, uint32_t word)
{
    for (uint32_t at = FAKES - RAM + fake * FAKE; at < FAKES - RAM + (fake + 1) * FAKE; at += 4)
        memcpy(ram + at, &word, 4);
}

int main(int count, char **names)
{
    FILE *in = count == 3 ? fopen(names[1], "rb") : NULL, *out = count == 3 ? fopen(names[2], "wb") : NULL;
    uint32_t head[6], entries[256][2], columns[4096], values[4096];
    if (in == NULL || out == NULL)
        return 2;
    read_words(in, head, 6);
    if (head[1] > 4096 || head[5] > 256 || 4 * head[2] > STACK - BLOCK - 0x8000 || 4 * head[4] > BLOCK - RAM)
        return 2;
    read_words(in, entries, 2 * head[5]);
    read_words(in, ram, head[4]);
    read_words(in, columns, head[1]);
    read_words(in, ram + (BLOCK - RAM), head[2]);
    for (unsigned fake = 0; fake < 3; fake++)
        fill(fake, FAKES + (fake + 1) * FAKE);
    fill(3, SERVICE | 1);
    fill(4, BLOCK);
    for (uint32_t step = 0; step < head[0]; step++) {
        read_words(in, values, head[1]);
        for (uint32_t n = 0; n < head[1]; n++)
            memcpy(ram + (BLOCK - RAM) + 4 * columns[n], values + n, 4);
        for (uint32_t n = 0; n < head[5]; n++) {
            r[0] = entries[n][1] ? FAKES : BLOCK;
            r[1] = 1;
            r[2] = 0;
            r[3] = FAKES + 4 * FAKE;
            uint32_t cycles = run(entries[n][0]);
            fwrite(&cycles, 4, 1, out);
        }
        fwrite(ram + (BLOCK - RAM), 4, head[3], out);
    }
    fwrite(ran, 4, 2 * head[4], out);
    fwrite(taken, 4, 2 * head[4], out);
    fwrite(ram + (BLOCK - RAM), 4, head[2], out);
    return fclose(out) != 0;
}
