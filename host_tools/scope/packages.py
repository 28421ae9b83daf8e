"""The chart library, uPlot: from npm by `page/package-lock.json`, once, into the user's cache folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from host_tools import cache
from host_tools.virtual_pico import node

PAGE = Path(__file__).resolve().parent / "page"
RECIPE = ("package.json", "package-lock.json", ".npmrc")
FILES = ("uPlot.esm.js", "uPlot.min.css")


def chart_library() -> Path:
    """The folder with `FILES`; fetches it when it is not there.  Raises NodeError."""
    home = cache.cache_folder() / f"scope-{cache.hash_files(*(PAGE / name for name in RECIPE))}"
    found = home / "node_modules" / "uplot" / "dist"
    # Whoever has the library needs no node any more.
    if all((found / name).is_file() for name in FILES) and (home / node.STAMP).is_file():
        return found
    home.mkdir(parents=True, exist_ok=True)
    for name in RECIPE:
        shutil.copyfile(PAGE / name, home / name)
    node.install_packages(home, what="the chart library uPlot")
    return found
