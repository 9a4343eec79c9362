"""`backfill --sparse` where something goes wrong, stops, or changes: never a zero that is not true."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from signal import SIGTERM

import pytest

from collector.app.command import Command
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Between, Moment
from collector.core.response import Reply
from collector.errors import Failure
from collector.events import NotAdditive
from collector.fetch import RateLimit
from collector.model import ApiRequest, Org, SliceState, Window
from collector.run.manifest import RunResult
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.flow.sparse import (
    BOTH,
    DAYS,
    NOW,
    PEOPLE,
    SERVICES,
    YEARS,
    backfill,
    in_part,
    in_stretches,
    world,
)
from tests.flow.world import DAY, World
from tests.support.breadth import some_of
from tests.support.fake_api import RESET, UNAUTHORIZED, FakeApi, FakeClock, status
from tests.support.orgs import make_org
from tests.support.spans import SpanApi, noon_of, span_of
from tests.support.virtual_time import run_virtual


@pytest.mark.parametrize("seed", some_of(range(6), 2))
def test_partial_answers_and_failures_change_no_record(tmp_path: Path, seed: int) -> None:
    """A span isn't requested again after a partial answer; failures are retried, as always."""
    draw = random.Random(seed)
    usage = {PEOPLE: in_stretches(draw, 365 * 24), SERVICES: in_stretches(draw, 365 * 24)}
    api, bad = SpanApi(usage), draw.choice([0.02, 0.1, 0.2])

    def script(org: Org, request: ApiRequest, _n: int) -> Reply | Failure:
        match draw.random() < bad and draw.choice(["partial", "status", "reset"]):
            case "partial":
                return in_part(api.reply(org, request))
            case "status":
                return status(draw.choice([429, 500, 503]))
            case "reset":
                return RESET
            case _:
                return api.reply(org, request)

    records = backfill(world(tmp_path / "sparse"), api, script=script)

    assert records == backfill(world(tmp_path / "plain"), SpanApi(usage), sparse=False)


@pytest.mark.parametrize("answer", ["partial", "failed", "rejected"])
def test_spans_that_are_never_answered_cost_at_most_5_percent(tmp_path: Path, answer: str) -> None:
    usage = {PEOPLE: {}, SERVICES: noon_of(DAYS[3:9])}
    api = SpanApi(usage)

    def script(org: Org, request: ApiRequest, _n: int) -> Reply | Failure:
        reply = api.reply(org, request)
        if span_of(request).elapsed == DAY:
            return reply
        return {"partial": in_part(reply), "failed": status(500), "rejected": status(422)}[answer]

    there = world(tmp_path / "sparse")
    records = backfill(there, api, script=script)

    assert records == backfill(world(tmp_path / "plain"), SpanApi(usage), sparse=False)
    assert "inferred" not in {record["quality"] for record in there.records}
    spans = Counter((of, span) for _, of, span in api.requested if span.elapsed > DAY)
    assert all(sum(of is population for of, _ in spans) <= 18 for population in BOTH)


def test_an_org_that_is_refused_ends_as_always(tmp_path: Path) -> None:
    there = world(tmp_path)
    there.api = FakeApi(lambda _org, _request, _n: UNAUTHORIZED)

    result = there.backfill(NOW, "2025-01-01", "2025-12-31", sparse=True)

    assert result.exit_code is ExitCode.REFUSED
    assert result.summary.planned == 730
    assert result.summary.requests == len(there.api.asked) == 2
    assert there.page(NOW)["a"].refused


def test_an_org_that_is_refused_on_the_way_keeps_what_was_found(tmp_path: Path) -> None:
    api = SpanApi({PEOPLE: noon_of(DAYS[200:230]), SERVICES: {}})

    def script(org: Org, request: ApiRequest, n: int) -> Reply | Failure:
        return api.reply(org, request) if n < 20 else UNAUTHORIZED

    there = world(tmp_path)
    there.api = FakeApi(script)
    result = there.backfill(NOW, "2025-01-01", "2025-12-31", sparse=True)

    assert result.exit_code is ExitCode.REFUSED
    assert result.summary.planned == 730
    assert result.summary.requests == len(there.api.asked)
    records = backfill(there, api)
    assert records == backfill(world(tmp_path / "plain"), SpanApi(api.usage), sparse=False)


