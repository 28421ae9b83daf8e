"""The float twin of the kernel: the same stages with real numbers in place of integers.

Each stage is translated from its own source: `x >> n` divides by 2**n without a remainder lost,
`x & (2**n - 1)` is the remainder of a division, what is added to round is left out, root and quotient
are exact, and every gain is the real number that its mantissa and shift stand for.
Words stay words only where hardware counts: converter, encoder, PWM.  Mailbox, sums and telemetry
are left out.  What differs between kernel and twin is what fixed point costs.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
import types
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np

from boards.virtual.plant import LOAD_TORQUE
from eesm import parameters, steps
from eesm.signals import Signals
from eesm.table import TABLE, signals_of
from host_tools.experiment import Experiment
from host_tools.jitted import compile_plant
from host_tools.loop import INPUTS, OUTPUTS, Loop

LEFT_OUT = ("take_mailbox", "measure", "stream", "capture")
ROUNDING = 0x4000
# Helpers that approximate what floats have exactly; `p` is the twin's memory.
EXACT: dict[str, str] = {
    "root_of": "def root_of(p, square): return math.sqrt(max(square, 0.0))",
    "divide": "def divide(x, y, q): return x * 2.0**q / y",
}


def place_signals() -> dict[str, int]:
    """Where each signal lies in the twin's memory: all but the rings and the whole."""
    place: dict[str, int] = {}
    size = 0
    for name, row in signals_of(Signals).items():
        if row.role == TABLE or not row.length:
            place[name] = size
            size += max(1, row.length)
    place[""] = size
    return place


