"""MicroPython's prompt on a board, and the files there, through mpremote's library.

mpremote does the talking (raw REPL, flow control, results); here is only what a flash wants to be said: few
and large steps, since each costs a round trip, and compressed, since what is sent must also be compiled.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from host_tools.errors import MissingExtra
from host_tools.flash.errors import AGAIN, BoardGone, FlashError
from host_tools.flash.plan import HASH_DIGITS, NEW
from host_tools.flash.rom import BLOCK

BAUD = 115_200  # USB ports and PTYs ignore it
RESETS = b"resetting"
# Whatever the next client sends, it cannot be the Ctrl-C that stops this one: it comes after the word.
_RESET = f"""\
import machine, micropython, time
micropython.kbd_intr(-1)
print({RESETS.decode()!r})
time.sleep_ms(20)
machine.reset()
"""
SILENCE = 60.0  # s without a byte: an emulated board that erases flash is slow
CHUNK = 4096  # bytes of a file in one step
WINDOW = 12  # bits: 4 KB for the board's decompressor
HASHED_AT_ONCE = 24  # files whose hashes one step asks for

# What the steps below use. Sent once; it fits into what a bare board has, and needs nothing of ours there.
_HELPERS = f"""
import os, vfs, gc, io, hashlib, binascii, deflate
def digits(digest):
    return binascii.hexlify(digest.digest()).decode()[:{HASH_DIGITS}]
def unpack(data):
    return deflate.DeflateIO(io.BytesIO(binascii.a2b_base64(data)), deflate.RAW, {WINDOW}).read()
def walk(folder):
    for entry in os.ilistdir(folder):
        path = folder + entry[0]
        if path == 'rom':
            continue
        if entry[1] & 0x4000:
            print(repr((path, -1)), end=',')
            walk(path + '/')
        else:
            print(repr((path, os.stat(path)[6])), end=',')
def hashes(paths):
    buffer = memoryview(bytearray(2048))
    for path in paths:
        digest = hashlib.sha256()
        try:
            with open(path, 'rb') as file:
                while True:
                    count = file.readinto(buffer)
                    if not count:
                        break
                    digest.update(buffer[:count])
            print(repr((path, digits(digest))), end=',')
        except OSError:
            print(repr((path, '')), end=',')
def put(path, mode, data):
    with open(path, mode) as file:
        file.write(unpack(data))
    gc.collect()
def move(path, to):
    try:
        os.rename(path, to)
    except OSError:
        pass
def remove(paths):
    for path in paths:
        try:
            os.remove(path)
        except OSError:
            os.rmdir(path)
def make(folders):
    for folder in folders:
        try:
            os.mkdir(folder)
        except OSError:
            pass
def burnt(count):
    rom, buffer = vfs.rom_ioctl(2, 0), bytearray({BLOCK})
    for block in range(count):
        rom.readblocks(block, buffer)
        print(repr(digits(hashlib.sha256(buffer))), end=',')
def burn(block, data):
    try:
        vfs.umount('/rom')
    except OSError:
        pass
    vfs.rom_ioctl(2, 0).writeblocks(block, unpack(data))
    gc.collect()
"""

# The watchdog cannot be stopped once it runs: bit 30 of its CTRL register (RP2040 datasheet, section 4.7.6).
_WHO = """
import sys, os, json
found = {"name": sys.implementation.name, "version": list(sys.implementation.version[:3])}
found["machine"] = sys.implementation._machine
found["watchdog"] = False
if "RP2040" in found["machine"]:
    import machine
    found["watchdog"] = bool(machine.mem32[0x40058000] >> 30 & 1)
found["free"] = os.statvfs("/")[0] * os.statvfs("/")[3]
found["rom"] = 0
try:
    import vfs
    rom = vfs.rom_ioctl(2, 0)
    if not isinstance(rom, int):
        found["rom"] = rom.ioctl(4, 0) * rom.ioctl(5, 0)
except (ImportError, AttributeError):
    pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Found:
    """What is at the prompt."""

    name: str  # of the interpreter
    version: str
    machine: str
    has_watchdog_running: bool
    free: int  # bytes of its file system
    rom: int = 0  # bytes of its ROM partition

    def __str__(self) -> str:
        return f"{self.name} {self.version} on {self.machine}"


