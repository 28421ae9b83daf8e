"""`python -m host_tools.scope.picture`: draws docs/scope.png and docs/scope-phone.png anew.

A virtual drive runs through a reversal of its speed, and Debian's Chromium with Debian's fonts takes
the pictures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from host_tools.devices import ROOT
from host_tools.errors import ToolError
from host_tools.scope import look

DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def run_reversal(page: Any) -> None:
    """Arm, run forward, backward, forward."""
    page.click("#arm")
    page.wait_for_selector("body[data-state=ready]")
    for rpm in (1500, -1500, 3500):
        page.fill("#setpoint", str(rpm))
        page.keyboard.press("Enter")
        look.until(page, f"Math.abs(eesm.history.at(eesm.history.latest, 'w_e') / 0.20944 - {rpm}) < 15")
        page.wait_for_timeout(350)


def set_up(page: Any) -> None:
    """Plane, spectrum and cursors, with the currents' pane active."""
    page.click("#plane-on")
    page.click("#spectrum-on")
    page.click("#cursors")
    page.evaluate("eesm.choices.activate(1)")


def draw(unit: str, folder: Path, schemes: tuple[str, ...] = ("dark",)) -> list[Path]:
    """Take the pictures; returns their files."""
    files = []
    with (
        tempfile.TemporaryDirectory(prefix="eesm-scope-") as logs,
        look.scope(unit, Path(logs)) as server,
        look.browser(fetched=True) as opened,
    ):
        page = look.open_page(opened, server, color_scheme="dark", **DESKTOP)
        set_up(page)
        run_reversal(page)
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("p")
        for cursor, share in (("a", 0.6), ("b", 0.9)):
            page.evaluate(f"eesm.cursors.set('{cursor}', eesm.view.from + {share} * eesm.view.span)")
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(4000)  # until no toast is left, and the picture is drawn
            files.append(folder / ("scope.png" if scheme == "dark" else f"scope-{scheme}.png"))
            page.screenshot(path=files[-1])
        phone = look.open_page(opened, server, color_scheme="dark", **PHONE)
        phone.wait_for_timeout(4000)
        for rpm in (1500, 3000):
            page.fill("#setpoint", str(rpm))
            page.keyboard.press("Enter")
            phone.wait_for_timeout(1400)
        files.append(folder / "scope-phone.png")
        phone.screenshot(path=files[-1])
    return files


def main() -> int:
    """Draw and say where."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.scope.picture")
    parser.add_argument("--unit", default="a")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the pictures")
    parser.add_argument("--light", action="store_true", help="a light one as well")
    arguments = parser.parse_args()
    try:
        for file in draw(arguments.unit, arguments.out, ("dark", "light") if arguments.light else ("dark",)):
            print(file)
    except ToolError as error:
        print(f"eesm: {error.message}\n{error.hint}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
