"""Pass `split`: no branch longer than the board's compiler can jump.

MicroPython up to 1.25 refuses a function on armv6m with a jump beyond 2047 bytes ("native method too
big").  An `if` longer than that becomes several: a local remembers the outcome of its condition, and
each piece asks for it again (5 cycles when skipped).
"""

from __future__ import annotations

from collections.abc import Callable

from .ir import Assign, Body, Compare, Const, If, Local, Place, Stmt, Test

LONGEST = 1500  # bytes by the estimate of `report`, which errs by less than the fifth that is left
FLAG = "branch__"


class _Splitter:
    def __init__(self, size: Callable[[Body], float]) -> None:
        self.size = size
        self.flags = 0

    def split(self, body: Body) -> Body:
        out: Body = []
        for stmt in body:
            out += self._split_if(stmt) if isinstance(stmt, If) else [stmt]
        return out

    def _split_if(self, stmt: If) -> Body:
        then, orelse = self.split(stmt.then), self.split(stmt.orelse)
        whole = If(stmt.test, then, orelse, stmt.place)
        if self.size([whole]) <= LONGEST:
            return [whole]
        flag = Local(f"{FLAG}{self.flags}")
        self.flags += 1
        yes, no = self._pieces(then), self._pieces(orelse)
        chosen: Stmt = Assign(flag, Const(1), stmt.place)
        first = If(stmt.test, [chosen, *(yes.pop(0) if yes else [])], [], stmt.place)
        out: Body = [Assign(flag, Const(0), stmt.place), first]
        out += [If(_is(flag, 1), piece, [], _place(piece)) for piece in yes]
        return out + [If(_is(flag, 0), piece, [], _place(piece)) for piece in no]

    def _pieces(self, body: Body) -> list[Body]:
        pieces: list[Body] = []
        for stmt in body:
            if pieces and self.size([*pieces[-1], stmt]) <= LONGEST:
                pieces[-1].append(stmt)
            else:
                pieces.append([stmt])
        return pieces


def _is(flag: Local, value: int) -> Test:
    return Compare("!=" if value else "==", flag, Const(0))


def _place(piece: Body) -> Place:
    return piece[0].place


def split(body: Body, size: Callable[[Body], float]) -> Body:
    """A copy of a routine's body in which no `if` takes more than LONGEST bytes; `size` estimates them."""
    return _Splitter(size).split(body)
