// The control law's block of words in the chip's memory. Its driver keeps the address in SIO INTERP0 ACCUM0.

/** Index of the block's first word in `memory.ram32`; -1 while no law runs. */
export function findBlock({ chip }) {
  const address = chip.sio.interp0.accum0;
  return address >>> 28 === 2 ? (address & 0x7ffff) >> 2 : -1;
}
