"""The documents' site in a real browser, opened from a folder: no server, no network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import expect

from tests.browser.visits import NARROW, Visitor, violations

pytestmark = pytest.mark.slow  # needs Chromium, and an environment of its own
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(["make", "docs", f"SITE={folder}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    """For what looks at styles: a browser keeps those of a folder from scripts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_search_finds_a_page_without_a_server(site: Path, visit: Visitor) -> None:
    page = visit((site / "index.html").as_uri())
    page.get_by_role("textbox", name="Search").fill("quarantine")
    page.get_by_role("textbox", name="Search").press("Enter")
    expect(page.locator("ul.search a", has_text="Glossary").first).to_be_visible()


def test_the_side_bar_is_the_list_of_contents(site: Path, visit: Visitor) -> None:
    page = visit((site / "index.html").as_uri())
    captions = page.locator(".sidebar-tree .caption-text").all_text_contents()
    assert captions == ["Tutorial", "How-to guides", "Reference", "Explanation", "Decisions"]
    page.locator(".sidebar-tree").get_by_role("link", name="Rotate a key").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Rotate a key")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "tutorial", "architecture", "reference/config"])
def test_a_page_can_be_read_by_everybody(url: str, visit: Visitor, name: str, scheme: str) -> None:
    page = visit(f"{url}/{name}.html", scheme=scheme, size=NARROW)
    light = "rgb(255, 255, 255)"
    assert (page.evaluate("getComputedStyle(document.body).backgroundColor") == light) == (scheme == "light")
    for image in page.locator("article img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert violations(page) == []
