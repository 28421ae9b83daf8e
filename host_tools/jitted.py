"""The plant under numba: the very functions of `boards.virtual`, compiled, with the same rounding.

    run_period, sample = compile_plant()
    x, c = (numpy.array(words) for words in plant.make_plant(...))

The functions may be called from other compiled functions, so that a whole closed loop is one.
"""

import types
from collections.abc import Callable
from functools import cache
from typing import Any

import numba

from boards.virtual import plant, sensors

# The compiled code is kept between runs (it takes 5 s).  Division by zero gives infinity instead of a
# check at every division; no fast-math, so that numba and CPython round alike.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "cache": True}


def compile_with(function: Callable, replaced: dict[str, Any]) -> Callable:
    """Compile `function` with some of its module's globals replaced by compiled ones."""
    scope = dict(function.__globals__) | replaced
    twin = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
    return numba.njit(**_OPTIONS)(twin)


@cache
def compile_plant() -> tuple[Callable, Callable]:
    """(run_period, sample), compiled at their first call."""
    helpers: dict[str, Callable] = {}
    for name in ("turn_direction", "invert_saturated", "find_open_voltage", "feed_faults", "find_diode_voltage"):
        helpers[name] = compile_with(getattr(plant, name), helpers)
    return compile_with(plant.run_period, helpers), compile_with(sensors.sample, {})
