"""What repeats is logged once: retries once a minute, and with -q warnings once an hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from structlog.testing import capture_logs

from collector.adapters.event_log import EventLog
from collector.adapters.logs import configure_logs
from collector.adapters.repeats import Repeats
from collector.cli.retries import Retries
from collector.errors import Retriable
from collector.events import RetryScheduled
from collector.model import Population, Slice, Window
from tests.support.orgs import make_org

DAY = timedelta(days=1)
T0 = datetime(2026, 6, 1, tzinfo=UTC)
BAD_GATEWAY, TIMEOUT = (Retriable(code=code, message="m") for code in ("http_502", "timeout"))


@dataclass
class Time:
    """A clock that stands until it is moved."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))  # also what is logged at debug
    yield
    structlog.configure(**before)


def retry(org: str = "a", reason: Retriable = BAD_GATEWAY, day: int = 0) -> RetryScheduled:
    window = Window(T0 + day * DAY, T0 + (day + 1) * DAY)
    slice_ = Slice(make_org(org), Population.ACCOUNT_USER, window)
    return RetryScheduled(slice=slice_, reason=reason, requests=1, delay_s=1.0)


def test_retries_of_an_org_for_one_reason_are_one_line_a_minute() -> None:
    time = Time()
    log = EventLog(time_s=time)
    with capture_logs() as logs:
        for day in range(5):
            log(retry(day=day))
        log(retry(reason=TIMEOUT))
        log(retry("b"))
        time.now_s += 60
        log(retry(day=5))
    lines = [(line["org"], line["reason"], line.get("repeated")) for line in logs if line["log_level"] == "info"]
    assert lines == [("a", "http_502", None), ("a", "timeout", None), ("b", "http_502", None), ("a", "http_502", 4)]
    assert [line["log_level"] for line in logs].count("debug") == 4  # none is left out there


def test_retries_of_a_run_at_a_terminal_are_summed_up_by_org_and_reason() -> None:
    log, retries = EventLog(retries=False), Retries()
    with capture_logs() as logs:
        for one in [*(retry(day=day) for day in range(5)), retry(reason=TIMEOUT), retry("b"), retry("b")]:
            log(one)
            retries.note(one)
    assert {line["log_level"] for line in logs} == {"debug"}
    assert [line.plain for line in retries.lines()] == [
        "a: 5 retries: http 502",
        "b: 2 retries: http 502",
        "a: 1 retry: timeout",
    ]


def test_of_many_orgs_that_were_retried_the_rest_is_one_line() -> None:
    retries = Retries()
    for n in range(50):
        retries.note(retry(f"org-{n}"))
    *first, last = [line.plain for line in retries.lines()]
    assert len(first) == 40
    assert last == "and 10 retries of other orgs or for other reasons"


def test_a_quiet_command_gives_a_warning_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="warning", format_="json", once=True)
    log = structlog.get_logger("collector")
    for day in range(3):
        log.warning("slice.failed", org="a", reason="timeout", window=f"2026-06-0{day + 1}")
        log.warning("slice.failed", org="b", reason="timeout", window=f"2026-06-0{day + 1}")
        log.error("output.failed", message="the disk is full")
        log.warning("run.finished", run_id=f"run-{day}")
    err = capsys.readouterr().err
    assert err.count("slice.failed") == 2
    assert err.count("output.failed") == err.count("run.finished") == 3


def test_what_is_forgotten_to_save_memory_is_logged_again() -> None:
    repeats = Repeats(60, kinds=2, time_s=Time())
    assert [repeats.due(kind) for kind in "aabbca"] == [0, None, 0, None, 0, 0]
