// What we use of rp2040js, by file: its index hides the parts that we derive from.
export { RP2040 } from './node_modules/rp2040js/dist/esm/rp2040.js';
export { CortexM0Core } from './node_modules/rp2040js/dist/esm/cortex-m0-core.js';
export { SimulationClock } from './node_modules/rp2040js/dist/esm/clock/simulation-clock.js';
export { GPIOPin, GPIOPinState } from './node_modules/rp2040js/dist/esm/gpio-pin.js';
export { IRQ } from './node_modules/rp2040js/dist/esm/irq.js';
export { BasePeripheral, UnimplementedPeripheral } from './node_modules/rp2040js/dist/esm/peripherals/peripheral.js';
export { RPADC } from './node_modules/rp2040js/dist/esm/peripherals/adc.js';
export { DREQChannel, RPDMA, RPDMAChannel } from './node_modules/rp2040js/dist/esm/peripherals/dma.js';
export { RPIO } from './node_modules/rp2040js/dist/esm/peripherals/io.js';
export { RPPADS } from './node_modules/rp2040js/dist/esm/peripherals/pads.js';
export { RPPIO, StateMachine } from './node_modules/rp2040js/dist/esm/peripherals/pio.js';
export { RPReset } from './node_modules/rp2040js/dist/esm/peripherals/reset.js';
export { RPPPB } from './node_modules/rp2040js/dist/esm/peripherals/ppb.js';
export { RPPSM } from './node_modules/rp2040js/dist/esm/peripherals/psm.js';
export { RPPWM } from './node_modules/rp2040js/dist/esm/peripherals/pwm.js';
export { RP2040RTC } from './node_modules/rp2040js/dist/esm/peripherals/rtc.js';
export { RPSPI } from './node_modules/rp2040js/dist/esm/peripherals/spi.js';
export { RPSSI } from './node_modules/rp2040js/dist/esm/peripherals/ssi.js';
export { RPTimer } from './node_modules/rp2040js/dist/esm/peripherals/timer.js';
export { RPUART } from './node_modules/rp2040js/dist/esm/peripherals/uart.js';
export { RPUSBController } from './node_modules/rp2040js/dist/esm/peripherals/usb.js';
export { RPWatchdog } from './node_modules/rp2040js/dist/esm/peripherals/watchdog.js';
export { RPSIO } from './node_modules/rp2040js/dist/esm/sio.js';
export { USBCDC } from './node_modules/rp2040js/dist/esm/usb/cdc.js';
export {
  DataDirection,
  DescriptorType,
  SetupRecipient,
  SetupType,
} from './node_modules/rp2040js/dist/esm/usb/interfaces.js';
export {
  createSetupPacket,
  getDescriptorPacket,
  setDeviceAddressPacket,
  setDeviceConfigurationPacket,
} from './node_modules/rp2040js/dist/esm/usb/setup.js';
export { FIFO } from './node_modules/rp2040js/dist/esm/utils/fifo.js';
export { Timer32, Timer32PeriodicAlarm, TimerMode } from './node_modules/rp2040js/dist/esm/utils/timer32.js';
