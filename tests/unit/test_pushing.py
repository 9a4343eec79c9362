"""What leaves a command that ends, and what doesn't."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.metrics import RunMetrics, new_registry
from collector.app.command import Command
from collector.config import LoadedConfig, Settings
from collector.errors import ConfigError, OutputError, Retriable
from collector.events import ApiDown
from collector.service.push import leaving_metrics
from tests.support.fake_api import FakeClock
from tests.support.metrics import labels_of, parsed, value

COLLECT = Command(name="collect", range_=None)
DOWN = ApiDown(host="api.example.test", failures=10, last=Retriable(code="dns", message=""))


@dataclass(frozen=True)
class Result:
    command: str = "collect"
    started_at: datetime = datetime(2026, 6, 24, 10, tzinfo=UTC)
    ended_at: datetime = datetime(2026, 6, 24, 11, tzinfo=UTC)
    exit_code: int = 0


def config(**push: Any) -> LoadedConfig:
    settings = Settings(push=push, state={"url": "none"})
    return LoadedConfig(settings=settings, orgs=(), path=Path(), files=(), warnings=())


def test_where_nothing_is_to_be_pushed_nothing_is_counted() -> None:
    with leaving_metrics(config(), COLLECT) as leaving:
        leaving.note(DOWN)
        assert leaving.metrics is None
        leaving.result = Result()


def test_events_reach_the_metrics(tmp_path: Path) -> None:
    file = tmp_path / "collector.prom"
    with leaving_metrics(config(textfile=str(file)), COLLECT, clock=FakeClock()) as leaving:
        leaving.note(DOWN)
        leaving.result = Result()
    samples = parsed(file.read_text())
    assert value(samples, "api_down") == 1
    assert value(samples, "last_run_duration_seconds", command="collect") == 3600
    assert not labels_of(samples, "orgs"), "without a ledger nobody knows where orgs stand"


def test_a_run_that_an_exception_ended_is_told_and_the_exception_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "collector.prom"
    with (
        pytest.raises(OutputError),
        leaving_metrics(config(textfile=str(file)), Command(name="backfill", range_=None), clock=FakeClock()),
    ):
        raise OutputError("the disk is full")
    assert value(parsed(file.read_text()), "last_run_exit_code", command="backfill") == 5


def test_a_config_that_is_refused_ended_no_run(tmp_path: Path) -> None:
    file = tmp_path / "collector.prom"
    with pytest.raises(ConfigError), leaving_metrics(config(textfile=str(file)), COLLECT, clock=FakeClock()):
        raise ConfigError("calendars overlap")
    assert not file.exists()


def test_a_defect_that_has_many_names_has_a_bounded_number_of_labels() -> None:
    registry = new_registry()
    metrics = RunMetrics(registry)
    for number in range(100):
        metrics.run_ended(Result(), exception=f"Error{number}")
    text = "\n".join(str(sample) for family in registry.collect() for sample in family.samples)
    assert text.count("collector_run_exceptions_total") == 21
