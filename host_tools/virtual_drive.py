"""A virtual drive: the firmware on real MicroPython, behind a PTY that pyserial opens like a serial port.

    with VirtualDrive("a") as virtual, Drive.connect(virtual.port) as drive:
        ...

`python -m host_tools.virtual_drive a` keeps one running until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from host_tools.devices import ROOT, registry_folder
from host_tools.errors import MISSING, USAGE, ToolError
from host_tools.interpreter import InterpreterError, find_interpreter
from host_tools.link_errors import PortClosed, PortMissing

# The firmware ends by itself when its port hangs up; after this time it is made to.
PATIENCE = 2.0


class VirtualDriveError(ToolError):
    """The virtual drive does not start, or ended by itself."""


class VirtualDrive:
    """Starts a unit's board folder on MicroPython; a context that ends it.

    `unit` is a name in boards/units, which is built first if need be, or a ready board folder.
    `seed` decides noise and the rotor's first angle, `faults` names what is wrong with the plant.
    With `fast` time passes only when a client advances it. `store` is the folder in which it keeps settings
    over restarts; without one it keeps none, so that no drive finds what another one has left.
    """

    def __init__(
        self,
        unit: str | Path = "a",
        *,
        seed: int = 1,
        faults: Sequence[str] = (),
        fast: bool = False,
        registry: Path | None = None,
        store: Path | None = None,
    ) -> None:
        self.unit = unit
        self.seed = seed
        self.faults = tuple(faults)
        self.fast = fast
        self.registry = registry or registry_folder()
        self.store = store
        self.port = ""
        self.pid = 0
        self.folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = -1
        self._stderr: IO[bytes] | None = None
        self._said = ""
        self._entry: Path | None = None

    def start(self) -> VirtualDrive:
        """Builds if need be and starts; the port takes a client at once, which waits for the boot."""
        if os.name != "posix":
            raise VirtualDriveError(
                "A virtual drive needs a pseudo terminal, which this system has not.", "use WSL2", USAGE
            )
        import tty

        self.folder, name = self._board_folder()
        try:
            interpreter = find_interpreter()
        except InterpreterError as error:
            raise VirtualDriveError(str(error), code=MISSING) from error
        command = [*interpreter, "main.py", "--seed", str(self.seed)]
        if self.fast:
            command.append("--fast")
        if self.faults:
            command += ["--fault", ",".join(self.faults)]
        if self.store is not None:
            try:
                self.store.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise VirtualDriveError(
                    f"The folder {self.store} for kept settings cannot be made: {error.strerror}.",
                    "name another one",
                    USAGE,
                ) from error
            command += ["--store", str(self.store.absolute())]
        master, slave = os.openpty()
        try:
            # Raw from the start: every byte passes both ways, none has a meaning to the terminal.
            tty.setraw(slave)
            self.port = os.ttyname(slave)
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=master,
                stdout=master,
                stderr=self._stderr,
                # Ctrl-C is for the tools, which stop the motor in order; the board must live on for that.
                start_new_session=True,
            )
        except OSError as error:
            os.close(slave)
            raise VirtualDriveError(f"MicroPython does not start: {error}.", code=MISSING) from error
        finally:
            os.close(master)
        # Held open, so that a client may come and go; with this process it goes, and the firmware ends.
        self._keeper = slave
        self.pid = self._process.pid
        self._register(name)
        return self

    def _board_folder(self) -> tuple[Path, str]:
        given = Path(self.unit)
        if (given / "main.py").is_file():
            return given, json.loads((given / "unit.json").read_text())["identity"]["unit"]
        # The linker is not needed to talk to a board, so it is loaded only here.
        from host_tools import build, units

        unit = units.load(str(self.unit))
        folder = ROOT / "build" / "units" / unit.name
        with _lock(folder.with_suffix(".lock")):
            return build.build(unit, folder), unit.name

    def _register(self, name: str) -> None:
        self.registry.mkdir(parents=True, exist_ok=True)
        entry = self.registry / f"{name}-{self.pid}.json"
        content = {
            "unit": name,
            "port": self.port,
            "pid": self.pid,
            "keeper": os.getpid(),
            "fast": self.fast,
            "folder": str(self.folder),
        }
        fresh = entry.with_suffix(".new")
        fresh.write_text(json.dumps(content, indent=1) + "\n")
        fresh.replace(entry)
        self._entry = entry

    @property
    def running(self) -> bool:
        """True while the firmware runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Ends the firmware at once, as a power cut would; the port closes under a client's hands."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Ends the firmware; harmless when it has ended."""
        if self._entry is not None:
            self._entry.unlink(missing_ok=True)
            self._entry = None
        if self._keeper >= 0:
            os.close(self._keeper)  # with the last descriptor closed the firmware sees a hang-up
            self._keeper = -1
        process = self._process
        if process is not None:
            try:
                process.wait(0.3)
            except subprocess.TimeoutExpired:
                process.terminate()  # a client still holds the port
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
                self.kill()
        if self._stderr is not None:
            self._said = self.said()
            self._stderr.close()
            self._stderr = None

    def said(self) -> str:
        """What the firmware wrote to stderr: start-up texts, or the traceback it died of."""
        if self._stderr is None:
            return self._said
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), size, 0).decode(errors="replace")

    def check(self) -> None:
        """Raises VirtualDriveError with the firmware's last words when it has ended."""
        if self._process is not None and self._process.poll() is not None:
            words = self.said().strip()[-2000:]
            raise VirtualDriveError(
                f"The virtual drive ended ({self._process.returncode})"
                + (f". It said:\n{words}" if words else " and said nothing."),
                f"run it by hand: cd {self.folder} && micropython main.py",
            )

    def _await_end(self) -> None:
        """A process that dies closes its files first, so a client may know before its return code does."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)

    def __enter__(self) -> VirtualDrive:
        return self.start()

    def __exit__(self, kind: object, exception: BaseException | None, trace: object) -> None:
        try:
            # A client sees no more than a port that closed; what the firmware said tells why.
            if isinstance(exception, (PortClosed, PortMissing)):
                self._await_end()
            if isinstance(exception, ToolError) and self._process and self._process.poll():
                self.check()
        finally:
            self.stop()


@contextlib.contextmanager
def _lock(file: Path) -> Iterator[None]:
    """One process at a time: nobody starts a folder that another is still writing."""
    import fcntl

    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Keeps a virtual drive running until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.virtual_drive", description=main.__doc__)
    parser.add_argument("unit", nargs="?", default="a", help="a name in boards/units, or a board folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", action="append", default=[], help="what is wrong with the plant")
    parser.add_argument("--fast", action="store_true", help="time passes only when a client advances it")
    parser.add_argument("--store", type=Path, help="the folder in which settings are kept over restarts")
    parser.add_argument("--link", type=Path, help="also make this symbolic link to the port")
    arguments = parser.parse_args()
    # An end by SIGTERM takes the same way out as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    drive = VirtualDrive(
        arguments.unit,
        seed=arguments.seed,
        faults=arguments.fault,
        fast=arguments.fast,
        store=arguments.store,
    )
    try:
        with drive:
            if arguments.link:
                arguments.link.unlink(missing_ok=True)
                arguments.link.symlink_to(drive.port)
            print(f"unit {arguments.unit} at {drive.port}; Ctrl-C ends it", flush=True)
            while drive.running:
                time.sleep(0.1)
            drive.check()
    except KeyboardInterrupt:
        return 0
    except ToolError as error:
        print(f"eesm: {error}" + (f"\n{error.hint}" if error.hint else ""), file=sys.stderr)
        return error.code
    finally:
        if arguments.link and arguments.link.is_symlink():
            arguments.link.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
