"""Pass `ranges`: what each value can be, from the signal table through every expression.

Intervals flow forward through a routine; conditions narrow them.  A condition whose outcome follows
goes away with the branch it closes, so does a mask that takes nothing off.  A signal is believed to
stay within its row of the table where every write is proven to; where one is not, its interval is
widened to what the writes give.  What comes from outside (samples, parameters, tables, letters of the
mailbox) is believed to keep to its row: the driver and the main loop see to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eesm.table import CONSTANT, LETTER, MEMORY, RING, TRANSIENT, Signal

from .errors import LinkError
from .fold import invert, prune
from .ir import (
    INVERSE_COMPARISON,
    MIRRORED_COMPARISON,
    Assign,
    Body,
    Compare,
    Const,
    Expr,
    If,
    Item,
    Load,
    Local,
    Logic,
    Neg,
    Op,
    Place,
    Test,
    Truth,
    is_memory,
)

Interval = tuple[int, int]
WORD: Interval = (-(1 << 31), (1 << 31) - 1)
ROUNDS = 6


class State(dict[str, Interval]):
    """Intervals by name (`.x` is a local), and which names hold the same value."""

    def __init__(self, known: Mapping[str, Interval] = (), same: Mapping[str, str] | None = None) -> None:  # type: ignore[assignment]
        super().__init__(known)
        self.same = dict(same or {})  # name -> the name that it was copied from

    def narrowed(self, name: str, found: Interval) -> State:
        """What is known when a value turns out to lie within an interval."""
        after = State(self, self.same)
        root = self.same.get(name, name)
        for each in (name, root, *(each for each, origin in self.same.items() if origin == root)):
            low, high = self.get(each, found)
            after[each] = max(low, found[0]), min(high, found[1])
        return after

    def written(self, name: str, found: Interval, origin: str | None = None) -> State:
        """What is known after a write."""
        same = {each: root for each, root in self.same.items() if name not in (each, root)}
        if origin is not None and origin != name:
            root = same.get(origin, origin)
            if root != name:
                same[name] = root
        after = State(self, same)
        after[name] = found
        return after


@dataclass
class Facts:
    """What the analysis found: intervals believed of signals, and what it could not prove."""

    signals: dict[str, Interval]
    arrays: dict[str, Interval]
    letters: frozenset[str] = frozenset()  # arrays whose values the main loop checks before it posts them
    unproven: dict[Place, str] = field(default_factory=dict)
    tests: dict[int, tuple[If, State]] = field(default_factory=dict)  # by id: what is known at a condition

    def at(self, stmt: If) -> State | None:
        """What is known at an `if` of a body that `note_tests` has walked."""
        found = self.tests.get(id(stmt))
        return found[1] if found is not None else None

    def note(self, stmt: If, known: State) -> None:
        """Note what is known at an `if`; it is kept alive, so that its id stays its own."""
        self.tests[id(stmt)] = stmt, known

    def interval(self, expr: Expr, known: State) -> Interval:
        """Interval of an expression, WORD when an operation in it might wrap."""
        analysis = Analysis(Facts(self.signals, self.arrays))
        analysis.place = Place("", 0, "")
        try:
            return analysis.value(expr, known)
        except LinkError:
            return WORD


def join(a: Interval, b: Interval) -> Interval:
    """The interval that holds both."""
    return min(a[0], b[0]), max(a[1], b[1])


def _bits(*sides: Interval) -> int:
    return max(max(high, -low - 1).bit_length() for low, high in sides)


def combine(op: str, a: Interval, b: Interval) -> Interval:
    """Interval of an operation before it wraps."""
    if op == "+":
        return a[0] + b[0], a[1] + b[1]
    if op == "-":
        return a[0] - b[1], a[1] - b[0]
    if op == "*":
        corners = [x * y for x in a for y in b]
        return min(corners), max(corners)
    if op in ("<<", ">>"):
        by = max(0, min(31, b[0])), max(0, min(31, b[1]))
        corners = [x << y if op == "<<" else x >> y for x in a for y in by]
        return min(corners), max(corners)
    positive = [side for side in (a, b) if side[0] >= 0]
    if op == "&" and positive:
        return 0, min(side[1] for side in positive)
    reach = 1 << _bits(a, b)
    if len(positive) == 2:
        return (max(a[0], b[0]) if op == "|" else 0), reach - 1
    return -reach, reach - 1


class Analysis:
    """One walk through a routine."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.written: dict[str, Interval] = {}  # signals and arrays
        self.anywhere: Interval | None = None  # written by signal index
        self.place: Place | None = None

    # --- expressions ----------------------------------------------------------------------------

    def value(self, expr: Expr, known: State) -> Interval:
        """Interval of an expression; wraps are noted and give any word."""
        if isinstance(expr, Const):
            return expr.value, expr.value
        if isinstance(expr, Local):
            return known.get("." + expr.name, WORD)
        if isinstance(expr, Load):
            return known.get(expr.name, self.facts.signals.get(expr.name, WORD))
        if isinstance(expr, Item):
            self.value(expr.index, known)
            return self.facts.arrays.get(expr.array, WORD)
        if isinstance(expr, Neg):
            low, high = self.value(expr.value, known)
            return self._fit((-high, -low), "-")
        assert isinstance(expr, Op)
        between = self._interpolation(expr, known)
        if between is not None:
            return between
        left, right = self.value(expr.left, known), self.value(expr.right, known)
        if expr.op == "*" and expr.left == expr.right:
            most = max(left[0] * left[0], left[1] * left[1])
            return self._fit((0, most), "*")
        return self._fit(combine(expr.op, left, right), expr.op)

    def _interpolation(self, expr: Op, known: State) -> Interval | None:
        """low + ((high - low) * share >> 15), rounded or not, lies between both for 0 <= share < 2**15."""
        if expr.op != "+":
            return None
        for low, rest in ((expr.left, expr.right), (expr.right, expr.left)):
            if not (isinstance(rest, Op) and rest.op == ">>" and rest.right == Const(15)):
                continue
            product = rest.left
            if isinstance(product, Op) and product.op == "+" and product.right == Const(0x4000):
                product = product.left
            if not (isinstance(product, Op) and product.op == "*"):
                continue
            for step, share in ((product.left, product.right), (product.right, product.left)):
                if not (isinstance(step, Op) and step.op == "-" and step.right == low):
                    continue
                least, most = self.value(share, known)
                span = self.value(step, known)
                reach = max(-span[0], span[1]) * most + 0x4000
                if least >= 0 and most <= 0x7FFF and reach <= WORD[1]:
                    return join(self.value(low, known), self.value(step.left, known))
        return None

    def _fit(self, found: Interval, op: str) -> Interval:
        if WORD[0] <= found[0] and found[1] <= WORD[1]:
            return found
        assert self.place is not None
        if found[0] > WORD[1] or found[1] < WORD[0]:
            raise LinkError(
                f"`{op}` always overflows here: {found[0]} .. {found[1]}", self.place.file, self.place.line
            )
        self.facts.unproven.setdefault(self.place, f"`{op}` may reach {found[0]} .. {found[1]}")
        return WORD

    # --- conditions -----------------------------------------------------------------------------

    def outcome(self, test: Test, known: State) -> bool | None:
        """Whether a condition holds, when that is known."""
        if isinstance(test, Truth):
            return test.value
        if isinstance(test, Compare):
            return _settle(test.op, self.value(test.left, known), self.value(test.right, known))
        assert isinstance(test, Logic)
        found = [self.outcome(part, known) for part in test.parts]
        absorbing = test.op == "or"
        if absorbing in found:
            return absorbing
        return None if None in found else not absorbing

    def narrow(self, test: Test, known: State) -> State | None:
        """What is known where a condition holds; None when it cannot."""
        if isinstance(test, Truth):
            return known if test.value else None
        if isinstance(test, Compare):
            after: State | None = self._narrow_side(test.op, test.left, test.right, known)
            if after is not None:
                after = self._narrow_side(MIRRORED_COMPARISON[test.op], test.right, test.left, after)
            return after
        assert isinstance(test, Logic)
        if test.op == "and":
            state: State | None = known
            for part in test.parts:
                state = self.narrow(part, state)
                if state is None:
                    return None
            return state
        before: State | None = known
        ways: list[State] = []
        for part in test.parts:
            if before is None:
                break
            way = self.narrow(part, before)
            if way is not None:
                ways.append(way)
            before = self.narrow(invert(part), before)
        return _meet(ways)

    def _narrow_side(self, op: str, left: Expr, right: Expr, known: State) -> State | None:
        low, high = self.value(left, known)
        least, most = self.value(right, known)
        if op in ("<", "<="):
            high = min(high, most - (op == "<"))
        elif op in (">", ">="):
            low = max(low, least + (op == ">"))
        elif op == "==":
            low, high = max(low, least), min(high, most)
        elif least == most:
            low += low == least
            high -= high == least
        if low > high:
            return None
        name = _name_of(left)
        return known if name is None else known.narrowed(name, (low, high))

    # --- statements -----------------------------------------------------------------------------

    def run(self, body: Body, known: State) -> tuple[Body, State]:
        """A copy of a body without what cannot happen, and what is known behind it."""
        out: Body = []
        for stmt in body:
            self.place = stmt.place
            if isinstance(stmt, If):
                known = self._branch(stmt, known, out)
                continue
            assert isinstance(stmt, Assign)
            value, target = self._trim(stmt.value, known), stmt.target
            found = self.value(value, known)
            name = _name_of(target)
            if name is not None:
                known = known.written(name, found, _name_of(value))
            if isinstance(target, Load):
                self.written[target.name] = join(self.written.get(target.name, found), found)
            elif isinstance(target, Item) and not is_memory(target):
                self.written[target.array] = join(self.written.get(target.array, found), found)
            elif is_memory(target):
                if not (isinstance(value, Item) and value.array in self.facts.letters):
                    self.anywhere = join(self.anywhere or found, found)
                locals_only = {name: each for name, each in known.items() if name.startswith(".")}
                same = {a: b for a, b in known.same.items() if a.startswith(".") and b.startswith(".")}
                known = State(locals_only, same)
            out.append(Assign(target, value, stmt.place))
        return out, known

    def _branch(self, stmt: If, known: State, out: Body) -> State:
        self.facts.note(stmt, known)
        outcome = self.outcome(stmt.test, known)
        yes = self.narrow(stmt.test, known) if outcome is not False else None
        no = self.narrow(invert(stmt.test), known) if outcome is not True else None
        if yes is None or no is None:
            side, state = (stmt.then, yes) if yes is not None else (stmt.orelse, no)
            kept, after = self.run(side, state if state is not None else known)
            out.extend(kept)
            return after
        test = self._trim_test(stmt.test, known)
        then, after_then = self.run(stmt.then, yes)
        orelse, after_else = self.run(stmt.orelse, no)
        out.append(If(test, then, orelse, stmt.place))
        return _meet([after_then, after_else]) or State()

    def _trim(self, expr: Expr, known: State) -> Expr:
        """The expression without masks that take nothing off."""
        if isinstance(expr, Neg):
            return Neg(self._trim(expr.value, known))
        if isinstance(expr, Item):
            return Item(expr.array, self._trim(expr.index, known))
        if not isinstance(expr, Op):
            return expr
        expr = Op(expr.op, self._trim(expr.left, known), self._trim(expr.right, known))
        if expr.op == "&" and isinstance(expr.right, Const):
            mask = expr.right.value
            low, high = self.value(expr.left, known)
            if mask >= 0 and mask & (mask + 1) == 0 and low >= 0 and high <= mask:
                return expr.left
        return expr

    def _trim_test(self, test: Test, known: State) -> Test:
        if not isinstance(test, Logic):
            return test
        parts: list[Test] = []
        state: State | None = known
        for part in test.parts:
            outcome = self.outcome(part, state) if state is not None else None
            if outcome is not None:
                parts.append(Truth(outcome))
                continue
            parts.append(self._trim_test(part, state or State()))
            if state is not None:
                state = self.narrow(part if test.op == "and" else invert(part), state)
        return Logic(test.op, tuple(parts))


