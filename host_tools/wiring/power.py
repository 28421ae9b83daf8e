"""The lower half of the drawing: from the supply over bridges and shunts to the machine."""

from __future__ import annotations

from host_tools.units.rp2040 import Hardware
from host_tools.wiring.controller import COLOURS
from host_tools.wiring.svg import INK, PAPER, SOFT, Canvas

HEIGHT = 350  # from the upper rail to the lower end
_SENSED = COLOURS["sensing"]
# Where things stand, from left to right.
_SUPPLY = 68.0
_CONTACTOR = 174.0
_LEGS = {"a": 786.0, "b": 882.0, "c": 978.0}
_MACHINE = 1174.0


def ohms(value: float) -> str:
    """A resistance as it is printed on the part."""
    for limit, unit, factor in ((1, "mΩ", 1e3), (1e3, "Ω", 1), (1e6, "kΩ", 1e-3)):
        if value < limit:
            return f"{value * factor:g} {unit}"
    return f"{value * 1e-6:g} MΩ"


def farads(value: float) -> str:
    """A capacitance as it is printed on the part."""
    for limit, unit, factor in ((1e-9, "pF", 1e12), (1e-6, "nF", 1e9), (1e-3, "µF", 1e6)):
        if value < limit:
            return f"{value * factor:g} {unit}"
    return f"{value * 1e3:g} mF"


def draw_power(canvas: Canvas, hardware: Hardware, top: float) -> None:
    """Draw the power circuit between rails; `top` is the height of the upper rail."""
    low = top + 300
    canvas.line((_CONTACTOR + 22, top), (_LEGS["c"], top), width=2.4)
    canvas.line((_SUPPLY, low), (_LEGS["c"], low), width=2.4)
    _supply(canvas, hardware, top, low)
    _link(canvas, hardware, top, low)
    _exciter(canvas, hardware, top, low)
    for phase, x in _LEGS.items():
        _leg(canvas, hardware, phase, x, top, low)
    canvas.text(_LEGS["b"], top - 20, "three-phase bridge", 11, SOFT, "middle")
    _machine(canvas, hardware, top)


def _supply(canvas: Canvas, hardware: Hardware, top: float, low: float) -> None:
    """Supply, fuse and the contactor of the emergency stop."""
    middle = (top + low) / 2
    canvas.rect(_SUPPLY - 44, middle - 62, 88, 124, fill="#f3f5f7", r=8)
    limit = f"up to {hardware.limits['u_dc_max']:g} V"
    for n, text in enumerate(("Supply", "current-", "limited", limit)):
        canvas.text(_SUPPLY, middle - 34 + 22 * n, text, 12, INK, "middle", bold=n == 0)
    canvas.line((_SUPPLY, middle - 62), (_SUPPLY, top), (_CONTACTOR - 22, top), width=2.4)
    canvas.line((_SUPPLY, middle + 62), (_SUPPLY, low), width=2.4)
    canvas.rect(_SUPPLY + 22, top - 7, 38, 14, fill=PAPER)
    canvas.line((_SUPPLY + 22, top), (_SUPPLY + 60, top))
    canvas.text(_SUPPLY + 41, top - 20, "fuse", 11, SOFT, "middle")
    canvas.line((_CONTACTOR - 22, top), (_CONTACTOR + 16, top - 16), width=2.4)
    canvas.circle(_CONTACTOR - 22, top, 3)
    canvas.circle(_CONTACTOR + 22, top, 3)
    canvas.text(_CONTACTOR, top - 38, "emergency stop;", 11, SOFT, "middle")
    canvas.text(_CONTACTOR, top - 24, "2nd contact to", 11, SOFT, "middle")
    canvas.line(
        (_CONTACTOR, top - 8), (_CONTACTOR, top + 18), colour=COLOURS["safety"], width=1.2, dash="3 3"
    )
    canvas.tag(_CONTACTOR, top + 27, "fault", COLOURS["safety"], "middle")
    canvas.line((_SUPPLY, low), (_SUPPLY, low + 18))
    canvas.ground(_SUPPLY, low + 18)
    canvas.text(_SUPPLY + 18, low + 24, "protective earth, at this one point", 11, SOFT)


