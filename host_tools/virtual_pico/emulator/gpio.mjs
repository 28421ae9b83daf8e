// Pins of bank 0 (RP2040 datasheet section 2.19): level of a pad, overrides, pulls, edges and their interrupts.
//
// rp2040js keeps input and output apart: an output does not read back, and an edge is latched whenever an input is
// set, changed or not. Here a pad has one level, whoever drives it, and everything follows from its changes:
//     output, while it is enabled (after OUTOVER and OEOVER)
//     else whatever the board drives (`drive(true | false | null)`)
//     else the pull, and with both pulls what it was before.
//
// Peripherals that make edges ahead of the clock's next alarm (pwm.mjs) bring their outputs up to date in
// `bank.settle()`, which is called before anything that a pin's state depends on changes or is read.

import { GPIOPin, IRQ, RPIO, RPPADS } from './stock.mjs';

const FUNCTION_PWM = 4;
const FUNCTION_SIO = 5;
const FUNCTION_PIO0 = 6;
const FUNCTION_PIO1 = 7;
const PADS_RESET = 0x56; // input enabled, pull-down, Schmitt trigger, 4 mA
const PADS_OUTPUT_DISABLE = 0x80;
const PADS_INPUT_ENABLE = 0x40;
const PADS_PULL_UP = 0x08;
const PADS_PULL_DOWN = 0x04;
const CTRL_RESET = 0x1f;
const CTRL_LAST = 0xec;
const IRQ_LEVEL_LOW = 1;
const IRQ_LEVEL_HIGH = 2;
const IRQ_EDGE_LOW = 4;
const IRQ_EDGE_HIGH = 8;

/** `value` through an override: 0 as it is, 1 inverted, 2 low, 3 high. */
function override(value, kind) {
  return kind === 0 ? value : kind === 1 ? !value : kind === 3;
}

export class Pin extends GPIOPin {
  constructor(bank, index) {
    super(bank.chip, index);
    this.bank = bank;
    this.bit = 1 << index;
    this.ctrl = CTRL_RESET;
    this.padValue = PADS_RESET;
    this.external = null;
    this.level = false;
    this.driven = false; // the chip drives it
    this.changedAt = 0; // cycle of the last change of level
    this.watchers = []; // called with (level, cycle, pin) at each change of level
    this.rawInputValue = false;
    this.lastInput = false;
    this.irqStatus = IRQ_LEVEL_LOW;
  }

  get rawOutputEnable() {
    const { rp2040, bit } = this;
    switch (this.ctrl & 0x1f) {
      case FUNCTION_PWM:
        return (rp2040.pwm.gpioDirection & bit) !== 0;
      case FUNCTION_SIO:
        return (rp2040.sio.gpioOutputEnable & bit) !== 0;
      case FUNCTION_PIO0:
        return (rp2040.pio[0].pinDirections & bit) !== 0;
      case FUNCTION_PIO1:
        return (rp2040.pio[1].pinDirections & bit) !== 0;
      default:
        return false;
    }
  }

  get rawOutputValue() {
    const { rp2040, bit } = this;
    switch (this.ctrl & 0x1f) {
      case FUNCTION_PWM:
        return (rp2040.pwm.gpioValue & bit) !== 0;
      case FUNCTION_SIO:
        return (rp2040.sio.gpioValue & bit) !== 0;
      case FUNCTION_PIO0:
        return (rp2040.pio[0].pinValues & bit) !== 0;
      case FUNCTION_PIO1:
        return (rp2040.pio[1].pinValues & bit) !== 0;
      default:
        return false;
    }
  }

  get outputValue() {
    return override(this.rawOutputValue, (this.ctrl >> 8) & 3);
  }

  get outputEnable() {
    return override(this.rawOutputEnable, (this.ctrl >> 12) & 3) && !(this.padValue & PADS_OUTPUT_DISABLE);
  }

  get inputValue() {
    return override(this.level && (this.padValue & PADS_INPUT_ENABLE) !== 0, (this.ctrl >> 16) & 3);
  }

  /** Lets the board drive the pin: true, false, or null for not at all. */
  drive(level) {
    this.external = level;
    this.checkForUpdates();
  }

  setInputValue(value) {
    this.drive(value);
  }

  refreshInput() {
    this.checkForUpdates();
  }

  checkForUpdates() {
    this.refresh(this.rp2040.clock.cycles);
  }

