// The interrupt controller's registers (ARM DDI 0419 B3.4). rp2040js keeps no pending state of its own for the
// chip's interrupts: software could neither set nor clear it.

import { RPPPB } from './stock.mjs';

const ISER = 0x100;
const ICER = 0x180;
const ISPR = 0x200;
const ICPR = 0x280;
const SCR = 0xd10;
const SHPR2 = 0xd1c;
const SHPR3 = 0xd20;
const VTOR = 0xd08;
const AIRCR = 0xd0c;
const SYSRESETREQ = 1 << 2;

export class Nvic extends RPPPB {
  constructor(chip, name, onReset) {
    super(chip, name);
    this.onReset = onReset;
    this.sleepControl = 0;
  }

  readUint32(offset) {
    const { core } = this.rp2040;
    if (offset === ISER || offset === ICER) return core.enabledInterrupts >>> 0;
    if (offset === ISPR || offset === ICPR) return core.pendingInterrupts >>> 0;
    if (offset === SCR) return this.sleepControl;
    if (offset === AIRCR) return 0xfa050000;
    return super.readUint32(offset);
  }

  writeUint32(offset, value) {
    const { core } = this.rp2040;
    if (offset === ICPR) {
      // A request that is still there keeps it pending.
      core.pendingInterrupts &= ~value | core.lines;
      return;
    }
    if (offset === ISPR) core.pendingInterrupts |= value;
    else if (offset === ISER) core.enabledInterrupts |= value;
    else if (offset === ICER) core.enabledInterrupts &= ~value;
    else if (offset === VTOR) core.VTOR = value & ~0xff;
    else if (offset === SHPR2) core.SHPR2 = value;
    else if (offset === SHPR3) core.SHPR3 = value;
    else if (offset === SCR) this.sleepControl = value & 0x1e;
    else if (offset === AIRCR) {
      if (value >>> 16 === 0x05fa && value & SYSRESETREQ) this.onReset();
      return;
    } else super.writeUint32(offset, value);
    core.lookAgain();
  }
}