def _name_of(expr: Expr) -> str | None:
    if isinstance(expr, Local):
        return "." + expr.name
    return expr.name if isinstance(expr, Load) else None


def _settle(op: str, left: Interval, right: Interval) -> bool | None:
    if op in ("==", "!="):
        if left[1] < right[0] or right[1] < left[0]:
            return op == "!="
        if left[0] == left[1] == right[0] == right[1]:
            return op == "=="
        return None
    if op in (">", ">="):
        left, right, op = right, left, MIRRORED_COMPARISON[op]
    if op == "<":
        return True if left[1] < right[0] else False if left[0] >= right[1] else None
    return True if left[1] <= right[0] else False if left[0] > right[1] else None


def _meet(ways: Iterable[State]) -> State | None:
    """What holds on every way."""
    found: State | None = None
    for way in ways:
        if found is None:
            found = way
        else:
            same = {name: root for name, root in found.same.items() if way.same.get(name) == root}
            found = State({name: join(each, way[name]) for name, each in found.items() if name in way}, same)
    return found


assert set(INVERSE_COMPARISON) == set(MIRRORED_COMPARISON)


def find_facts(bodies: Iterable[Body], table: Mapping[str, Signal]) -> Facts:
    """Intervals that hold of all signals, whichever routine runs next."""
    bodies = list(bodies)
    signals = {
        name: (row.low, row.high)
        for name, row in table.items()
        if not row.length and row.role not in (CONSTANT, TRANSIENT)
    }
    arrays = {
        name: (row.low, row.high)
        for name, row in table.items()
        if row.length and row.role not in (RING, MEMORY)
    }
    letters = frozenset(name for name, row in table.items() if row.role == LETTER)
    facts = Facts(signals, arrays, letters)
    for number in range(ROUNDS):
        facts.unproven, facts.tests = {}, {}
        wider: dict[str, Interval] = {}
        for body in bodies:
            analysis = Analysis(facts)
            analysis.run(body, State())
            for group in (facts.signals, facts.arrays):
                for name, believed in group.items():
                    found = join(believed, analysis.written.get(name, believed))
                    found = join(found, analysis.anywhere or found)
                    if found != believed:
                        wider[name] = join(wider.get(name, found), found if number < ROUNDS - 2 else WORD)
        if not wider:
            break
        facts.signals.update({name: each for name, each in wider.items() if name in facts.signals})
        facts.arrays.update({name: each for name, each in wider.items() if name in facts.arrays})
    return facts


def widened(facts: Facts, table: Mapping[str, Signal]) -> dict[str, Interval]:
    """Signals whose writes are not proven to stay within their row, with what they might reach."""
    return {name: each for name, each in facts.signals.items() if each != (table[name].low, table[name].high)}


def note_tests(body: Body, facts: Facts) -> None:
    """Note in `facts` what is known at every `if` of a finished routine."""
    Analysis(facts).run(body, State())


def use_ranges(body: Body, facts: Facts) -> Body:
    """A copy of a routine's body without tests and masks that can do nothing."""
    return prune(Analysis(facts).run(body, State())[0])
