"""Runs a scope: chooses port and token, prints the address, serves until Ctrl-C."""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path

from host_tools.client import Drive
from host_tools.errors import UsageError
from host_tools.scope.access import new_token
from host_tools.scope.hub import Hub
from host_tools.scope.keeper import Keeper
from host_tools.scope.packages import chart_library
from host_tools.scope.recorder import Recorder

LOOPBACK = ("127.0.0.1", "::1", "localhost")
# s after which a thread that packs rows gives way to the one that has a stop to send; 5 ms by default.
SWITCH = 0.001


class Server:
    """One scope on one drive.  `start` returns when it serves; `close` stops the motor and ends it."""

    def __init__(
        self,
        drive: Drive,
        *,
        listen: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        logs: Path = Path("logs"),
        registry: Path | None = None,
        library: Path | None = None,
        lock_step: bool = False,
    ) -> None:
        """`library` is the folder of the chart library, None: fetched when it is not there.

        `lock_step`: a fast drive is welcome, and its time passes as quickly as it can.
        """
        import uvicorn

        from host_tools.scope.app import Web

        self.hub = Hub()
        self.keeper = Keeper(drive, self.hub, Recorder(logs), registry=registry, lock_step=lock_step)
        self.token = token or new_token()
        self._socket = _open(listen, port)
        self.port = self._socket.getsockname()[1]
        inside = listen in LOOPBACK
        self.web = Web(self.keeper, self.hub, library or chart_library())
        app = self.web.app(self.token, set(LOOPBACK) if inside else set())
        shown = "127.0.0.1" if listen == "127.0.0.1" else socket.gethostname() if not inside else listen
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/{self.token}/"
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            ws="websockets-sansio",
            ws_max_size=1 << 20,
            ws_ping_interval=5,
            ws_ping_timeout=20,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="scope web", daemon=True)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> Server:
        """Serve from threads of its own."""
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        self.keeper.start()
        return self

    @property
    def running(self) -> bool:
        """True while it serves."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop the motor, let the drive go, end the server."""
        self.keeper.close()
        self._server.should_exit = True
        self._thread.join(timeout=5.0)
        self._socket.close()
        sys.setswitchinterval(self._interval)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.close()


def _open(listen: str, port: int) -> socket.socket:
    """A listening socket.  Raises UsageError."""
    opened = socket.socket(socket.AF_INET6 if ":" in listen else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((listen, port))
    except OSError as error:
        opened.close()
        raise UsageError(
            f"The scope cannot listen on {listen}, port {port}: {error.strerror or error}.",
            "choose another with --listen and --http, or end what uses it",
        ) from error
    return opened
