// The computer at the other end of the USB cable: it enumerates the device, opens its serial port (CDC), and
// passes bytes both ways.

import {
  DataDirection,
  DescriptorType,
  SetupRecipient,
  SetupType,
  createSetupPacket,
  getDescriptorPacket,
  setDeviceAddressPacket,
  setDeviceConfigurationPacket,
} from './stock.mjs';

const CONFIGURATION_SIZE = 9;
const CDC_DATA_CLASS = 10;
const BULK = 2;
const SET_CONTROL_LINE_STATE = 0x22;
const DTR_AND_RTS = 3;
const GAP_NANOS = 100e3; // between two control transfers
const NO_BYTES = new Uint8Array(0);

/** The bulk endpoints of the serial port in a configuration descriptor: {input, output}, -1 for none. */
export function findSerialEndpoints(descriptor) {
  const found = { input: -1, output: -1 };
  let isData = false;
  for (let at = 0; at + 1 < descriptor.length && descriptor[at] >= 2; at += descriptor[at]) {
    const type = descriptor[at + 1];
    if (type === DescriptorType.Interface) isData = descriptor[at + 5] === CDC_DATA_CLASS;
    if (type === DescriptorType.Endpoint && isData && (descriptor[at + 3] & 3) === BULK) {
      const address = descriptor[at + 2];
      if (address & 0x80) found.input = address & 0xf;
      else found.output = address & 0xf;
    }
  }
  return found;
}

export class UsbHost {
  /**
   * `port` has write(bytes), canWrite(), read(limit), which returns a Uint8Array, empty when there is nothing, and
   * isOpen, true while a program has it open.
   */
  constructor(port) {
    this.port = port;
    this.device = null;
    this.isConnected = false;
    this.isPlugged = true;
  }

  /** Plugs the cable into a freshly reset controller. */
  attach(device) {
    this.device = device;
    this.reset();
    device.host = this;
    device.onUSBEnabled = () => {
      if (this.isPlugged) device.resetDevice();
    };
    device.onResetReceived = () => {
      this.reset();
      device.forget();
      this.control = [
        setDeviceAddressPacket(1),
        getDescriptorPacket(DescriptorType.Configration, CONFIGURATION_SIZE),
      ];
      this.gap.schedule(GAP_NANOS);
    };
    this.gap = device.rp2040.clock.createAlarm(() => this.nextControl());
  }

  reset() {
    this.isConnected = false;
    this.control = [];
    this.answer = [];
    this.wanted = 0; // bytes of the present control read
    this.endpoints = { input: -1, output: -1 };
    this.isStatusDue = false;
    this.isControlBusy = false;
    this.lineState = 0;
  }

  nextControl() {
    const packet = this.control.shift();
    this.isControlBusy = packet !== undefined;
    if (!packet) {
      this.followPort();
      return;
    }
    this.answer = [];
    this.isRead = (packet[0] & 0x80) !== 0;
    this.wanted = packet[6] | (packet[7] << 8);
    this.isStatusDue = false;
    this.device.sendSetupPacket(packet);
  }

  // ---- Called by the controller

  canTake(endpoint) {
    if (!this.isPlugged) return false;
    return endpoint !== this.endpoints.input || !this.port.isOpen || this.port.canWrite();
  }

  /** The device has what was offered. */
  given(endpoint) {
    if (endpoint === 0) this.finishControl();
  }

  take(endpoint, bytes) {
    if (endpoint === 0) this.takeControl(bytes);
    else if (endpoint === this.endpoints.input && this.port.isOpen) this.port.write(bytes);
  }

  offer(endpoint, limit) {
    if (!this.isPlugged) return null;
    if (endpoint === 0) {
      // The status stage of a control read: the host acknowledges with an empty packet.
      if (!this.isStatusDue) return null;
      this.isStatusDue = false;
      return NO_BYTES;
    }
    if (endpoint !== this.endpoints.output) return null;
    const bytes = this.port.read(limit);
    return bytes.length ? bytes : null;
  }

  /** To be called when the port has got bytes or room, or a program has opened or closed it. */
  wake() {
    this.followPort();
    this.device.serve();
  }

  /** Tells the device by DTR whether a program has the port open. */
  followPort() {
    if (!this.isConnected || this.lineState === this.wantedLineState()) return;
    this.lineState = this.wantedLineState();
    this.control.push(setLineState(this.lineState));
    if (!this.isControlBusy) this.gap.schedule(0);
  }

  wantedLineState() {
    return this.port.isOpen ? DTR_AND_RTS : 0;
  }

  // ---- Control transfers

  takeControl(bytes) {
    if (!this.isRead) {
      this.finishControl();
      return;
    }
    this.answer.push(...bytes);
    if (bytes.length < 64 || this.answer.length >= this.wanted) this.isStatusDue = true;
  }

  finishControl() {
    const { answer } = this;
    if (this.isRead && answer[1] === DescriptorType.Configration) {
      const total = answer[2] | (answer[3] << 8);
      if (answer.length < total) this.control.push(getDescriptorPacket(DescriptorType.Configration, total));
      else {
        this.endpoints = findSerialEndpoints(answer);
        this.lineState = this.wantedLineState();
        this.control.push(setDeviceConfigurationPacket(1), setLineState(this.lineState));
      }
    } else if (!this.control.length && this.endpoints.input >= 0) this.isConnected = true;
    this.gap.schedule(GAP_NANOS);
  }

  // ---- The cable

  unplug() {
    this.isPlugged = false;
    this.isConnected = false;
    this.device.forget();
    this.device.suspend();
  }

  plug() {
    if (this.isPlugged) return;
    this.isPlugged = true;
    this.device.resetDevice();
  }
}

function setLineState(value) {
  return createSetupPacket({
    dataDirection: DataDirection.HostToDevice,
    type: SetupType.Class,
    recipient: SetupRecipient.Device,
    bRequest: SET_CONTROL_LINE_STATE,
    wValue: value,
    wIndex: 0,
    wLength: 0,
  });
}