def _link(canvas: Canvas, hardware: Hardware, top: float, low: float) -> None:
    """Capacitor, bleeder and divider."""
    s, middle = hardware.sensing, (top + low) / 2
    capacitor, bleeder, divider = 232.0, 300.0, 380.0
    for x in (capacitor, bleeder, divider):
        canvas.line((x, top), (x, low))
        canvas.dot(x, top)
        canvas.dot(x, low)
    canvas.capacitor(capacitor, middle)
    canvas.lines(capacitor + 8, middle + 20, ("dc link",))
    canvas.resistor(bleeder, middle)
    canvas.lines(bleeder + 12, middle - 8, (ohms(hardware.safety["bleeder"]), "bleeder"))
    canvas.resistor(divider, middle - 66)
    canvas.text(divider + 12, middle - 66, ohms(s["divider_top"]), 11, SOFT)
    tap, foot, side = middle + 30, middle + 126, divider + 42
    canvas.resistor(divider, (tap + foot) / 2)
    canvas.text(divider - 12, (tap + foot) / 2, ohms(s["divider_bottom"]), 11, SOFT, "end")
    canvas.line((divider, tap), (side, tap), (side, foot), (divider, foot))
    canvas.dot(divider, tap)
    canvas.dot(divider, foot)
    canvas.capacitor(side, (tap + foot) / 2)
    canvas.text(side + 18, (tap + foot) / 2, farads(s["divider_c"]), 11, SOFT)
    canvas.line((side, tap), (side, tap - 16), colour=_SENSED)
    canvas.tag(side, tap - 25, "u_dc", _SENSED, "middle")


def _exciter(canvas: Canvas, hardware: Hardware, top: float, low: float) -> None:
    """The asymmetric half bridge: each switch with a diode that takes over the field's current."""
    s, middle, colour = hardware.sensing, (top + low) / 2, COLOURS["exciter"]
    one, two = 556.0, 682.0
    for x in (one, two):
        canvas.line((x, top), (x, low))
        canvas.dot(x, top)
        canvas.dot(x, low)
    canvas.switch(one, top + 56, "1 high", colour)
    canvas.diode(one, low - 56)
    canvas.diode(two, top + 56)
    canvas.switch(two, low - 56, "1 low", colour)
    canvas.line((one, middle), (two, middle))
    canvas.dot(one, middle)
    canvas.dot(two, middle)
    shunt, coil = one + 30, two - 38
    canvas.resistor(shunt, middle, upright=False)
    canvas.coil(coil, middle, 4, upright=False)
    canvas.text(shunt, middle - 17, ohms(s["field_shunt"]), 11, SOFT, "middle")
    canvas.text(coil, middle - 17, "field", 11, SOFT, "middle")
    canvas.line((shunt, middle + 6), (shunt, middle + 18), colour=_SENSED)
    canvas.tag(shunt, middle + 27, f"i_f, × {s['field_gain']:g}", _SENSED, "middle")
    canvas.text((one + two) / 2, top - 20, "exciter (asymmetric half bridge)", 11, SOFT, "middle")


def _leg(canvas: Canvas, hardware: Hardware, phase: str, x: float, top: float, low: float) -> None:
    """A half bridge, with its shunt if that is on the low side."""
    s, colour = hardware.sensing, COLOURS["phases"]
    shunt = hardware.sampling == "low_side" and phase != "c"
    canvas.line((x, top), (x, low))
    canvas.dot(x, top)
    canvas.dot(x, low)
    canvas.switch(x, top + 56, f"{phase} high", colour)
    canvas.switch(x, low - (84 if hardware.sampling == "low_side" else 56), f"{phase} low", colour)
    if shunt:
        canvas.resistor(x, low - 30)
        canvas.line((x + 6, low - 30), (x + 14, low - 30), colour=_SENSED)
        canvas.tag(x + 14, low - 30, f"i_{phase}", _SENSED)
        if phase == "b":
            text = f"shunts {ohms(s['phase_shunt'])}, × {s['phase_gain']:g}"
            canvas.text((_LEGS["a"] + x) / 2, low + 18, text, 11, SOFT, "middle")


def _machine(canvas: Canvas, hardware: Hardware, top: float) -> None:
    """The machine, and the shunts in line with it."""
    s, middle = hardware.sensing, top + 150
    for n, (phase, leg) in enumerate(_LEGS.items()):
        y = middle + 36 * (n - 1)
        canvas.line((leg, y), (_MACHINE, y))
        canvas.dot(leg, y)
        if hardware.sampling == "in_line" and phase != "c":
            x = _LEGS["c"] + 76
            canvas.resistor(x, y, upright=False)
            edge, away = (y - 6, y - 24) if phase == "a" else (y + 6, y + 60)
            canvas.line((x, edge), (x, away), colour=_SENSED)
            canvas.tag(
                x, away + (-9 if phase == "a" else 9), f"i_{phase}, × {s['phase_gain']:g}", _SENSED, "middle"
            )
            if phase == "a":
                canvas.text(x - 20, y - 15, ohms(s["phase_shunt"]), 11, SOFT, "end")
    canvas.circle(_MACHINE, middle, 64, fill="#f3f5f7", width=2)
    canvas.text(_MACHINE, middle - 18, "EESM", 15, INK, "middle", bold=True)
    canvas.text(_MACHINE, middle + 4, "stator a, b, c", 11, SOFT, "middle")
    canvas.text(_MACHINE, middle + 21, "field: slip rings", 11, SOFT, "middle")
    canvas.line((_MACHINE, middle + 64), (_MACHINE, middle + 82))
    canvas.ground(_MACHINE, middle + 82)
    canvas.text(_MACHINE, middle + 106, "frame to earth", 11, SOFT, "middle")
