"""Machine code of the viper functions in an .mpy file (version 6: MicroPython 1.19 and later)."""

from __future__ import annotations

VIPER = 4  # kind of code: 2 bytecode, 3 native, 4 viper, 5 assembler
NATIVE = 3


class MpyError(ValueError):
    """The bytes are no .mpy file of this form."""


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self.content[self.at : self.at + count]
        if len(piece) != count:
            raise MpyError(f"the .mpy file ends {count - len(piece)} bytes early")
        self.at += count
        return piece

    def number(self) -> int:
        value = 0
        while True:
            byte = self.take(1)[0]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value


def viper_functions(content: bytes) -> list[bytes]:
    """Code of a module's viper functions, in the order of their definition."""
    reader = _Reader(content)
    if reader.take(2) != b"M\x06":
        raise MpyError("not an .mpy file of version 6")
    reader.take(2)
    names, objects = reader.number(), reader.number()
    for _ in range(names):
        length = reader.number()
        if not length & 1:  # else one of MicroPython's own names, by number
            reader.take((length >> 1) + 1)
    for _ in range(objects):
        _skip_object(reader)
    found: list[bytes] = []
    _read_code(reader, found)
    return found


def _skip_object(reader: _Reader) -> None:
    kind = reader.take(1)[0]
    if kind <= 4:  # the function table, None, False, True, Ellipsis
        return
    length = reader.number()
    if kind == 10:  # tuple
        for _ in range(length):
            _skip_object(reader)
        return
    reader.take(length + (kind in (5, 6)))  # str and bytes end in a zero


def _read_code(reader: _Reader, found: list[bytes]) -> None:
    head = reader.number()
    kind, has_children, code = (head & 3) + 2, head & 4, reader.take(head >> 3)
    if kind == NATIVE:
        raise MpyError("native functions that are not viper are not read here")
    if kind >= VIPER:
        if reader.number() & 0x70:
            raise MpyError("a viper function with data or relocations")
        found.append(code)
    if has_children:
        for _ in range(reader.number()):
            _read_code(reader, found)
