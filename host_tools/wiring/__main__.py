"""Writes the wiring drawings of the named boards, or of all that have pins."""

from __future__ import annotations

import sys

from host_tools.units import UnitError, board_names, load_board
from host_tools.wiring import draw, path_of


def main(names: list[str]) -> int:
    """Write each board's drawing beside its file."""
    try:
        boards = [load_board(name) for name in names or board_names()]
    except UnitError as error:
        print(error, file=sys.stderr)
        return 2
    for board in boards:
        if board.hardware is not None or names:
            path = path_of(board)
            path.write_text(draw(board), encoding="utf-8")
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
