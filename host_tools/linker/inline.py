"""Stages and helpers fused into one body: calls gone, locals renamed apart, constants folded.

A call inside an expression becomes the helper's statements before the statement that holds it.
Helpers only compute, so the order does not matter; one that writes signals must stand alone on
the right of an assignment.  Calls behind `and`/`or` run only when Python would run them.
"""

from __future__ import annotations

from collections.abc import Mapping

from eesm.table import CONSTANT, TRANSIENT, Signal

from .errors import LinkError
from .fold import LiteralRange, fold_constants, prune, settle_test
from .ir import (
    Assign,
    Body,
    Call,
    Compare,
    Const,
    Do,
    Expr,
    Function,
    If,
    Item,
    Load,
    Local,
    Logic,
    Neg,
    Op,
    Place,
    Routine,
    Stmt,
    Target,
    Test,
    Truth,
    statements,
    walk,
)
from .parse import Parser

SMALL = 2  # statements that are repeated rather than reached through a flag


def inline_routine(
    parser: Parser, key: int, table: Mapping[str, Signal], constants: Mapping[str, int]
) -> Routine:
    """Everything that a routine does, as one body without calls."""
    function = parser.functions[key]
    if function.params or function.result is not None or not function.takes_signals:
        raise LinkError(
            f"{function.name} is to be a routine: one parameter `s`, no result", function.file, function.line
        )
    inliner = _Inliner(parser, table, constants)
    out: Body = []
    inliner.expand(function, (), function.name, out)
    return Routine(function.name, prune(out))


class _Inliner:
    def __init__(self, parser: Parser, table: Mapping[str, Signal], constants: Mapping[str, int]) -> None:
        self.parser = parser
        self.table = table
        self.constants = constants
        self.count = 0
        self._writers: dict[int, bool] = {}

    def fresh(self, name: str) -> str:
        self.count += 1
        return f"{name}__{self.count}"

    def expand(self, function: Function, args: tuple[Expr, ...], stage: str, out: Body) -> Expr | None:
        """Append a function's statements to `out`; returns its result over renamed locals."""
        names: dict[str, Expr] = {}
        for name, arg in zip(function.params, args, strict=True):
            # A transient is copied: the function might write it.
            fixed = isinstance(arg, Const) or (isinstance(arg, Local) and "__" in arg.name)
            if fixed and name not in function.assigned:
                names[name] = arg
            else:
                local = Local(self.fresh(name))
                out.append(Assign(local, arg, Place(function.file, function.line, stage)))
                names[name] = local
        for name in sorted(function.assigned - set(function.params)):
            names[name] = Local(self.fresh(name))
        scope = _Scope(self, function, names, stage)
        scope.body(function.body, out)
        if function.result is None:
            return None
        last = Place(function.file, function.line, stage)
        return scope.expr(function.result, last, out)

    def writes_signals(self, key: int) -> bool:
        """Whether a function changes any signal, itself or through what it calls."""
        if key not in self._writers:
            function = self.parser.functions[key]
            self._writers[key] = False
            found = False
            for stmt in statements(function.body):
                if isinstance(stmt, Assign) and not isinstance(stmt.target, Local):
                    found = True
                found = found or any(self.writes_signals(call.function) for call in _calls_in(stmt))
            if function.result is not None:
                found = found or any(
                    isinstance(node, Call) and self.writes_signals(node.function)
                    for node in walk(function.result)
                )
            self._writers[key] = found
        return self._writers[key]


def _calls_in(stmt: Stmt) -> list[Call]:
    if isinstance(stmt, Do):
        nodes = list(walk(stmt.call))
    elif isinstance(stmt, If):
        nodes = list(walk(stmt.test))
    else:
        nodes = list(walk(stmt.value))
        if isinstance(stmt.target, Item):
            nodes += list(walk(stmt.target.index))
    return [node for node in nodes if isinstance(node, Call)]


