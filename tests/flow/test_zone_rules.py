"""An update of the tz database: no time is counted twice, and nothing that was wanted is forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector.app.calendars import refused_calendars
from collector.app.preview import preview
from collector.core.exit_codes import ExitCode
from collector.core.ledger_entries import SliceKey, Standing
from collector.core.retry import RetryPolicy
from collector.fetch import Limits
from collector.ledger import SqlLedger
from collector.model import ApiRequest, Granularity, Org, Population, SliceState, Window, Zone
from collector.run.manifest import RunResult
from tests.adapters.ledger.support import commit
from tests.flow.harness import FAST
from tests.flow.world import DAY, World
from tests.support.fake_api import FakeApi, Step, answer, status
from tests.support.orgs import make_org
from tests.support.zones import NEW_RULES, OLD_RULES

NOV_20 = datetime(2026, 11, 20, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE_TRY = Limits(
    concurrency=16, rate=FAST.rate, org_rate=FAST.org_rate, retry=RetryPolicy(attempts=1, bad_answer_attempts=1)
)


def span_of(request: ApiRequest) -> tuple[datetime, datetime]:
    first, last = (
        datetime.strptime(f"{text} {request.timezone}", "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
        for text in (request.from_, request.to)
    )
    return first, last + timedelta(seconds=1)


def an_hour_is_a_test(org: Org, request: ApiRequest, _n: int) -> Step:
    """The truth: one test in each hour. So a sum of tests is a number of hours."""
    first, end = span_of(request)
    tests = (end - first) // HOUR
    return answer(org, request, org_id="42", products={"automation": {"totalTests": tests, "totalDuration": tests}})


def org_by(zone: Zone, since: date | None = None) -> Org:
    return make_org("a", zone=zone, since=since, populations=(Population.ACCOUNT_USER,))


def hours(world: World) -> int:
    """What the newest revisions add up to; each of them was emitted once, and none overlaps with another."""
    newest: dict[str, dict[str, Any]] = {}
    for record in world.records:
        before = newest.get(record["record_id"])
        assert before is None or before["revision"] < record["revision"]
        newest[record["record_id"]] = record
    spans = sorted((record["window_start"], record["window_end"]) for record in newest.values())
    instants = [datetime.fromisoformat(text) for span in spans for text in span]
    assert instants == sorted(instants)
    return sum(record["total_tests"] for record in newest.values())


@pytest.fixture
def old(world: World) -> World:
    """A world whose first run has the old rules."""
    world.api = FakeApi(script=an_hour_is_a_test)
    world.orgs = [org_by(OLD_RULES)]
    return world


def test_an_update_that_moves_covered_days_is_refused_and_then_cut_over(old: World) -> None:
    old.backfill(NOV_20, "2026-10-25", "2026-11-19")
    assert hours(old) == 26 * 24 + 1  # 1 November has 25 hours
    asked = len(old.api.asked)
    old.orgs = [org_by(NEW_RULES)]
    refused = old.collect(NOV_20 + DAY)
    assert refused.exit_code == ExitCode.REFUSED
    assert message_of(refused) == (
        "org 'a' is collected by day in America/Vancouver through 2026-11-20T01:00:00-07:00 with the rules of tzdata "
        "2025b; with those of tzdata 2026f its windows would overlap with that and count twice: install the same "
        "tzdata for all processes that share the ledger, or set `since: 2026-11-21` for it, so that windows by the new "
        "rules begin there; neither calendar has windows for 23 hours from 2026-11-20T01:00:00-07:00 to "
        "2026-11-21T00:00:00-07:00: docs/ledger.md says how to keep them"
    )
    assert len(old.api.asked) == asked
    old.orgs = [org_by(NEW_RULES, date(2026, 11, 21))]
    for day in range(3, 6):
        assert old.collect(NOV_20 + day * DAY).exit_code == ExitCode.OK
    assert hours(old) == 26 * 24 + 1 + 4 * 24  # the 21st to the 24th
    old.orgs = [org_by(NEW_RULES)]  # the ledger knows the beginning
    assert old.backfill(NOV_20 + 5 * DAY, "2026-10-25", "2026-11-24").summary.planned == 0
    assert hours(old) == 30 * 24 + 1


def test_hours_that_neither_calendar_has_are_kept_by_fetching_them_by_hour_in_the_old_zone(world: World) -> None:
    """As docs/ledger.md says it: with a copy of the config, while the org is refused by the real one."""
    world.api = FakeApi(script=an_hour_is_a_test)
    world.orgs = [org_by(Zone.parse("UTC"))]
    world.backfill(NOV_20, "2026-11-10", "2026-11-13")
    tokyo = Zone.parse("Asia/Tokyo")
    world.orgs = [org_by(tokyo)]
    message = message_of(world.collect(NOV_20))
    assert message is not None
    assert "15 hours from 2026-11-14T09:00:00+09:00 to 2026-11-15T00:00:00+09:00" in message
    world.orgs = [replace(org_by(Zone.parse("UTC"), date(2026, 11, 14)), granularity=Granularity.HOUR)]
    kept = world.backfill(NOV_20, "2026-11-14T00:00", "2026-11-14T15:00")
    assert kept.exit_code == ExitCode.OK
    assert [record["total_tests"] for record in world.records_of_run(kept)] == [1] * 15
    world.orgs = [org_by(tokyo, date(2026, 11, 15))]
    with capture_logs() as logs:
        assert world.backfill(NOV_20, "2026-11-15", "2026-11-19").exit_code == ExitCode.OK
    assert [log for log in logs if log["event"] == "calendar.cut_over"] == []
    assert hours(world) == 4 * 24 + 15 + 5 * 24


def message_of(result: RunResult) -> str | None:
    """Why the org's calendar is refused in a run, if it is."""
    return next((one.message for _, one in result.summary.orgs["a"].causes if one.code == "refused_calendar"), None)


