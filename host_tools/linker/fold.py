"""Integer algebra on expressions and conditions: the one place that knows what equals what."""

from __future__ import annotations

from .ir import (
    COMMUTATIVE,
    INVERSE_COMPARISON,
    LITERAL_HIGH,
    LITERAL_LOW,
    MIRRORED_COMPARISON,
    Body,
    Compare,
    Const,
    Expr,
    If,
    Logic,
    Neg,
    Op,
    Test,
    Truth,
    map_body,
)


class LiteralRange(ValueError):
    """A constant expression whose value is no literal of the board's compiler."""


def calculate(op: str, a: int, b: int) -> int:
    """Value of a constant operation; LiteralRange when it is outside the literals."""
    if op in ("<<", ">>") and not 0 <= b <= 31:
        raise LiteralRange(f"a shift by {b} differs between machines; shift by 0 .. 31")
    value = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "<<": lambda: a << b,
        ">>": lambda: a >> b,
        "&": lambda: a & b,
        "|": lambda: a | b,
        "^": lambda: a ^ b,
    }[op]()
    if not LITERAL_LOW <= value <= LITERAL_HIGH:
        raise LiteralRange(f"{a} {op} {b} is {value}, outside -2**30 .. 2**30 - 1")
    return value


def compare(op: str, a: int, b: int) -> bool:
    """Outcome of a comparison of constants."""
    return {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]


def fold_constants(expr: Expr) -> Expr:
    """One node: operations on constants only; LiteralRange also for a constant shift outside 0 .. 31."""
    if isinstance(expr, Op) and expr.op in ("<<", ">>") and isinstance(expr.right, Const):
        calculate(expr.op, 0, expr.right.value)
    if isinstance(expr, Op) and isinstance(expr.left, Const) and isinstance(expr.right, Const):
        return Const(calculate(expr.op, expr.left.value, expr.right.value))
    if isinstance(expr, Neg) and isinstance(expr.value, Const):
        return Const(calculate("-", 0, expr.value.value))
    return expr


def simplify(expr: Expr) -> Expr:
    """One node whose operands are simple already.

    Only forms that keep every intermediate value within the range of the original's are used,
    so what did not overflow before does not overflow after.
    """
    expr = fold_constants(expr)
    if isinstance(expr, Neg):
        if isinstance(expr.value, Neg):
            return expr.value.value
        return expr
    if not isinstance(expr, Op):
        return expr
    op, left, right = expr.op, expr.left, expr.right
    if op in COMMUTATIVE and isinstance(left, Const):
        left, right = right, left
        expr = Op(op, left, right)
    if isinstance(right, Neg) and op == "+":
        return Op("-", left, right.value)
    if isinstance(left, Neg) and op == "+":
        return Op("-", right, left.value)
    if isinstance(left, Const) and left.value == 0:
        if op == "-":
            return Neg(right)
        if op in ("<<", ">>"):
            return left
    if not isinstance(right, Const):
        return expr
    value = right.value
    if value == 0:
        return right if op in ("*", "&") else left
    if op == "*" and value == 1:
        return left
    if op == "*" and value == -1:
        return Neg(left)
    if op == "*" and value > 1 and value & (value - 1) == 0:
        return Op("<<", left, Const(value.bit_length() - 1))
    if op == ">>" and isinstance(left, Op) and left.op == ">>" and isinstance(left.right, Const):
        return Op(">>", left.left, Const(min(31, left.right.value + value)))
    if op == "&" and isinstance(left, Op) and left.op == "&" and isinstance(left.right, Const):
        return simplify(Op("&", left.left, Const(left.right.value & value)))
    if op in ("+", "-") and value < 0 and value > LITERAL_LOW:
        return Op("-" if op == "+" else "+", left, Const(-value))
    return expr


def settle_test(test: Test) -> Test:
    """A condition with known parts removed."""
    if isinstance(test, Compare):
        left, right = test.left, test.right
        if isinstance(left, Const) and isinstance(right, Const):
            return Truth(compare(test.op, left.value, right.value))
        if isinstance(left, Const):
            return Compare(MIRRORED_COMPARISON[test.op], right, left)
        return test
    if isinstance(test, Logic):
        absorbing = test.op == "or"
        parts: list[Test] = []
        for part in test.parts:
            part = settle_test(part)
            if isinstance(part, Truth):
                if part.value == absorbing:
                    # What stands before is without effect, so it need not be evaluated.
                    return part
                continue
            parts.append(part)
        if not parts:
            return Truth(not absorbing)
        return parts[0] if len(parts) == 1 else Logic(test.op, tuple(parts))
    return test


def invert(test: Test) -> Test:
    """The opposite condition."""
    if isinstance(test, Compare):
        return Compare(INVERSE_COMPARISON[test.op], test.left, test.right)
    if isinstance(test, Logic):
        return Logic("or" if test.op == "and" else "and", tuple(invert(part) for part in test.parts))
    return Truth(not test.value)


def prune(body: Body) -> Body:
    """A copy without the branches that a known condition closes, nor empty `if`s."""
    out: Body = []
    for stmt in body:
        if not isinstance(stmt, If):
            out.append(stmt)
            continue
        test = settle_test(stmt.test)
        then, orelse = prune(stmt.then), prune(stmt.orelse)
        if isinstance(test, Truth):
            out.extend(then if test.value else orelse)
        elif then:
            out.append(If(test, then, orelse, stmt.place))
        elif orelse:
            out.append(If(invert(test), orelse, [], stmt.place))
    return out


def try_simplify(expr: Expr) -> Expr:
    """Simplify a node; one that would leave the literals stays as it is."""
    try:
        return simplify(expr)
    except LiteralRange:
        return expr


def simplify_body(body: Body) -> Body:
    """Pass `algebra`: simplify every expression, close known branches."""
    return prune(map_body(body, try_simplify))
