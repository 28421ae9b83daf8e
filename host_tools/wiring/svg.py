"""A small canvas that writes SVG text: shapes, text, and the circuit symbols of the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

INK = "#22313f"
SOFT = "#7b8794"
PAPER = "#ffffff"
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

Point = tuple[float, float]


def _n(value: float) -> str:
    """A number as short as it goes, the same on every machine."""
    return f"{value:.1f}".removesuffix(".0")


class Canvas:
    """Collects elements; `text()` gives the file."""

    def __init__(self, width: float, height: float, title: str):
        self.width, self.height, self.title = width, height, title
        self.elements: list[str] = []

    def render(self) -> str:
        """The whole SVG file."""
        size = f"{_n(self.width)} {_n(self.height)}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="{FONT}" role="img">\n'
            f"<title>{escape(self.title)}</title>\n"
        )
        paper = f'<rect width="100%" height="100%" rx="14" fill="{PAPER}"/>\n'
        return head + paper + "\n".join(self.elements) + "\n</svg>\n"

    # --- shapes ---------------------------------------------------------------------------------------

    def rect(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        fill: str = "none",
        line: str = INK,
        r: float = 0,
        width: float = 1.5,
    ) -> None:
        """A rectangle with its upper left corner at (x, y)."""
        self.elements.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="{_n(r)}" fill="{fill}" '
            f'stroke="{line}" stroke-width="{_n(width)}"/>'
        )

    def line(self, *points: Point, colour: str = INK, width: float = 1.5, dash: str = "") -> None:
        """A line through points."""
        places = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.elements.append(
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{_n(width)}" '
            f'stroke-linejoin="round" stroke-linecap="round"{dashed}/>'
        )

    def area(self, *points: Point, fill: str = INK) -> None:
        """A filled polygon."""
        places = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self.elements.append(f'<polygon points="{places}" fill="{fill}"/>')

    def circle(
        self, x: float, y: float, r: float, fill: str = PAPER, line: str = INK, width: float = 1.5
    ) -> None:
        """A circle around (x, y)."""
        self.elements.append(
            f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}" fill="{fill}" stroke="{line}" '
            f'stroke-width="{_n(width)}"/>'
        )

    def path(self, d: str, colour: str = INK, width: float = 1.5) -> None:
        """A path in SVG's own words."""
        self.elements.append(f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{_n(width)}"/>')

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 12,
        colour: str = INK,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """Text whose middle height is at y; anchor start, middle or end."""
        weight = ' font-weight="600"' if bold else ""
        self.elements.append(
            f'<text x="{_n(x)}" y="{_n(y + 0.35 * size)}" font-size="{_n(size)}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )

    def lines(self, x: float, y: float, texts: Sequence[str], size: float = 11, colour: str = SOFT) -> None:
        """Lines of text, one under the other, the first at y."""
        for n, text in enumerate(texts):
            self.text(x, y + n * 1.35 * size, text, size, colour)

    def tag(self, x: float, y: float, text: str, colour: str, anchor: str = "start") -> None:
        """A small coloured label whose edge is at (x, y): a net that goes on elsewhere."""
        w = 7.2 * len(text) + 8
        left = {"start": x, "end": x - w, "middle": x - w / 2}[anchor]
        self.rect(left, y - 8.5, w, 17, fill=colour, line=colour, r=4)
        self.text(left + w / 2, y, text, 11, PAPER, "middle", bold=True)

    # --- circuit symbols --------------------------------------------------------------------------------

    def dot(self, x: float, y: float) -> None:
        """A joint of wires."""
        self.circle(x, y, 2.4, fill=INK)

    def resistor(self, x: float, y: float, upright: bool = True) -> None:
        """A resistor in a wire that is there already, its middle at (x, y)."""
        if upright:
            self.rect(x - 6, y - 15, 12, 30, fill=PAPER)
        else:
            self.rect(x - 15, y - 6, 30, 12, fill=PAPER)

    def capacitor(self, x: float, y: float) -> None:
        """A capacitor in an upright wire."""
        self.rect(x - 14, y - 3.5, 28, 7, fill=PAPER, line=PAPER)
        self.line((x - 13, y - 3.5), (x + 13, y - 3.5), width=2.2)
        self.line((x - 13, y + 3.5), (x + 13, y + 3.5), width=2.2)

    def diode(self, x: float, y: float) -> None:
        """A diode in an upright wire that lets current flow upwards."""
        self.area((x - 8, y + 7), (x + 8, y + 7), (x, y - 7))
        self.line((x - 8, y - 7), (x + 8, y - 7), width=2.2)

    def switch(self, x: float, y: float, name: str, colour: str) -> None:
        """A transistor with its body diode in an upright wire, its gate fed from the net `name`."""
        self.rect(x - 3, y - 18, 6, 36, fill=PAPER, line=PAPER)
        self.line((x, y - 18), (x, y - 12), (x - 9, y - 12))
        self.line((x, y + 18), (x, y + 12), (x - 9, y + 12))
        self.line((x, y + 12), (x, y), (x - 9, y))
        self.area((x - 8, y), (x - 2, y - 3.5), (x - 2, y + 3.5))
        for a, b in ((-16, -8), (-4, 4), (8, 16)):
            self.line((x - 9, y + a), (x - 9, y + b), width=2.2)
        self.line((x - 14, y - 12), (x - 14, y + 12), width=2.2)
        self.line((x - 14, y + 8), (x - 22, y + 8), colour=colour)
        self.line((x, y - 16), (x + 11, y - 16), (x + 11, y + 16), (x, y + 16), width=1.2)
        self.area((x + 6, y + 4.5), (x + 16, y + 4.5), (x + 11, y - 4.5))
        self.line((x + 6, y - 4.5), (x + 16, y - 4.5), width=1.5)
        self.tag(x - 22, y + 8, name, colour, "end")

    def coil(self, x: float, y: float, turns: int = 4, upright: bool = True) -> None:
        """A winding in a wire, its middle at (x, y); each turn is 12 long."""
        half = 6 * turns
        if upright:
            self.rect(x - 2, y - half, 4, 2 * half, fill=PAPER, line=PAPER)
            arcs = "".join(" a6,6 0 0 1 0,12" for _ in range(turns))
            self.path(f"M{_n(x)},{_n(y - half)}{arcs}", width=2)
        else:
            self.rect(x - half, y - 2, 2 * half, 4, fill=PAPER, line=PAPER)
            arcs = "".join(" a6,6 0 0 1 12,0" for _ in range(turns))
            self.path(f"M{_n(x - half)},{_n(y)}{arcs}", width=2)

    def ground(self, x: float, y: float) -> None:
        """Earth below (x, y)."""
        for n, half in enumerate((9, 6, 3)):
            self.line((x - half, y + 4 * n), (x + half, y + 4 * n), width=1.8)