@pytest.mark.parametrize(
    ("zone", "refused"),
    [(NEW_RULES, True), (OLD_RULES, False), (replace(OLD_RULES, name="Canada/Pacific"), False)],
    ids=["moved", "same", "alias"],
)
def test_check_and_plan_refuse_what_a_run_refuses(old: World, zone: Zone, refused: bool) -> None:
    old.backfill(NOV_20, "2026-11-01", "2026-11-10")
    old.orgs = [org_by(zone)]
    ledger = SqlLedger.open(old.ledger_url, command="check", now=lambda: NOV_20, durable=False)
    checked = refused_calendars(ledger, old.config, old.orgs).get("a")
    (planned,) = preview(ledger, old.config, old.orgs, range_=None, now=NOV_20)
    ledger.close()
    assert checked == planned.refused
    assert (checked and checked.message) == message_of(old.collect(NOV_20))
    assert (checked is not None) == refused


def test_an_update_that_moves_no_covered_day_is_noted_and_nothing_is_fetched_again(old: World) -> None:
    old.backfill(NOV_20, "2026-10-20", "2026-10-31")
    before = old.records
    old.orgs = [org_by(NEW_RULES)]
    assert old.backfill(NOV_20, "2026-10-20", "2026-10-31").summary.planned == 0
    assert old.records == before
    assert old.backfill(NOV_20, "2026-10-20", "2026-11-10").exit_code == ExitCode.OK
    assert hours(old) == 22 * 24


def test_an_alias_is_no_change(world: World) -> None:
    world.api = FakeApi(script=an_hour_is_a_test)
    for name in ("Europe/Kiev", "Europe/Kyiv", "Europe/Kiev"):
        world.orgs = [org_by(Zone.parse(name))]
        assert world.backfill(NOV_20, "2026-10-20", "2026-11-10").exit_code == ExitCode.OK
        assert hours(world) == 22 * 24 + 1
    assert len(world.api.asked) == 22


def test_a_failed_day_that_an_update_moves_is_fetched_by_its_new_boundaries(old: World) -> None:
    old.limits = ONE_TRY
    old.api = FakeApi(script=lambda _org, _request, _n: status(400))
    old.collect(NOV_20)
    assert old.backfill(NOV_20, "2026-11-05", "2026-11-05").summary.count(SliceState.FAILED) == 1
    old.api, old.orgs = FakeApi(script=an_hour_is_a_test), [org_by(NEW_RULES)]
    assert old.collect(NOV_20).exit_code == ExitCode.OK
    # The lookback of the first run, and the range of the backfill: not a day less.
    assert [record["window_start"][:19] for record in old.records] == [
        f"2026-11-{day}T00:00:00" for day in ("05", "17", "18", "19")
    ]
    assert hours(old) == 4 * 24


def test_a_run_whose_days_another_process_covers_by_new_rules_commits_nothing_more(
    old: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rolling upgrade: the new process has the lease between two batches of the old one."""
    new, covered = org_by(NEW_RULES), Window(NOV_20 - 85 * HOUR, NOV_20 - 61 * HOUR)  # the 17th
    released = SqlLedger.release

    def release(ledger: SqlLedger, keys: Iterable[int]) -> None:
        released(ledger, keys)
        monkeypatch.setattr(SqlLedger, "release", released)
        other = SqlLedger.open(old.ledger_url, command="collector serve", now=lambda: NOV_20, durable=False)
        standing = other.register([new], wanted_from={}, now=NOV_20)["a"]
        assert isinstance(standing, Standing)
        key = standing.key
        assert other.acquire([key], {key: (new, standing.calendar_since)}) == {}
        at = SliceKey(key=key, population=Population.ACCOUNT_USER, start=covered.start)
        other.commit([commit(key, 0, slice=at, end=covered.end)], None)
        other.close()

    monkeypatch.setattr(SqlLedger, "release", release)
    monkeypatch.setattr(SqlLedger, "waited_for", lambda _, keys: set(keys))  # else the old one goes on with its lease
    result = old.backfill(NOV_20, "2026-07-01", "2026-11-18")
    assert result.exit_code == ExitCode.REFUSED
    assert hours(old) == 64 * 24
    ((_, cause),) = result.summary.orgs["a"].causes
    assert (cause.state, cause.code, cause.slices) == (SliceState.NOT_ASKED, "refused_calendar", 141 - 64)
    assert "with the rules of tzdata 2026f; with those of tzdata 2025b its windows would overlap" in cause.message
    ledger = SqlLedger.open(old.ledger_url, command="check", now=lambda: NOV_20, durable=False)
    (row,) = ledger.organizations()
    assert set(ledger.coverage(row.key, Window(NOV_20 - 9 * DAY, NOV_20))) == {(Population.ACCOUNT_USER, covered.start)}
    ledger.close()
