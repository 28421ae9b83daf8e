"""Stage functions to the linker's form; every construct outside the language is refused here.

The text is read from the file that holds the function, so that a refusal names file and line.
Names are looked up in the function's own module: constants and functions may come through
imports.
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from eesm.table import ARRAY_ROLES, CONSTANT, INPUT, LETTER, MEMORY, PARAMETER, TABLE, Signal

from .errors import LinkError
from .ir import (
    LITERAL_HIGH,
    LITERAL_LOW,
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
    Target,
    Test,
)

OPERATORS: dict[type, str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
}
COMPARISONS: dict[type, str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
FORBIDDEN_OPERATORS: dict[type, str] = {
    ast.Div: "/ makes a float; use a multiplication and a right shift",
    ast.FloorDiv: "// differs between machines, kills the board on zero; multiply by a reciprocal and shift",
    ast.Mod: "% differs between machines; mask with & (a power of two) or subtract in an `if`",
    ast.Pow: "** does not compile for the board; write the product",
    ast.MatMult: "@ has no meaning for integers",
}
# What a statement or an expression outside the language is called, and what to write instead.
FORBIDDEN: dict[type, str] = {
    ast.For: "a loop takes an unknown time; write the statements out",
    ast.While: "a loop takes an unknown time; write the statements out",
    ast.AsyncFor: "a loop takes an unknown time; write the statements out",
    ast.FunctionDef: "a nested function is a closure and crashes on the board; put it at module level",
    ast.AsyncFunctionDef: "a nested function is a closure and crashes on the board; put it at module level",
    ast.Lambda: "a lambda is a closure, which crashes on the board; write a helper at module level",
    ast.ClassDef: "a class has no place in a stage; put it at module level",
    ast.Import: "import at the top of the module",
    ast.ImportFrom: "import at the top of the module",
    ast.Global: "module variables cannot be written; declare a state in the signal table",
    ast.Nonlocal: "closures crash on the board; declare a state in the signal table",
    ast.Try: "exceptions are not caught in a stage; test the values with `if`",
    ast.Raise: "a stage cannot raise in an interrupt; set a fault bit",
    ast.Assert: "a stage cannot raise in an interrupt; set a fault bit or test it in a unit test",
    ast.With: "`with` has no place in a stage",
    ast.Delete: "`del` has no place in a stage; names end with the stage",
    ast.AnnAssign: "write the assignment without an annotation: `x = ...`",
    ast.Match: "write `match` as if/elif/else",
    ast.Tuple: "a tuple allocates memory in the interrupt; write one assignment a line",
    ast.List: "a list allocates memory in the interrupt; declare an array in the signal table",
    ast.Dict: "a dictionary allocates memory in the interrupt; declare an array in the signal table",
    ast.Set: "a set allocates memory in the interrupt; declare an array in the signal table",
    ast.ListComp: "a comprehension is a loop and allocates; write the statements out",
    ast.SetComp: "a comprehension is a loop and allocates; write the statements out",
    ast.DictComp: "a comprehension is a loop and allocates; write the statements out",
    ast.GeneratorExp: "a generator is a loop and allocates; write the statements out",
    ast.IfExp: "write a conditional expression as if/else with two assignments",
    ast.NamedExpr: "`:=` hides an assignment; write it on a line of its own",
    ast.JoinedStr: "a string has no place in a stage; use an integer constant",
    ast.Await: "a stage cannot wait",
    ast.Yield: "a stage cannot yield",
    ast.YieldFrom: "a stage cannot yield",
    ast.Starred: "`*` unpacking allocates; write the arguments out",
    ast.Break: "a loop takes an unknown time; write the statements out",
    ast.Continue: "a loop takes an unknown time; write the statements out",
}
READ_ONLY = {
    INPUT: "an input is written by the driver or the main loop only; write a state or a transient",
    PARAMETER: "a parameter is written through the mailbox only; copy it to a state or a transient",
    CONSTANT: "a constant is folded into the code; declare a state or a parameter",
    TABLE: "a table is filled at boot and read only; declare a ring to write one",
    LETTER: "a letter is filled by the main loop and read only; declare a ring to write one",
}
SIGNALS_NAME = "s"
RESERVED = {"p", "ptr32", "int", "micropython"}


class Parser:
    """Parses functions once each and keeps them by key."""

    def __init__(self, table: dict[str, Signal]) -> None:
        self.table = table
        self.functions: dict[int, Function] = {}
        self._modules: dict[str, ast.Module] = {}
        self._keys: dict[types.FunctionType, int] = {}

    def parse(self, function: Callable[..., Any]) -> int:
        """Key of the parsed function; LinkError when its text is outside the language."""
        if not isinstance(function, types.FunctionType):
            raise LinkError(f"{function!r} is not a plain function; stages are functions at module level")
        if function in self._keys:
            return self._keys[function]
        key = len(self._keys)
        self._keys[function] = key
        self.functions[key] = _FunctionParser(self, key, function, self._find(function)).parse()
        return key

    def _find(self, function: types.FunctionType) -> ast.FunctionDef:
        file = inspect.getsourcefile(function) or ""
        line = function.__code__.co_firstlineno
        if file not in self._modules:
            try:
                self._modules[file] = ast.parse(Path(file).read_text(encoding="utf-8"))
            except OSError:
                raise LinkError(
                    f"the text of {function.__name__} is not in a file; put it in a module", file
                ) from None
        for node in self._modules[file].body:
            if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
                first = min([node.lineno] + [d.lineno for d in node.decorator_list])
                if first == line:
                    return node
        raise LinkError(
            f"{function.__name__} is not defined at the top of its module; stages are module-level functions",
            file,
            line,
        )


class _FunctionParser:
    def __init__(self, parser: Parser, key: int, function: types.FunctionType, node: ast.FunctionDef) -> None:
        self.parser = parser
        self.table = parser.table
        self.key = key
        self.node = node
        self.file = inspect.getsourcefile(function) or ""
        self.globals = function.__globals__
        self.params: list[str] = []
        self.takes_signals = False
        self.locals: set[str] = set()

    def refuse(self, node: Any, reason: str) -> NoReturn:
        raise LinkError(reason, self.file, getattr(node, "lineno", self.node.lineno))

    def place(self, node: ast.AST) -> Place:
        return Place(self.file, getattr(node, "lineno", 0), self.node.name)

    def parse(self) -> Function:
        self._read_parameters()
        body = list(self.node.body)
        if self.node.decorator_list:
            self.refuse(self.node, f"{self.node.name} has a decorator; stages are plain functions")
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            if not isinstance(body[0].value.value, str):
                self.refuse(body[0], "an expression without effect; assign it or remove it")
            body = body[1:]
        self.locals = {
            node.id
            for statement in body
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        result: Expr | None = None
        if body and isinstance(body[-1], ast.Return):
            last = body.pop()
            assert isinstance(last, ast.Return)
            if last.value is None:
                self.refuse(last, "a bare `return` does nothing at the end; remove it")
            parsed = self._body(body)
            result = self._expr(last.value)
        else:
            parsed = self._body(body)
        return Function(
            self.key,
            self.node.name,
            self.file,
            self.node.lineno,
            self.takes_signals,
            self.params,
            parsed,
            result,
            set(self.locals),
        )

    def _read_parameters(self) -> None:
        args = self.node.args
        if args.vararg or args.kwarg or args.kwonlyargs or args.defaults or args.posonlyargs:
            self.refuse(self.node, f"{self.node.name}: parameters are plain names without defaults or stars")
        for position, arg in enumerate(args.args):
            if arg.arg == SIGNALS_NAME:
                if position:
                    self.refuse(self.node, f"{self.node.name}: the signals `s` are the first parameter")
                self.takes_signals = True
            else:
                self.params.append(arg.arg)

    # --- statements ---------------------------------------------------------------------------

    def _body(self, nodes: list[ast.stmt]) -> Body:
        out: Body = []
        for node in nodes:
            self._statement(node, out)
        return out

    def _statement(self, node: ast.stmt, out: Body) -> None:
        if isinstance(node, ast.Assign):
            if len(node.targets) != 1:
                self.refuse(node, "one assignment a line: `a = b = 1` is two")
            target = self._target(node.targets[0])
            out.append(Assign(target, self._expr(node.value), self.place(node)))
        elif isinstance(node, ast.AugAssign):
            target = self._target(node.target)
            value = self._binary(node, node.op, target, self._expr(node.value))
            out.append(Assign(target, value, self.place(node)))
        elif isinstance(node, ast.If):
            out.append(
                If(self._test(node.test), self._body(node.body), self._body(node.orelse), self.place(node))
            )
        elif isinstance(node, ast.Expr):
            if isinstance(node.value, ast.Call):
                out.append(Do(self._call(node.value), self.place(node)))
            elif type(node.value) in FORBIDDEN:
                self.refuse(node, FORBIDDEN[type(node.value)])
            else:
                self.refuse(node, "an expression without effect; assign it or remove it")
        elif isinstance(node, ast.Pass):
            pass
        elif isinstance(node, ast.Return):
            self.refuse(
                node, "one `return`, as the last statement; set a local in the branches and return it there"
            )
        else:
            kind = type(node).__name__.lower()
            self.refuse(node, FORBIDDEN.get(type(node), f"`{kind}` is outside the stage language"))

    def _target(self, node: ast.expr) -> Target:
        if isinstance(node, ast.Name):
            if node.id == SIGNALS_NAME:
                self.refuse(node, "`s` is the signals; assign to an attribute of it")
            if "__" in node.id or node.id in RESERVED:
                self.refuse(node, f"`{node.id}` is a name that the linker uses itself; take another")
            if node.id.isupper():
                self.refuse(node, f"`{node.id}` looks like a constant; give the local a lower-case name")
            return Local(node.id)
        if isinstance(node, ast.Attribute):
            row = self._row(node)
            if row.role in ARRAY_ROLES:
                self.refuse(node, f"`{row.name}` is an array; write one word of it: `s.{row.name}[i] = ...`")
            if row.role in READ_ONLY:
                self.refuse(node, f"`{row.name}` cannot be written: {READ_ONLY[row.role]}")
            return Load(row.name)
        if isinstance(node, ast.Subscript):
            item = self._item(node)
            role = self.table[item.array].role
            if role in READ_ONLY:
                self.refuse(node, f"`{item.array}` cannot be written: {READ_ONLY[role]}")
            return item
        self.refuse(
            node, FORBIDDEN.get(type(node), "this cannot be assigned to; assign to a local or `s.name`")
        )

    # --- conditions -----------------------------------------------------------------------------

    def _test(self, node: ast.expr) -> Test:
        if isinstance(node, ast.BoolOp):
            op = "and" if isinstance(node.op, ast.And) else "or"
            return Logic(op, tuple(self._test(value) for value in node.values))
        if isinstance(node, ast.Compare):
            if len(node.ops) != 1:
                self.refuse(node, "a chained comparison; write `a < b and b < c`")
            op = COMPARISONS.get(type(node.ops[0]))
            if op is None:
                self.refuse(node, "only == != < <= > >= compare integers")
            return Compare(op, self._expr(node.left), self._expr(node.comparators[0]))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self.refuse(node, "`not` makes a bool; write the opposite comparison")
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            self.refuse(node, "a bool; write a comparison of integers")
        self.refuse(node, "a condition is a comparison: write `x != 0`")

    # --- expressions ----------------------------------------------------------------------------

    def _expr(self, node: ast.expr) -> Expr:
        if isinstance(node, ast.Constant):
            return self._literal(node, node.value)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Attribute):
            row = self._row(node)
            if row.role in ARRAY_ROLES:
                self.refuse(node, f"`{row.name}` is an array; read one word of it: `s.{row.name}[i]`")
            return Load(row.name)
        if isinstance(node, ast.Subscript):
            return self._item(node)
        if isinstance(node, ast.BinOp):
            return self._binary(node, node.op, self._expr(node.left), self._expr(node.right))
        if isinstance(node, ast.UnaryOp):
            return self._unary(node)
        if isinstance(node, ast.Call):
            call = self._call(node)
            if self.parser.functions[call.function].result is None:
                self.refuse(node, f"{call.name} returns nothing; call it on a line of its own")
            return call
        if isinstance(node, (ast.Compare, ast.BoolOp)):
            self.refuse(node, "a comparison makes a bool, which is not stored; write if/else with 1 and 0")
        kind = type(node).__name__.lower()
        self.refuse(node, FORBIDDEN.get(type(node), f"`{kind}` is outside the stage language"))

    def _literal(self, node: ast.expr, value: object) -> Const:
        if isinstance(value, bool):
            self.refuse(node, "a bool; write 1 or 0")
        if isinstance(value, float):
            self.refuse(node, f"{value} is a float; write a scaled integer")
        if not isinstance(value, int):
            self.refuse(node, f"{value!r} is no integer; stages know integers only")
        if not LITERAL_LOW <= value <= LITERAL_HIGH:
            self.refuse(
                node, f"{value} is outside -2**30 .. 2**30 - 1, which the board's compiler takes as literals"
            )
        return Const(value)

    def _name(self, node: ast.Name) -> Expr:
        name = node.id
        if name == SIGNALS_NAME and self.takes_signals:
            self.refuse(node, "`s` is not a value; read an attribute of it")
        if name in self.params or name in self.locals:
            return Local(name)
        if name not in self.globals:
            self.refuse(node, f"`{name}` is unknown here: no local, no parameter, no constant of this module")
        value = self.globals[name]
        if not name.isupper():
            self.refuse(
                node,
                f"`{name}` is a module variable; only UPPER_CASE integer constants can be read, they fold",
            )
        return self._literal(node, value)

    def _binary(self, node: Any, operator: ast.operator, left: Expr, right: Expr) -> Expr:
        op = OPERATORS.get(type(operator))
        if op is None:
            self.refuse(
                node, FORBIDDEN_OPERATORS.get(type(operator), "this operator is outside the language")
            )
        if op in ("<<", ">>") and isinstance(right, Const) and not 0 <= right.value <= 31:
            self.refuse(node, f"a shift by {right.value} differs between machines; shift by 0 .. 31")
        return Op(op, left, right)

    def _unary(self, node: ast.UnaryOp) -> Expr:
        if isinstance(node.op, ast.Not):
            self.refuse(node, "`not` makes a bool; write the opposite comparison")
        if isinstance(node.op, ast.Invert):
            self.refuse(node, "`~` is outside the language; write `-x - 1` or `x ^ MASK`")
        if isinstance(node.op, ast.UAdd):
            self.refuse(node, "unary + does nothing; remove it")
        operand = node.operand
        if isinstance(operand, ast.Constant) and type(operand.value) is int:
            return self._literal(node, -operand.value)
        return Neg(self._expr(operand))

    def _row(self, node: ast.Attribute) -> Signal:
        if not (isinstance(node.value, ast.Name) and node.value.id == SIGNALS_NAME and self.takes_signals):
            self.refuse(node, "only the signals have attributes: `s.name`")
        row = self.table.get(node.attr)
        if row is None:
            self.refuse(node, f"no signal is called `{node.attr}`; declare it in the signal table")
        return row

    def _item(self, node: ast.Subscript) -> Item:
        if not isinstance(node.value, ast.Attribute):
            self.refuse(node, "only array signals have subscripts: `s.name[i]`")
        row = self._row(node.value)
        if row.role not in ARRAY_ROLES:
            self.refuse(node, f"`{row.name}` is a single word; remove the subscript")
        if isinstance(node.slice, ast.Slice):
            self.refuse(node, "a slice allocates memory in the interrupt; read one word at a time")
        index = self._expr(node.slice)
        if isinstance(index, Const):
            high = row.length - 1
            if index.value < 0 or (row.role != MEMORY and index.value > high):
                self.refuse(node, f"`{row.name}` has the words 0 .. {high}, not {index.value}")
        return Item(row.name, index)

    def _call(self, node: ast.Call) -> Call:
        if not isinstance(node.func, ast.Name):
            self.refuse(node, "call stages and helpers by their plain name; import them at the top")
        if node.keywords:
            self.refuse(node, "give the arguments by position")
        name = node.func.id
        target = None if name in self.locals or name in self.params else self.globals.get(name)
        if not isinstance(target, types.FunctionType):
            self.refuse(
                node, f"`{name}` is no stage or helper; only functions of the stage modules can be called"
            )
        key = self.parser.parse(target)
        function = self.parser.functions.get(key)
        if function is None:
            self.refuse(node, f"{name} calls itself; recursion has no end that the linker could see")
        args = list(node.args)
        if function.takes_signals:
            first = args.pop(0) if args else None
            if not (isinstance(first, ast.Name) and first.id == SIGNALS_NAME and self.takes_signals):
                self.refuse(node, f"{name} takes the signals first: `{name}(s, ...)`")
        if len(args) != len(function.params):
            self.refuse(node, f"{name} takes {len(function.params)} integers, {len(args)} are given")
        return Call(key, name, tuple(self._expr(arg) for arg in args), node.lineno)
