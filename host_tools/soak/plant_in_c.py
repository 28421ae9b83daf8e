"""The simulated machine as C for 32-bit MicroPython: twenty times faster there than its Python.

The very functions of `boards.virtual`, statement by statement: they keep to float arithmetic, comparisons,
`if`, `while` and `return`, which mean the same in C.  Doubles by SSE2, no contraction: both round alike.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from boards.virtual import plant, sensors
from host_tools.compiler import CompilerError, find_compiler
from host_tools.jitted import HELPERS

# Each before those that call it.
FUNCTIONS: tuple[tuple[ModuleType, Callable[..., Any]], ...] = (
    *((plant, getattr(plant, name)) for name in HELPERS),
    (plant, plant.run_period),
    (sensors, sensors.upset_encoder),
    (sensors, sensors.sample),
)
POINTERS = {"x": "double", "c": "double", "k": "double", "y": "int", "raw": "int"}
WHOLE = ("compare_a", "compare_b", "compare_c", "compare_f", "gate", "opened")
OWN = "_"  # behind a variable's name, which may be a word of C, such as `short`
FLAGS = (
    "-O2",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-ffreestanding",
    "-fPIC",
    "-shared",
    "-nostdlib",
    "-w",
)
FOR_32_BITS = ("-m32", "-msse2", "-mfpmath=sse")
SIGNS: dict[type, str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.And: "&&",
    ast.Or: "||",
    ast.USub: "-",
    ast.Not: "!",
}


class _Function:
    """One function on its way to C."""

    def __init__(self, module: ModuleType, function: Callable[..., Any]) -> None:
        self.module = module
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        self.tree = tree
        self.arguments = [argument.arg for argument in tree.args.args]
        self.pointers = {name: POINTERS[name] for name in self.arguments if name in POINTERS}
        self.types = {name: "int" if name in WHOLE else "double" for name in self.arguments}
        assigned = [
            (node.targets[0].id, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        ]
        self.returns = "double" if any(isinstance(node, ast.Return) for node in ast.walk(tree)) else "void"
        self.locals = dict.fromkeys(name for name, _ in assigned if name not in self.arguments)
        # Whole numbers until one of its values is none.
        for name in self.locals:
            self.types[name] = "int"
        for _ in self.locals:
            for name, value in assigned:
                if name in self.locals and not self._is_whole(value):
                    self.types[name] = "double"

    def _is_whole(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value):
                return isinstance(value, int)
            case ast.Name(name):
                return (
                    self.types[name] == "int" if name in self.types else isinstance(self._constant(name), int)
                )
            case ast.Call(ast.Name(name)):
                return name == "int"
            case ast.Subscript(ast.Name(name)):
                return self.pointers[name] == "int"
            case ast.BinOp(left, operator, right):
                return not isinstance(operator, ast.Div) and self._is_whole(left) and self._is_whole(right)
            case ast.UnaryOp(_, operand):
                return self._is_whole(operand)
            case ast.Compare() | ast.BoolOp():
                return True
        return False

    def _constant(self, name: str) -> Any:
        return getattr(self.module, name)

    def _value(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(value):
                return str(int(value)) if isinstance(value, int) else repr(value)
            case ast.Name(name):
                own = name in self.types or name in self.pointers
                return name + OWN if own else repr(self._constant(name))
            case ast.Subscript(ast.Name(name), place):
                return f"{name}{OWN}[{self._value(place)}]"
            case ast.BinOp(left, ast.Div(), right):
                return f"((double){self._value(left)} / (double){self._value(right)})"
            case ast.BinOp(left, operator, right):
                return f"({self._value(left)} {SIGNS[type(operator)]} {self._value(right)})"
            case ast.UnaryOp(operator, operand):
                return f"({SIGNS[type(operator)]}{self._value(operand)})"
            case ast.BoolOp(operator, values):
                return "(" + f" {SIGNS[type(operator)]} ".join(self._value(value) for value in values) + ")"
            case ast.Compare(left, operators, others):
                terms = [left, *others]
                pairs = [
                    f"({self._value(terms[n])} {SIGNS[type(operator)]} {self._value(terms[n + 1])})"
                    for n, operator in enumerate(operators)
                ]
                return "(" + " && ".join(pairs) + ")"
            case ast.IfExp(test, yes, no):
                return f"({self._value(test)} ? {self._value(yes)} : {self._value(no)})"
            case ast.Call(ast.Name("int"), [value]):
                return f"((int){self._value(value)})"
            case ast.Call(ast.Name("float"), [value]):
                return f"((double){self._value(value)})"
            case ast.Call(ast.Name("sqrt"), [value]):
                return f"__builtin_sqrt({self._value(value)})"
            case ast.Call(ast.Name(name), values):
                return f"{name}({', '.join(self._value(value) for value in values)})"
        raise ValueError(f"{self.tree.name}: {ast.unparse(node)} has no counterpart in C")

    def _statements(self, body: list[ast.stmt]) -> str:
        return "".join(self._statement(statement) for statement in body)

    def _statement(self, node: ast.stmt) -> str:
        match node:
            case ast.Expr(ast.Constant()):
                return ""
            case ast.Expr(value):
                return f"{self._value(value)};\n"
            case ast.Assign([target], value):
                return f"{self._value(target)} = {self._value(value)};\n"
            case ast.Return(ast.expr() as value):
                return f"return {self._value(value)};\n"
            case ast.If(test, body, orelse):
                text = f"if ({self._value(test)}) {{\n{self._statements(body)}}}"
                return text + (f" else {{\n{self._statements(orelse)}}}\n" if orelse else "\n")
            case ast.While(test, body):
                return f"while ({self._value(test)}) {{\n{self._statements(body)}}}\n"
        raise ValueError(f"{self.tree.name}: {ast.unparse(node)} has no counterpart in C")

    def text(self) -> str:
        """The function in C."""
        arguments = ", ".join(
            f"{self.pointers[name]} *{name}{OWN}"
            if name in self.pointers
            else f"{self.types[name]} {name}{OWN}"
            for name in self.arguments
        )
        declared = "".join(f"{self.types[name]} {name}{OWN} = 0;\n" for name in self.locals)
        body = declared + self._statements(self.tree.body)
        return f"{self.returns} {self.tree.name}({arguments})\n{{\n{body}}}\n"


def translate() -> str:
    """The C source of plant and sensors; ValueError for a statement that has no counterpart."""
    return "\n".join(_Function(module, function).text() for module, function in FUNCTIONS)


def compile_library(folder: Path, *, bits: int = 32) -> Path:
    """plant.so in `folder`, for MicroPython or (64) for this process; CompilerError when none can make it."""
    source, library = folder / "plant.c", folder / "plant.so"
    source.write_text(translate())
    argv = find_compiler().argv
    own = FOR_32_BITS if bits == 32 else ()
    if bits == 32 and any("zig" in word for word in argv):
        own = ("-target", "x86-linux-musl", "-msse2")
    command = [*argv, *own, *FLAGS, str(source), "-o", str(library)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise CompilerError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    return library
