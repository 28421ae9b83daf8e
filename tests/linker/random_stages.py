"""Random stage text over the small table.  Every value stays far inside 32 bits."""

from __future__ import annotations

from collections.abc import Callable

LIMIT = 1 << 20  # of everything that is stored in a signal
HIGHEST = 1 << 29  # of everything that is computed on the way
SCALARS = ("x", "y", "gain", "kept", "other", "third", "result")
WRITABLE = ("kept", "other", "third", "result")
TRANSIENTS = ("passing", "brief")
LOCALS = ("a", "b", "c")

# Picks one of n: from hypothesis (then failures shrink) or from a random generator.
Choose = Callable[[int], int]


class StageWriter:
    """Writes one module with a routine `stage`, a stage `part` and a helper `pick`."""

    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.lines: list[str] = []

    def write(self) -> str:
        """The text of the module."""
        self.lines = ["LEVEL = 900", ""]
        self._helper()
        known = self._function("part", {}, 4)
        self._function("stage", {name: b for name, b in known.items() if name.startswith("s.")}, 9, True)
        return "\n".join(self.lines) + "\n"

    def _helper(self) -> None:
        self.lines += ["def pick(s, m, n):"]
        bounds = {"m": LIMIT, "n": LIMIT}
        expr, _ = self._leaf(bounds)
        self.lines += [
            f"    q = {expr}",
            f"    if m {self._comparison()} n:",
            "        q = m - n",
            "    m = sat(q, LEVEL)",
            f"    return m {self._any('+', '-', '^')} s.{self._any(*SCALARS)}",
            "",
        ]

    def _function(self, name: str, known: dict[str, int], count: int, calls: bool = False) -> dict[str, int]:
        self.lines += ["", f"def {name}(s):"]
        bounds = {f"s.{signal}": LIMIT for signal in SCALARS}
        if calls:
            where = self.choose(2)
            if where:
                self.lines.append("    part(s)")
                bounds.update(known)
        for _ in range(1 + self.choose(count)):
            self._statement(bounds, 1)
        if calls and self.choose(2):
            self.lines.append("    part(s)")
        return bounds

    # --- statements ---------------------------------------------------------------------------

    def _statement(self, bounds: dict[str, int], depth: int) -> None:
        pad = "    " * depth
        kind = self.choose(12)
        if kind < 5:
            target = self._any(*(f"s.{name}" for name in WRITABLE + TRANSIENTS), *LOCALS)
            text, bound = self._bounded(bounds)
            self.lines.append(f"{pad}{target} = {text}")
            bounds[target] = bound
        elif kind == 5:
            target = f"s.{self._any(*WRITABLE)}"
            self.lines.append(f"{pad}{target} {self._any('&=', '>>=')} {1 + self.choose(9)}")
        elif kind == 6:
            text, _ = self._bounded(bounds)
            self.lines.append(f"{pad}s.trail[{self._index(bounds)}] = {text}")
        elif kind == 7:
            text, _ = self._bounded(bounds)
            self.lines.append(f"{pad}s.memory[s.where & 7] = {text}")
        elif kind == 8:
            left, right = self._bounded(bounds)[0], self._bounded(bounds)[0]
            self.lines.append(f"{pad}s.{self._any(*WRITABLE)} = sat(pick(s, {left}, {right}), {LIMIT})")
        elif depth < 3:
            self._if(bounds, depth, pad)
        else:
            self.lines.append(f"{pad}pass")

    def _if(self, bounds: dict[str, int], depth: int, pad: str) -> None:
        ends: list[dict[str, int]] = []
        words = ["if", *["elif"] * self.choose(2)]
        for word in words:
            self.lines.append(f"{pad}{word} {self._test(bounds)}:")
            inner = dict(bounds)
            for _ in range(1 + self.choose(3)):
                self._statement(inner, depth + 1)
            ends.append(inner)
        if self.choose(2):
            self.lines.append(f"{pad}else:")
            inner = dict(bounds)
            for _ in range(1 + self.choose(2)):
                self._statement(inner, depth + 1)
            ends.append(inner)
        else:
            ends.append(dict(bounds))
        common = set.intersection(*(set(end) for end in ends))
        bounds.clear()
        bounds.update({name: max(end[name] for end in ends) for name in common})

    def _test(self, bounds: dict[str, int]) -> str:
        parts = [self._compare(bounds) for _ in range(1 + self.choose(3))]
        if len(parts) == 3 and self.choose(2):
            return f"({parts[0]} or {parts[1]}) and {parts[2]}"
        return f" {self._any('and', 'or')} ".join(parts)

    def _compare(self, bounds: dict[str, int]) -> str:
        left = self._bounded(bounds)[0]
        if self.choose(3) == 0:
            left = f"magnitude({left})"
        right = self._any("0", "LEVEL", "s.scale", self._bounded(bounds)[0])
        return f"{left} {self._comparison()} {right}"

    def _comparison(self) -> str:
        return self._any("==", "!=", "<", "<=", ">", ">=")

    # --- expressions --------------------------------------------------------------------------

    def _any(self, *choices: str) -> str:
        return choices[self.choose(len(choices))]

    def _leaf(self, bounds: dict[str, int]) -> tuple[str, int]:
        kind = self.choose(8)
        if kind == 0:
            value = (0, 1, -1, 2, 255, 256, -300, 32767, 65536)[self.choose(9)]
            return str(value), abs(value)
        if kind == 1:
            return self._any("s.scale", "LEVEL"), 1024
        names = sorted(bounds)
        name = names[self.choose(len(names))]
        return name, bounds[name]

    def _index(self, bounds: dict[str, int]) -> str:
        name, _ = self._leaf(bounds)
        return self._any("3", f"{name} & 7", f"({name} & 3) + 2", f"7 - ({name} & 3)")

    def _expr(self, bounds: dict[str, int], depth: int) -> tuple[str, int]:
        if depth == 0:
            return self._leaf(bounds)
        kind = self.choose(10)
        if kind == 0:
            return f"s.{self._any('curve', 'trail')}[{self._index(bounds)}]", LIMIT
        if kind == 1:
            text, bound = self._expr(bounds, depth - 1)
            return f"-({text})", bound
        if kind == 2:
            text, bound = self._expr(bounds, depth - 1)
            return f"({text} >> {self.choose(8)})", bound
        if kind == 3:
            text, bound = self._expr(bounds, depth - 1)
            shift = self.choose(4)
            return self._tame(f"({text} << {shift})", bound << shift)
        if kind == 4:
            return "s.memory[s.where & 7]", LIMIT
        left, left_bound = self._expr(bounds, depth - 1)
        right, right_bound = self._expr(bounds, depth - 1)
        if kind == 5:
            product = left_bound * right_bound
            if product >= HIGHEST:
                left, right, product = f"({left} & 1023)", f"(({right}) & 2047)", 1 << 21
            return f"({left} * {right})", product
        op = self._any("+", "-", "&", "|", "^")
        return self._tame(f"({left} {op} {right})", 2 * (left_bound + right_bound) + 2)

    def _tame(self, text: str, bound: int) -> tuple[str, int]:
        return (text, bound) if bound < HIGHEST else (f"({text} & {LIMIT - 1})", LIMIT)

    def _bounded(self, bounds: dict[str, int]) -> tuple[str, int]:
        """An expression that may be stored in a signal."""
        text, bound = self._expr(bounds, self.choose(4))
        if bound <= LIMIT:
            return text, bound
        return (f"sat({text}, {LIMIT})" if self.choose(2) else f"({text} & {LIMIT - 1})"), LIMIT
