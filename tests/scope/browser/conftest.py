"""A real Chromium without a screen, on a scope with a virtual drive in real time."""

import os
import re

import pytest

from host_tools.errors import ToolError
from host_tools.scope.chromium import find_chromium
from tests.scope.bench import PATIENCE, Bench, until

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is missing: `make test-scope` installs it"
)


class Tab:
    """A page in the browser: playwright's, with waiting that a content security policy allows."""

    def __init__(self, page, bench):
        self.page = page
        self.bench = bench
        self.errors = []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        page.on("console", self._heard)

    def _heard(self, message):
        # A lost connection is told by the browser itself, and is what some tests are about.
        if message.type == "error" and not re.search(r"WebSocket|Failed to load|ERR_", message.text):
            self.errors.append(message.text)

    def open(self):
        self.page.goto(self.bench.server.url)
        self.state("off")
        self.until("eesm.history.count > 200")
        return self

    def js(self, text):
        return self.page.evaluate(text)

    def until(self, text):
        """Wait until an expression is true in the page; returns its value."""
        found = []

        def true():
            found.append(self.js(text))
            return found[-1]

        until(true, text)
        return found[-1]

    def state(self, name):
        self.page.wait_for_selector(f"body[data-state='{name}']")

    def text(self, selector):
        return self.page.inner_text(selector)

    def arm(self):
        self.page.click("#tab-drive")
        self.page.click("#arm")
        self.state("ready")

    def setpoint(self, value):
        self.page.fill("#setpoint", str(value))
        self.page.keyboard.press("Enter")
        self.state("running")

    def pixels(self, selector="#panes canvas"):
        """What a canvas shows, to be compared."""
        return self.page.locator(selector).first.evaluate("each => each.toDataURL()")


@pytest.fixture(scope="session")
def chromium():
    try:
        found = find_chromium()
    except ToolError as error:
        pytest.skip(f"{error.message} {error.hint}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=found.program,
            env={**os.environ, **found.environment},
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def started(tmp_path_factory, micropython):
    with Bench(tmp_path_factory.mktemp("scope"), charts=True) as bench:
        yield bench


@pytest.fixture
def bench(started):
    started.rest()
    return started


@pytest.fixture
def new_tab(chromium, bench):
    """new_tab(**options of a browser's context) -> an open Tab; fails the test on any error in a page."""
    contexts, tabs = [], []

    def open_tab(**options):
        options = {"viewport": {"width": 1440, "height": 900}, "accept_downloads": True, **options}
        contexts.append(chromium.new_context(**options))
        tabs.append(Tab(contexts[-1].new_page(), bench))
        return tabs[-1].open()

    yield open_tab
    for context in contexts:
        context.close()
    assert [error for tab in tabs for error in tab.errors] == []


@pytest.fixture
def tab(new_tab):
    return new_tab()
