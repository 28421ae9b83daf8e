// The host's end of the serial line: a PTY master, read and written without waiting.
//
// Nobody else holds the slave's end open, so a read that fails with EIO says that no program has the port open:
// then DTR is low, and what the device sends is lost, as on a computer.

import fs from 'node:fs';

const ROOM = 4096; // bytes that may wait for the terminal before the cable holds the device back
const MOST = 4096; // bytes that may wait for the device

export class Port {
  /** `fd` is the PTY's master, opened without blocking by the wrapper. */
  constructor(fd) {
    this.fd = fd;
    this.buffer = Buffer.alloc(MOST);
    this.received = [];
    this.size = 0; // bytes received and not yet taken
    this.unsent = Buffer.alloc(0);
    this.isOpen = false; // by a program on the other side
  }

  /** Looks for bytes and for who is there; returns true when the cable has something to do. */
  poll() {
    let isNews = false;
    while (this.size < MOST) {
      let count = 0;
      try {
        count = fs.readSync(this.fd, this.buffer, 0, MOST - this.size, null);
      } catch (error) {
        if (error.code !== 'EAGAIN' && error.code !== 'EIO') throw error;
        const isOpen = error.code === 'EAGAIN';
        isNews ||= isOpen !== this.isOpen;
        this.isOpen = isOpen;
        if (!isOpen) this.unsent = Buffer.alloc(0);
        break;
      }
      if (count === 0) break;
      this.isOpen = true;
      this.received.push(Uint8Array.from(this.buffer.subarray(0, count)));
      this.size += count;
      isNews = true;
    }
    return this.flush() || isNews;
  }

  read(limit) {
    if (!this.size) return new Uint8Array(0);
    let first = this.received[0];
    if (first.length > limit) {
      this.received[0] = first.subarray(limit);
      first = first.subarray(0, limit);
    } else this.received.shift();
    this.size -= first.length;
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
      return count > 0;
    } catch (error) {
      if (error.code === 'EAGAIN' || error.code === 'EIO') return false; // nobody reads
      throw error;
    }
  }
}
