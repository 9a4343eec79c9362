"""Somebody with a browser: opens pages, and notes what the browser complains about and whom it asks."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped] # ships no types
from playwright.sync_api import Browser, BrowserContext, Page

WIDE, NARROW = (1280, 900), (360, 740)


class Visitor:
    """`complaints` are console errors and warnings, `strangers` the URLs of other hosts that were asked."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.strangers: list[str] = []

    def __call__(
        self, url: str, *, size: tuple[int, int] = WIDE, scheme: Any = "light", javascript: bool = True, **more: Any
    ) -> Page:
        width, height = size
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=javascript, **more
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        own = urlsplit(url).netloc
        page.on("request", lambda request: self._note_request(request.url, own))
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(url)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _note_request(self, url: str, own: str) -> None:
        if urlsplit(url).netloc != own:
            self.strangers.append(url)

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)


def violations(page: Page) -> list[str]:
    """What axe finds: the rule, and where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} ({node.get('failureSummary', '')})"
        for one in found
        for node in one["nodes"]
    ]
