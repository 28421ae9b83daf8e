"""A drive on a virtual Pico whose shaft this program can load.

The drive itself is spoken to over its port like any other. The load belongs to the bench around it: it goes
through the emulator's control channel, at the same device period as a setpoint would, and the reading of its
torque transducer to the signal that the control law keeps for one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from eesm.cyclic import signed
from host_tools.client import Drive
from host_tools.connection import Connection
from host_tools.virtual_pico.pico import VirtualPico

TIMEOUT = 60.0  # s of this computer for an answer: an emulated board is slow, on a busy computer even more so
# s of device time without a word from here that stop the drive. With a shorter one it is spoken to oftener,
# by this computer's clock: to a board at a tenth of real time ten times as often as it can bear.
HOST_TIMEOUT = 5.0


class LoadedDrive(Drive):
    """The drive of a virtual Pico that holds the built `folder`; takes `load`.

    Raises what `Drive.connect` does.
    """

    def __init__(self, pico: VirtualPico, folder: Path) -> None:
        self.pico = pico
        self._shift = int(json.loads((folder / "unit.json").read_text())["memory_shift"])
        connection = Connection(pico.port, timeout=TIMEOUT)
        try:
            super().__init__(connection)
        except BaseException:
            connection.close()
            raise
        self.set("host_timeout", HOST_TIMEOUT)

    def _adopt(self, connection: Connection, earlier: int) -> None:
        super()._adopt(connection, earlier)
        # The board cannot know what is coupled to its machine.
        self.identity = replace(self.identity, bench=True)

    def load(self, torque: float, at: int | None = None) -> None:
        """Load torque on the shaft in N.m, positive brakes forward motion; at a device period (give or take
        one), at the next one without it or when that is over. Raises VirtualPicoError.
        """
        signal = self.schema.find("load_torque")
        given: dict[str, Any] = {
            "torque": torque,
            "word": signal.index + self._shift,
            "raw": max(signal.low, min(signal.high, round(torque / signal.step))),
        }
        if at is not None:
            word = self.schema.find("period").index + self._shift
            found = self.pico.control("read_block", first=word, count=1)
            given["period"] = found["period"] + signed(at - found["words"][0])
        self.pico.control("set_load", **given)
