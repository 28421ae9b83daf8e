// The serial peripheral interface (RP2040 datasheet section 4.4): rp2040js's, with frames that take their time.
//
// rp2040js ends a frame while the write that began it is still going on, which hangs a transfer by DMA; it asks the
// DMA whether SSPDMACR allows it or not, and its mode 2 is mode 3.

import { RPSPI } from './stock.mjs';

const CR0 = 0x00;
const CR1 = 0x04;
const DMACR = 0x24;
const RX_DMA = 1;
const TX_DMA = 2;

export class Spi extends RPSPI {
  constructor(chip, number, irq, dreq) {
    super(chip, `SPI${number}`, irq, dreq);
    this.frame = chip.clock.createCycleAlarm(() => this.completeTransmit(this.answer));
    /** What hangs on it: (word, bits, cycle of the first bit) -> the word that comes back. */
    this.exchange = () => 0;
    this.onTransmit = (word) => {
      this.answer = this.control1 & 1 ? word : this.exchange(word, this.dataBits, chip.clock.cycles) & this.mask;
      this.frame.scheduleIn(this.frameCycles);
    };
  }

  get mask() {
    return (1 << this.dataBits) - 1;
  }

  get spiMode() {
    return ((this.control0 >> 6) & 1) * 2 + ((this.control0 >> 7) & 1);
  }

  /** Cycles of clk_sys from one frame to the next: its bits, and half a bit of rest around them. */
  get frameCycles() {
    const bit = this.rp2040.clkSys / (this.clockFrequency || this.rp2040.clkPeri);
    return Math.round((this.dataBits + 0.5) * bit);
  }

  doTX() {
    if (this.enabled) super.doTX();
  }

  updateDMATx() {
    if (this.dmaControl & TX_DMA && this.enabled && !this.txFIFO.full) this.rp2040.dma.setDREQ(this.dreq.tx);
    else this.rp2040.dma.clearDREQ(this.dreq.tx);
  }

  updateDMARx() {
    if (this.dmaControl & RX_DMA && !this.rxFIFO.empty) this.rp2040.dma.setDREQ(this.dreq.rx);
    else this.rp2040.dma.clearDREQ(this.dreq.rx);
  }

  writeUint32(offset, value) {
    super.writeUint32(offset, value);
    if (offset === CR0 || offset === CR1 || offset === DMACR) {
      this.doTX();
      this.fifosUpdated();
    }
  }

  reset() {
    this.frame.cancel();
    this.busy = false;
    this.rxFIFO.reset();
    this.txFIFO.reset();
    this.control0 = this.control1 = this.dmaControl = this.clockDivisor = this.intRaw = this.intEnable = 0;
    this.fifosUpdated();
    this.checkInterrupts();
  }
}

export function attach({ chip }) {
  chip.spi = chip.spi.map((stock, number) => new Spi(chip, number, stock.irq, stock.dreq));
  chip.peripherals[0x4003c] = chip.spi[0];
  chip.peripherals[0x40040] = chip.spi[1];
}
