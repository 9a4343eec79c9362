"""`collector export`: the present truth out of the ledger, against the truth of the API, by the real command."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.adapters.clock import SystemClock
from tests.adapters.ledger.conftest import BOTH
from tests.support.commands import Done, SimulatedApi, collector, past_days, records_in, simulated_api, started
from tests.support.exports import sums_by_month_cost_center_product
from tests.support.postgresql import Server

DAY = timedelta(days=1)
LAST = SystemClock().now().date() - 6 * DAY
FIRST = LAST - 24 * DAY
IMPATIENT = {"COLLECTOR_API__RETRY__ATTEMPTS": "1", "COLLECTOR_API__RETRY__BUDGET": "1s"}
RANGE = ("--from", str(FIRST), "--to", str(LAST))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("export"), orgs=4) as api:
        yield api


@pytest.fixture(params=BOTH)
def state(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: Server = request.getfixturevalue("server")
    return server.fresh()


@dataclass
class Home:
    """A user's directory: a config with cost centers, and a ledger."""

    path: Path
    state: str
    orgs: list[dict[str, Any]]

    def __call__(self, *words: str, **env: str) -> Done:
        return collector(
            *words, cwd=self.path, env={"COLLECTOR_CONFIG": "collector.yaml", "COLLECTOR_STATE__URL": self.state} | env
        )

    def rows(self, *words: str) -> list[dict[str, str]]:
        done = self("export", *words)
        assert done.code == 0, done.stderr
        return list(csv.DictReader(io.StringIO(done.stdout, newline="")))

    def write(self, orgs: list[dict[str, Any]], api: SimulatedApi) -> None:
        values = yaml.safe_load(api.config.read_text()) | {"orgs": orgs, "output": {"path": "usage"}}
        # Nothing is wanted but what a backfill is called for.
        values["defaults"] = values.get("defaults", {}) | {"since": str(FIRST)}
        (self.path / "collector.yaml").write_text(yaml.safe_dump(values))
        (self.path / "collector.yaml").chmod(0o600)


@pytest.fixture
def home(api: SimulatedApi, state: str, tmp_path: Path) -> Home:
    api.set_faults()
    orgs = yaml.safe_load(api.config.read_text())["orgs"]
    for number, org in enumerate(orgs):
        org["labels"] = {"cost_center": ("qa", "web")[number % 2]}
    home = Home(tmp_path, state, orgs)
    home.write(orgs, api)
    return home


def test_sums_by_month_cost_center_and_product_are_the_truth_and_an_unknown_day_is_unknown(
    home: Home, api: SimulatedApi
) -> None:
    api.set_faults("org-002:500")
    only = ("--org", "org-002", "--population", "service-user")
    gap = LAST - 12 * DAY
    assert home("backfill", "--from", str(gap), "--to", str(gap), *only, **IMPATIENT).code == 3
    api.set_faults()
    others = [org["name"] for org in home.orgs if org["name"] != "org-002"]
    assert home("backfill", *RANGE, *(word for name in others for word in ("--org", name))).code == 0
    assert home("backfill", *RANGE, "--org", "org-002", "--population", "account-user").code == 0
    for first, last in ((FIRST, gap - DAY), (gap + DAY, LAST)):
        assert home("backfill", "--from", str(first), "--to", str(last), *only).code == 0

    rows = home.rows(*RANGE, "--by", "month,label:cost_center,product")

    without = [("org-002", "service-user", str(gap))]
    truth = sums_by_month_cost_center_product(api, home.orgs, FIRST, LAST, without=without)
    found = {
        (row["month"], row["cost_center"], row["product"]): [
            int(row[name]) if row[name] else None for name in ("total_tests", "total_duration", "total_screenshots")
        ]
        for row in rows
    }
    assert found == truth
    unknown = {key: row["windows_unknown"] for key, row in zip(found, rows, strict=True)}
    assert {key for key, number in unknown.items() if number != "0"} == {
        key for key in truth if key[:2] == (f"{gap:%Y-%m}-01", "web")
    }
    assert {number for number in unknown.values() if number != "0"} == {"1"}

    (missing,) = home.rows(*RANGE, "--unknown")
    assert (missing["org"], missing["population"], missing["window_date"]) == without[0]
    assert missing["state"] == "failed"
    assert missing["reason"] == "http_500"

    (nothing,) = home.rows("--from", str(gap), "--to", str(gap), *only, "--by", "day,product")
    assert [nothing[name] for name in ("product", "total_tests", "windows", "windows_unknown")] == ["", "", "1", "1"]