class _Floats(ast.NodeTransformer):
    """One function of the stage language, with `s` as an array of floats."""

    def __init__(self, place: dict[str, int], constants: dict[str, Any]) -> None:
        self.place, self.constants = place, constants

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.args.args = [ast.arg("p" if a.arg == "s" else a.arg) for a in node.args.args]
        node.returns, node.decorator_list = None, []
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in LEFT_OUT:
            return ast.Pass()
        self.generic_visit(node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Subscript(ast.Name("p", ast.Load()), ast.Constant(self.place[node.attr]), node.ctx)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        assert isinstance(node.value, ast.Attribute)
        start = self.place[node.value.attr]
        index = self.visit(node.slice)
        where = _parse(f"{start} + int(math.floor({ast.unparse(index)}))")
        return ast.Subscript(ast.Name("p", ast.Load()), where, node.ctx)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name("p", node.ctx) if node.id == "s" else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if isinstance(node.op, ast.RShift):
            left = node.left
            if (
                isinstance(left, ast.BinOp)
                and isinstance(left.op, ast.Add)
                and isinstance(left.right, ast.Constant)
                and left.right.value == ROUNDING
            ):
                left = left.left
            return _parse(
                f"({ast.unparse(self.visit(left))}) * 2.0 ** -({ast.unparse(self.visit(node.right))})"
            )
        if isinstance(node.op, ast.LShift):
            return _parse(
                f"({ast.unparse(self.visit(node.left))}) * 2.0 ** ({ast.unparse(self.visit(node.right))})"
            )
        if isinstance(node.op, ast.BitOr | ast.BitAnd | ast.BitXor):
            left, right = ast.unparse(self.visit(node.left)), ast.unparse(self.visit(node.right))
            mask = self._constant(node.right)
            if isinstance(node.op, ast.BitAnd) and mask is not None and (mask + 1) & mask == 0:
                return _parse(f"({left}) % {float(mask + 1)}")
            sign = {ast.BitOr: "|", ast.BitAnd: "&", ast.BitXor: "^"}[type(node.op)]
            return _parse(f"(int({left}) {sign} int({right}))")
        self.generic_visit(node)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        target = ast.unparse(node.target)
        value = ast.BinOp(_parse(target), node.op, node.value)
        return self.visit(ast.copy_location(ast.Assign([node.target], value), node))

    def _constant(self, node: ast.expr) -> int | None:
        if isinstance(node, ast.Constant):
            return node.value  # type: ignore[return-value]
        if isinstance(node, ast.Name) and isinstance(self.constants.get(node.id), int):
            return self.constants[node.id]
        return None


def _parse(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def translate(routine: Callable[..., Any], place: dict[str, int]) -> Callable[..., Any]:
    """A stage, with all that it calls, as a compiled function of the twin's memory."""
    done: dict[Callable[..., Any], Callable[..., Any]] = {}

    def one(function: Callable[..., Any]) -> Callable[..., Any]:
        if function in done:
            return done[function]
        name = function.__name__
        scope: dict[str, Any] = {"math": math}
        if name in EXACT:
            text = EXACT[name]
        else:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
            constants = function.__globals__
            names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            for other in names:
                value = constants.get(other)
                if isinstance(value, types.FunctionType) and other not in LEFT_OUT:
                    scope[other] = one(value)
                elif isinstance(value, int):
                    scope[other] = value
            tree = _Floats(place, constants).visit(tree)
            text = ast.unparse(ast.fix_missing_locations(tree))
        exec(compile(text, f"<float {name}>", "exec"), scope)
        done[function] = numba.njit(nogil=True, error_model="numpy")(scope[name])
        return done[function]

    return one(routine)


_compiled: list[Callable[..., None]] = []


def compile_twin() -> Callable[..., None]:
    """The loop of twin and plant: `record(bench, rows, every, at, words, states, signals, truths)`."""
    if _compiled:
        return _compiled[0]
    place = place_signals()
    fast_step, outer_step = translate(steps.fast_step, place), translate(steps.outer_step, place)
    run_period, sample = compile_plant()

    @numba.njit(nogil=True)
    def record(bench, rows, every, at, words, states, signals, truths):
        p, load_gain, x, c, y, k, raw, latch = bench
        for row in range(rows):
            for _ in range(every):
                sample(x, y, k, raw)
                for n in range(5):
                    p[at[n]] = raw[n]
                p[at[5]] = x[LOAD_TORQUE] * load_gain
                fast_step(p)
                outer_step(p)
                run_period(x, c, latch[0], latch[1], latch[2], latch[3], latch[4])
                for n in range(5):
                    latch[n] = math.floor(p[at[6 + n]] + 0.5)
            for n in range(len(words)):
                signals[row, n] = p[words[n]]
            for n in range(len(states)):
                truths[row, n] = x[states[n]]

    _compiled.append(record)
    return record


def derive_exactly(settings: dict[str, Any], base: dict[str, float]) -> dict[str, float]:
    """`parameters.derive` without the rounding of its words; shifts stay what they are."""

    def split(name: str, value: float, low_shift: int = 0, top: int = 32767) -> tuple[float, int]:
        _, places = parameters.split_gain(name, value, low_shift, top)
        return max(0.0, value) * 2.0**places, places

    def within(value: float, low: float, high: float) -> float:
        return max(low, min(high, value))

    scope = {**vars(parameters), "split_gain": split, "_within": within}
    exact = types.FunctionType(parameters.derive.__code__, scope, "derive", parameters.derive.__defaults__)
    return exact(settings, base)


class FloatLoop:
    """Stands in for `Loop`: the same plant, sensors and noise, floats in between."""

    def __init__(self, loop: Loop, words: dict[str, float]) -> None:
        self.unit, self.linked, self.kernel, self.bases = loop.unit, loop.linked, loop.kernel, loop.bases
        self.block, self.x, self.c, self.t_pwm = loop.block, loop.x, loop.c, loop.t_pwm
        self.place = place_signals()
        self.p = np.zeros(self.place[""])
        offset, length = self.kernel.offset, self.kernel.length
        for name, where in self.place.items():
            if name in offset:
                size = length.get(name, 1)
                self.p[where : where + size] = self.block[offset[name] : offset[name] + size]
        for name, value in {**loop.linked.program.constants, **words}.items():
            self.p[self.place[name]] = value
        at = np.array([self.place[name] for name in (*INPUTS, "load_torque", *OUTPUTS)], dtype=np.int64)
        self._at, self._record = at, compile_twin()
        gain = 32768 / self.bases["torque"]
        self._bench = (self.p, gain, self.x, self.c, loop.y, loop.k, loop.raw, loop.latch)

    def run(self, periods: int) -> None:
        """Run whole periods."""
        self.record(periods, [], every=periods)

    def record(
        self, periods: int, names: Sequence[str], truths: Sequence[int] = (), every: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `Loop.record`; the signals are floats in the same scale."""
        rows = periods // every
        signals, found = np.zeros((rows, len(names))), np.zeros((rows, len(truths)))
        words = np.array([self.place[name] for name in names], dtype=np.int64)
        states = np.array(truths, dtype=np.int64)
        self._record(self._bench, rows, every, self._at, words, states, signals, found)
        return signals, found


class Twin(Experiment):
    """An experiment by floats; see `Experiment`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.floats: FloatLoop | None = None
        super().__init__(*arguments, **options)
        loop: Any = FloatLoop(self.loop, derive_exactly(self.settings, self.loop.bases))
        self.floats = self.loop = loop

    def set(self, **values: float) -> None:
        super().set(**values)
        if self.floats is not None:
            for name, value in values.items():
                self.floats.p[self.floats.place[name]] = value / self.kernel.step[name]

    def set_raw(self, **values: int) -> None:
        super().set_raw(**values)
        if self.floats is not None:
            for name, value in values.items():
                self.floats.p[self.floats.place[name]] = value

    def get(self, name: str) -> float:
        if self.floats is None:
            return super().get(name)
        return float(self.floats.p[self.floats.place[name]]) * self.kernel.step[name]

    @property
    def faults(self) -> int:
        return round(self.get("faults"))
