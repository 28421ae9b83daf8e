"""A virtual drive: the firmware on real MicroPython behind a PTY that pyserial opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class VirtualDrive:
    """Starts a unit's board folder on MicroPython; a context that ends it.

    `unit` is a name in boards/units or a ready board folder.
    """

    port: str
    pid: int

    def __init__(
        self,
        unit: str | Path = "a",
        *,
        seed: int = 1,
        faults: Sequence[str] = (),
        fast: bool = False,
        registry: Path | None = None,
    ) -> None: ...

    def start(self) -> VirtualDrive: ...

    def stop(self) -> None: ...

    def said(self) -> str:
        """What the firmware wrote to stderr."""
        ...

    def __enter__(self) -> VirtualDrive: ...

    def __exit__(self, *exception: object) -> None: ...
