"""Fixtures that every test may use."""

import pytest

from host_tools.compiler import Compiler, CompilerError, find_compiler
from host_tools.interpreter import InterpreterError, find_interpreter


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
