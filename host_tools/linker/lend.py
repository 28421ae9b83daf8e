"""Pass `lend`: a register that is free for some statements holds a stack local for as long.

`colour` gives a register to whole lifetimes.  A local that stays on the stack is still computed, saturated
and stored more cheaply in a register that holds nothing meanwhile; what is needed later is copied back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .cost import weighted
from .flow import Key, live_before
from .ir import Assign, Body, If, Local, Place, Stmt, read_by, rename_body, statements

LONGEST_LOAN = 12  # statements
LEAST_GAIN = 0.9  # cycles
Price = Callable[[Stmt], float]
Copied = Callable[[If, If, str, str], None]


class _Lender:
    def __init__(self, registers: Sequence[str], price: Price, copied: Copied) -> None:
        self.registers = registers
        self.price = price
        self.copied = copied

    def run(self, body: Body, live: set[Key]) -> Body:
        """A copy of a body; `live` are the locals that are read behind it."""
        out = list(body)
        after = self._live_after(out, live)
        n = 0
        while n < len(out):
            stmt = out[n]
            if isinstance(stmt, Assign) and isinstance(stmt.target, Local):
                loan = self._best_loan(out, n, after, stmt.target.name)
                if loan is not None:
                    end, register = loan
                    name = stmt.target.name
                    out[n:end] = self._renamed(out[n:end], name, register)
                    if ("local", name) in after[end - 1]:
                        out.insert(end, Assign(Local(name), Local(register), out[end - 1].place))
                    after = self._live_after(out, live)
            n += 1
        for n, stmt in enumerate(out):
            if isinstance(stmt, If):
                then, orelse = self.run(stmt.then, after[n]), self.run(stmt.orelse, after[n])
                whole = If(stmt.test, then, orelse, stmt.place)
                self.copied(stmt, whole, "", "")
                out[n] = whole
        return out

    def _live_after(self, body: Body, live: set[Key]) -> list[set[Key]]:
        after: list[set[Key]] = []
        for stmt in reversed(body):
            after.append(live)
            live = live_before([stmt], live)
        return after[::-1]

    def _best_loan(self, body: Body, start: int, after: list[set[Key]], name: str) -> tuple[int, str] | None:
        if name in self.registers or Local(name) in list(read_by(body[start])):
            return None  # what is read there is still on the stack
        best: tuple[float, int, str] | None = None
        for register in self.registers:
            if _uses(body[start], register) and ("local", register) in after[start]:
                continue
            saved = 0.0
            for end in range(start + 1, min(len(body), start + LONGEST_LOAN) + 1):
                stmt = body[end - 1]
                if ("local", register) in after[end - 1] or (end - 1 > start and _uses(stmt, register)):
                    break
                saved += self._cost([stmt]) - self._cost(self._renamed([stmt], name, register))
                back = 0.0
                if ("local", name) in after[end - 1]:
                    back = self.price(Assign(Local(name), Local(register), Place("", 0, "")))
                if saved - back > LEAST_GAIN and (best is None or saved - back > best[0]):
                    best = saved - back, end, register
        return None if best is None else best[1:]

    def _cost(self, body: Body) -> float:
        return sum(weight * self.price(stmt) for stmt, weight in weighted(body))

    def _renamed(self, body: Body, name: str, register: str) -> Body:
        copy = rename_body(body, lambda each: register if each == name else each)
        for old, new in zip(statements(body), statements(copy), strict=True):
            if isinstance(old, If) and isinstance(new, If):
                self.copied(old, new, name, register)
        return copy


def _uses(stmt: Stmt, name: str) -> bool:
    for each in statements([stmt]):
        if any(node == Local(name) for node in read_by(each)):
            return True
        if isinstance(each, Assign) and each.target == Local(name):
            return True
    return False


def lend(body: Body, registers: Sequence[str], price: Price, copied: Copied) -> Body:
    """A copy of a coloured body.

    `price` gives a statement's cycles (of an `if`: its condition's); `copied(old, new, name, register)`
    hears of every `if` that was copied, with `name` renamed to `register`.
    """
    return _Lender(registers, price, copied).run(body, set())
