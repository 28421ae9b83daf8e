"""Standard input and output as a binary port that never blocks: the virtual board's cable.

Reads and writes go to the C library directly, with the descriptors set to non-blocking: a stream
object would block until a buffer is full, or hide how much of it was written.
"""

import os
import select
import sys

import ffi  # pyright: ignore[reportMissingImports]  (of the unix port only)

O_NONBLOCK = 0x800
F_GETFL = 3
F_SETFL = 4
EAGAIN = 11
EINTR = 4
CHUNK = 2048

_libc = ffi.open("libc.so.6")
_fcntl = _libc.func("i", "fcntl", "iii")
_read = _libc.func("i", "read", "ipi")
_write = _libc.func("i", "write", "ipi")
_errno = getattr(os, "errno")  # noqa: B009  (of the unix port only)


class StandardPort:
    """`read` what has come, `write` what fits, `wait` for input; `closed` after a hang-up."""

    def __init__(self):
        self.closed = False
        self._buffer = bytearray(CHUNK)
        self._flags = [(fd, _fcntl(fd, F_GETFL, 0)) for fd in (0, 1)]
        for fd, flags in self._flags:
            _fcntl(fd, F_SETFL, flags | O_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)

    def read(self, limit=CHUNK):
        """Bytes that have arrived, at most `limit`; b"" when none have."""
        count = _read(0, self._buffer, min(limit, CHUNK))
        if count > 0:
            return bytes(memoryview(self._buffer)[:count])
        if count == 0 or _errno() not in (EAGAIN, EINTR):
            self.closed = True
        return b""

    def write(self, data, at, end):
        """Number of bytes of data[at:end] that the other end had room for."""
        if at >= end:
            return 0
        count = _write(1, memoryview(data)[at:end], end - at)
        if count < 0:
            if _errno() not in (EAGAIN, EINTR):
                self.closed = True
            return 0
        return count

    def wait(self, milliseconds):
        """Sleep until input arrives or the time is over."""
        self._poll.poll(milliseconds)

    def close(self):
        """Leave the descriptors as they were found."""
        for fd, flags in self._flags:
            _fcntl(fd, F_SETFL, flags)
