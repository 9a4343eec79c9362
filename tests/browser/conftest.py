from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from collector.service.web import rendering
from tests.browser.visits import Visitor
from tests.support.needs import need

CHROMIUM = Path("/usr/bin/chromium")
# Without these Chromium asks its maker's hosts at every start.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Of a module: its driver keeps an event loop running, beside which pytest-asyncio could not run its own.
    need(CHROMIUM, package="chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def never_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites of this process show what is new at once. Elsewhere a pause follows, longer on a busy machine."""
    monkeypatch.setattr(rendering, "_PAUSE", 0)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visitor]:
    """Opens pages; what no page may do is looked at when the test ends."""
    visitor = Visitor(browser)
    yield visitor
    visitor.close()
    assert visitor.complaints == []
    assert visitor.strangers == []
