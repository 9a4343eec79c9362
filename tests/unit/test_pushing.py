"""What leaves a command that ends, and what doesn't."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector.adapters.metrics import RunMetrics, new_registry
from collector.app.budgets import read_budgets
from collector.app.command import Command
from collector.app.scope import Scope
from collector.config import LoadedConfig, Settings
from collector.core.budgets import Budget
from collector.core.shards import Shard
from collector.errors import ConfigError, LedgerError, OutputError, Retriable
from collector.events import ApiDown
from collector.service.push import leaving_metrics, textfile
from tests.support.budgets import budget
from tests.support.fake_api import FakeClock
from tests.support.fleets import HEALTHY, NOW, Fleet, make_fleet, numbered
from tests.support.metrics import Samples, labels_of, parsed, value
from tests.support.otlp import Answer, receiving

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
    assert value(samples, "api_down", command="collect") == 1
    assert value(samples, "last_run_duration_seconds", command="collect") == 3600
    assert not labels_of(samples, "orgs"), "without a ledger nobody knows where orgs stand"


def test_a_run_that_an_exception_ended_is_told_and_the_exception_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "collector.prom"
    with (
        pytest.raises(OutputError),
        leaving_metrics(config(textfile=str(file)), Command(name="backfill", range_=None), clock=FakeClock()),
    ):
        raise OutputError("the disk is full")
    backfill = (tmp_path / "collector-backfill.prom").read_text()
    assert value(parsed(backfill), "last_run_exit_code", command="backfill") == 5


def test_a_backfill_leaves_the_file_of_collect_as_it_is_and_no_series_is_in_two_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("collector.prom", "collector-backfill.prom")]
    for name in ("collect", "backfill"):
        command = Command(name=name, range_=None)
        with leaving_metrics(config(textfile=str(files[0])), command, clock=FakeClock()) as leaving:
            leaving.result = Result(command=name)
        if name == "collect":
            collected = files[0].read_bytes()
    assert files[0].read_bytes() == collected
    first, second = (parsed(file.read_text()) for file in files)
    assert first
    assert not first.keys() & second.keys()


def test_shards_of_one_machine_have_files_of_their_own(tmp_path: Path) -> None:
    for index in (0, 1):
        command = Command(name="collect", range_=None, scope=Scope(shard=Shard(index, 2)))
        with leaving_metrics(config(textfile=str(tmp_path / "c.prom")), command, clock=FakeClock()) as leaving:
            leaving.result = Result()
    first, second = (parsed((tmp_path / f"c-shard-{index}-of-2.prom").read_text()) for index in (0, 1))
    assert value(first, "last_run_exit_code", command="collect", shard="0-of-2") == 0
    assert not first.keys() & second.keys()


def pushed(fleet: Fleet, *budgets: Budget, shard: Shard | None = None) -> Samples:
    file = fleet.directory / "collector.prom"
    settings = Settings(push={"textfile": str(file)}, state={"url": fleet.url})
    config = replace(fleet.config, settings=settings, budgets=budgets)
    command = Command(name="collect", range_=None, scope=Scope(shard=shard))
    with leaving_metrics(config, command, clock=FakeClock(NOW)) as leaving:
        leaving.result = Result()
    return parsed(textfile(file, "orgs", shard).read_text())


def test_budgets_are_pushed_with_the_orgs(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, numbered(3), lambda _: HEALTHY)
    (of,) = read_budgets(fleet.open(), replace(fleet.config, budgets=(budget(),)), Scope(), now=NOW)
    samples = pushed(fleet, budget())
    assert value(samples, "orgs") == 3
    assert value(samples, "budget_used_ratio", budget="all") == float(of.used_ratio or 0) > 0
    assert value(samples, "budget_forecast_ratio", budget="all") == float(of.forecast_ratio or 0)
    assert value(samples, "budgets_read_timestamp_seconds") == NOW.timestamp()
    assert not labels_of(pushed(fleet), "budgets_read_timestamp_seconds"), "there are none"


def test_a_misspelt_product_of_a_budget_is_logged_and_has_no_ratio(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, numbered(2), lambda _: HEALTHY)
    with capture_logs() as logs:
        samples = pushed(fleet, budget(products=("automaton",)))
    assert not labels_of(samples, "budget_used_ratio")
    assert [(one["event"], one["budget"]) for one in logs] == [("budgets.product_not_counted", "all")]


def test_shards_push_their_parts_of_a_budget(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, numbered(6), lambda _: HEALTHY)
    whole = value(pushed(fleet, budget()), "budget_used_ratio", budget="all")
    parts = [
        value(
            pushed(fleet, budget(), shard=Shard(n, 2)),
            "budget_used_ratio",
            budget="all",
            part=f"{n}/2",
            shard=f"{n}-of-2",
        )
        for n in range(2)
    ]
    assert sum(parts) == pytest.approx(whole)


def test_budgets_that_can_not_be_read_are_a_warning_and_orgs_are_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise LedgerError("the disk is gone")

    fleet = make_fleet(tmp_path, numbered(2), lambda _: HEALTHY)
    monkeypatch.setattr("collector.service.push.read_budgets", fails)
    with capture_logs() as logs:
        assert value(pushed(fleet, budget()), "orgs") == 2
    assert [(one["event"], one["what"]) for one in logs] == [("metrics.not_pushed", "reading the metrics of budgets")]


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


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "collector.adapters.metrics.otlp", raising=False)
    monkeypatch.delitem(sys.modules, "collector.adapters.metrics.otlp_data", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics.export", None)


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_packages_of_otlp_no_run_begins_and_the_message_names_the_extra() -> None:
    otlp = {"endpoint": "http://127.0.0.1:4318"}
    began = False
    with pytest.raises(ConfigError, match=r"push\.otlp needs packages .*pip install 'usage-collector\[otlp\]'"):  # noqa: SIM117
        with leaving_metrics(config(otlp=otlp), COLLECT, clock=FakeClock()):
            began = True
    assert not began


def test_headers_that_can_not_be_read_end_a_command_before_its_run(tmp_path: Path) -> None:
    otlp = {"endpoint": "http://127.0.0.1:4318", "headers_file": str(tmp_path / "nowhere")}
    began = False
    with pytest.raises(ConfigError, match="doesn't exist"):  # noqa: SIM117
        with leaving_metrics(config(otlp=otlp), COLLECT, clock=FakeClock()):
            began = True
    assert not began


def test_a_run_pushes_over_otlp_what_it_writes_into_a_textfile(tmp_path: Path) -> None:
    file, headers = tmp_path / "collector.prom", tmp_path / "headers"
    headers.write_text("authorization: Bearer x\n")
    headers.chmod(0o600)
    with receiving() as receiver:
        pushes = config(textfile=str(file), otlp={"endpoint": receiver.url, "headers_file": str(headers)})
        with leaving_metrics(pushes, COLLECT, clock=FakeClock()) as leaving:
            leaving.note(DOWN)
            leaving.result = Result()
    ours = {key: number for key, number in parsed(file.read_text()).items() if key[0].startswith("collector_")}
    assert {key: receiver.samples[key] for key in ours} == ours
    assert receiver.heads[0]["authorization"] == "Bearer x"


def test_a_run_that_an_exception_ended_is_pushed_over_otlp() -> None:
    with (
        receiving() as receiver,
        pytest.raises(OutputError),
        leaving_metrics(config(otlp={"endpoint": receiver.url}), COLLECT),
    ):
        raise OutputError("the disk is full")
    assert value(receiver.samples, "last_run_exit_code", command="collect") == 5


def test_each_shard_is_an_instance_of_its_own() -> None:
    command = Command(name="collect", range_=None, scope=Scope(shard=Shard(1, 2)))
    with receiving() as receiver, leaving_metrics(config(otlp={"endpoint": receiver.url}), command) as leaving:
        leaving.result = Result()
    assert receiver.resource()["service.instance.id"] == "shard-1-of-2"


def test_a_receiver_that_refuses_is_a_warning_and_the_run_ends_as_it_did(tmp_path: Path) -> None:
    with receiving(Answer(403)) as receiver, capture_logs() as logs:
        pushes = config(otlp={"endpoint": receiver.url}, textfile=str(tmp_path / "c.prom"))
        with leaving_metrics(pushes, COLLECT) as leaving:
            leaving.result = Result()
    (warning,) = logs
    assert (warning["event"], warning["what"]) == ("metrics.not_pushed", "push.otlp")
    assert warning["message"] == "the OTLP receiver, or a proxy before it, answered 403"
