// A Raspberry Pi Pico behind a PTY: node main.mjs '<options as JSON>'.
//
//   firmware   UF2 that goes into a new flash image     flash    the image's file
//   port_fd    PTY master                               control  path of the control socket
//   volume     folder that is the drive of BOOTSEL; bootsel: true while its button is held at power-on
//   pace       "real": never faster than time itself; "free": as fast as it can, idle time is skipped
//   plant_read_fd, plant_write_fd, seed, faults: for the modules

import { listen } from './control.mjs';
import { Machine } from './machine.mjs';
import { Port } from './port.mjs';

const SLICE_NANOS = 1e6; // emulated at a time
const BURST_MS = 5; // before the port and the control channel are looked at
const BOOTSEL_MS = 50; // between two looks at the drive
const LAG_MS = 20; // time lost by a busy chip is not made up for beyond this

const options = JSON.parse(process.argv[2] ?? '{}');

const port = new Port(options.port_fd);
const machine = new Machine(options, port, (text) => process.stderr.write(`${text}\n`));
if (options.control) listen(machine, options.control);

let wallStart = performance.now();
let chipStart = machine.nanos;

function burst() {
  if (port.poll()) machine.host.wake();
  const began = performance.now();
  let ahead = 0;
  let now = began;
  do {
    machine.run(Math.round(SLICE_NANOS / machine.clock.nanosPerCycle));
    if (machine.isOff) process.exit(0);
    if (machine.bootsel) {
      setTimeout(waitForFirmware, BOOTSEL_MS);
      return;
    }
    now = performance.now();
    ahead = (machine.nanos - chipStart) / 1e6 - (now - wallStart);
    if (ahead < -LAG_MS) {
      wallStart = now;
      chipStart = machine.nanos;
    }
  } while (now - began < BURST_MS && (ahead < 0.5 || options.pace === 'free'));
  if (ahead > 0.5 && options.pace !== 'free') setTimeout(burst, ahead);
  else setImmediate(burst);
}

function waitForFirmware() {
  if (machine.pollBootsel()) burst();
  else setTimeout(waitForFirmware, BOOTSEL_MS);
}

process.on('SIGTERM', () => process.exit(0));
// The board goes with the program that keeps it, however that ends.
const keeper = process.ppid;
setInterval(() => process.ppid === keeper || process.exit(0), 500);
burst();