class _Scope:
    """One function being expanded: its names, and the stage that its statements count for."""

    def __init__(self, inliner: _Inliner, function: Function, names: dict[str, Expr], stage: str) -> None:
        self.inliner = inliner
        self.function = function
        self.names = names
        self.stage = stage

    def refuse(self, place: Place, reason: str) -> LinkError:
        return LinkError(reason, self.function.file, place.line)

    def body(self, body: Body, out: Body) -> None:
        for stmt in body:
            self.statement(stmt, out)

    def statement(self, stmt: Stmt, out: Body) -> None:
        place = Place(stmt.place.file, stmt.place.line, self.stage)
        if isinstance(stmt, Do):
            function = self.inliner.parser.functions[stmt.call.function]
            args = tuple(self.expr(arg, place, out) for arg in stmt.call.args)
            stage = function.name if function.takes_signals else self.stage
            self.inliner.expand(function, args, stage, out)
        elif isinstance(stmt, Assign):
            if isinstance(stmt.value, Call):
                call = stmt.value
                function = self.inliner.parser.functions[call.function]
                args = tuple(self.expr(arg, place, out) for arg in call.args)
                value = self.inliner.expand(function, args, self.stage, out)
                assert value is not None
            else:
                value = self.expr(stmt.value, place, out)
            out.append(Assign(self.target(stmt.target, place, out), value, place))
        else:
            self.branch(stmt.test, stmt.then, stmt.orelse, place, out)

    def branch(self, test: Test, then: Body, orelse: Body, place: Place, out: Body) -> None:
        """An `if`, split where a later operand of and/or needs statements of its own."""
        if isinstance(test, Logic):
            later = next((n for n, part in enumerate(test.parts) if n and _has_call(part)), None)
            if later is not None:
                first = _join(test.op, test.parts[:later])
                rest = _join(test.op, test.parts[later:])
                self.split(test.op, first, rest, then, orelse, place, out)
                return
        condition = settle_test(self.test(test, place, out))
        if isinstance(condition, Truth):
            self.body(then if condition.value else orelse, out)
            return
        lowered = If(condition, [], [], place)
        self.body(then, lowered.then)
        self.body(orelse, lowered.orelse)
        out.append(lowered)

    def split(
        self, op: str, first: Test, rest: Test, then: Body, orelse: Body, place: Place, out: Body
    ) -> None:
        """`if first op rest` as two nested ifs; the shared branch is repeated when it is small."""
        shared = then if op == "or" else orelse
        if sum(1 for _ in statements(shared)) > SMALL:
            flag = self.inliner.fresh("flag")
            self.names[flag] = Local(flag)
            chosen = Assign(Local(flag), Const(1), place)
            out.append(Assign(Local(flag), Const(0), place))
            self.split(op, first, rest, [chosen], [], place, out)
            final = If(Compare("==", Local(flag), Const(1)), [], [], place)
            self.body(then, final.then)
            self.body(orelse, final.orelse)
            out.append(final)
        elif op == "and":
            self.branch(first, [If(rest, then, orelse, place)], orelse, place, out)
        else:
            self.branch(first, then, [If(rest, then, orelse, place)], place, out)

    def target(self, target: Target, place: Place, out: Body) -> Target:
        if isinstance(target, Item):
            return Item(target.array, self.expr(target.index, place, out))
        if isinstance(target, Local):
            named = self.names[target.name]
            assert isinstance(named, Local)
            return named
        if self.inliner.table[target.name].role == TRANSIENT:
            return Local(target.name)
        return target

    def test(self, test: Test, place: Place, out: Body) -> Test:
        if isinstance(test, Compare):
            return Compare(test.op, self.expr(test.left, place, out), self.expr(test.right, place, out))
        if isinstance(test, Logic):
            return Logic(test.op, tuple(self.test(part, place, out) for part in test.parts))
        return test

    def expr(self, expr: Expr, place: Place, out: Body) -> Expr:
        """An expression with names resolved, calls expanded into `out` and constants folded."""
        if isinstance(expr, Local):
            return self.names.get(expr.name, expr)
        if isinstance(expr, Load):
            return self.signal(expr)
        if isinstance(expr, Item):
            index = self.expr(expr.index, place, out)
            row = self.inliner.table[expr.array]
            if isinstance(index, Const) and row.length > 1 and not 0 <= index.value < row.length:
                raise self.refuse(
                    place, f"`{expr.array}` has the words 0 .. {row.length - 1}, not {index.value}"
                )
            return Item(expr.array, index)
        if isinstance(expr, Call):
            return self.call(expr, place, out)
        if isinstance(expr, Neg):
            folded: Expr = Neg(self.expr(expr.value, place, out))
        elif isinstance(expr, Op):
            folded = Op(expr.op, self.expr(expr.left, place, out), self.expr(expr.right, place, out))
        else:
            return expr
        try:
            return fold_constants(folded)
        except LiteralRange as error:
            raise self.refuse(place, f"a constant expression leaves the literals: {error}") from None

    def signal(self, load: Load) -> Expr:
        row = self.inliner.table[load.name]
        if row.role == CONSTANT:
            return Const(self.inliner.constants[load.name])
        if row.role == TRANSIENT:
            return Local(load.name)
        return load

    def call(self, call: Call, place: Place, out: Body) -> Expr:
        if self.inliner.writes_signals(call.function):
            raise self.refuse(
                place, f"{call.name} writes signals: assign its result alone, `x = {call.name}(...)`"
            )
        function = self.inliner.parser.functions[call.function]
        args = tuple(self.expr(arg, place, out) for arg in call.args)
        value = self.inliner.expand(function, args, self.stage, out)
        assert value is not None
        return value


def _has_call(test: Test) -> bool:
    return any(isinstance(node, Call) for node in walk(test))


def _join(op: str, parts: tuple[Test, ...]) -> Test:
    return parts[0] if len(parts) == 1 else Logic(op, parts)