def test_after_late_data_exactly_the_changed_records_are_listed_with_both_numbers(
    home: Home, api: SimulatedApi
) -> None:
    last = ("--from", str(LAST - 3 * DAY), "--to", str(LAST))
    api.set_faults("*:late=60d:0.7")
    first = home("backfill", *last)
    assert first.code == 0
    run_id = first.event("run.started")["run_id"]
    before = {record["record_id"]: record for record in records_in(home.path / "usage")}
    assert home.rows("--changed-since", run_id) == []
    api.set_faults()
    assert home("backfill", *last, "--force").code == 0

    changed = {row["record_id"]: row for row in home.rows("--changed-since", run_id)}

    now = {record["record_id"]: record for record in records_in(home.path / "usage") if record["revision"] > 1}
    assert changed.keys() == now.keys()
    assert now
    for record_id, row in changed.items():
        for name in ("total_tests", "total_duration", "total_screenshots"):
            old, new = before[record_id][name], now[record_id][name]
            assert row[f"{name}_before"] == ("" if old is None else str(old))
            assert row[name] == ("" if new is None else str(new))
            assert row[f"{name}_difference"] == ("" if old is None or new is None else str(new - old))
        assert row["changed_by"] == now[record_id]["run_id"]
        assert datetime.fromisoformat(row["changed_at"]) == datetime.fromisoformat(now[record_id]["collected_at"])
        assert (row["restatements"], row["revision"]) == ("1", "2")
    assert changed == {row["record_id"]: row for row in home.rows("--changed-since", "2026-01-01")}
    later = home("export", "--changed-since", "2099-01-01")
    assert (later.code, len(later.stdout.splitlines())) == (0, 1)
    assert "2099-01-01 is in the future" in later.event("changes.in_future")["message"]
    mine = home.rows("--changed-since", run_id, "--org", "org-001", "--product", "automation")
    assert [row["record_id"] for row in mine] == [
        record_id for record_id, row in changed.items() if (row["org"], row["product"]) == ("org-001", "automation")
    ]


def test_records_that_are_as_before_again_are_not_listed(home: Home, api: SimulatedApi) -> None:
    last = ("--from", str(LAST - 3 * DAY), "--to", str(LAST), "--org", "org-001")
    assert home("backfill", *last).code == 0
    for faults in (("*:late=60d:0.7",), ()):
        api.set_faults(*faults)
        assert home("backfill", *last, "--force").code == 0
    done = home("export", "--changed-since", "2026-01-01")
    assert len(done.stdout.splitlines()) == 1
    equal = done.event("records.equal_again")["records"]
    assert equal == len({one["record_id"] for one in records_in(home.path / "usage") if one["revision"] == 3})


def test_the_newest_of_each_record_is_a_row_with_the_present_names_and_labels(home: Home, api: SimulatedApi) -> None:
    last = ("--from", str(LAST - 3 * DAY), "--to", str(LAST))
    api.set_faults("*:late=60d:0.7")
    assert home("backfill", *last).code == 0
    api.set_faults()
    assert home("backfill", *last, "--force").code == 0
    home.orgs[0]["labels"] = {"cost_center": "moved"}
    home.write(home.orgs, api)
    newest = {}
    for record in sorted(records_in(home.path / "usage"), key=lambda one: one["collected_at"]):
        newest[record["record_id"]] = record

    rows = home.rows(*last)

    assert {row["record_id"] for row in rows} == newest.keys()
    for row in rows:
        record = newest[row["record_id"]]
        for name in ("org", "org_id", "population", "product", "window_date", "quality", "granularity", "timezone"):
            assert row[name] == record[name]
        for name in ("total_tests", "total_duration", "total_screenshots", "org_users", "revision"):
            assert row[name] == ("" if record[name] is None else str(record[name]))
        labels = json.loads(row["labels"])
        assert labels == ({"cost_center": "moved"} if row["org"] == "org-001" else record["labels"])
        assert row["state"] == "complete"


