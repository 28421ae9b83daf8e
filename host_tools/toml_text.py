"""TOML that people write: read with errors that say file, line, key, value, rule and the nearest name.

`Source` is a file's text and content.  A place in it is a tuple of keys and numbers from 1, as in
("phase", 2, "expect", 1, "take"); `line_of` finds the line where a reader would look for it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from host_tools.errors import UsageError

Place = tuple[str | int, ...]
# Strings and comments hide what is in them; the rest are marks, keys and bare values.
TOKEN = re.compile(
    r'(?P<string>"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<line>\n)"
    r"|(?P<mark>\[\[|\]\]|[\[\]{}=,.])"
    r"|(?P<bare>[^\s\[\]{}=,.#\"']+)",
    re.DOTALL,
)
AT_LINE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")


class Source:
    """The text of a TOML file, its content, and where each key stands."""

    def __init__(self, text: str, name: str) -> None:
        """UsageError with the line when `text` is no TOML."""
        self.text, self.name = text, name
        try:
            self.content: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = AT_LINE.search(str(error))
            said = AT_LINE.sub("", str(error))
            line = found[1] if found and found[1] else str(len(text.splitlines()) or 1)
            raise UsageError(f"{name}:{line}: is not TOML: {said}.", "correct that line") from error

    @classmethod
    def read(cls, path: Path, what: str, hint: str = "", asked: str = "") -> Source:
        """Read a file, which was `asked` for by that name; UsageError when it is not there or no text."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"No {what} {asked or path}: {error.strerror or error}.", hint) from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: is not UTF-8 text.", "save it as UTF-8") from error
        return cls(text, path.name)

    def line_of(self, place: Place) -> int:
        """Line of a key, or of the closest table around it; 1 when there is none."""
        lines = dict(_lines(self.text))
        while place and place not in lines:
            place = place[:-1]
        return lines.get(place, 1)

    def refuse(self, place: Place, what: str, hint: str = "") -> UsageError:
        """What is wrong at a place; to be raised."""
        return UsageError(f"{self.name}:{self.line_of(place)}: {what}.", hint)


def _lines(text: str) -> Iterator[tuple[Place, int]]:
    """(place, line) of every key, table and element of an array, in order of the text."""
    line = 1
    table: Place = ()
    stack: list[tuple[str, Place, int]] = []  # open bracket, place, elements before
    counts: dict[Place, int] = {}
    keys: list[str] = []
    value_of: Place | None = None  # a key whose value is being read
    head: str | None = None  # "[" or "[[" while a table's name is read
    for token in TOKEN.finditer(text):
        kind, said = str(token.lastgroup), token[0]
        if kind == "line":
            line += 1
            if not stack:
                keys, value_of = [], None
            continue
        if kind == "comment":
            continue
        if head is not None:
            if said in ("]", "]]"):
                place: Place = ()
                for n, key in enumerate(keys, 1):
                    place = (*place, key)
                    if head == "[[" and n == len(keys):
                        counts[place] = counts.get(place, 0) + 1
                    if place in counts:  # a table of the array's newest element
                        place = (*place, counts[place])
                table, head, keys = place, None, []
                yield table, line
            elif kind in ("bare", "string"):
                keys.append(said.strip("\"'"))
        elif value_of is None and not stack and said in ("[", "[["):
            head, keys = said, []
        elif kind == "mark" and said in ("[", "[[", "{"):
            for bracket in said:
                inside = stack[-1] if stack else None
                if value_of is not None:
                    place = value_of
                elif inside is not None and inside[0] == "[":
                    place = (*inside[1], inside[2] + 1)
                    stack[-1] = ("[", inside[1], inside[2] + 1)
                    yield place, line
                else:
                    place = table
                stack.append((bracket, place, 0))
                value_of, keys = None, []
        elif kind == "mark" and said in ("]", "]]", "}"):
            for _ in said:
                if stack:
                    stack.pop()
            value_of, keys = None, []
        elif said == "=":
            base = stack[-1][1] if stack else table
            value_of = (*base, *keys)
            keys = []
            yield value_of, line
        elif said == ",":
            value_of, keys = None, []
        elif kind in ("bare", "string"):
            if value_of is None and (not stack or stack[-1][0] == "{"):
                keys.append(said.strip("\"'"))
            elif value_of is None and stack[-1][0] == "[":
                bracket, base, count = stack[-1]
                stack[-1] = (bracket, base, count + 1)
                value_of = (*base, count + 1)
                yield value_of, line
            line += said.count("\n")


def shown(value: Any) -> str:
    """A value as it would stand in a file, shortened."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def near(name: Any, known: Iterable[str]) -> str:
    """A guess at what was meant, to be put behind a sentence."""
    found = get_close_matches(str(name), list(known), 1)
    return f", do you mean {found[0]}?" if found else ""


def quote(text: str) -> str:
    """A text as a TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
