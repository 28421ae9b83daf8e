"""The linker refuses what the board could not run, and says where, why and what to write instead."""

import pytest

from host_tools.linker import BudgetError, LinkError, link

from .small_table import Small, make_module

# Statements of a stage, and words that the refusal must contain.
FORBIDDEN = {
    "for k in range(3):\n        s.kept = k": "loop",
    "while s.x > 0:\n        s.kept = 1": "loop",
    "s.kept, s.other = 1, 2": "tuple",
    "s.kept = s.x / 2": "float",
    "s.kept = s.x // 2": "shift",
    "s.kept = s.x % 4": "mask",
    "s.kept = s.x ** 2": "product",
    "s.kept = ~s.x": "outside the language",
    "s.kept = +s.x": "remove it",
    "s.kept = 0.5": "float",
    "s.kept = 1e3": "float",
    "s.kept = True": "bool",
    "s.kept = s.x > 3": "bool",
    "s.kept = s.x > 3 and s.y > 2": "bool",
    "s.kept = not s.x": "bool",
    "if not s.x > 3:\n        s.kept = 1": "opposite comparison",
    "if s.x:\n        s.kept = 1": "!= 0",
    "if 0 < s.x < 3:\n        s.kept = 1": "chained",
    "if s.x is 3:\n        s.kept = 1": "compare integers",
    "if True:\n        s.kept = 1": "bool",
    "s.kept = 'text'": "no integer",
    "s.kept = f'{s.x}'": "string",
    "s.kept = None": "no integer",
    "s.kept = 1073741824": "2\\*\\*30",
    "s.kept = -1073741825": "2\\*\\*30",
    "s.kept = 1 << 30": "literals",
    "s.kept = s.x << 32": "shift by 32",
    "s.kept = s.x >> -1": "shift by -1",
    "s.kept = LATE >> 40": "shift by 40",
    "s.x = 3": "input is written by the driver",
    "s.gain = 3": "mailbox",
    "s.gain += 3": "mailbox",
    "s.scale = 3": "folded",
    "s.curve[0] = 3": "read only",
    "s.post[0] = 3": "read only",
    "s.trail = 3": "one word of it",
    "s.kept = s.curve": "one word of it",
    "s.kept = s.x[0]": "single word",
    "s.kept = s.curve[8]": "0 .. 7",
    "s.kept = s.curve[-1]": "0 .. 7",
    "s.kept = s.curve[0:2]": "slice",
    "s.kept = s.missing": "no signal is called `missing`",
    "s.missing = 3": "no signal is called `missing`",
    "s.kept = s.passing": "not every path has written it",
    "if s.x > 0:\n        s.passing = 1\n    s.kept = s.passing": "declare it as a state",
    "if s.x > 0:\n        local = 1\n    s.kept = local": "`local` is read here",
    "s.kept = unknown": "unknown here",
    "s.kept = variable": "UPPER_CASE",
    "s.kept = FRACTION": "float",
    "s.kept = FLAG": "bool",
    "s.kept = HUGE": "2\\*\\*30",
    "LOCAL = 3": "lower-case",
    "s = 3": "assign to an attribute",
    "kept = s": "not a value",
    "p = 3": "uses itself",
    "a__b = 3": "uses itself",
    "s.kept = other = 3": "one assignment a line",
    "s.kept: int = 3": "annotation",
    "def inner():\n        pass": "closure",
    "s.kept = (lambda: 3)()": "plain name",
    "f = lambda: 3": "closure",
    "s.kept = 3 if s.x > 0 else 4": "if/else",
    "s.kept = (local := 3)": "line of its own",
    "s.kept = [1, 2][0]": "array signals",
    "s.kept = [1, 2]": "allocates",
    "s.kept = {}": "allocates",
    "import math": "top of the module",
    "global variable": "signal table",
    "try:\n        s.kept = 1\n    except ValueError:\n        pass": "exceptions",
    "raise ValueError": "fault bit",
    "assert s.x > 0": "fault bit",
    "del s.kept": "`del`",
    "with s.x:\n        pass": "`with`",
    "match s.x:\n        case 1:\n            pass": "if/elif/else",
    "s.x": "without effect",
    "1": "without effect",
    "return": "bare `return`",
    "if s.x > 0:\n        return\n    s.kept = 1": "one `return`",
    "s.kept = min(s.x, 3)": "no stage or helper",
    "s.kept = abs(s.x)": "no stage or helper",
    "print(s.x)": "no stage or helper",
    "s.kept = s.x.bit_length()": "plain name",
    "s.kept = helper(s.x)": "takes 2 integers",
    "s.kept = helper(a=s.x, b=3)": "by position",
    "s.kept = helper(*[1, 2])": "allocates|takes 2",
    "s.kept = quiet(s)": "returns nothing",
    "s.kept = stores(s) + 1": "assign its result alone",
    "if stores(s) > 1:\n        s.kept = 1": "assign its result alone",
    "stores(3)": "signals first",
    "s.kept = endless(s.x)": "recursion|calls itself",
    "s.kept = default(s.x)": "defaults",
    "s.kept = early(s.x)": "one `return`",
    "s.kept = s.kept.imag": "only the signals have attributes",
    "other.kept = 3": "only the signals have attributes",
}

