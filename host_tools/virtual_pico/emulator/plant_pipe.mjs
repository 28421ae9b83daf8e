// The plant's process at the other end of two pipes (host_tools/virtual_pico/plant_server.py).
//
// A request is 17 doubles, an answer 16, little endian. The first double of a request is 1 for a period and 2 for a
// command, whose JSON follows in as many bytes as the second double says; its answer likewise, after 16 doubles of
// which the first is its length. Both ends block: the chip's time stands still meanwhile.

import fs from 'node:fs';

export const REQUEST = 17;
export const ANSWER = 16;

export class PlantPipe {
  constructor(readFd, writeFd) {
    this.readFd = readFd;
    this.writeFd = writeFd;
    this.request = new Float64Array(REQUEST);
    this.answer = new Float64Array(ANSWER);
    this.requestBytes = new Uint8Array(this.request.buffer);
    this.answerBytes = new Uint8Array(this.answer.buffer);
    this.exchanges = 0;
  }

  write(bytes) {
    for (let done = 0; done < bytes.length; ) done += fs.writeSync(this.writeFd, bytes, done, bytes.length - done);
  }

  read(bytes) {
    for (let done = 0; done < bytes.length; ) {
      const count = fs.readSync(this.readFd, bytes, done, bytes.length - done, null);
      if (count === 0) throw new Error('The plant has ended; its last words are above.');
      done += count;
    }
  }

  /** Sends `request` and waits for `answer`. */
  exchange() {
    this.exchanges += 1;
    this.request[0] = 1;
    this.write(this.requestBytes);
    this.read(this.answerBytes);
  }

  /** Asks the plant's process for something, as the control channel does; throws what it refuses. */
  ask(command) {
    const text = Buffer.from(JSON.stringify(command));
    this.request[0] = 2;
    this.request[1] = text.length;
    this.write(this.requestBytes);
    this.write(text);
    this.read(this.answerBytes);
    const said = Buffer.alloc(this.answer[0]);
    this.read(said);
    const { ok, result, error } = JSON.parse(said.toString());
    if (!ok) throw new Error(error);
    return result;
  }
}
