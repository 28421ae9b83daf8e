"""The page of promises names tests that exist, and parameters say whose they are."""

import ast
import re

from eesm.parameters import SETTINGS
from tests.test_repository import ROOT


def test_every_promise_has_its_tests():
    page = (ROOT / "docs" / "promises.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "suffered" not in line]
    assert len(rows) >= 12
    for row in rows:
        named = re.findall(r"`(tests/\S+?)::(\w+)`", row)
        assert named, row
        for file, function in named:
            tree = ast.parse((ROOT / file).read_text())
            defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert function in defined, f"{file} has no {function}"


def test_parameters_of_the_field_are_named_as_such():
    """Field quantities end with _f or begin with i_f or u_f; no stator quantity does."""
    field = {name for name in SETTINGS if re.search(r"(^[ui]_f(_|$)|_f$)", name)}
    assert {"R_f", "L_f", "i_f_max", "i_f_trip"} <= field
    for name in field:
        assert re.search("field|exciter", SETTINGS[name][3]), (name, SETTINGS[name][3])
    for name in ("R_s", "L_d", "L_q"):
        assert name in SETTINGS and name not in field
