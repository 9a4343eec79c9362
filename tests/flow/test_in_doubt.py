"""Windows in doubt: fetched, but their records are in a file that a killed process left and nobody has sealed yet.

`collector status`, the page, `/api/status` and the metrics say the same of them: a state of its own, not complete.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from collector.service.metrics import ServiceMetrics
from collector.service.view import Observed
from collector.service.web.assets import load_assets
from collector.service.web.choice import Choice
from collector.service.web.page import Page
from collector.service.web.status_document import status_schema
from collector.service.web.status_json import status_bytes
from tests.support.commands import Here
from tests.support.fake_api import FakeClock
from tests.support.fleets import DAY, HEALTHY, IN_DOUBT, MIDNIGHT, NOW, Fleet, make_fleet, numbered
from tests.support.metrics import parsed, value
from tests.support.sites import observed_of

DOUBTFUL, ACCOUNTS = "org-0002", {"org": "org-0002", "population": "account-user"}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(tmp_path / "fleet", numbered(2), lambda n: (HEALTHY, IN_DOUBT)[n])


@pytest.fixture
def seen(fleet: Fleet) -> Observed:
    return observed_of(fleet)


def populations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(org["org"], one["population"]): one for org in document["orgs"] for one in org["populations"]}


def test_status_the_page_the_json_and_the_metrics_count_the_same_windows_in_doubt(
    fleet: Fleet, seen: Observed, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orgs = "".join(f"- {{name: {org.name}, username: u, access_key: k}}\n" for org in fleet.orgs)
    config = tmp_path / "collector.yaml"
    config.write_text(f"state: {{url: '{fleet.url}'}}\norgs:\n{orgs}")
    config.chmod(0o600)
    monkeypatch.setattr("collector.cli.status_reading.SystemClock", lambda: FakeClock(NOW))
    done = here("status", "-c", config, "--json")
    told = json.loads(done.stdout)
    assert (done.code, told["lacking"], [one["slices"] for one in told["awaited"]]) == (3, 3, [3])
    by_status = {who: (one["windows"], one["complete"], one["in_doubt"]) for who, one in populations(told).items()}
    assert by_status["org-0002", "account-user"] == (90, 87, 3)

    document = json.loads(status_bytes(seen, now=NOW))
    by_service = {who: (one["windows"], one["complete"], one["in_doubt"]) for who, one in populations(document).items()}
    assert by_service == by_status
    assert [org["lacking"] for org in document["orgs"]] == [0, 3]
    jsonschema.Draft202012Validator(status_schema()).validate(document)

    metrics = parsed(ServiceMetrics(seen).text().decode())
    assert value(metrics, "org_lacking_windows", **ACCOUNTS, state="in_doubt") == 3
    assert value(metrics, "lacking_windows", state="in_doubt") == 3
    assert value(metrics, "orgs_lacking", state="in_doubt") == 1

    page = Page(load_assets())
    overview, org = page.overview(seen, Choice(), now=NOW).decode(), page.org(seen, DOUBTFUL, now=NOW)
    assert "2026-11-21 to 11-23 in doubt" in overview
    assert '<code class="cmd">collector status -c /etc/collector/collector.yaml</code> names the file' in overview
    assert re.search(r'id="tally-in_doubt"[^>]*>in doubt <span class="count">1<', overview)
    assert org is not None
    assert "87 complete, 3 in doubt" in org.decode()
    assert re.search(r"in doubt</span> <span>2026-11-21 to 11-23</span>", org.decode())


def test_what_is_in_doubt_vouches_for_nothing_newer_than_what_is_sealed(seen: Observed) -> None:
    document = json.loads(status_bytes(seen, now=NOW))
    doubtful, sure = (populations(document)[DOUBTFUL, who] for who in ("account-user", "service-user"))
    assert doubtful["newest_complete"] == (MIDNIGHT - 3 * DAY).isoformat()
    assert doubtful["lag_s"] == timedelta(days=3).total_seconds()
    assert doubtful["last_success"][:10] == "2026-11-21"
    assert sure["last_success"][:10] == "2026-11-24"
    assert doubtful["tests"][-4:] == [None, None, None, None]
    assert doubtful["tests"][-5] > 0
    assert (doubtful["newest_usage"], doubtful["newest_users"]) == ({}, None)
    assert doubtful["gaps"] == [
        {"state": "in_doubt", "start": "2026-11-21T00:00:00+00:00", "end": "2026-11-24T00:00:00+00:00"}
    ]
    org = document["orgs"][1]
    assert (org["credential"]["standing"], org["beyond_catch_up"]) == ("accepted", None)
