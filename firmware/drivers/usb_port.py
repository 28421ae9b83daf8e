"""The board's USB serial port as a binary port that does not wait for its host.

MicroPython's standard streams have two habits that a drive cannot live with.  A read waits until all
bytes asked for are there, so bytes are taken one by one, each after a look whether there is one.  A
write of at most 64 bytes waits up to half a second for room for all of them, while a poll tells of
room for one.  The buffer between holds 256 bytes and is emptied by packets of at most 64, so as long
as only whole packets enter it, room for one byte is room for a packet: the last packet of a frame is
filled up with zeros, which are empty frames to the other end.

With the port closed on the host MicroPython takes and drops whatever is written.  With a host that is
gone, unplugged or asleep, it does so as long as its buffer has room, and then never returns.  It notices
after 3 ms without a word, so nothing is written unless the host's last frame is fresher than that: a host
that is there counts one each millisecond.  One that has come back is not written to before it has spoken:
until its program has opened the port the buffer is as full as before.  A drive's own timeout
(host_timeout) has by then stopped it in order.
"""

import select
import sys
from time import ticks_add, ticks_diff, ticks_us

import micropython
from machine import mem32
from micropython import const

PACKET = const(64)
ROOM = const(512)  # bytes that MicroPython keeps for the reader
_SOF_RD = const(0x50110048)  # number of the host's last frame
_FRESH_US = const(2500)  # after which a frame may be the last one
_WAIT_US = const(1200)  # in which a host that is there begins a frame


@micropython.viper
def _fill(packet, data, at: int, count: int):
    """`count` bytes of `data` from `at`, and zeros."""
    into = ptr8(packet)
    bytes_of = ptr8(data)
    k = 0
    while k < count:
        into[k] = bytes_of[at + k]
        k += 1
    while k < 64:
        into[k] = 0
        k += 1


class UsbPort:
    """`read` what has come, `write` what fits, `wait` for input; never closed by the other end."""

    closed = False

    def __init__(self):
        self.dropped = 0  # bytes that a write lost although there was room: a host that stopped reading
        self._input = sys.stdin.buffer
        self._output = sys.stdout.buffer
        self._arrived = select.poll()
        self._arrived.register(sys.stdin, select.POLLIN)
        self._look = self._arrived.ipoll
        self._room = select.poll()
        self._room.register(sys.stdout, select.POLLOUT)
        self._one = bytearray(1)
        self._buffer = bytearray(ROOM)
        self._view = memoryview(self._buffer)
        self._packet = bytearray(PACKET)
        self._away = False  # the host, until it speaks
        self._frame = 0  # seen last
        self._looked = ticks_us()  # when that was
        self._fresh_until = self._looked

    def read(self, limit=ROOM):
        """Bytes that have arrived, at most `limit`; b"" when none have."""
        poll = self._look
        for _ in poll(0):
            break
        else:
            return b""  # as most of the time
        take, one, buffer = self._input.readinto, self._one, self._buffer
        count, limit = 0, min(limit, ROOM)
        while count < limit:
            take(one)
            buffer[count] = one[0]
            count += 1
            for _ in poll(0):
                break
            else:
                break
        self._away = False
        return bytes(self._view[:count])

    def _host_is_there(self):
        """Whether a frame of the host is fresh; waits for one if the last may be older than it looks."""
        frame, now = mem32[_SOF_RD], ticks_us()
        began = now
        while True:
            if frame != self._frame:  # it has come since the last look
                self._frame = frame
                self._fresh_until = ticks_add(self._looked, _FRESH_US)
            self._looked = now
            if ticks_diff(self._fresh_until, now) > 0:
                return True
            if ticks_diff(now, began) > _WAIT_US:
                return False
            frame, now = mem32[_SOF_RD], ticks_us()

    def write(self, data, at, end):
        """Number of bytes of data[at:end] that were taken: whole packets, and the rest with its last one."""
        begin = at
        packet, out, poll = self._packet, self._output, self._room.ipoll
        while at < end:
            if self._away or not self._host_is_there():
                self._away = True
                break
            for _ in poll(0):
                break
            else:
                break
            count = min(PACKET, end - at)
            _fill(packet, data, at, count)
            taken = out.write(packet) or 0
            at += count
            if taken < PACKET:
                self.dropped += max(0, count - taken)
                break
        return at - begin

    def wait(self, milliseconds):
        """Sleep until input arrives or the time is over."""
        for _ in self._look(milliseconds):
            return

    def close(self):
        """Nothing to give back: the prompt uses the same port."""
