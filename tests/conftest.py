"""Fixtures that every test may use, and how hypothesis searches."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from host_tools.compiler import Compiler, CompilerError, find_compiler
from host_tools.interpreter import InterpreterError, find_interpreter

# How long an example takes says how busy the machine is, and nothing about the code. On CI the examples are
# the same each time, so that a commit does not fail for what an earlier one brought in.
settings.register_profile(
    "eesm", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("eesm-ci", settings.get_profile("eesm"), derandomize=True)
settings.load_profile("eesm-ci" if os.environ.get("CI") else "eesm")


@pytest.fixture(scope="session", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the tools remember of a user's drives: the tests leave this user's own alone."""
    folder = tmp_path_factory.mktemp("state")
    before = os.environ.get("EESM_STATE")
    os.environ["EESM_STATE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["EESM_STATE"]
    else:
        os.environ["EESM_STATE"] = before


@pytest.fixture(scope="session")
def micropython() -> list[str]:
    """Command line of the 32-bit MicroPython; it is part of the tests, so its absence fails them."""
    try:
        return find_interpreter()
    except InterpreterError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    """A C compiler that stops at undefined behaviour."""
    try:
        return find_compiler()
    except CompilerError as error:
        pytest.fail(str(error), pytrace=False)
