"""Reads whole tables out of the drive, and what the plane of currents needs."""

from __future__ import annotations

import struct
from typing import Any

from eesm import wire
from eesm.link import READ_SIGNALS
from host_tools.client import Drive

# Settings that decide where the circle, the ellipse and the optimum lie.
MACHINE = ("R_s", "L_d", "L_q", "M", "i_max", "i_f_max", "torque_limit", "w_m_trip")
# These besides change what `read_plane` says.
DECIDES = (*MACHINE, "u_margin")


def read_array(drive: Drive, name: str) -> list[float]:
    """Present SI values of an array signal; KeyError when the board has none of that name."""
    signal = drive.signals[name]
    raw: list[int] = []
    while len(raw) < signal.length:
        start = signal.index + len(raw)
        indices = range(start, start + min(READ_SIGNALS, signal.length - len(raw)))
        body = drive.connection.request(wire.READ, tail=struct.pack(f"<{len(indices)}H", *indices))
        raw.extend(wire.words_of(body, "i"))
    return [value * signal.step for value in raw]


def read_plane(drive: Drive) -> dict[str, Any]:
    """Machine and tables by which a page draws the plane of i_d and i_q.

    Rows of the tables go by speed over voltage (`ratio_axis`, in bases), columns by (r + r^2)/2 with r
    the root of torque over the row's highest (`eesm.stages.reference`).
    """
    machine = {name: drive.get(name) for name in MACHINE}
    return {
        **machine,
        "pole_pairs": drive.bases["w_e"] / drive.bases["w_m"],
        "k_u_max": drive.read("k_u_max"),
        "ratio_base": drive.bases["w_e"] / drive.bases["u"],
        "ratio_axis": read_array(drive, "ratio_axis"),
        "table_i_d": read_array(drive, "table_i_d"),
        "table_i_f": read_array(drive, "table_i_f"),
        "table_torque": read_array(drive, "table_torque"),
    }
