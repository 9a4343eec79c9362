"""Numbers came late, and a person compares the month with the API: the real command, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Done, Here, SimulatedApi, days_ago, past_days, records_in, simulated_api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("reconcile"), orgs=2) as api:
        yield api


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    return Here(capfd, monkeypatch, tmp_path)


def test_late_numbers_are_shown_restated_and_gone_the_second_time(
    here: Here, api: SimulatedApi, tmp_path: Path
) -> None:
    def run(*words: str) -> Done:
        return here(*words, "-c", str(api.config), "-o", "usage/")

    older = ("--from", days_ago(41), "--to", days_ago(7))
    newest, days = past_days(5), past_days(40)  # on three of five days there is more than a weekend's little usage
    api.set_faults()
    assert run("backfill", *older).code == 0
    assert run("reconcile", *older).code == 0
    api.set_faults("*:late=60d:0.7")
    assert run("backfill", *newest).code == 0
    before = len(records_in(tmp_path / "usage"))
    api.set_faults()

    first = run("reconcile", *days)

    assert first.code == 3
    lines = first.stdout.splitlines()
    assert lines[1].split() == ["org,", "population,", "product", "API", "collected", "difference", "changed"]
    assert "org-001 account-user" in [line.strip() for line in lines]
    assert any("automation tests" in line and "+" in line for line in lines)
    assert any("restated: " in line for line in lines)
    restated = [record for record in records_in(tmp_path / "usage") if record["revision"] > 1]
    truth = here("backfill", *days, "-c", str(api.config), "-o", "-", "--state", "none").records
    early = {record["record_id"]: record for record in records_in(tmp_path / "usage") if record["revision"] == 1}
    changed = {record["record_id"] for record in truth if numbers(record) != numbers(early[record["record_id"]])}
    assert {record["record_id"] for record in restated} == changed != set()
    assert all(newest[1] <= record["window_date"] <= newest[-1] for record in restated)
    finished = first.event("run.finished")
    assert finished["differences"][0]["difference"] > 0
    assert finished["requests"] < 4 * (1 + 8 * 5)

    second = run("reconcile", *days, "--json")

    assert second.code == 0
    document = json.loads(second.stdout)
    assert {row["difference"] for row in document["totals"]} == {0}
    assert len(records_in(tmp_path / "usage")) == before + len(restated)
    row = next(row for row in document["totals"] if row["metric"] == "total_tests")
    mine = [one for one in newest_in(tmp_path) if (one["org"], one["population"]) == (row["org"], row["population"])]
    assert row["collected"] == sum(one["total_tests"] or 0 for one in mine if one["product"] == row["product"])
    manifest = json.loads((tmp_path / "usage" / f"run-{document['run_id']}.json").read_text())
    assert manifest["compared"]["differences"] == []
    assert len(manifest["compared"]["populations"]) == 4


def numbers(record: dict[str, Any]) -> list[Any]:
    return [record[name] for name in ("total_tests", "total_duration", "total_screenshots", "org_users")]


def newest_in(directory: Path) -> list[dict[str, int]]:
    latest: dict[str, dict[str, int]] = {}
    for record in sorted(records_in(directory / "usage"), key=lambda record: record["revision"]):
        latest[record["record_id"]] = record
    return list(latest.values())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-o", "usage/"), "a reconcile needs a range"),
        (("--last", "30d", "--state", "none"), "compares what a ledger holds"),
        (("--last", "30d", "--json", "-o", "-"), "give a directory with --output"),
        (("--last", "30d", "--from", "2026-01-01"), "give either --last, or --from and --to"),
    ],
)
def test_a_call_that_makes_no_sense_says_what_is_right(
    here: Here, api: SimulatedApi, words: tuple[str, ...], why: str
) -> None:
    done = here("reconcile", "-c", str(api.config), *words)
    assert done.code == 2
    assert why in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "words",
    [
        ("reconcile", "--last", "30d", "-o", "usage/"),
        ("relabel", "--last", "30d", "-o", "usage/"),
        ("collect", "--recover", "."),
        ("collect", "--lost", "usage-x-0001.jsonl"),
        ("forget", "acme"),
    ],
)
def test_what_needs_a_ledger_creates_none_where_its_path_is_mistyped(
    here: Here, api: SimulatedApi, words: tuple[str, ...], tmp_path: Path
) -> None:
    done = here(*words, "-c", str(api.config), "--state", "sqlite:///stat/ledger.db")
    assert done.code == 5
    assert f"there is no ledger {tmp_path}/stat/ledger.db, so there is nothing to " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_with_records_on_stdout_the_table_is_on_stderr(here: Here, api: SimulatedApi) -> None:
    days = past_days(10)
    api.set_faults("*:late=60d:0.7")
    assert here("backfill", "-c", str(api.config), "-o", "-", *days, "-q").code == 0
    api.set_faults()
    done = here("reconcile", "-c", str(api.config), "-o", "-", *days)
    assert done.code == 3
    assert {record["revision"] for record in done.records} == {2}
    assert "difference" in done.stderr
