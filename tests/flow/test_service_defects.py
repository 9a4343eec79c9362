"""An exception planted in each part of a run: the service goes on, and the log and the metric name it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from collector.adapters.sinks import DirectorySink
from collector.core.exit_codes import ExitCode
from collector.deliver.write_queue import WriteQueue
from collector.deliver.writer import Writer
from collector.fetch.lane import Lane
from collector.fetch.limiter import Limiter
from collector.ledger import SqlLedger
from collector.run.identity import IdentityCheck
from collector.run.run import Run
from tests.flow.service_world import ServiceWorld
from tests.flow.world import NOON
from tests.support.fake_api import FakeApi

SECRET = "do-not-show-me"
PARTS: list[tuple[type, str]] = [
    (SqlLedger, "begin_run"),
    (SqlLedger, "register"),
    (SqlLedger, "acquire"),
    (SqlLedger, "coverage"),
    (SqlLedger, "commit"),
    (SqlLedger, "release"),
    (SqlLedger, "end_run"),
    (Lane, "take"),
    (Lane, "received"),
    (Limiter, "ready_at"),
    (WriteQueue, "put"),
    (Writer, "write"),
    (Writer, "seal"),
    (DirectorySink, "open"),
    (DirectorySink, "append"),
    (DirectorySink, "publish"),
    (DirectorySink, "write_manifest"),
    (Run, "_result"),
]
IN_ONE_SLICE: list[tuple[type, str]] = [(SqlLedger, "identify"), (IdentityCheck, "verify"), (FakeApi, "fetch")]


class PlantedError(Exception):
    """What nobody foresaw."""


def fail_once(monkeypatch: pytest.MonkeyPatch, where: type, method: str) -> list[int]:
    """Let the first call of a method raise, and later ones do what they do; return the calls that raised."""
    real: Callable[..., Any] = getattr(where, method)
    raised: list[int] = []

    def planted(*args: Any, **kwargs: Any) -> Any:
        if not raised:
            raised.append(1)
            raise PlantedError(SECRET)
        return real(*args, **kwargs)

    monkeypatch.setattr(where, method, planted)
    return raised


def assert_each_record_once(world: ServiceWorld) -> None:
    slices = [(r["org"], r["population"], r["window_start"], r["product"], r["revision"]) for r in world.records]
    assert len(slices) == len(set(slices)) == 2 * 2 * 3 * 2


@pytest.mark.parametrize(("where", "method"), PARTS, ids=lambda part: getattr(part, "__name__", part))
def test_the_service_goes_on_after_an_exception_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: type, method: str
) -> None:
    world = ServiceWorld(tmp_path, schedule={"cron": "20 * * * *", "jitter": "0"})
    raised = fail_once(monkeypatch, where, method)
    with structlog.testing.capture_logs() as logs:
        world.serve(NOON, timedelta(hours=1, minutes=30))
    assert raised
    assert world.ended[0].exit_code is None
    assert world.ended[0].exception == "PlantedError"
    assert [view.exit_code for view in world.ended[1:]] == [ExitCode.OK] * len(world.ended[1:])
    assert len(world.ended) >= 3
    assert any(line["event"] == "run.crashed" and line["exception"] == "PlantedError" for line in logs)
    assert all(line["where"] for line in logs if line["event"] == "run.crashed")
    assert SECRET not in str(logs) + str(world.ended)
    assert 'exception="PlantedError"' in world.metrics.text().decode()
    assert_each_record_once(world)


@pytest.mark.parametrize(("where", "method"), IN_ONE_SLICE, ids=lambda part: getattr(part, "__name__", part))
def test_an_exception_about_one_slice_fails_that_slice_and_the_next_run_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: type, method: str
) -> None:
    world = ServiceWorld(tmp_path, schedule={"cron": "20 * * * *", "jitter": "0"})
    raised = fail_once(monkeypatch, where, method)
    with structlog.testing.capture_logs() as logs:
        world.serve(NOON, timedelta(hours=1, minutes=30))
    assert raised
    assert [view.exit_code for view in world.ended] == [ExitCode.INCOMPLETE] + [ExitCode.OK] * (len(world.ended) - 1)
    assert len(world.ended) >= 2
    assert SECRET not in str(logs) + str(world.ended)
    assert_each_record_once(world)
