"""What the pages of the tools share: one HTML file that needs nothing else, for dark, light and paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

# A picture's colours on white, and what they become on a dark page.
DARK = {
    "#ffffff": "#14191f",
    "#1f2933": "#e4e7eb",
    "#7b8794": "#9aa5b1",
    "#f4f6f8": "#1b222a",
    "#d9dee4": "#323f4b",
    "#0072b2": "#56b4e9",
    "#e69f00": "#f0b429",
    "#009e73": "#2fc9a8",
    "#d55e00": "#ff8a4c",
    "#cc79a7": "#e79bc4",
    "#00415f": "#b5e0fa",
    "#004d38": "#a6f0de",
    "#7a3500": "#ffd0b0",
    "#7a3d60": "#ffd6ec",
    "#8a5f00": "#ffe3a3",
    "#e4e7eb": "#3b4754",
    "#f7e3b5": "#5c4a1c",
    "#f4d58a": "#6b5417",
    "#f0c661": "#7a5d10",
    "#bfe3f7": "#1d4c66",
    "#8fcdee": "#1f5f85",
    "#8bd0b6": "#1d6650",
    "#e9bbd2": "#6b3553",
    "#f0d3e1": "#57334a",
}
STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --soft: #616e7c; --page: #fff; --card: #f4f6f8;
  --edge: #d9dee4; --good: #00695a; --bad: #b34700; --bar: #0072b2; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #9aa5b1; --page: #14191f;
  --card: #1f262e; --edge: #323f4b; --good: #2fc9a8; --bad: #ff9a5c; --bar: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 2rem 1.2rem 4rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
.lead { color: var(--soft); margin: .3rem 0 0; }
.badge { display: inline-block; font-weight: 700; padding: .1rem .7rem; border-radius: 1rem;
  border: 2px solid currentColor; font-size: 1rem; vertical-align: .25rem; margin-left: .6rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .7rem;
  margin: 1.4rem 0; padding: 0; }
.cards div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }
.cards dt { color: var(--soft); font-size: .8rem; } .cards dd { margin: 0; font-size: 1.35rem;
  font-weight: 600; font-variant-numeric: tabular-nums; }
.cards small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
figure { margin: 1rem 0; background: var(--page); border: 1px solid var(--edge); border-radius: .5rem;
  padding: .6rem; overflow-x: auto; }
figure svg { width: 100%; min-width: 640px; height: auto; display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .7rem .32rem 0; border-bottom: 1px solid var(--edge); text-align: left;
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; } td.n, th.n { text-align: right; }
td code { font-size: .85em; word-break: break-all; } td:first-child code { white-space: nowrap; }
/* Many columns are pushed aside on a phone, not squeezed. */
.scroll table:has(th:nth-child(5)) { min-width: 40rem; }
details { margin: .8rem 0; } summary { cursor: pointer; font-weight: 600; }
pre { background: var(--card); padding: 1rem; border-radius: .5rem; overflow-x: auto; font-size: .82rem; }
ul { padding-left: 1.2rem; }
.same { color: var(--soft); } .wide { min-width: 11rem; }

@media print { body { padding: 0; max-width: none; font-size: 11px; } figure, table { break-inside: avoid; }
  figure { border: 0; padding: 0; } h2 { break-after: avoid; } details { display: none; }
  .scroll { overflow: visible; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """The whole file."""
    light = "".join(f"{_name(colour)}:{colour};" for colour in DARK)
    dark = "".join(f"{_name(colour)}:{other};" for colour, other in DARK.items())
    themes = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}{themes}</style></head><body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def figure(svg: str, says: str) -> str:
    """A picture whose colours follow the page's."""
    for colour in DARK:
        svg = svg.replace(f": {colour}", f": var({_name(colour)})")
    return f"<figure aria-label='{escape(says, quote=True)}'>{svg}</figure>"


def _name(colour: str) -> str:
    return f"--c{colour[1:]}"


def number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def table(head: Sequence[str], body: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    right = set(numbers)

    def row(cells: Sequence[str], tag: str) -> str:
        marks = [" class='n'" if n in right else "" for n in range(len(cells))]
        return "".join(f"<{tag}{mark}>{cell}</{tag}>" for mark, cell in zip(marks, cells, strict=True))

    lines = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in body)
    top = f"<thead><tr>{row([escape(name) for name in head], 'th')}</tr></thead>" if any(head) else ""
    return f"<div class='scroll'><table>{top}<tbody>{lines}</tbody></table></div>"


def details(title: str, body: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{body}</details>" if body else ""


def pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>" if text else ""


def cards(rows: Iterable[tuple[str, str, str]]) -> str:
    """Figures to be seen first: (name, value, note)."""
    body = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(note)}</small></dd></div>"
        for name, value, note in rows
    )
    return f"<dl class='cards'>{body}</dl>"
