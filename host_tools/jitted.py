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


# Functions that run_period calls, each before those that call it.
HELPERS = ("turn_direction", "invert_saturated", "find_open_voltage", "feed_faults", "find_diode_voltage")


def compile_with(function: Callable, replaced: dict[str, Any], name: str = "") -> Callable:
    """Compile `function` with some of its module's globals replaced by compiled ones.

    A second one with other replacements needs a `name` of its own: by that the compiled code is kept.
    """
    scope = dict(function.__globals__) | replaced
    twin = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
    if name:
        twin.__name__ = twin.__qualname__ = name
    return numba.njit(**_OPTIONS)(twin)


@cache
def compile_plant(may_fail: bool = True) -> tuple[Callable, Callable]:
    """(run_period, sample), compiled at their first call.

    Without `may_fail` they are a tenth faster, for a plant that `is_healthy`.
    """
    suffix, replaced = ("", {}) if may_fail else ("_healthy", {"MAY_FAIL": 0})
    helpers: dict[str, Any] = {}
    for name in HELPERS:
        helpers[name] = compile_with(getattr(plant, name), helpers)
    upset = {"upset_encoder": compile_with(sensors.upset_encoder, {})}
    return (
        compile_with(plant.run_period, helpers | replaced, "run_period" + suffix),
        compile_with(sensors.sample, upset | replaced, "sample" + suffix),
    )


def is_healthy(c: Any, k: Any) -> bool:
    """Whether no fault acts that the faster functions leave out."""
    return c[plant.FAULTY] == 0 and k[sensors.STUCK] < sensors.UPSET