class Prompt:
    """An open raw prompt. Made by `open_prompt`; every method raises BoardGone when the board does."""

    def __init__(self, transport: Any, port: str) -> None:
        self._transport = transport
        self.port = port
        self._has_helpers = False

    def identify(self) -> Found:
        """Asks what answers."""
        try:
            said = json.loads(self._exec(_WHO))
        except ValueError as error:
            raise FlashError(f"{self.port} does not answer as MicroPython does: {error}.") from error
        version = ".".join(str(number) for number in said["version"])
        return Found(said["name"], version, said["machine"], said["watchdog"], said["free"], said["rom"])

    def list_files(self) -> dict[str, int]:
        """Size of each file, -1 for folders, by path; without those of a ROM, which is mounted at /rom."""
        return dict(self._tuples("walk('')"))

    def hash_files(self, paths: Iterable[str], tell: Callable[[int], None] | None = None) -> dict[str, str]:
        """Hash of each file, "" for one that is not there; `tell` hears how many more are done."""
        wanted, found = list(paths), {}
        for first in range(0, len(wanted), HASHED_AT_ONCE):
            some = wanted[first : first + HASHED_AT_ONCE]
            found.update(self._tuples(f"hashes({some!r})"))
            if tell is not None:
                tell(len(some))
        return found

    def read(self, path: str) -> bytes | None:
        """A small file's content; None when there is none."""
        text = self._exec(
            f"try:\n with open({path!r}, 'rb') as file:\n  print(repr(file.read()))\n"
            "except OSError:\n print(None)"
        )
        content = _evaluate(text)
        return content if isinstance(content, bytes) else None

    def write(self, path: str, data: bytes, tell: Callable[[int], None] | None = None) -> None:
        """Writes a file; `tell` hears how many more bytes are there."""
        for first in range(0, len(data), CHUNK) or (0,):
            chunk = data[first : first + CHUNK]
            self._call(f"put({path!r}, {'ab' if first else 'wb'!r}, {_pack(chunk)!r})")
            if tell is not None:
                tell(len(chunk))

    def replace(self, path: str, data: bytes, tell: Callable[[int], None] | None = None) -> None:
        """Writes a file beside the old one, which it then replaces in one step: never half of it is seen."""
        self.write(path + NEW, data, tell)
        self.rename(path + NEW, path)

    def rename(self, path: str, to: str) -> None:
        """Renames a file, over another one too; nothing happens when there is none."""
        self._call(f"move({path!r}, {to!r})")

    def remove(self, paths: Iterable[str]) -> None:
        """Removes files, and folders that are empty."""
        self._call(f"remove({list(paths)!r})")

    def make_folders(self, folders: Iterable[str]) -> None:
        """Makes folders, outer ones first, unless they are there."""
        self._call(f"make({list(folders)!r})")

    def hash_rom(self, count: int) -> list[str]:
        """Hash of each of the first blocks of the ROM partition."""
        return list(_evaluate(b"[" + self._call(f"burnt({count})") + b"]"))

    def burn(self, number: int, block: bytes) -> None:
        """Writes a block of the ROM partition, which is not mounted any more until the next restart."""
        self._call(f"burn({number}, {_pack(block)!r})")

    def reset(self) -> None:
        """Restarts the board as its reset pin would, and closes the port."""
        with _translated(self.port):
            self._transport.exec_raw_no_follow(_RESET)
        # A real board's port may go before that.
        with contextlib.suppress(BoardGone), _translated(self.port):
            self._transport.read_until(1, RESETS, timeout=SILENCE)
        self.close()

    def close(self) -> None:
        """Closes the port; the board stays at its prompt."""
        with contextlib.suppress(Exception):
            self._transport.close()

    def __enter__(self) -> Prompt:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _call(self, command: str) -> bytes:
        if not self._has_helpers:
            self._exec(_HELPERS)
            self._has_helpers = True
        return self._exec(command)

    def _tuples(self, command: str) -> list[tuple[Any, ...]]:
        return list(_evaluate(b"[" + self._call(command) + b"]"))

    def _exec(self, command: str) -> bytes:
        with _translated(self.port):
            said, failed = self._transport.exec_raw(command, timeout=SILENCE)
        if failed:
            last = failed.decode(errors="replace").strip().splitlines()[-1:]
            raise FlashError(f"The board could not do {command[:60]!r}: {''.join(last)}.", AGAIN)
        return said


def open_prompt(port: str, patience: float = 10.0) -> Prompt:
    """Opens the port of a board that is at its prompt, restarts its interpreter and enters the raw prompt.

    Raises MissingExtra without mpremote, BoardGone when no prompt comes within `patience` seconds.
    """
    try:
        from mpremote.transport_serial import SerialTransport
    except ImportError as error:
        raise MissingExtra("mpremote", "flash", "Loading a board") from error
    with _translated(port):
        # mpremote reads a PTY without asking how much there is, so a read must come back by itself.
        transport = SerialTransport(port, BAUD, timeout=1.0)
        try:
            # With a fresh heap; main.py does not run on a restart from the raw prompt. What it did not expect
            # mpremote prints; the exception says enough.
            with contextlib.redirect_stdout(io.StringIO()):
                transport.enter_raw_repl(soft_reset=True, timeout_overall=ceil(patience))
        except BaseException:
            transport.close()
            raise
        transport.serial.timeout = SILENCE  # type: ignore[attr-defined]
    return Prompt(transport, port)


@contextlib.contextmanager
def _translated(port: str) -> Iterator[None]:
    """Turns what mpremote and pyserial raise into BoardGone."""
    from mpremote.transport import TransportError

    try:
        yield
    except (TransportError, OSError, struct.error, TypeError) as error:
        # pyserial lets a TypeError through when a port is closed meanwhile; struct.error is a short answer.
        why = str(error) or type(error).__name__
        raise BoardGone(f"The board at {port} stopped answering: {why}.", AGAIN) from error


def _pack(data: bytes) -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, -WINDOW)
    return base64.b64encode(packer.compress(data) + packer.flush()).decode()


def _evaluate(text: bytes) -> Any:
    import ast

    try:
        return ast.literal_eval(text.decode().strip())
    except (ValueError, SyntaxError) as error:
        raise FlashError(f"The board answered in a way that cannot be read: {text[:80]!r}.", AGAIN) from error
