"""The page of the real command: `collector serve` collects from a misbehaving API while somebody looks."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.browser.visits import Visitor, violations
from tests.support.commands import HARDLY_EVER, SimulatedApi, collector, logging_to, simulated_api
from tests.support.needs import free_port
from tests.support.servers import get
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # needs Chromium
TOKEN = "a-token-of-the-test"
FAULTS = ("org-002:refused", "org-003:partial=always", "org-004:503")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("api"), orgs=5, faults=FAULTS) as api:
        yield api


class Service:
    """The command with a config of its own: it looks back ten days, and doesn't run again by itself."""

    def __init__(self, api: SimulatedApi, directory: Path) -> None:
        content: dict[str, Any] = yaml.safe_load(api.config.read_text())
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        for limit in ("rate_limit", "org_rate_limit"):
            content["api"][limit] = {"requests": 500, "period": "1s"}
        content["api"]["retry"] = {"attempts": 2, "base_delay": "20ms", "max_delay": "50ms", "budget": "20s"}
        content["schedule"] = {"cron": HARDLY_EVER, "jitter": 0, "lookback": "10d", "reconcile": None}
        content["service"] = {"port": port, "token_file": "token", "grace": "2s"}
        (directory / "token").write_text(TOKEN + "\n")
        self.directory, self.config = directory, directory / "collector.yaml"
        self.config.write_text(yaml.safe_dump(content))

    def running(self) -> AbstractContextManager[subprocess.Popen[str]]:
        return logging_to(self.directory / "log", "serve", "-c", self.config, "-o", "out", cwd=self.directory)

    def answers(self, process: subprocess.Popen[str]) -> bool:
        assert process.poll() is None, (self.directory / "log").read_text()
        try:
            return get(f"{self.url}/healthz") == b"ok\n"
        except OSError:
            return False


def counts(document: Any) -> Any:
    """Return how many windows of each org and population are in which state."""
    words = ("population", "windows", "complete", "in_doubt", "partial", "failed", "refused", "missing")
    orgs = document["orgs"] if document else []
    return [(org["org"], [[one[word] for word in words] for one in org["populations"]]) for org in orgs]


def test_the_page_of_the_service_shows_what_status_says_and_the_failing_orgs(
    api: SimulatedApi, visit: Visitor, tmp_path: Path
) -> None:
    service = Service(api, tmp_path)
    with service.running() as process:
        wait_until(lambda: service.answers(process), "the service answers")
        page = visit(service.url, http_credentials={"username": "operator", "password": TOKEN})

        def settled() -> Any:
            document = page.request.get(f"{service.url}/api/status").json()
            read = len(document["orgs"]) == 5 and document["runs"] and not document["current_run"]
            return document if read and document["credentials_refused"] and document["orgs_lacking"] == 3 else None

        wait_until(settled, "a run has ended, and the ledger was read")
        told = collector("status", "-c", service.config, "--json", cwd=tmp_path)
        assert told.code == 3
        # The newest view may still be being made.
        wait_until(lambda: counts(settled()) == counts(json.loads(told.stdout)), "the service says what `status` says")

        def reloaded() -> str | None:
            page.reload()
            return page.locator("h1").text_content()

        wait_until(lambda: reloaded() == "3 orgs are incomplete; 1 org is refused", "the page shows the run's end")
        assert page.locator(".orgs-table .name").first.inner_text() == "org-002"
        assert "an org was refused: a person is needed" in page.locator("#runs").inner_text()
        assert violations(page) == []
        page.locator("#tally-refused").click()
        page.locator(".orgs-table .name").click()
        assert "The org is tried again as soon as its entry or secret changes" in page.locator(".trouble").inner_text()

        api.set_faults()
        process.send_signal(signal.SIGHUP)  # refused orgs are tried again
        page.goto(service.url)

        def shows(selector: str, text: str) -> bool:
            with page.expect_response(service.url + "/**"):
                page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # it refreshes itself
            return text in " ".join(page.locator(selector).all_inner_texts())

        wait_until(
            lambda: shows("h1", "2 orgs are incomplete") and not shows("h1", "credential"),
            "the refused org is collected",
        )
        service.config.write_text(service.config.read_text().replace("cron:", "corn:"))
        wait_until(lambda: shows(".problems li", "did you mean `cron`?"), "the config is refused")
        assert shows(".problems li", "collector.yaml:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    visit.complaints[:] = [said for said in visit.complaints if "401" not in said]  # before the browser knew the token
    log = (tmp_path / "log").read_text()
    assert TOKEN not in log
