"""The page in a Chromium without a screen, as measurements, pictures and tests use it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from host_tools.errors import MissingExtra, ToolError
from host_tools.scope.chromium import find_chromium
from host_tools.scope.server import Server

PATIENCE = 60.0  # s for what takes a moment where nothing else runs


@contextmanager
def browser(fetched: bool = False) -> Iterator[Any]:
    """Playwright's browser; `fetched`: Debian's own with its fonts.  Raises MissingExtra, ChromiumError."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingExtra("playwright", "browser", "A browser without a screen") from error
    found = find_chromium(fetched)
    with sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=found.program,
            env={**os.environ, **found.environment},
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def scope(unit: str, folder: Path) -> Iterator[Server]:
    """A scope on a virtual drive of its own."""
    from host_tools.client import Drive
    from host_tools.virtual_drive import VirtualDrive

    with VirtualDrive(unit, registry=folder / "registry") as virtual:
        drive = Drive.connect(virtual.port, registry=folder / "registry")
        with Server(drive, registry=folder / "registry", logs=folder / "logs") as server:
            yield server


def until(page: Any, true: str) -> Any:
    """Wait until a JavaScript expression is true; returns its value.  Raises ToolError.

    Playwright's own waiting makes code of a text, which the page's content security policy forbids.
    """
    end = time.monotonic() + PATIENCE
    while True:
        found = page.evaluate(true)
        if found:
            return found
        if time.monotonic() > end:
            raise ToolError(f"The page does not come to {true!r} within {PATIENCE:g} s.")
        page.wait_for_timeout(20)


def open_page(opened: Any, server: Server, **options: Any) -> Any:
    """A page on the scope that receives rows; `options` of playwright's context."""
    page = opened.new_context(**options).new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(server.url)
    until(page, "eesm.history.count > 200")
    return page
