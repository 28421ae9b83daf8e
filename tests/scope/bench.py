"""A virtual drive with a scope on it, and a page's end of the link in plain Python."""

import contextlib
import http.client
import json
import os
import time

import numpy as np
from websockets.sync.client import connect

from host_tools.client import Drive
from host_tools.scope import batch
from host_tools.scope.server import Server
from host_tools.virtual_drive import VirtualDrive

PATIENCE = 60.0  # s: a busy machine is slow, and says nothing about the scope


class Bench:
    """`virtual` and `server`; a context that ends both.

    Only a browser needs the chart library, and with it a network: `charts`.
    """

    def __init__(self, folder, unit="a", charts=False):
        self.library = None if charts else folder
        self.folder = folder
        self.unit = unit
        self.registry = folder / "registry"
        self.virtual = VirtualDrive(unit, registry=self.registry)

    def __enter__(self):
        self._state = os.environ.get("EESM_STATE")
        os.environ["EESM_STATE"] = str(self.folder / "state")  # where changes of parameters are kept
        self.virtual.start()
        try:
            self.server = self.serve()
        except BaseException:
            self.virtual.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.server.close()
        self.virtual.stop()
        del os.environ["EESM_STATE"]
        if self._state is not None:
            os.environ["EESM_STATE"] = self._state

    def serve(self, **options):
        """A scope on the drive."""
        drive = Drive.connect(self.virtual.port, registry=self.registry)
        return Server(
            drive, registry=self.registry, logs=self.folder / "logs", library=self.library, **options
        ).start()

    def serve_again(self):
        """End the scope and start it anew at the same address."""
        port, token = self.server.port, self.server.token
        self.server.close()
        self.server = self.serve(port=port, token=token)

    @property
    def keeper(self):
        return self.server.keeper

    def restart(self, unit=None):
        """Kill the drive as a power cut would, start another one."""
        self.virtual.kill()
        self.virtual.stop()
        self.virtual = VirtualDrive(unit or self.unit, registry=self.registry)
        self.virtual.start()

    def rest(self):
        """Bring the drive to off, faults cleared, and forget who controls."""

        def resting():
            with contextlib.suppress(Exception):
                drive = self.keeper.drive
                if drive.state == "fault":
                    drive.clear()
                elif drive.state != "off":
                    drive.stop()
                return drive.state == "off"
            return False

        until(resting, "the drive is off")
        # Arming needs a shaft that stands still, and an idle one coasts for long: brake it.
        drive = self.keeper.drive
        until(lambda: self._brake(drive), "the shaft stands still")
        drive.load(0.0)
        self.server.web.desk.control.holder = None
        self.server.web.desk.tell_control()

    def _brake(self, drive):
        w_m = drive.read("w_e") * drive.bases["w_m"] / drive.bases["w_e"]
        drive.load(min(1.0, max(-1.0, 0.05 * w_m)))
        return abs(w_m) < 0.5

    def post(self, path, body=b"", headers=None):
        """(status, body) of a POST to the scope."""
        link = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        with contextlib.closing(link):
            link.request("POST", path, body, headers or {})
            answer = link.getresponse()
            return answer.status, answer.read()

    def page(self, name, queue=None):
        """A page without a browser, which answers pings and keeps what comes until it is asked for.

        With a `queue` of so many messages it takes no more than those: a page that has stopped.
        """
        return PlainPage(self.server, name, queue)


class PlainPage:
    """One websocket: `ask`, and what came meanwhile in `words` and `batches`."""

    def __init__(self, server, name, queue):
        self.words = []
        self.batches = []
        self._number = 0
        # A context manager since websockets 16, its own one before.
        self._open = connect(
            f"ws://127.0.0.1:{server.port}/{server.token}/live?page={name}",
            max_size=None,
            max_queue=queue,
            open_timeout=PATIENCE,
        )
        self._socket = self._open.__enter__()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._open.__exit__(None, None, None)

    def receive(self):
        """Take one message."""
        message = self._socket.recv(timeout=PATIENCE)
        if isinstance(message, bytes):
            self.batches.append(message)
            return None
        self.words.append(json.loads(message))
        return self.words[-1]

    def send(self, what, **content):
        """Send a request; returns its number."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "do": what, **content}))
        return self._number

    def ask(self, what, **content):
        """The answer to a request, whatever it says."""
        number = self.send(what, **content)
        return self.wait(lambda said: said.get("id") == number)

    def wait(self, right, since=None):
        """The first word from now on, or after the first `since` words, for which `right` holds."""
        for said in self.words[since:] if since is not None else ():
            if right(said):
                return said
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            said = self.receive()
            if said is not None and right(said):
                return said
        raise AssertionError(f"this did not come; the last words were {self.words[-3:]}")

    def collect(self, rows):
        """Receive until so many rows are there; returns (periods, {name: values}) of the newest layout."""
        end = time.monotonic() + PATIENCE
        while sum(batch.HEAD.unpack_from(each)[2] for each in self.batches) < rows:
            assert time.monotonic() < end, "rows do not come"
            self.receive()
        names = [said["layout"]["names"] for said in self.words if "layout" in said][-1]
        last = batch.HEAD.unpack_from(self.batches[-1])[1]
        periods, columns = [], []
        for message in self.batches:
            _, layout, count, channels, first, _, _ = batch.HEAD.unpack_from(message)
            if layout == last:
                at = batch.HEAD.size
                periods.append(first + np.frombuffer(message, "<u4", count, at))
                values = np.frombuffer(message, "<f4", count * channels, at + 4 * count)
                columns.append(values.reshape(channels, count))
        return np.concatenate(periods), dict(zip(names, np.concatenate(columns, axis=1), strict=True))


def until(true, what="it"):
    """Wait until `true()`."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not come true"
        time.sleep(0.02)
