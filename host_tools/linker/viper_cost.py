"""What the board's compiler makes of linked statements: cycles and bytes on armv6m, without running it.

A model of MicroPython's native emitter for viper on Thumb-1 (1.25; 1.29 does the same for these forms):
values wait on a stack of registers, literals and memory; r0 takes loads, r1 results of operations, r2
right operands; the block's pointer and the first locals live in r4..r6, the other locals on the stack.
It is the measure by which the linker chooses among equal forms; `tests/linker/test_viper_cost.py` holds
it against the compiler itself.
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache

LITERAL, MEMORY = "#", "m"


@dataclass
class Cost:
    """Cycles when a statement runs (a condition: when it is false), and bytes of code."""

    cycles: int = 0
    bytes: int = 0


@lru_cache(maxsize=4096)
def literal_cost(value: int) -> tuple[int, int]:
    """Cycles and bytes to build a literal in a register."""
    if 0 <= value <= 255:
        return 1, 2
    negative = value < 0
    magnitude = abs(value)
    low_zeros = (magnitude & -magnitude).bit_length() - 1
    if (magnitude >> low_zeros) <= 255:
        return 2 + negative, 4 + 2 * negative
    if magnitude < 65536:
        return 3 + negative, 6 + 2 * negative
    return 4, 9  # ldr, b and the word itself, aligned by a nop half of the time


def _literal(node: ast.expr) -> int | None:
    """Value of a literal, with or without a sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _literal(node.operand)
        return None if value is None else -value
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


@dataclass
class _Machine:
    registers: Collection[str]
    cost: Cost = field(default_factory=Cost)
    stack: list[tuple[str, str | int]] = field(default_factory=list)

    def spend(self, cycles: int, size: int = 2) -> None:
        self.cost.cycles += cycles
        self.cost.bytes += size

    def need(self, register: str, skip: int | None = None) -> None:
        for n, (kind, which) in enumerate(self.stack):
            if n != skip and kind == "r" and which == register:
                self.stack[n] = (MEMORY, 0)
                self.spend(2)

    def pop(self, register: str) -> None:
        self.need(register, len(self.stack) - 1)
        kind, which = self.stack.pop()
        if kind == MEMORY:
            self.spend(2)
        elif kind == LITERAL:
            assert isinstance(which, int)
            self.spend(*literal_cost(which))
        elif which != register:
            self.spend(1)

    def pop_flexible(self, register: str, *barred: str) -> str:
        kind, which = self.stack[-1]
        if kind == "r" and which not in barred:
            assert isinstance(which, str)
            self.need(which, len(self.stack) - 1)
            self.stack.pop()
            return which
        self.pop(register)
        return register

    def push(self, register: str) -> None:
        self.stack.append(("r", register))

    # --- expressions ----------------------------------------------------------------------------

    def load(self, node: ast.expr) -> None:
        value = _literal(node)
        if value is not None:
            self.stack.append((LITERAL, value))
        elif isinstance(node, ast.UnaryOp):
            self.load(node.operand)
            self.push(self.pop_flexible("r0", "r0"))
            self.spend(1)
        elif isinstance(node, ast.Name):
            if node.id in self.registers:
                self.push(node.id)
            else:
                self.need("r0")
                self.spend(2)
                self.push("r0")
        elif isinstance(node, ast.Subscript):
            self.push("p")
            self._load_word(node.slice)
        else:
            assert isinstance(node, ast.BinOp)
            self.load(node.left)
            self.load(node.right)
            self.pop_flexible("r2", "r0", "r1")
            self.pop("r1")
            self.spend(1)
            self.push("r1")

    def _load_word(self, index: ast.expr) -> None:
        place = _literal(index)
        if place is not None:
            self.pop_flexible("r0", "r1")
            self.need("r0")
            self._address(place)
        else:
            self.load(index)
            self.pop_flexible("r1", "r0")
            self.pop("r0")
            self.need("r0")
            self.spend(4, 8)
        self.spend(2)
        self.push("r0")

    def _address(self, index: int) -> None:
        if not 0 <= index < 32:
            self.need("r1")
            cycles, size = literal_cost(4 * index)
            self.spend(cycles + 1, size + 2)

    # --- statements -----------------------------------------------------------------------------

    def store(self, target: ast.expr) -> None:
        if isinstance(target, ast.Name):
            if target.id in self.registers:
                self.pop(target.id)
            else:
                self.pop("r0")
                self.spend(2)
            return
        assert isinstance(target, ast.Subscript)
        index = target.slice
        place = _literal(index)
        self.push("p")
        if place is not None:
            self.pop_flexible("r0", "r1", "r2")
            self.pop_flexible("r2", "p", "r1")
            self._address(place)
        else:
            self.load(index)
            chosen = self.pop_flexible("r1", "r0", "r2")
            self.pop("r0")
            self.pop_flexible("r2", "r0", chosen)
            self.spend(4, 8)
        self.spend(2)

    def test(self, node: ast.expr) -> None:
        """A condition; cycles as when it is false."""
        if isinstance(node, ast.BoolOp):
            for part in node.values:
                self.test(part)
            return
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node = node.operand
        if isinstance(node, ast.Compare):
            self.load(node.left)
            self.load(node.comparators[0])
            self.pop_flexible("r2", "r0", "r1")
            self.pop("r1")
            self.need("r0")
            self.spend(5, 10)
            self.push("r0")
        else:
            self.load(node)
        self.pop("r0")
        self.spend(4, 6)


def statement_cost(text: str, registers: Collection[str]) -> Cost:
    """Cost of one line of linked text; of an `if` line only the condition's, when it is false."""
    return _cost_of(text.strip().split("  #")[0], frozenset(registers))


@lru_cache(maxsize=200_000)
def _cost_of(text: str, registers: frozenset[str]) -> Cost:
    machine = _Machine({*registers, "p"})
    if text == "pass":
        return machine.cost
    if text == "else:":
        machine.spend(2)
        return machine.cost
    if text.endswith(":"):
        word, rest = text[:-1].split(" ", 1)
        if word == "elif":
            machine.spend(2)  # the jump behind the branch before, when that ran
            machine.cost.cycles -= 2
        machine.test(ast.parse(rest, mode="eval").body)
        return machine.cost
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.Assign)
    machine.load(node.value)
    machine.store(node.targets[0])
    return machine.cost
