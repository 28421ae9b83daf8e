// The host's end of the serial line: a PTY master, read as Node's loop finds bytes, written without waiting.

import fs from 'node:fs';
import tty from 'node:tty';

const ROOM = 4096; // bytes that may wait for the terminal before the cable holds the device back

export class Port {
  /** `fd` is the PTY's master; `onInput()` is called when bytes have come. */
  constructor(fd, onInput) {
    this.fd = fd;
    this.received = [];
    this.size = 0; // bytes received and not yet taken
    this.unsent = Buffer.alloc(0);
    this.written = 0;
    this.stream = new tty.ReadStream(fd);
    this.stream.on('data', (bytes) => {
      this.received.push(bytes);
      this.size += bytes.length;
      if (this.size > ROOM) this.stream.pause();
      onInput();
    });
    this.stream.on('error', () => {}); // the wrapper has gone; it ends this process
  }

  read(limit) {
    if (!this.size) return new Uint8Array(0);
    let first = this.received[0];
    if (first.length > limit) {
      this.received[0] = first.subarray(limit);
      first = first.subarray(0, limit);
    } else this.received.shift();
    this.size -= first.length;
    if (this.size <= ROOM && this.stream.isPaused()) this.stream.resume();
    return first;
  }

  canWrite() {
    return this.unsent.length < ROOM;
  }

  write(bytes) {
    this.unsent = this.unsent.length ? Buffer.concat([this.unsent, bytes]) : Buffer.from(bytes);
    this.flush();
  }

  /** Sends what waits; returns true when some of it has gone. */
  flush() {
    if (!this.unsent.length) return false;
    try {
      const count = fs.writeSync(this.fd, this.unsent);
      this.unsent = this.unsent.subarray(count);
      this.written += count;
      return count > 0;
    } catch (error) {
      if (error.code === 'EAGAIN') return false; // nobody reads
      throw error;
    }
  }
}