def test_numbers_that_a_lost_ledger_took_over_are_named_until_an_answer_shows_whose_they_are(
    home: Home, api: SimulatedApi, tmp_path: Path
) -> None:
    last = ("--from", str(LAST - 3 * DAY), "--to", str(LAST))
    assert home("backfill", *last).code == 0
    before = home.rows(*last, "--by", "org,product")
    new = {"COLLECTOR_STATE__URL": f"sqlite:///{tmp_path}/new.db"}
    api.set_faults("org-001:refused")
    assert home("backfill", *last, "--adopt", **new).code == 4
    for command in (("export", *last, "--by", "org"), ("report", *last, "--json")):
        done = home(*command, **new)
        (org_id,) = {row["org_id"] for row in before if row["org"] == "org-001"}
        assert f"org-001 ({org_id})" in done.event("orgs.unconfirmed")["message"]
    assert "orgs.unconfirmed" not in home("export", *last, "--org", "org-002", **new).stderr
    api.set_faults()
    assert home("backfill", *last, **new).code == 0
    done = home("export", *last, "--by", "org,product", **new)
    assert list(csv.DictReader(io.StringIO(done.stdout, newline=""))) == before
    assert "orgs.unconfirmed" not in done.stderr


def test_an_org_that_is_no_longer_in_the_config_is_exported_without_labels(home: Home, api: SimulatedApi) -> None:
    assert home("backfill", "--last", "3d").code == 0
    home.write(home.orgs[1:], api)
    for after in ("a run", "forget", ""):
        done = home("export", "--last", "3d", "--by", "org,label:cost_center")
        groups = list(csv.DictReader(io.StringIO(done.stdout)))
        assert {row["org"]: row["cost_center"] for row in groups} == {
            "org-001": "",
            **{org["name"]: org["labels"]["cost_center"] for org in home.orgs[1:]},
        }
        assert "org-001" in done.event("orgs.gone")["message"]
        assert {row["org"] for row in home.rows("--org", "org-001")} == {"org-001"}
        assert {row["org"] for row in home.rows("--label", "cost_center=qa")} == {"org-003"}
        if after == "a run":  # notes that the org is gone
            assert home("collect", "-q").code == 0
        elif after == "forget":
            assert home("forget", "org-001").code == 0
    assert home("export", "--org", "org-00x").code == 2


def test_it_reads_beside_a_running_collect_and_without_credentials(home: Home, api: SimulatedApi) -> None:
    days = past_days(15)
    assert home("backfill", *past_days(1)).code == 0
    for org in home.orgs:
        del org["username"], org["access_key"]
        org |= {"username_env": "NOT_SET", "access_key_env": "NOT_SET"}
    slow = {"COLLECTOR_CONFIG": str(api.config), "COLLECTOR_STATE__URL": home.state}
    slow |= {"COLLECTOR_API__RATE_LIMIT__REQUESTS": "20"}
    seen = 0
    with started("backfill", *days, "-o", "usage", cwd=home.path, **slow) as process:
        home.write(home.orgs, api)
        while process.poll() is None:
            rows = home.rows("--by", "org", *days)
            windows = [int(row["windows"]) - int(row["windows_unknown"]) for row in rows]
            assert sum(windows) >= seen
            seen = sum(windows)
        process.communicate()
    rows = home.rows("--by", "population", *days)
    assert {(row["windows"], row["windows_unknown"]) for row in rows} == {(str(15 * len(home.orgs)), "0")}


def test_nothing_is_created_and_a_missing_ledger_is_an_error(home: Home, tmp_path: Path) -> None:
    if not home.state.startswith("sqlite"):
        return
    names = {path.name for path in tmp_path.iterdir()}
    done = home("export", "-o", "usage.csv")
    assert done.code == 5
    assert "there is no ledger" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == names
    assert home("export", "--state", "none").code == 2
