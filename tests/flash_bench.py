"""A board's prompt without a board: the real 32-bit MicroPython runs what a flash sends, in its own folder.

It stands in for mpremote's transport, so that everything above it is tested: the steps that run on the board,
their order, and what a power cut between or inside of them leaves.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from mpremote.transport import TransportError

# Stands in for the module of a port with a ROM partition, which is a file beside the board's folder.
_ROM = """
import sys
class Rom:
    def __init__(self):
        self.file = open(%r, "r+b")
    def ioctl(self, what, argument):
        return {4: self.file.seek(0, 2) // 4096, 5: 4096}[what]
    def readblocks(self, block, buffer):
        self.file.seek(4096 * block)
        self.file.readinto(buffer)
    def writeblocks(self, block, data):
        self.file.seek(4096 * block)
        self.file.write(data)
        self.file.flush()
class Vfs:
    rom = Rom()
    mounted = True
    def rom_ioctl(self, what, number):
        return self.rom
    def umount(self, path):
        if not self.mounted:
            raise OSError(22)
        self.mounted = False
sys.modules["vfs"] = Vfs()
"""

_SERVER = """
import sys
globals_ = {"__name__": "__main__"}
while True:
    size = sys.stdin.buffer.readline()
    if not size:
        break
    code = sys.stdin.buffer.read(int(size))
    failed = ""
    try:
        exec(code, globals_)
    except Exception as error:
        failed = repr(error)
    sys.stdout.write("\\x04" + failed + "\\x04\\n")
"""


class PowerCut(TransportError):
    """The board lost its power in this step."""


class Bench:
    """A folder that is a board's file system, and how often it may be asked until its power is cut.

    A board with a ROM partition keeps it in the file `rom`.
    """

    def __init__(self, interpreter: Sequence[str], folder: Path, rom: Path | None = None) -> None:
        self.folder = folder
        self.rom = rom
        self.steps = 0
        self.cut_at = -1  # step that is not carried out, or only in part
        self.commands: list[str] = []
        self.serial = None
        folder.mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [*interpreter, "-X", "heapsize=1m", "-c", (_ROM % str(rom) if rom else "") + _SERVER],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def exec_raw(self, command: str, timeout: float = 10) -> tuple[bytes, bytes]:
        """What mpremote's transport does: run a command, return what it printed and its error."""
        self.steps += 1
        self.commands.append(command)
        if self.steps == self.cut_at:
            self.close()
            self._tear(command)
            raise PowerCut("no answer")
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        code = command.encode()
        process.stdin.write(b"%d\n" % len(code) + code)
        process.stdin.flush()
        said = b""
        while not said.endswith(b"\x04\n"):
            line = process.stdout.readline()
            if not line:
                raise TransportError("the interpreter ended")
            said += line
        printed, failed, _ = said.rsplit(b"\x04", 2)
        return printed, failed

    def exec_raw_no_follow(self, command: str) -> None:
        """A reset: the board is gone."""
        self.commands.append(command)
        self.close()

    def read_until(self, least: int, ending: bytes, timeout: float = 10) -> bytes:
        """What the board says before it goes."""
        return ending

    def close(self) -> None:
        """Ends the interpreter; the folder stays."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _tear(self, command: str) -> None:
        """Leaves what littlefs may leave of a file that was being written: a new one that is empty.

        And of a block of ROM, that it is erased.
        """
        if command.startswith("put("):
            path = self.folder / command.split("'")[1]
            if not path.exists() and path.parent.is_dir():
                path.touch()
        elif command.startswith("burn(") and self.rom is not None:
            with self.rom.open("r+b") as file:
                file.seek(4096 * int(command[5:].split(",")[0]))
                file.write(b"\xff" * 4096)

    def content(self) -> dict[str, bytes]:
        """Every file by its path."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }
