"""Metrics of runs, counted from their events, and the result of each run when it ends.

Counters continue from run to run, for a service that is scraped. The gauges `collector_last_run_*` show
only the last run of a command: they mean the same whether a run is part of a service or a process.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from collector.adapters.metrics.labels import ANSWERED, CODES, Bounded, code_label
from collector.core.anomalies import Anomaly
from collector.core.exit_codes import CAME_TO_ITS_END, ExitCode
from collector.errors import OUTPUT_ERRORS, RefusalReason, Refused
from collector.events import (
    ApiDown,
    ApiUp,
    Event,
    LaneEnded,
    RequestEnded,
    RetryScheduled,
    SliceCommitted,
    SliceOutcome,
)
from collector.model import Quality, SliceState

_LATENCY_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_WAIT_S = (0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
_DURATION_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 10800.0, 43200.0)
_MAX_EXCEPTIONS = 20  # distinct kinds that get a label value of their own


class EndedRun(Protocol):
    """A run that ended. Without an exit code, an exception ended it."""

    @property
    def command(self) -> str: ...  # noqa: D102

    @property
    def started_at(self) -> datetime: ...  # noqa: D102

    @property
    def ended_at(self) -> datetime: ...  # noqa: D102

    @property
    def exit_code(self) -> int | None: ...  # noqa: D102


class RunMetrics:
    """Counts the events of runs (`note`) and the ends of runs (`run_ended`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, label: str = "", values: Iterable[str] = ()) -> Counter:
            made = Counter(f"collector_{name}", text, [label] if label else [], registry=registry)
            for value in sorted(values):  # create all series at the start: without a first 0 there is no rate
                made.labels(value)
            return made

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"collector_{name}_seconds", text, buckets=buckets, registry=registry)

        self._requests = counter("requests", "Requests that ended, by result", "result", CODES)
        self._latency = histogram("request_duration", "Time from sending a request to its complete answer", _LATENCY_S)
        self._wait = histogram("request_wait", "How long limits and permits delayed a request", _WAIT_S)
        self._retries = counter("retries", "Retries that were scheduled, by reason", "reason", CODES)
        self._slices = counter("slices", "Slices that ended in a run", "state", SliceState)
        self._records = counter("records", "Records written", "quality", Quality)
        self._restatements = counter("restatements", "Records that differ from what was emitted before")
        self._suspicious = counter(
            "suspicious_slices", "Slices with an answer that looks wrong, by anomaly", "flag", Anomaly
        )
        self._refusals = counter("refusals", "Times an org was refused in a run", "reason", RefusalReason)
        self._hosts_down: set[str] = set()
        self._api_down = Gauge("collector_api_down", "1 while a host of the API is down", registry=registry)
        self._runs = _Runs(registry)
        self._tally: Tally[str] = Tally()

    def note(self, event: Event) -> None:
        """Count an event."""
        match event:
            case RequestEnded():
                self._request(event)
            case RetryScheduled():
                self._retries.labels(code_label(event.reason.code)).inc()
            case SliceOutcome():
                self._ended(event.state, 1)
            case SliceCommitted():
                self._committed(event)
            case LaneEnded():
                self._ended(event.state, event.remaining)
                if isinstance(event.failure, Refused):
                    self._refusals.labels(event.failure.reason).inc()
            case ApiDown():
                self._hosts_down.add(event.host)
                self._api_down.set(1)
            case ApiUp():
                self._host_answers(event.host)
            case _:
                pass

    def run_ended(self, run: EndedRun, *, exception: str | None = None) -> None:
        """Count the end of a run; `exception` is the name of the exception that ended it, if any."""
        self._runs.ended(run, self._tally, exception=exception)
        self._tally = Tally()

    def seed(self, runs: Iterable[EndedRun]) -> None:
        """Set the gauges from runs before this process started; `runs` are newest first."""
        for run in runs:
            if run.exit_code is not None:
                self._runs.seed(run)

    def _host_answers(self, host: str) -> None:
        self._hosts_down.discard(host)
        self._api_down.set(bool(self._hosts_down))

    def _request(self, event: RequestEnded) -> None:
        result = code_label(event.result)
        self._requests.labels(result).inc()
        self._latency.observe(event.latency_s)
        self._wait.observe(event.waited_s)
        self._tally["requests"] += 1
        self._tally["rate_limited"] += result == "rate_limited"
        if result in ANSWERED:
            self._host_answers(event.slice.org.host)  # a run that gave up on a host emits no ApiUp

    def _ended(self, state: SliceState, slices: int) -> None:
        self._slices.labels(state).inc(slices)
        self._tally[state] += slices

    def _committed(self, event: SliceCommitted) -> None:
        for quality, records in event.qualities.items():
            self._records.labels(quality).inc(records)
        for flag in event.flags:
            self._suspicious.labels(flag).inc()
        self._restatements.inc(event.restated)
        self._tally["records"] += event.records
        self._tally["restatements"] += event.restated


class _Runs:
    """The metrics about the ends of runs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def last(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"collector_last_run_{name}", text, ["command", *labels], registry=registry)

        self._runs = Counter("collector_runs", "Runs that ended", ["command", "exit_code"], registry=registry)
        self._durations = Histogram(
            "collector_run_duration_seconds", "How long runs took", ["command"], buckets=_DURATION_S, registry=registry
        )
        self._exceptions = Counter(
            "collector_run_exceptions", "Runs that an exception ended, by its type", ["exception"], registry=registry
        )
        self._kinds = Bounded.of(_MAX_EXCEPTIONS)
        self._end = last("end_timestamp_seconds", "When the last run ended, with any exit code")
        self._exit_code = last(
            "exit_code", "Its exit code; after an exception 1, or 5 if it was about output or ledger"
        )
        self._duration = last("duration_seconds", "How long it took")
        self._slices = last("slices", "Slices that ended in it", "state")
        self._counts = {
            "records": last("records", "Records that it wrote"),
            "restatements": last("restatements", "Those of them that differ from what was emitted before"),
            "requests": last("requests", "Requests that it made"),
            "rate_limited": last("rate_limited_requests", "Those of them that came back with 429"),
        }
        self._finished = Gauge(
            "collector_last_finished_run_timestamp_seconds",
            "When a run last finished by itself: exit code 0, 3, 4 or 6",
            ["command"],
            registry=registry,
        )
        self._known: set[str] = set()
        self._known_finished: set[str] = set()

    def ended(self, run: EndedRun, tally: Tally[str], *, exception: str | None) -> None:
        duration_s = (run.ended_at - run.started_at).total_seconds()
        self._runs.labels(run.command, str(_code(run, exception))).inc()
        self._durations.labels(run.command).observe(duration_s)
        if exception is not None:
            self._exceptions.labels(self._kinds.label(exception)).inc()
        self._set(run, exception)
        for state in SliceState:
            self._slices.labels(run.command, state).set(tally[state])
        for name, gauge in self._counts.items():
            gauge.labels(run.command).set(tally[name])

    def seed(self, run: EndedRun) -> None:
        if run.command not in self._known:
            self._set(run, None)
        elif run.command not in self._known_finished:
            self._set_finished(run)

    def _set(self, run: EndedRun, exception: str | None) -> None:
        self._known.add(run.command)
        self._end.labels(run.command).set(run.ended_at.timestamp())
        self._exit_code.labels(run.command).set(_code(run, exception))
        self._duration.labels(run.command).set((run.ended_at - run.started_at).total_seconds())
        self._set_finished(run)

    def _set_finished(self, run: EndedRun) -> None:
        if run.exit_code in CAME_TO_ITS_END:
            self._known_finished.add(run.command)
            self._finished.labels(run.command).set(run.ended_at.timestamp())


def _code(run: EndedRun, exception: str | None) -> int:
    if run.exit_code is not None:
        return int(run.exit_code)
    return ExitCode.OUTPUT if exception in OUTPUT_ERRORS else ExitCode.DEFECT