BESIDE = """
variable = 3
FRACTION = 0.5
FLAG = True
HUGE = 1 << 30
LATE = 7


def helper(a, b):
    return a + b


def quiet(s):
    s.kept = 1


def stores(s):
    s.kept = 1
    return s.kept


def endless(a):
    b = endless(a)
    return b


def default(a, b=3):
    return a + b


def early(a):
    if a > 0:
        return a
    return 0

"""


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("statement", FORBIDDEN, ids=lambda text: text.replace("\n", ";"))
def test_each_forbidden_construct_is_refused(tmp_path, statement):
    module = make_module(tmp_path, f"{BESIDE}\ndef stage(s):\n    {statement}\n")
    with pytest.raises(LinkError, match=FORBIDDEN[statement]) as refusal:
        link([module.stage], Small)
    lines = (tmp_path / refusal.value.file.split("/")[-1]).read_text().splitlines()
    assert 1 <= refusal.value.line <= len(lines)
    assert refusal.value.file.endswith(".py")
    assert f":{refusal.value.line}: " in str(refusal.value)


def test_a_refusal_names_the_line(tmp_path):
    module = make_module(tmp_path, "def stage(s):\n    s.kept = 1\n    s.kept = s.x / 2\n")
    with pytest.raises(LinkError) as refusal:
        link([module.stage], Small)
    assert refusal.value.line == 5
    assert str(refusal.value).startswith(f"{module.__name__}.py:5: / makes a float")


def test_a_refusal_in_a_helper_of_another_file_names_that_file(tmp_path):
    made = make_module(tmp_path, "def half(a):\n    return a / 2\n")
    stage = make_module(
        tmp_path, "def stage(s):\n    s.kept = half(s.x)\n", f"from {made.__name__} import half"
    )
    with pytest.raises(LinkError) as refusal:
        link([stage.stage], Small)
    assert refusal.value.file == made.__file__


def test_a_transient_of_two_routines_is_refused_with_advice(tmp_path):
    module = make_module(
        tmp_path,
        "def first(s):\n    s.passing = s.x\n    s.kept = s.passing\n"
        "def second(s):\n    s.passing = 1\n    s.other = s.passing\n",
    )
    with pytest.raises(LinkError, match=r"used by first and by second.*declare it as a state"):
        link([module.first, module.second], Small)


def test_a_nested_stage_is_refused(tmp_path):
    module = make_module(tmp_path, "def outer():\n    def stage(s):\n        s.kept = 1\n    return stage\n")
    with pytest.raises(LinkError, match="top of its module"):
        link([module.outer()], Small)


def test_a_decorated_stage_is_refused(tmp_path):
    module = make_module(
        tmp_path,
        "import functools\ndef same(f):\n    return f\n@same\ndef stage(s):\n    s.kept = 1\n",
    )
    with pytest.raises(LinkError, match="decorator"):
        link([module.stage], Small)


def test_constants_are_checked(tmp_path):
    module = make_module(tmp_path, "def stage(s):\n    s.kept = s.scale\n")
    with pytest.raises(LinkError, match=r"no constant .* `kept`"):
        link([module.stage], Small, {"kept": 3})
    with pytest.raises(LinkError, match=r"scale = 65 is outside 0 .. 64"):
        link([module.stage], Small, {"scale": 65})


def test_a_block_over_its_budget_is_refused(tmp_path):
    module = make_module(tmp_path, "def stage(s):\n    s.kept = s.scale\n")
    size = link([module.stage], Small).layout.size
    assert link([module.stage], Small, memory_budget=4 * size).layout.size == size
    with pytest.raises(BudgetError, match=r"4 over .*curve"):
        link([module.stage], Small, memory_budget=4 * size - 4)


def test_a_folded_branch_is_not_checked_for_assignment(tmp_path):
    text = "def stage(s):\n    if s.scale == 5:\n        a = 1\n    s.kept = a\n"
    module = make_module(tmp_path, text)
    link([module.stage], Small, {"scale": 5})
    with pytest.raises(LinkError, match="`a` is read here"):
        link([module.stage], Small, {"scale": 6})


def test_an_unknown_pass_is_refused(tmp_path):
    module = make_module(tmp_path, "def stage(s):\n    s.kept = 1\n")
    with pytest.raises(ValueError, match="no pass is called magic"):
        link([module.stage], Small, passes=("magic",))