  /** Computes the level anew and tells of a change, which happened at `cycle`. */
  refresh(cycle) {
    const { padValue } = this;
    this.driven = this.outputEnable;
    let level = this.level;
    if (this.driven) level = this.outputValue;
    else if (this.external !== null) level = this.external;
    else if (padValue & PADS_PULL_UP) level = padValue & PADS_PULL_DOWN ? level : true;
    else level = false; // pulled down, or by the leakage of whatever hangs on it
    const changed = level !== this.level;
    if (changed) {
      this.level = level;
      this.rawInputValue = level;
      this.changedAt = cycle;
    }
    const input = this.inputValue;
    if (input !== this.lastInput) {
      this.lastInput = input;
      const { bank } = this;
      bank.inputs = input ? bank.inputs | this.bit : bank.inputs & ~this.bit;
      this.irqStatus = input
        ? (this.irqStatus & ~IRQ_LEVEL_LOW) | IRQ_LEVEL_HIGH | IRQ_EDGE_HIGH
        : (this.irqStatus & ~IRQ_LEVEL_HIGH) | IRQ_LEVEL_LOW | IRQ_EDGE_LOW;
      if (this.irqEnableMask !== 0) this.rp2040.updateIOInterrupt();
      for (const listener of bank.inputListeners) listener(this, input, cycle);
    }
    if (changed) {
      for (const watcher of this.watchers) watcher(level, cycle, this);
      if (this.listeners.size > 0) for (const listener of this.listeners) listener(this.value);
    }
  }
}

/** The bank: pins, their control registers (IO_BANK0) and what all pins share. */
export class Bank {
  constructor(chip) {
    this.chip = chip;
    this.inputs = 0; // what GPIO_IN reads, without settling
    this.eager = 0; // pins whose edges somebody must see when they happen
    this.eagerBy = new Map();
    this.inputListeners = []; // called with (pin, input, cycle)
    this.pins = Array.from({ length: 30 }, (_, index) => new Pin(this, index));
  }

  settle() {
    this.chip.pwm.settle();
  }

  /** `who` needs every edge of the pins in `mask` at its own cycle. */
  setEager(who, mask) {
    if ((this.eagerBy.get(who) ?? 0) === mask) return;
    this.eagerBy.set(who, mask);
    let all = 0;
    for (const one of this.eagerBy.values()) all |= one;
    if (all === this.eager) return;
    this.eager = all;
    this.chip.pwm.schedule?.();
  }

  reset() {
    this.settle();
    for (const pin of this.pins) {
      pin.ctrl = CTRL_RESET;
      pin.irqEnableMask = pin.irqForceMask = 0;
      pin.checkForUpdates();
    }
  }

  resetPads() {
    this.settle();
    for (const pin of this.pins) {
      pin.padValue = PADS_RESET;
      pin.checkForUpdates();
    }
  }
}

/** IO_BANK0: a change of CTRL acts on the edges from now on, not on those since the last look. */
class ControlRegisters extends RPIO {
  readUint32(offset) {
    this.rp2040.bank.settle();
    return super.readUint32(offset) >>> 0;
  }

  writeUint32(offset, value) {
    const { bank } = this.rp2040;
    bank.settle();
    if (offset <= CTRL_LAST && offset & 4) {
      const pin = bank.pins[offset >>> 3];
      pin.ctrl = value;
      pin.checkForUpdates();
      return;
    }
    super.writeUint32(offset, value);
    let watched = 0;
    for (const pin of bank.pins) if (pin.irqEnableMask !== 0) watched |= pin.bit;
    bank.setEager('interrupts', watched);
  }
}

class PadRegisters extends RPPADS {
  writeUint32(offset, value) {
    this.rp2040.bank.settle();
    super.writeUint32(offset, value);
  }
}

export function attach({ chip }) {
  const bank = new Bank(chip);
  chip.bank = bank;
  chip.gpio = bank.pins;
  Object.defineProperty(chip, 'gpioValues', {
    configurable: true,
    get() {
      bank.settle();
      return bank.inputs;
    },
  });
  chip.updateIOInterrupt = () => {
    let raised = false;
    for (const pin of bank.pins) raised ||= (pin.irqStatus & pin.irqEnableMask) !== 0 || pin.irqForceMask !== 0;
    chip.setInterrupt(IRQ.IO_BANK0, raised);
  };
  chip.peripherals[0x40014] = new ControlRegisters(chip, 'IO_BANK0_BASE');
  chip.peripherals[0x4001c] = new PadRegisters(chip, 'PADS_BANK0_BASE', 'bank0');
}
