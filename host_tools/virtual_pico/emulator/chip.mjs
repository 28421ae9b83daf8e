// An RP2040 with our core, clock, memory and corrections, as it is when it comes out of reset.

import { Clock } from './clock.mjs';
import { Core } from './core.mjs';
import { Psm, Sio } from './sio.mjs';
import { RP2040, RP2040RTC, RPTimer, RPUART } from './stock.mjs';
import { UsbDevice } from './usb_device.mjs';

const XIP = 0x10000000;
const XIP_END = 0x14000000;
const DPRAM = 0x50100000;
const DPRAM_CONTROLS = 0x80; // buffer controls begin here, and end at 0x100

/** Says each thing once; rp2040js says it every time, and throws after an error. */
class Log {
  constructor(tell) {
    this.tell = tell;
    this.said = new Set();
  }

  debug() {}
  info() {}

  warn(name, text) {
    const line = `${name}: ${text}`;
    if (this.said.has(line) || this.said.size > 200) return;
    this.said.add(line);
    this.tell(line);
  }

  error(name, text) {
    this.warn(name, text);
  }
}

/** Its alarm rings when the count has reached the target; rp2040js rounds the wait down and is up to 1 us early. */
class Timer extends RPTimer {
  writeUint32(offset, value) {
    super.writeUint32(offset, value);
    const alarm = this.alarms[(offset - 0x10) >> 2];
    if (offset < 0x10 || offset > 0x1c || !alarm) return;
    const now = this.clock.nanos / 1000;
    const wait = ((value - Math.floor(now)) >>> 0) - (now - Math.floor(now));
    // A target of the last microseconds is over: the chip would wait 72 minutes, and so would this.
    alarm.clockAlarm.schedule(Math.max(wait, 0) * 1000);
  }
}

/** An interrupt for room to send is raised by sending, not by enabling it (rp2040js never lets it go). */
class Uart extends RPUART {
  checkInterrupts() {
    this.rp2040.setInterrupt(this.irq, !!(this.interruptStatus & this.interruptMask));
  }

  writeUint32(offset, value) {
    super.writeUint32(offset, value);
    // Everything sent leaves at once, so the level falls below the mark at once.
    if (offset === 0) {
      this.interruptStatus |= 1 << 5;
      this.checkInterrupts();
    }
  }
}

/** Its divider is taken and makes no difference: rp2040js warns. */
class Rtc extends RP2040RTC {
  writeUint32(offset, value) {
    if (offset !== 0) super.writeUint32(offset, value);
  }
}

export class Chip extends RP2040 {
  constructor(memory, tell) {
    super(new Clock());
    this.memory = memory;
    memory.serve(this);
    this.logger = new Log(tell);
    this.core = new Core(this, this.clock, memory);
    this.isLeaving = false; // a reset is due
    this.sio = new Sio(this);
    this.peripherals[0x40010] = new Psm(this, 'PSM_BASE');
    this.usbCtrl = new UsbDevice(this, 'USB');
    this.peripherals[0x50110] = this.usbCtrl;
    this.peripherals[0x40054] = new Timer(this, 'TIMER_BASE');
    this.peripherals[0x4005c] = new Rtc(this, 'RTC_BASE');
    this.uart = this.uart.map((uart, k) => new Uart(this, `UART${k}`, uart.irq, uart.dreq));
    this.peripherals[0x40034] = this.uart[0];
    this.peripherals[0x40038] = this.uart[1];
  }

  /** As rp2040js, less the erased flash; this chip is made anew for each reset. */
  reset() {
    this.pwm.reset(); // without it the counters wrap at 0 and their alarms ring for ever
  }

  updateClkSys() {
    const before = this.clkSys;
    super.updateClkSys();
    if (this.clkSys !== before) this.clock.setFrequency(this.clkSys);
  }

  /** Writes to ROM and flash change neither; in the flash's window they drop a line of the cache. */
  writeUint32(address, value) {
    const region = address >>> 28;
    if (region > 1) super.writeUint32(address, value);
    else if (address >= XIP && address < XIP_END) this.core.cache?.drop(address);
    else if (address >= XIP_END) super.writeUint32(address, value);
    else this.logger.warn('ROM', `write to 0x${address.toString(16)}`);
  }

  // Bytes and halfwords of the USB memory are written as such; rp2040js reads a word, changes and writes it,
  // which would start a transfer again.
  writeUint8(address, value) {
    if ((address & 0xfffff000) === DPRAM && !isBufferControl(address)) this.usbDPRAM[address & 0xfff] = value;
    else super.writeUint8(address, value);
  }

  writeUint16(address, value) {
    if ((address & 0xfffff000) === DPRAM && !isBufferControl(address))
      this.usbDPRAMView.setUint16(address & 0xfff, value, true);
    else super.writeUint16(address, value);
  }
}

function isBufferControl(address) {
  const offset = address & 0xfff;
  return offset >= DPRAM_CONTROLS && offset < 0x100;
}