@pytest.mark.parametrize("seed", some_of(range(4), 2))
def test_a_run_that_is_stopped_is_continued_by_the_next(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    usage = {PEOPLE: in_stretches(draw, 365 * 24), SERVICES: noon_of(draw.sample(DAYS, 20))}
    api, there = SpanApi(usage), world(tmp_path / "sparse", limits=replace(FAST, org_rate=RateLimit(1, 2.0)))
    there.api = FakeApi(api.script)

    for number in range(draw.randint(1, 4)):
        result = stopped(there, f"stopped-{number}", after_s=draw.uniform(0, 60))
        assert result.summary.planned == sum(result.summary.count(state) for state in SliceState)
    records = backfill(there, api)

    assert records == backfill(world(tmp_path / "plain"), SpanApi(usage), sparse=False)


@pytest.mark.parametrize("seed", some_of(range(4), 2))
def test_a_run_that_a_reload_ends_leaves_the_rest_to_the_next(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    usage = {PEOPLE: in_stretches(draw, 365 * 24), SERVICES: noon_of(draw.sample(DAYS, 20))}
    api, there = SpanApi(usage), world(tmp_path / "sparse", limits=replace(FAST, org_rate=RateLimit(1, 2.0)))
    there.api = FakeApi(api.script, latency_s=lambda _org: 3.0)

    result = stopped(there, "reloaded", after_s=draw.uniform(0, 60), reload=True)

    assert result.summary.planned == sum(result.summary.count(state) for state in SliceState) == 730
    assert result.summary.requests == len(api.requested)
    assert backfill(there, api) == backfill(world(tmp_path / "plain"), SpanApi(usage), sparse=False)


def test_an_api_that_is_down_ends_a_search_as_it_ends_others(tmp_path: Path) -> None:
    there = world(tmp_path)
    there.api = FakeApi(lambda _org, _request, _n: status(503))

    result = there.backfill(NOW, "2025-01-01", "2025-12-31", sparse=True)

    assert result.exit_code is ExitCode.INCOMPLETE
    assert result.summary.count(SliceState.FAILED) + result.summary.count(SliceState.NOT_ASKED) == 730
    assert result.summary.count(SliceState.FAILED) > 0
    assert result.summary.requests == len(there.api.asked)


def stopped(there: World, run_id: str, *, after_s: float, reload: bool = False) -> RunResult:
    stop = Stop()
    command = Command(
        name="backfill", range_=Between(Moment.parse("2025-01-01"), Moment.parse("2025-12-31")), sparse=True
    )

    async def main() -> RunResult:
        end: Callable[[], None] = stop.reload if reload else lambda: stop.request(SIGTERM)
        asyncio.get_running_loop().call_later(after_s, end)
        return await there.run(command, run_id=run_id, clock=FakeClock(NOW), stop=stop)

    return run_virtual(main())


@pytest.mark.parametrize("active", [[], DAYS[60:90], DAYS[::2], DAYS[::20]], ids=["none", "month", "half", "some"])
def test_where_totals_do_not_add_up_no_zero_is_wrong(tmp_path: Path, active: list[datetime]) -> None:
    usage = {PEOPLE: noon_of(active), SERVICES: noon_of(active[:1])}
    api, plain = SpanApi(usage), SpanApi(usage)

    records = backfill(world(tmp_path / "sparse"), api, script=lambda o, r, _n: api.reply(o, r, one_more=True))

    assert records == backfill(
        world(tmp_path / "plain"), plain, script=lambda o, r, _n: plain.reply(o, r, one_more=True), sparse=False
    )
    assert all(api.requests("a", one) <= 365 * 1.05 for one in BOTH)


def test_a_first_difference_that_is_wrong_is_reported_once_and_no_other_is_believed(tmp_path: Path) -> None:
    """This API counts in a span only the first day that has usage."""
    usage = {PEOPLE: noon_of(DAYS[::30]), SERVICES: {}}
    api = SpanApi(usage)

    def script(org: Org, request: ApiRequest, _n: int) -> Reply:
        span = span_of(request)
        first = min((at for at in usage[request.population] if span.start <= at < span.end), default=span.start)
        counted = SpanApi({request.population: {first: usage[request.population].get(first, 0)}})
        api.reply(org, request)
        return counted.reply(org, request)

    there = world(tmp_path / "sparse", make_org("a", populations=(PEOPLE,)))
    records = backfill(there, api, script=script)

    plain = world(tmp_path / "plain", make_org("a", populations=(PEOPLE,)))
    assert records == backfill(plain, SpanApi(usage), sparse=False)
    assert sum(isinstance(event, NotAdditive) for event in there.events) == 1


@pytest.mark.parametrize("seed", some_of(range(4), 2))
def test_late_data_between_requests_leaves_no_wrong_zero(tmp_path: Path, seed: int) -> None:
    """What is emitted of each window was true when its answer, or the one that proves it, came."""
    draw = random.Random(seed)
    api = SpanApi({PEOPLE: noon_of(sorted(draw.sample(DAYS, 10))), SERVICES: {}})
    before = dict.fromkeys(DAYS, 0)

    def script(org: Org, request: ApiRequest, _n: int) -> Reply:
        reply = api.reply(org, request)
        if draw.random() < 0.2:  # just behind the answer
            late = draw.choice(DAYS)
            at = late + timedelta(hours=draw.randrange(24))
            api.usage[PEOPLE][at] = api.usage[PEOPLE].get(at, 0) + draw.randint(1, 9)
            before.pop(late, None)
        return reply

    there = world(tmp_path, make_org("a", populations=(PEOPLE,)))
    first = set(api.usage[PEOPLE])
    backfill(there, api, script=script)

    for record in there.records:
        start = datetime.fromisoformat(record["window_start"])
        if record["quality"] == "inferred" and start in before:
            assert not any(start <= at < start + DAY for at in first)


def test_only_windows_that_are_trusted_and_not_checked_again_are_inferred(tmp_path: Path) -> None:
    api = SpanApi()
    there = world(tmp_path, trust_zero_for=timedelta(days=60), schedule={"recheck": ["1d", "10d"]})
    there.api = FakeApi(api.script)

    there.backfill(NOW, "2025-10-01", "2026-01-19", sparse=True)

    for record in there.records:
        age = NOW - datetime.fromisoformat(record["window_end"])
        expected = "unverified" if age > 60 * DAY else "measured" if age <= 10 * DAY else "inferred"
        assert record["quality"] == expected
    old = [span for _, _, span in api.requested if span.elapsed > DAY]
    assert all(NOW - span.end > 10 * DAY and NOW - span.start <= 61 * DAY for span in old)
    assert len(old) == 2


def test_what_was_inferred_is_restated_only_where_it_is_measured(tmp_path: Path) -> None:
    api = SpanApi({PEOPLE: noon_of([DAYS[9]]), SERVICES: {}})
    there = world(tmp_path, make_org("a", populations=(PEOPLE,)))
    backfill(there, api)
    inferred = {r["record_id"] for r in there.records if r["quality"] == "inferred"}
    there.api = FakeApi(api.script)

    result = there.backfill(NOW + DAY, "2025-01-01", "2025-12-31", force=True)

    restated = there.records_of_run(result)
    assert {record["record_id"] for record in restated} == inferred
    assert {(record["quality"], record["revision"]) for record in restated} == {("measured", 2)}


def test_a_sparse_backfill_never_replaces_what_was_measured(tmp_path: Path) -> None:
    """With --force it requests complete windows one by one."""
    api = SpanApi({PEOPLE: noon_of(DAYS[:100]), SERVICES: {}})
    there = world(tmp_path, make_org("a", populations=(PEOPLE,)))
    there.api = FakeApi(api.script)
    there.backfill(NOW, "2025-01-01", "2025-03-31")
    before = len(api.requested)

    result = there.backfill(NOW + DAY, "2025-01-01", "2025-06-30", force=True, sparse=True)

    requested = [span for _, _, span in api.requested[before:]]
    assert sorted(requested[:90], key=lambda span: span.start) == [Window(day, day + DAY) for day in DAYS[:90]]
    assert not [record for record in there.records_of_run(result) if record["revision"] > 1]
    assert {r["quality"] for r in there.records if r["window_start"] < "2025-04-01"} == {"measured"}


def test_what_was_answered_in_part_before_is_requested_by_itself(tmp_path: Path) -> None:
    api = SpanApi()
    there = world(tmp_path, make_org("a", populations=(PEOPLE,)))
    there.api = FakeApi(lambda org, request, _n: in_part(api.reply(org, request)))
    there.backfill(NOW, "2025-02-01", "2025-02-01")
    api.requested.clear()

    backfill(there, api)

    partial = Window(DAYS[31], DAYS[32])
    assert partial in [span for _, _, span in api.requested]
    assert not any(
        span.start < partial.end and partial.start < span.end for _, _, span in api.requested if span != partial
    )


def test_two_names_of_one_organization_are_searched_in_turn(tmp_path: Path) -> None:
    api = SpanApi({PEOPLE: noon_of(DAYS[10:20]), SERVICES: {}})
    there = World(tmp_path, orgs=[make_org("a"), make_org("b")], trust_zero_for=YEARS, same_organization="allow")
    there.api = FakeApi(lambda org, request, _n: renamed(api.reply(org, request)))

    result = there.backfill(NOW, "2025-01-01", "2025-12-31", sparse=True)

    assert result.exit_code is ExitCode.OK
    assert {record["org_id"] for record in there.records} == {"one"}
    assert Counter(record["record_id"] for record in there.records).most_common(1)[0][1] == 1
    assert len(there.records) == 365 * 2 * 2


def renamed(reply: Reply) -> Reply:
    body = json.loads(reply.body)
    body["data"]["metadata"]["organization"]["id"] = "one"
    return replace(reply, body=json.dumps(body).encode())
