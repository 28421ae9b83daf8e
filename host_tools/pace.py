"""How many rows a second a board sends beside its other work without dropping one."""

from __future__ import annotations

# With all fifteen signals of a scenario and commands coming as densely as a sweep sends them.
ROWS_A_SECOND = {"rpi_pico": 200.0, "rpi_pico_spi": 200.0}


def bearable(board: str, rate_hz: float) -> float:
    """The rate wanted, or less where `board` does not bear it; Hz."""
    return min(rate_hz, ROWS_A_SECOND.get(board, rate_hz))
