"""Passes that place values: `lend` and `ahead` in registers, `windows` in reach of the pointer."""

from host_tools.linker.ahead import move_ahead
from host_tools.linker.ir import Assign, Body, Compare, Const, Expr, If, Load, Local, Op, Place, Routine, Stmt
from host_tools.linker.lend import lend
from host_tools.linker.windows import accesses, order_by_time

HERE = Place("stage.py", 1, "stage")
REGISTERS = ["a", "b"]
A, B, SLOW = Local("a"), Local("b"), Local("slow")
X, Y = Load("x"), Load("y")


def put(target: Local | Load, value: Expr) -> Assign:
    return Assign(target, value, HERE)


def walk_down(expr: Expr) -> list[Expr]:
    return [expr, *walk_down(expr.left), *walk_down(expr.right)] if isinstance(expr, Op) else [expr]


def price(stmt: Stmt) -> float:
    """Four cycles for a local on the stack, two for a word, none for a register; an operation takes one."""
    exprs: list[Expr] = []
    if isinstance(stmt, Assign):
        exprs = [stmt.target, *walk_down(stmt.value)]
    elif isinstance(stmt, If) and isinstance(stmt.test, Compare):
        exprs = [*walk_down(stmt.test.left), *walk_down(stmt.test.right)]
    total = 0.0
    for each in exprs:
        if isinstance(each, Local):
            total += 0.0 if each.name in REGISTERS else 4.0
        elif isinstance(each, Load):
            total += 2.0
        elif isinstance(each, Op):
            total += 1.0
    return total


def lent(body: Body) -> Body:
    return lend(body, REGISTERS, price, lambda old, new, name, register: None)


def use(local: Local) -> list[Assign]:
    """Two statements that read a local."""
    return [put(X, Op("+", local, Const(1))), put(Y, Op("+", local, Const(2)))]


def test_a_free_register_holds_a_stack_local_as_long_as_it_is_used() -> None:
    assert lent([put(SLOW, X), *use(SLOW)]) == [put(A, X), *use(A)]


def test_no_register_is_lent_whose_value_is_still_needed() -> None:
    body: Body = [put(A, X), put(B, Y), put(SLOW, X), *use(SLOW), put(X, A), put(Y, B)]
    assert lent(body) == body


def test_what_is_needed_after_a_loan_is_copied_back() -> None:
    body: Body = [put(SLOW, X), *use(SLOW), put(A, X), put(B, Y), put(X, Op("+", A, B)), put(Y, SLOW)]
    out = lent(body)
    assert out[:3] == [put(A, X), *use(A)]
    assert out[3] == put(SLOW, A)
    assert out[4:] == body[3:]


def test_a_value_read_in_its_own_write_is_not_lent() -> None:
    body: Body = [put(SLOW, Op("+", SLOW, X)), put(Y, SLOW)]
    assert lent(body) == body


def test_an_if_that_is_copied_is_told_of() -> None:
    told: list[tuple[str, str]] = []
    branch = If(Compare("<", SLOW, Const(0)), [put(SLOW, Const(0))], [], HERE)
    out = lend(
        [put(SLOW, X), branch, put(Y, SLOW)],
        REGISTERS,
        price,
        lambda old, new, name, register: told.append((name, register)),
    )
    assert ("slow", "a") in told
    assert out == [put(A, X), If(Compare("<", A, Const(0)), [put(A, Const(0))], [], HERE), put(Y, A)]


def test_a_word_read_twice_is_fetched_once() -> None:
    square: Body = [put(Y, Op("*", X, X))]
    assert move_ahead(square, REGISTERS, price) == [put(A, X), put(Y, Op("*", A, A))]


def test_no_operand_goes_to_a_register_that_is_read_later() -> None:
    body: Body = [put(A, Const(1)), put(B, Const(2)), put(Y, Op("*", X, X)), put(X, Op("+", A, B))]
    assert move_ahead(body, REGISTERS, price) == body


def test_no_operand_goes_to_a_register_that_the_statement_reads() -> None:
    body: Body = [put(A, Const(1)), put(Y, Op("+", Op("*", X, X), A))]
    assert move_ahead(body, ["a"], price) == body


def test_a_condition_s_operand_is_computed_ahead() -> None:
    branch = If(Compare("<", Op("*", X, X), Const(9)), [put(Y, Const(0))], [], HERE)
    out = move_ahead([branch], REGISTERS, price)
    assert out == [put(A, X), If(Compare("<", Op("*", A, A), Const(9)), [put(Y, Const(0))], [], HERE)]


def test_accesses_count_reads_and_writes_with_what_is_inside_an_if() -> None:
    branch = If(Compare("<", X, Const(9)), [put(Y, X)], [], HERE)
    first, second = accesses([put(Y, Op("+", X, X)), branch])
    assert first == {"x": 2.0, "y": 1.0}
    assert 1.0 < second["x"] <= 2.0
    assert 0.0 < second["y"] <= 1.0


def test_words_lie_in_the_order_in_which_the_routines_use_them() -> None:
    first = Routine("first", [put(Load("late"), Const(0)), put(Load("later"), Load("early"))])
    first.body.insert(0, put(Load("early"), Const(0)))
    second = Routine("second", [put(Load("other"), Load("early"))])
    names = ["unused", "other", "later", "late", "early"]
    ordered = order_by_time([first, second], names)
    assert set(ordered[:3]) == {"early", "late", "later"}
    assert ordered[2:] == ["later", "other", "unused"]
