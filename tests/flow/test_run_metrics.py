"""The metrics of runs, held against what real runs in virtual time did."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from collector.adapters.metrics import RunMetrics, new_registry
from collector.events import ApiDown, Event, LaneEnded, RequestEnded, RetryScheduled
from collector.model import Quality, SliceState
from collector.run.manifest import RunResult
from tests.flow.world import DAY, NOON, World
from tests.support.fake_api import PRODUCTS, RESET, UNAUTHORIZED, FakeApi, answer, for_org, status
from tests.support.metrics import Samples, samples_of, total, value
from tests.support.orgs import make_org

ZERO = {"smartui": {"totalScreenshots": 0}}
BAD = for_org(
    {
        "b": lambda *_: UNAUTHORIZED,
        "c": lambda org, request, _n: answer(org, request, partial=True, products=PRODUCTS | ZERO),
        "d": lambda _o, _r, n: status(429, retry_after="1") if n % 2 else None,
        "e": lambda _o, _r, n: RESET if n % 3 == 0 else None,
    }
)


@dataclass
class Counted:
    """A world whose events go into metrics, as they do in a service."""

    world: World
    registry: CollectorRegistry = field(default_factory=new_registry)

    def __post_init__(self) -> None:
        self.metrics = RunMetrics(self.registry)

    def collect(self, now: datetime) -> RunResult:
        self.world.events.clear()
        result = self.world.collect(now)
        for event in self.world.events:
            self.metrics.note(event)
        self.metrics.run_ended(result)
        return result

    @property
    def samples(self) -> Samples:
        return samples_of(self.registry)

    def events(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.world.events if isinstance(event, kind)]


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    orgs = [make_org(name) for name in "abcde"]
    return Counted(World(tmp_path, orgs=orgs, api=FakeApi(script=BAD), schedule={"lookback": "5d"}))


def test_every_request_and_retry_is_counted_by_what_came_of_it(counted: Counted) -> None:
    result = counted.collect(NOON)
    samples = counted.samples
    assert total(samples, "requests_total") == len(counted.events(RequestEnded)) == result.summary.requests
    assert value(samples, "requests_total", result="rate_limited") > 0
    assert value(samples, "requests_total", result="partial") > 0
    assert value(samples, "requests_total", result="refused_credential") == 2  # an org that refuses is asked twice
    assert value(samples, "requests_total", result="connection_lost") > 0
    assert value(samples, "requests_total", result="ok") > 0
    assert total(samples, "retries_total") == len(counted.events(RetryScheduled))
    assert value(samples, "retries_total", reason="rate_limited") > 0
    assert value(samples, "refusals_total", reason="credential") == 1
    assert value(samples, "request_duration_seconds_count") == value(samples, "request_wait_seconds_count")
    assert value(samples, "request_duration_seconds_count") == result.summary.requests


def test_slices_by_state_add_up_to_what_the_manifest_says(counted: Counted) -> None:
    result = counted.collect(NOON)
    for state in SliceState:
        assert value(counted.samples, "slices_total", state=state) == result.summary.count(state), state
        assert value(counted.samples, "last_run_slices", command="collect", state=state) == result.summary.count(state)


def test_records_by_quality_are_those_in_the_files(counted: Counted) -> None:
    counted.collect(NOON)
    for quality in Quality:
        written = sum(record["quality"] == quality for record in counted.world.records)
        assert value(counted.samples, "records_total", quality=quality) == written
    assert value(counted.samples, "records_total", quality="unavailable") > 0


def test_a_restated_number_is_counted_once(tmp_path: Path) -> None:
    counted = Counted(World(tmp_path, orgs=[make_org("a")]))
    counted.collect(NOON)
    before = total(counted.samples, "records_total")
    assert value(counted.samples, "restatements_total") == 0
    more = {"automation": {"totalTests": 77, "totalDuration": 700}}
    counted.world.api = FakeApi(script=lambda org, request, _n: answer(org, request, products=PRODUCTS | more))
    counted.collect(NOON + 2 * DAY)
    restated = sum(record["revision"] > 1 for record in counted.world.records)
    assert restated > 0
    assert value(counted.samples, "restatements_total") == restated
    assert value(counted.samples, "last_run_restatements", command="collect") == restated
    assert (
        value(counted.samples, "last_run_records", command="collect")
        == total(counted.samples, "records_total") - before
    )


def test_counters_go_on_and_the_last_run_is_the_last_alone(counted: Counted) -> None:
    first = counted.collect(NOON)
    second = counted.collect(NOON + DAY)
    samples = counted.samples
    assert total(samples, "requests_total") == first.summary.requests + second.summary.requests
    assert value(samples, "last_run_requests", command="collect") == second.summary.requests
    assert value(samples, "last_run_end_timestamp_seconds", command="collect") == second.ended_at.timestamp()
    assert value(samples, "last_run_exit_code", command="collect") == 4
    assert value(samples, "runs_total", command="collect", exit_code="4") == 2
    assert value(samples, "run_duration_seconds_count", command="collect") == 2


def test_the_api_is_down_until_an_answer_comes_also_of_a_later_run(tmp_path: Path) -> None:
    counted = Counted(World(tmp_path, api=FakeApi(script=lambda *_: status(502))))
    assert value(counted.samples, "api_down") == 0
    counted.collect(NOON)
    assert counted.events(ApiDown)
    assert value(counted.samples, "api_down") == 1, "the run gave up: nobody said that the API is back"
    counted.world.api = FakeApi()
    counted.collect(NOON + timedelta(hours=1))
    assert value(counted.samples, "api_down") == 0


def test_an_org_that_is_given_up_is_no_refusal(tmp_path: Path) -> None:
    counted = Counted(World(tmp_path, api=FakeApi(script=lambda *_: status(502))))
    counted.collect(NOON)
    assert counted.events(LaneEnded)
    assert total(counted.samples, "refusals_total") == 0


@dataclass(frozen=True)
class Ended:
    command: str = "serve"
    started_at: datetime = datetime(2026, 6, 24, 11, tzinfo=UTC)
    ended_at: datetime = datetime(2026, 6, 24, 12, tzinfo=UTC)
    exit_code: int | None = 0


@pytest.mark.parametrize(("exception", "code"), [("KeyError", 1), ("LedgerError", 5), ("OutputError", 5)])
def test_a_run_that_an_exception_ended_is_named_and_is_no_finished_run(exception: str, code: int) -> None:
    registry = new_registry()
    metrics = RunMetrics(registry)
    metrics.run_ended(Ended())
    later = datetime(2026, 6, 24, 14, tzinfo=UTC)
    metrics.run_ended(Ended(exit_code=None, ended_at=later), exception=exception)
    samples = samples_of(registry)
    assert value(samples, "run_exceptions_total", exception=exception) == 1
    assert value(samples, "runs_total", command="serve", exit_code=str(code)) == 1
    assert value(samples, "last_run_exit_code", command="serve") == code
    assert value(samples, "last_run_end_timestamp_seconds", command="serve") == later.timestamp()
    assert value(samples, "last_finished_run_timestamp_seconds", command="serve") == Ended().ended_at.timestamp()


def test_runs_of_an_earlier_process_are_known_but_not_counted() -> None:
    registry = new_registry()
    metrics = RunMetrics(registry)
    newest = Ended(exit_code=None, ended_at=datetime(2026, 6, 24, 15, tzinfo=UTC))  # killed: it says nothing
    failed = Ended(exit_code=5, ended_at=datetime(2026, 6, 24, 14, tzinfo=UTC))
    metrics.seed([newest, failed, Ended(), Ended(ended_at=datetime(2026, 6, 23, tzinfo=UTC))])
    samples = samples_of(registry)
    assert value(samples, "last_run_exit_code", command="serve") == 5
    assert value(samples, "last_run_end_timestamp_seconds", command="serve") == failed.ended_at.timestamp()
    assert value(samples, "last_finished_run_timestamp_seconds", command="serve") == Ended().ended_at.timestamp()
    assert total(samples, "runs_total") == 0
    metrics.run_ended(Ended(exit_code=3, ended_at=datetime(2026, 6, 24, 16, tzinfo=UTC)))
    metrics.seed([Ended()])
    assert value(samples_of(registry), "last_run_exit_code", command="serve") == 3
