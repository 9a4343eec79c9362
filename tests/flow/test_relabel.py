"""Corrected names and labels: records are emitted again from the ledger alone, and nothing else changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.core.exit_codes import ExitCode
from collector.core.org_coverage import CoverageState
from collector.errors import LedgerError
from collector.ledger import SqlLedger
from collector.model import ApiRequest, Org
from tests.flow.world import DAY, NOON, World, counting
from tests.support.fake_api import UNAUTHORIZED, FakeApi, Step, answer
from tests.support.orgs import make_org

FIRST, LAST = "2026-06-21", "2026-06-23"
DAYS = 3
LATER = NOON + timedelta(minutes=5)
_LABELS = {"team": "qa"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two orgs of which three days are collected."""
    world = World(tmp_path)
    world.api = FakeApi(counting(7))
    world.collect(NOON)
    return world


def labelled(world: World, org: str, **changes: Any) -> None:
    world.orgs = [replace(one, **changes) if one.name == org else one for one in world.orgs]


def newest(world: World) -> dict[str, dict[str, Any]]:
    """The newest revision of each record, as a reader has it."""
    return {record["record_id"]: record for record in sorted(world.records, key=lambda one: one["revision"])}


def numbers(records: dict[str, dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    return {
        id_: (one["total_tests"], one["total_duration"], one["org_users"], one["quality"], one["window_start"])
        for id_, one in records.items()
    }


def test_the_records_of_the_org_get_the_new_labels_and_keep_their_numbers(world: World) -> None:
    before, requests = newest(world), len(world.api.asked)
    labelled(world, "a", labels=_LABELS)
    result = world.relabel(LATER, FIRST, LAST)
    assert (result.exit_code, len(world.api.asked)) == (ExitCode.OK, requests)
    after = newest(world)
    assert numbers(after) == numbers(before)
    for id_, record in after.items():
        is_a = record["org"] == "a"
        assert (record["labels"], record["revision"]) == ((_LABELS, 2) if is_a else (before[id_]["labels"], 1))
        assert (record["collected_at"] > before[id_]["collected_at"]) is is_a
    assert {record["run_id"] for record in after.values() if record["org"] == "a"} == {result.run_id}


def test_it_is_done_once(world: World) -> None:
    labelled(world, "a", labels=_LABELS)
    world.relabel(LATER, FIRST, LAST)
    again = world.relabel(LATER + DAY, FIRST, LAST)
    assert (again.summary.planned, again.summary.records, again.exit_code) == (0, 0, ExitCode.OK)
    labelled(world, "a", labels={})
    back = world.relabel(LATER + DAY, FIRST, LAST)
    assert (back.summary.planned, {one["revision"] for one in world.records_of_run(back)}) == (2 * DAYS, {3})


def test_the_manifest_counts_slices_records_and_no_request(world: World) -> None:
    labelled(world, "a", labels=_LABELS)
    found = world.manifest(result := world.relabel(LATER, FIRST, LAST))
    records = len(world.records_of_run(result))
    assert (found["command"], found["requests"], found["coverage"], found["not_complete"]) == ("relabel", 0, None, [])
    assert (found["slices"]["planned"], found["slices"]["complete"]) == (2 * DAYS, 2 * DAYS)
    assert (found["records"], found["restated"], found["ranges"]) == (records, records, [])


def test_nothing_becomes_wanted_and_nothing_counts_as_fetched(world: World) -> None:
    before = world.page(LATER)
    labelled(world, "a", labels=_LABELS)
    world.relabel(LATER, "2026-01-01", LAST)
    after = world.page(LATER)
    for name, org in after.items():
        assert org.wanted == before[name].wanted
        assert org.last_success == before[name].last_success
        assert [p.counts for p in org.populations] == [p.counts for p in before[name].populations]


def test_only_the_range_is_restated(world: World) -> None:
    labelled(world, "a", labels=_LABELS)
    result = world.relabel(LATER, FIRST, FIRST)
    assert {record["window_date"] for record in world.records_of_run(result)} == {FIRST}
    assert world.relabel(LATER, FIRST, LAST).summary.planned == 2 * (DAYS - 1)


def test_an_org_that_was_renamed_in_the_config_is_renamed_in_its_records(world: World) -> None:
    labelled(world, "a", name="acme")
    world.api = FakeApi(lambda org, request, _n: answer(org, request, org_id="id-a" if org.name == "acme" else None))
    world.collect(LATER)
    world.relabel(LATER, FIRST, LAST)
    assert {record["org"] for record in newest(world).values()} == {"acme", "b"}
    assert len({record["record_id"] for record in world.records}) == len(newest(world)) == len(numbers(newest(world)))


def test_what_a_recheck_restates_in_part_is_restated_whole_by_the_next_relabel(world: World) -> None:
    """The recheck has given one product's record the new labels; the other's has the old ones."""
    labelled(world, "a", labels=_LABELS)
    two = {"automation": {"totalTests": 7, "totalDuration": 70}, "visual-ui": {"totalTests": 1}}
    world.api = FakeApi(lambda org, request, _n: answer(org, request, products=two))
    world.backfill(LATER, LAST, LAST, force=True)
    mixed = [one for one in newest(world).values() if one["org"] == "a" and one["window_date"] == LAST]
    assert Counter(bool(one["labels"]) for one in mixed) == {True: 2, False: 2}
    world.relabel(LATER + DAY, FIRST, LAST)
    assert all(one["labels"] == _LABELS for one in newest(world).values() if one["org"] == "a")


def test_partial_and_refused_windows_stay_what_they_are(tmp_path: Path) -> None:
    def partly(org: Org, request: ApiRequest, _n: int) -> Step:
        return answer(org, request, partial=True) if org.name == "a" else UNAUTHORIZED

    world = World(tmp_path, api=FakeApi(partly))
    world.collect(NOON)
    before = world.page(LATER)
    for name in "ab":
        labelled(world, name, labels=_LABELS)
    result = world.relabel(LATER, FIRST, LAST)
    assert result.exit_code is ExitCode.OK
    assert {one["org"] for one in world.records_of_run(result)} == {"a"}
    for name, org in world.page(LATER).items():
        assert [p.counts for p in org.populations] == [p.counts for p in before[name].populations]
        assert [p.reasons for p in org.populations] == [p.reasons for p in before[name].populations]


def test_a_lost_file_of_a_relabel_loses_nothing_and_the_next_one_does_it_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LedgerError("the database is away")

    before, requests = numbers(newest(world)), len(world.api.asked)
    labelled(world, "a", labels=_LABELS)
    with monkeypatch.context() as broken:
        broken.setattr(SqlLedger, "intend_seal", fail)
        assert world.relabel(LATER, FIRST, LAST).exit_code is ExitCode.OUTPUT
    (unsealed,) = (world.directory / "out").glob(".usage-0002-*")
    unsealed.unlink()
    again = world.relabel(LATER + DAY, FIRST, LAST)
    assert (again.exit_code, again.summary.planned, len(world.api.asked)) == (ExitCode.OK, 2 * DAYS, requests)
    assert numbers(newest(world)) == before
    assert {one["revision"] for one in newest(world).values() if one["org"] == "a"} == {2}
    assert all(p.count(CoverageState.COMPLETE) == DAYS for p in world.page(LATER)["a"].populations)


def test_two_names_of_one_organization_are_restated_by_the_first_only(tmp_path: Path) -> None:
    world = World(tmp_path, same_organization="allow")
    world.orgs = [make_org("a", org_id="1"), make_org("b", org_id="1")]
    world.api = FakeApi(lambda org, request, _n: answer(org, request, org_id="1"))
    world.collect(NOON)
    for name in "ab":
        labelled(world, name, labels=_LABELS)
    world.relabel(LATER, FIRST, LAST)
    assert world.relabel(LATER, FIRST, LAST).summary.planned == 0
