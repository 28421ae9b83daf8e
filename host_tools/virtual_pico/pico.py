"""A virtual Pico: MicroPython's genuine RP2040 firmware on an emulated chip, behind a PTY.

    with VirtualPico("a") as pico, Drive.connect(pico.port) as drive:
        ...

pyserial and mpremote open `port` like a board's. The flash lives in a file, written through at each erase and
program, so `kill()` is a power cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from host_tools.devices import registry_folder
from host_tools.errors import MISSING, USAGE, ToolError
from host_tools.virtual_pico.node import EMULATOR, install_packages

PATIENCE = 2.0  # seconds that the emulator gets to end by itself
TIMINGS = ("ideal", "cache")


class VirtualPicoError(ToolError):
    """The virtual Pico does not start, ended by itself, or refuses a command."""


class VirtualPico:
    """Starts an emulated Pico; a context that ends it.

    `unit` names the plant behind the pins of `board` ("" for none), `flash` the file that holds the 2 MB of
    its flash (default: a new one that goes with it), `firmware` the UF2 in a new flash (default: the built
    one).
    `timing` is "ideal" (no wait states) or "cache" (with a model of the XIP cache and of exception entry).
    `pace` is "real" (never faster than real time) or "free" (as fast as it can; idle time is skipped). With
    `bootsel` its button is held at power-on: the folder `volume` is the drive that takes a UF2 file.
    """

    def __init__(
        self,
        unit: str = "a",
        *,
        board: str = "rpi_pico",
        flash: Path | None = None,
        seed: int = 1,
        faults: Sequence[str] = (),
        timing: str = "ideal",
        firmware: Path | None = None,
        pace: str = "real",
        bootsel: bool = False,
        registry: Path | None = None,
    ) -> None:
        if timing not in TIMINGS:
            raise VirtualPicoError(f"timing is {timing!r}, not one of {', '.join(TIMINGS)}.", code=USAGE)
        self.unit = unit
        self.board = board
        self.flash = flash
        self.seed = seed
        self.faults = tuple(faults)
        self.timing = timing
        self.firmware = firmware
        self.pace = pace
        self.bootsel = bootsel
        self.registry = registry or registry_folder()
        self.port = ""
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._plant: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._said = ""
        self._entry: Path | None = None
        self._folder: Path | None = None
        self._socket: socket.socket | None = None
        self._unread = b""

    def start(self) -> VirtualPico:
        """Powers the board on; the port takes a client at once, which waits for the boot."""
        if os.name != "posix":
            raise VirtualPicoError("A virtual Pico needs a pseudo terminal.", "use WSL2", USAGE)
        import tty

        node = install_packages()
        self._folder = Path(tempfile.mkdtemp(prefix="eesm-pico-"))
        if self.flash is None:
            self.flash = self._folder / "flash.bin"
        self.flash.parent.mkdir(parents=True, exist_ok=True)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        plant_pipes = self._start_plant() if self.unit else {}
        master, slave = os.openpty()
        options: dict[str, Any] = {
            "unit": self.unit,
            "board": self.board,
            "seed": self.seed,
            "faults": list(self.faults),
            "timing": self.timing,
            "pace": self.pace,
            "flash": str(self.flash),
            "firmware": self._find_firmware(),
            "port_fd": master,
            "control": str(self._control_path()),
            "volume": str(self.volume),
            "bootsel": self.bootsel,
            **plant_pipes,
        }
        try:
            # Raw from the start: every byte passes both ways, none has a meaning to the terminal.
            tty.setraw(slave)
            os.set_blocking(master, False)
            self.port = os.ttyname(slave)
            self._process = subprocess.Popen(
                [node.program, "main.mjs", json.dumps(options)],
                cwd=EMULATOR,
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                pass_fds=(master, *plant_pipes.values()),
                # Ctrl-C is for the tools, which stop the motor in order; the board must live on for that.
                start_new_session=True,
            )
        except OSError as error:
            raise VirtualPicoError(f"The emulator does not start: {error}.", code=MISSING) from error
        finally:
            # Not held open: a port that nobody has opened is one whose DTR is low, which firmware looks at.
            for descriptor in (master, slave, *plant_pipes.values()):
                os.close(descriptor)
        self.pid = self._process.pid
        self._register()
        return self

    def _start_plant(self) -> dict[str, int]:
        """Starts the machine behind the pins; returns the emulator's ends of its pipes by option."""
        from host_tools.virtual_pico import plant_server

        requests_out, requests_in = os.pipe()
        answers_out, answers_in = os.pipe()
        try:
            self._plant = subprocess.Popen(
                plant_server.command(self.unit, self.board, self.seed, self.faults),
                stdin=requests_out,
                stdout=answers_in,
                stderr=self._stderr,
                start_new_session=True,
            )
        finally:
            os.close(requests_out)
            os.close(answers_in)
        return {"plant_read_fd": answers_out, "plant_write_fd": requests_in}

    def _find_firmware(self) -> str:
        """The UF2 for a new flash; "" when the flash holds something, or is to get it in BOOTSEL."""
        if self.bootsel or (self.flash and self.flash.is_file() and self.flash.stat().st_size):
            return ""
        if self.firmware is not None:
            return str(self.firmware)
        from host_tools.virtual_pico.firmware_build import find_firmware

        return str(find_firmware())

    def _register(self) -> None:
        self.registry.mkdir(parents=True, exist_ok=True)
        entry = self.registry / f"pico-{self.unit or 'bare'}-{self.pid}.json"
        content = {
            "unit": self.unit,
            "board": self.board,
            "port": self.port,
            "pid": self.pid,
            "keeper": os.getpid(),
            "fast": False,
            "folder": str(self.flash),
            "control": str(self._control_path()),
        }
        fresh = entry.with_suffix(".new")
        fresh.write_text(json.dumps(content, indent=1) + "\n")
        fresh.replace(entry)
        self._entry = entry

    @property
    def volume(self) -> Path:
        """The drive of BOOTSEL, there while the board is in it."""
        assert self._folder is not None, "not started"
        return self._folder / "RPI-RP2"

    def _control_path(self) -> Path:
        assert self._folder is not None
        return self._folder / "control"

    # ---- The control channel

    def control(self, do: str, **arguments: Any) -> Any:
        """Asks the emulator to `do` something and returns its answer; raises VirtualPicoError."""
        line = json.dumps({"do": do, **arguments}).encode() + b"\n"
        try:
            if self._socket is None:
                self._socket = self._connect()
            self._socket.sendall(line)
            while b"\n" not in self._unread:
                part = self._socket.recv(65536)
                if not part:
                    raise ConnectionError("it has ended")
                self._unread += part
        except OSError as error:
            self.check()
            raise VirtualPicoError(f"The emulator does not answer: {error}.") from error
        text, _, self._unread = self._unread.partition(b"\n")
        answer = json.loads(text)
        if not answer["ok"]:
            raise VirtualPicoError(answer["error"])
        return answer["result"]

    def _connect(self) -> socket.socket:
        end = time.monotonic() + 10
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(60)
            try:
                connection.connect(str(self._control_path()))
                return connection
            except OSError:
                connection.close()
                if time.monotonic() > end or not self.running:
                    raise
                time.sleep(0.02)

    @property
    def cycles(self) -> int:
        """Cycles of the chip's clock since power-on."""
        return int(self.control("counters")["cycles"])

    # ---- The end

    @property
    def running(self) -> bool:
        """True while the emulator runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Cuts the power: the emulator ends between two instructions or two pages of the flash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Ends the emulator; harmless when it has ended."""
        if self._entry is not None:
            self._entry.unlink(missing_ok=True)
            self._entry = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            self.kill()
        if self._plant is not None:
            # It ends with its pipe, unless it has not come to listen yet; it holds nothing worth waiting for.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._plant.wait(0.1)
            self._plant.kill()
            self._plant.wait()
            self._plant = None
        if self._stderr is not None:
            self._said = self.said()
            self._stderr.close()
            self._stderr = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def said(self) -> str:
        """What the emulator wrote to stderr: remarks, or the traceback it died of."""
        if self._stderr is None:
            return self._said
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), size, 0).decode(errors="replace")

    def check(self) -> None:
        """Raises VirtualPicoError with the emulator's last words when it has ended."""
        if self._process is not None and self._process.poll() is not None:
            words = self.said().strip()[-2000:]
            raise VirtualPicoError(
                f"The virtual Pico ended ({self._process.returncode})"
                + (f". It said:\n{words}" if words else " and said nothing.")
            )

    def __enter__(self) -> VirtualPico:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
