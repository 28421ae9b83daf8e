// The USB controller in device mode (RP2040 datasheet section 4.1), with the transfers done by a host that can
// be busy.
//
// rp2040js answers every OUT request of the device at once, with no bytes if there are none, so an idle port is
// interrupted every 10 us; it reports every IN transfer as done before the host has it, so a device is never
// held up; and it sends the second half of a double buffer first. Here a transfer stays in its buffer until the
// host takes its turn, as the wire does it.

import { RPUSBController } from './stock.mjs';

const FIRST_BUFFER_CONTROL = 0x80;
const LAST_BUFFER_CONTROL = 0xfc;
const AVAILABLE = 1 << 10;
const LENGTH = 0x3ff;
const FULL = 1 << 15;
const DOUBLE_BUFFER = 1 << 30;
const PER_DOUBLE = 1 << 28; // one interrupt for both halves
const BUFFER1 = 64; // where the second half of a double buffer is
const SOF_RD = 0x48;
const EP_ABORT = 0x60;
const EP_ABORT_DONE = 0x64;
const INTE = 0x90;
const DEV_SOF = 1 << 17;
// Registers of the transceiver, which firmware pokes around an erratum (RP2040-E5).
const PHY_FIRST = 0x7c;
const PHY_LAST = 0x84;
const SIE_STATUS = 0x50;
const SUSPENDED = 1 << 4; // rp2040js does not let it be cleared
const SUSPEND_NANOS = 3e6;
const SOF_NANOS = 1e6;

// A transaction of full speed: token, turn-around and handshake, then 12 Mbit/s.
const OVERHEAD_NANOS = 9000;
const BYTE_NANOS = 8e9 / 12e6;

export class UsbDevice extends RPUSBController {
  constructor(chip, name) {
    super(chip, name);
    this.host = null; // {canTake(endpoint), take(endpoint, bytes), offer(endpoint, limit), given(endpoint)}
    this.waiting = new Map(); // buffer control register -> value written: transfers the host has not served
    this.current = null;
    this.wire = chip.clock.createAlarm(() => this.finish());
    this.lastFrame = 0;
    this.frames = chip.clock.createAlarm(() => this.startFrame());
    this.idle = chip.clock.createAlarm(() => {
      this.sieStatus |= SUSPENDED;
      this.sieStatusUpdated();
    });
    this.transfers = 0;
    this.phy = new Uint32Array(3);
  }

  readUint32(offset) {
    if (offset >= PHY_FIRST && offset <= PHY_LAST) return this.phy[(offset - PHY_FIRST) >> 2];
    if (offset === SOF_RD) {
      this.intRaw &= ~DEV_SOF;
      this.checkInterrupts();
      return this.frame;
    }
    return super.readUint32(offset);
  }

  writeUint32(offset, value) {
    if (offset >= PHY_FIRST && offset <= PHY_LAST) {
      this.phy[(offset - PHY_FIRST) >> 2] = value;
      return;
    }
    if (offset === EP_ABORT) this.abort(value);
    if (offset === EP_ABORT_DONE) {
      // rp2040js reads the set and clear aliases of this register as if it held their result.
      this.epAbortDone &= ~this.rawWriteValue;
      return;
    }
    if (offset === SIE_STATUS) this.sieStatus &= ~(this.rawWriteValue & SUSPENDED);
    super.writeUint32(offset, value);
    if (offset === INTE && value & DEV_SOF && !this.frames.scheduled) this.frames.schedule(SOF_NANOS);
  }

  /** Number of the last start of frame: the host counts milliseconds while it is there. */
  get frame() {
    if (this.host?.isPlugged) this.lastFrame = this.frameNow();
    return this.lastFrame;
  }

  frameNow() {
    return Math.floor(this.rp2040.clock.nanos / SOF_NANOS) & 0x7ff;
  }

  /** What the device sees when the host has gone, be it asleep or unplugged: no more frames, 3 ms later the rest. */
  suspend() {
    this.lastFrame = this.frameNow();
    this.idle.schedule(SUSPEND_NANOS);
  }

  /** Interrupt of a start of frame, every millisecond, while firmware wants to hear of it. */
  startFrame() {
    if (!(this.intEnable & DEV_SOF)) return;
    this.intRaw |= DEV_SOF;
    this.checkInterrupts();
    this.frames.schedule(SOF_NANOS);
  }

  DPRAMUpdated(offset, value) {
    if (this.hostMode || offset < FIRST_BUFFER_CONTROL || offset > LAST_BUFFER_CONTROL) return;
    if (!((value | (value >>> 16)) & AVAILABLE)) return;
    this.waiting.set(offset, value);
    this.serve();
  }

  abort(mask) {
    for (const offset of [...this.waiting.keys()])
      if (mask & (1 << ((offset - FIRST_BUFFER_CONTROL) >> 2))) this.waiting.delete(offset);
    if (this.current && !this.waiting.has(this.current.offset)) {
      this.current = null;
      this.wire.cancel();
    }
  }

  /** Forgets all transfers, as a reset of the bus does. */
  forget() {
    this.waiting.clear();
    this.current = null;
    this.wire.cancel();
  }

  /** Puts the next transfer for which the host is ready on the wire, if that is free. */
  serve() {
    if (this.current || !this.host) return;
    for (const [offset, value] of this.waiting) {
      const endpoint = (offset - FIRST_BUFFER_CONTROL) >> 3;
      const isOut = (offset & 4) !== 0;
      const half = value & AVAILABLE ? 0 : 1;
      const length = (value >>> (16 * half)) & LENGTH;
      let bytes;
      if (isOut) {
        bytes = this.host.offer(endpoint, length);
        if (bytes === null) continue;
      } else {
        if (!this.host.canTake(endpoint, length)) continue;
        const at = this.bufferOffset(endpoint, false) + half * BUFFER1;
        bytes = this.rp2040.usbDPRAM.slice(at, at + length);
      }
      // Endpoints take turns: what has been served goes to the end of the row.
      this.waiting.delete(offset);
      this.waiting.set(offset, value);
      this.current = { offset, endpoint, isOut, half, bytes };
      this.wire.schedule(OVERHEAD_NANOS + bytes.length * BYTE_NANOS);
      return;
    }
  }

  finish() {
    const { offset, endpoint, isOut, half, bytes } = this.current;
    const dpram = this.rp2040.usbDPRAMView;
    this.current = null;
    this.transfers += 1;
    let control = this.waiting.get(offset);
    const shift = 16 * half;
    control &= ~((AVAILABLE | FULL | (isOut ? LENGTH : 0)) << shift);
    if (isOut) {
      control |= (FULL | bytes.length) << shift;
      this.rp2040.usbDPRAM.set(bytes, this.bufferOffset(endpoint, true) + half * BUFFER1);
    }
    dpram.setUint32(offset, control >>> 0, true);
    const isLast = !((control | (control >>> 16)) & AVAILABLE);
    if (isLast) this.waiting.delete(offset);
    else this.waiting.set(offset, control);
    const settings = endpoint === 0 ? 0 : this.readEndpointControlReg(endpoint, isOut);
    const isQuiet = settings & DOUBLE_BUFFER && settings & PER_DOUBLE && !isLast;
    if (!isQuiet) this.indicateBufferReady(endpoint, isOut);
    if (isOut) this.host.given(endpoint);
    else this.host.take(endpoint, bytes);
    this.serve();
  }

  bufferOffset(endpoint, isOut) {
    return this.getEndpointBufferOffset(endpoint, isOut) & 0xfff;
  }
}
