"""Which organization an org of the config is: renamed, swapped, doubled, or with a new calendar."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import pytest

from collector.core.exit_codes import ExitCode
from collector.core.retry import RetryPolicy
from collector.errors import LedgerError
from collector.fetch import Limits
from collector.ledger import SqlLedger
from collector.model import Granularity, SliceState, Zone
from tests.flow.harness import FAST
from tests.flow.world import DAY, NOON, World
from tests.support.fake_api import FakeApi, answer
from tests.support.orgs import make_org

COMPLETE, PARTIAL, FAILED = SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED
FEW_TRIES = Limits(
    concurrency=16, rate=FAST.rate, org_rate=FAST.org_rate, retry=RetryPolicy(attempts=2, bad_answer_attempts=2)
)


def test_renaming_an_org_changes_no_record_id_and_asks_no_slice_again(world: World) -> None:
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))
    credential = make_org("a").credential
    world.orgs = [make_org("a", credential=credential)]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    asked = len(world.api.asked)
    world.orgs = [make_org("renamed", credential=credential)]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    assert len(world.api.asked) == asked
    result = world.backfill(NOON, "2026-06-01", "2026-06-11")
    assert len(world.api.asked) == asked + 2
    assert {r["org"] for r in world.records_of_run(result)} == {"renamed"}


def test_a_credential_that_now_belongs_to_another_organization_is_refused_before_anything_is_booked(
    world: World,
) -> None:
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-01", "2026-06-02")
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="another"))
    result = world.backfill(NOON, "2026-06-01", "2026-06-05")
    assert result.exit_code == ExitCode.REFUSED
    assert world.records_of_run(result) == []
    (cause, *_) = [cause for _, cause in result.summary.orgs["a"].causes]
    assert "set org_id: 'another' if the new one is right" in cause.message


def test_a_ledger_that_fails_while_an_organization_is_bound_ends_the_run_with_5_and_not_as_a_defect(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(SqlLedger, "identify", fail)
        result = world.backfill(NOON, "2026-06-01", "2026-06-02")
    assert result.exit_code == ExitCode.OUTPUT
    assert str(result.output_error) == "the disk is full"
    assert world.records == []
    assert world.backfill(NOON, "2026-06-01", "2026-06-02").exit_code == ExitCode.OK


def test_two_orgs_that_turn_out_to_be_one_are_refused_and_the_known_one_goes_on(world: World) -> None:
    world.orgs = [make_org("z")]
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))
    world.backfill(NOON, "2026-06-01", "2026-06-02")
    world.orgs = [make_org("a"), make_org("z")]
    result = world.backfill(NOON, "2026-06-01", "2026-06-05")
    assert result.exit_code == ExitCode.REFUSED
    assert {r["org"] for r in world.records_of_run(result)} == {"z"}
    assert result.summary.orgs["a"].refused


def test_two_names_of_one_organization_are_collected_once_where_that_is_allowed(world: World) -> None:
    world.same_organization = "allow"
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))
    for _ in range(2):
        result = world.backfill(NOON, "2026-06-01", "2026-06-10")
        assert result.exit_code == ExitCode.OK
    ids = Counter((r["record_id"], r["revision"]) for r in world.records)
    assert len(ids) == 10 * 2 * 2  # days, populations, products
    assert set(ids.values()) == {1}


def test_an_org_that_is_refused_for_its_calendar_stops_no_other_org_of_the_config(world: World) -> None:
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    tokyo = Zone.parse("Asia/Tokyo")
    world.orgs = [make_org("a", zone=tokyo, since=date(2026, 6, 20)), make_org("b", zone=tokyo), make_org("new")]
    result = world.collect(NOON)
    assert result.exit_code == ExitCode.REFUSED
    assert {name for name, org in result.summary.orgs.items() if org.refused} == {"b"}
    assert {r["org"] for r in world.records_of_run(result)} == {"a", "new"}
    ledger = SqlLedger.open(world.ledger_url, command="collector status", now=lambda: NOON, durable=False)
    try:
        assert {row.name: row.zone for row in ledger.organizations()} == {"a": "Asia/Tokyo", "b": "UTC", "new": "UTC"}
    finally:
        ledger.close()


def test_two_new_names_of_one_organization_are_collected_by_one_backfill_beside_others(world: World) -> None:
    world.same_organization = "allow"
    world.orgs = [make_org("a"), make_org("b"), make_org("c")]
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42" if org.name in "ab" else "43"))
    result = world.backfill(NOON, "2026-03-01", "2026-06-10")
    assert result.exit_code == ExitCode.OK
    ids = Counter((r["record_id"], r["revision"]) for r in world.records)
    assert set(ids.values()) == {1}
    assert {r["org_id"] for r in world.records} == {"42", "43"}


@pytest.mark.parametrize(
    "change", [{"zone": Zone.parse("Asia/Tokyo")}, {"granularity": Granularity.HOUR}], ids=["zone", "granularity"]
)
def test_a_changed_calendar_is_refused_with_the_since_to_set_and_then_begins_without_overlap(
    world: World, change: dict[str, object]
) -> None:
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    covered = max(r["window_end"] for r in world.records)
    world.orgs = [make_org("a", **change)]
    refused = world.backfill(NOON, "2026-06-01", "2026-06-15")
    assert refused.exit_code == ExitCode.REFUSED
    message = refused.summary.orgs["a"].causes[0][1].message
    since = message.partition("set `since: ")[2][:10]
    assert since in ("2026-06-11", "2026-06-12")
    assert ("neither calendar has windows" in message) == ("zone" in change)  # Tokyo's day is another
    world.orgs = [make_org("a", since=date.fromisoformat(since), **change)]
    result = world.backfill(NOON, "2026-06-01", "2026-06-15")
    starts = [datetime.fromisoformat(r["window_start"]) for r in world.records_of_run(result)]
    assert starts
    assert min(starts) >= datetime.fromisoformat(covered)
    assert min(starts).astimezone(UTC) <= datetime.fromisoformat(covered) + DAY
    assert world.backfill(NOON, "2026-06-01", "2026-06-15").summary.planned == 0


def test_an_organization_known_by_another_calendar_under_another_name_is_refused_with_the_since_to_set(
    world: World,
) -> None:
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42"))
    world.orgs = [make_org("a")]
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    other = make_org("b", zone=Zone.parse("Asia/Tokyo"))  # another user, so that only the answer tells who it is
    world.orgs = [other]
    result = world.backfill(NOON, "2026-06-01", "2026-06-15")
    assert result.exit_code == ExitCode.REFUSED
    assert world.records_of_run(result) == []
    (message, *_) = [cause.message for _, cause in result.summary.orgs["b"].causes]
    assert "set `since: 2026-06-11` for it" in message or "set `since: 2026-06-12` for it" in message


def test_an_org_whose_row_was_merged_meanwhile_is_refused_if_another_organization_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has a config that pins the organization. What this one fetches must not go into its row."""
    world.orgs = [make_org("first", org_id="id-x")]
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="id-x"))
    world.backfill(NOON, "2026-06-01", "2026-06-02")
    world.orgs = [make_org("a")]
    world.api = FakeApi(script=lambda org, request, _n: answer(org, request, org_id="another"))
    acquire = SqlLedger.acquire
    merged: list[object] = []

    def merge_first(ledger: SqlLedger, *args: Any) -> Any:
        if not merged:
            pinned = make_org("a", org_id="id-x")
            merged.append(ledger.register([pinned], wanted_from={"a": NOON}, now=NOON))
        return acquire(ledger, *args)

    monkeypatch.setattr(SqlLedger, "acquire", merge_first)
    result = world.backfill(NOON, "2026-06-01", "2026-06-05")
    assert merged
    assert result.exit_code == ExitCode.REFUSED
    assert world.records_of_run(result) == []
