"""Make the pictures of the documents: diagrams as SVG, and the status page and the report of a simulated run as PNG.

`make pictures`. It needs Chromium; for a diagram that has no picture yet also npm, which fetches Mermaid.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from docs.conf import diagrams_in, picture_of
from tests.browser.conftest import CHROMIUM, QUIET
from tests.support.commands import collector, simulated_api, started
from tests.support.needs import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
MERMAID = "mermaid@11.17.2"
MERMAID_SHA512 = "57a2b70bc101744b0f1595d228c25eea9a50384371b87011afd1af1d7e21878ee501b84c443f6a7f8a042bb2e869143150b31af34feab798073bbdda0a578106"  # noqa: E501
ORGS = 7
CONFIG_IN, DATA_IN = (
    "/etc/collector",
    "/var/lib/collector",
)  # what the pictures show instead of a folder of this machine
RENAME = """([path, shown]) => {
    for (const code of document.querySelectorAll("code")) code.textContent = code.textContent.replaceAll(path, shown);
}"""
DRAW = """async ([text, id]) => {
    mermaid.initialize({startOnLoad: false, theme: "neutral", htmlLabels: false, flowchart: {htmlLabels: false}});
    return (await mermaid.render(id, text)).svg;
}"""


def mermaid() -> str:
    """Fetch Mermaid's script with npm, and return it if it is the one that was looked at."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["npm", "pack", "--silent", MERMAID], cwd=directory, check=True, stdout=subprocess.DEVNULL)  # noqa: S607
        (packed,) = Path(directory).glob("*.tgz")
        content = packed.read_bytes()
    if hashlib.sha512(content).hexdigest() != MERMAID_SHA512:
        sys.exit(f"{MERMAID} is not the package whose checksum is in {__file__}")
    with tarfile.open(fileobj=io.BytesIO(content)) as files:
        script = files.extractfile("package/dist/mermaid.min.js")
        assert script is not None  # noqa: S101
        return script.read().decode()


def draw_diagrams(browser: Browser) -> None:
    """Draw each diagram that has no picture yet, and remove pictures of diagrams that are gone."""
    documents = sorted((ROOT / "docs").rglob("*.md"))
    found = [diagram for path in documents for diagram in diagrams_in(path.read_text())]
    wanted = {ROOT / "docs" / picture_of(text): text for text in found}
    for path in IMAGES.glob("diagram-*.svg"):
        if path not in wanted:
            path.unlink()
    missing = {path: text for path, text in wanted.items() if not path.exists()}
    if not missing:
        return
    page = browser.new_page()
    page.add_script_tag(content=mermaid())
    for path, text in missing.items():
        svg: str = page.evaluate(DRAW, [text, path.stem])
        path.write_text(re.sub(r'style="max-width', 'style="background-color: white; max-width', svg, count=1) + "\n")
    page.close()


def photograph_page(browser: Browser, directory: Path) -> None:
    """Run the service on a simulated API in which some orgs are in trouble, and take the picture of its page."""
    faults = ("org-003:refused", "org-005:partial=often")
    with simulated_api(directory, orgs=ORGS, faults=faults) as api:
        port = free_port()
        (directory / "config").mkdir()
        api.config.rename(directory / "config" / "collector.yaml")
        settings = {
            "SERVICE__PORT": str(port),
            "SCHEDULE__LOOKBACK": "90d",
            "API__RETRY__BUDGET": "5s",
            "API__RATE_LIMIT__REQUESTS": "1000",
            "API__ORG_RATE_LIMIT__REQUESTS": "100",
        }
        environment = {f"COLLECTOR_{name}": value for name, value in settings.items()}
        with started("serve", "-o", "usage", cwd=directory, **environment):
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: _ended_a_run(url))
            page = browser.new_page(viewport={"width": 1100, "height": 940}, color_scheme="light")
            page.goto(url)
            page.evaluate(RENAME, [str(directory / "config"), CONFIG_IN])
            page.evaluate(RENAME, [str(directory), DATA_IN])
            page.screenshot(path=IMAGES / "status-page.png")
            page.close()


def photograph_report(browser: Browser, directory: Path) -> None:
    """Collect two months of a simulated API in which some orgs are in trouble, and take the picture of their report."""
    faults = ("org-003:refused", "org-005:partial=often")
    limits = {"COLLECTOR_API__RATE_LIMIT__REQUESTS": "1000", "COLLECTOR_API__ORG_RATE_LIMIT__REQUESTS": "100"}
    with simulated_api(directory, orgs=ORGS, faults=faults) as api:
        options = ("-c", str(api.config), "--state", f"sqlite:///{directory}/ledger.db")
        collector("backfill", *options, "--last", "63d", "-o", "usage", cwd=directory, env=limits)
        collector("report", *options, "--html", "report.html", cwd=directory)
    page = browser.new_page(viewport={"width": 1100, "height": 1000}, color_scheme="light")
    page.goto((directory / "report.html").as_uri())
    page.screenshot(path=IMAGES / "report.png")
    page.close()


def _ended_a_run(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/status", timeout=5) as response:  # noqa: S310
            return bool(json.load(response)["runs"])
    except OSError:
        return False


def main() -> None:
    """Make all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as directory:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        draw_diagrams(browser)
        for name, photograph in (("page", photograph_page), ("report", photograph_report)):
            (place := Path(directory) / name).mkdir()
            photograph(browser, place)
        browser.close()


if __name__ == "__main__":
    main()
