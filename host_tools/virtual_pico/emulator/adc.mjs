// The converter (RP2040 datasheet section 4.9): corrections to rp2040js.
//
// rp2040js masks AINSEL wrongly in a round robin, so that channels 1 to 3 cannot be reached; keeps START_ONE set, so
// that an atomic write to CS starts another conversion; keeps the interrupt of a threshold of 0 for ever; leaves its
// DMA request standing when DREQ_EN goes; and clears ERR_STICKY in the wrong register.
//
// A conversion takes 96 cycles of the 48 MHz clk_adc (4.9.2). The input is taken when the conversion starts.

import { RPADC, DREQChannel, IRQ } from './stock.mjs';

const CS = 0x00;
const FCS = 0x08;
const FIFO = 0x0c;
const CS_EN = 1;
const CS_START_ONE = 1 << 2;
const CS_START_MANY = 1 << 3;
const CS_READY = 1 << 8;
const CS_ERR = 1 << 9;
const CS_ERR_STICKY = 1 << 10;
const CS_WRITABLE = 0x1f700b;
const FCS_EN = 1;
const FCS_SHIFT = 2;
const FCS_DREQ_EN = 8;
const FCS_UNDER = 1 << 10;
const FCS_OVER = 1 << 11;
const FCS_WRITABLE = 0x0f00000f;

const CLK_ADC = 48e6;
const CONVERSION = 96; // cycles of clk_adc
const CHANNELS = 5;

export class Adc extends RPADC {
  constructor(chip) {
    super(chip, 'ADC');
    this.conversion = chip.clock.createCycleAlarm(() => this.finish());
    this.nextStart = chip.clock.createCycleAlarm(() => this.cs & CS_START_MANY && this.start());
    this.isDead = false; // conversions never end: a fault for tests
    this.startedAt = 0;
    /** What the board puts on channel 0..4, in counts 0..4095, at the moment of sampling. */
    this.sample = (channel) => this.channelValues[channel];
  }

  get activeChannel() {
    return (this.cs >> 12) & 7;
  }

  set activeChannel(channel) {
    this.cs = (this.cs & ~(7 << 12)) | (channel << 12);
  }

  get threshold() {
    return (this.fcs >>> 24) & 15;
  }

  /** Empty it asks for nothing, whatever the threshold. */
  get intRaw() {
    return this.fifo.itemCount >= Math.max(this.threshold, 1) ? 1 : 0;
  }

  ticksToCycles(ticks) {
    return Math.round((ticks * this.rp2040.clkSys) / CLK_ADC);
  }

  start() {
    if (this.busy) return;
    this.busy = true;
    this.startedAt = this.rp2040.clock.cycles;
    const channel = this.activeChannel;
    this.taken = channel < CHANNELS ? this.sample(channel) & 0xfff : 0;
    if (!this.isDead) this.conversion.scheduleIn(this.ticksToCycles(CONVERSION));
  }

  finish() {
    this.busy = false;
    this.result = this.taken;
    if (this.fcs & FCS_EN) {
      if (this.fifo.full) this.fcs |= FCS_OVER;
      else this.fifo.push(this.fcs & FCS_SHIFT ? this.taken >> 4 : this.taken);
    }
    const robin = (this.cs >> 16) & 0x1f;
    if (robin) {
      let channel = this.activeChannel;
      do channel = (channel + 1) % CHANNELS;
      while (!(robin & (1 << channel)));
      this.activeChannel = channel;
    }
    this.fifoChanged();
    if (!(this.cs & CS_START_MANY)) return;
    // DIV counts from one start to the next, 96 at the least (4.9.2.2).
    const period = Math.max(1 + this.clockDiv / 256, CONVERSION);
    this.nextStart.scheduleAt(this.startedAt + this.ticksToCycles(period));
  }

  fifoChanged() {
    this.checkInterrupts();
    const { dma } = this.rp2040;
    if (this.fcs & FCS_DREQ_EN && this.intRaw) dma.setDREQ(DREQChannel.DREQ_ADC);
    else dma.clearDREQ(DREQChannel.DREQ_ADC);
  }

  checkInterrupts() {
    this.rp2040.setInterrupt(IRQ.ADC_FIFO, this.intStatus !== 0);
  }

  readUint32(offset) {
    if (offset === CS) return this.cs | (!this.busy && this.cs & CS_EN ? CS_READY : 0);
    if (offset !== FIFO) return super.readUint32(offset);
    if (this.fifo.empty) {
      this.fcs |= FCS_UNDER;
      return 0;
    }
    const value = this.fifo.pull();
    this.fifoChanged();
    return value;
  }

  writeUint32(offset, value) {
    if (offset === CS) {
      const sticky = this.cs & (CS_ERR | CS_ERR_STICKY) & ~(this.rawWriteValue & CS_ERR_STICKY);
      this.cs = (value & CS_WRITABLE) | sticky;
      if (value & CS_EN && value & (CS_START_ONE | CS_START_MANY)) this.start();
      else if (!(value & CS_EN)) this.stop();
    } else if (offset === FCS) {
      const sticky = this.fcs & (FCS_OVER | FCS_UNDER) & ~this.rawWriteValue;
      this.fcs = (value & FCS_WRITABLE) | sticky;
      this.fifoChanged();
    } else super.writeUint32(offset, value);
  }

  stop() {
    this.busy = false;
    this.conversion.cancel();
    this.nextStart.cancel();
  }

  reset() {
    this.stop();
    this.cs = this.fcs = this.clockDiv = this.intEnable = this.intForce = this.result = 0;
    this.fifo.reset();
    this.fifoChanged();
  }
}

export function attach({ chip }) {
  chip.adc = new Adc(chip);
  chip.peripherals[0x4004c] = chip.adc;
}
