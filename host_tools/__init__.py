"""Host side of eesm: linker, interpreter, virtual drive, simulation, logs and the `eesm` command.

`from host_tools import Drive` is the drive as an object, for scripts of one's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from host_tools.client import Drive

__all__ = ["Drive"]


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: `import host_tools` stays quick, and the linker needs no serial port.
    if name == "Drive":
        from host_tools.client import Drive

        return Drive
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
