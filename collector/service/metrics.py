"""What `/metrics` answers: the counters of runs, and what operators see, as gauges made at each scrape.

Never reads the ledger or calls the API: orgs are shown as they were last read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise

from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.adapters.metrics import LoopLag, RunMetrics, add_process_metrics, new_registry
from collector.config import Settings
from collector.core.ledger_entries import RECONCILE
from collector.core.schedule import Schedule
from collector.events import Event
from collector.model import Zone
from collector.service.budget_metrics import BudgetMetrics
from collector.service.health import unready
from collector.service.loop import COMMAND
from collector.service.org_metrics import OrgMetrics, removed_metric
from collector.service.org_text import OrgText, Wanted
from collector.service.view import Observed, RunView

_HORIZON = timedelta(days=8)  # a week has all that a usual schedule does
_RUNS_LOOKED_AT = 300


class ServiceMetrics:
    """The metrics of one service. `note` takes the events of its runs, `run_ended` their ends."""

    def __init__(self, observed: Observed, wanted: Callable[[], Wanted] = Wanted) -> None:
        self.registry = new_registry()
        add_process_metrics(self.registry)
        self.loop_lag = LoopLag(self.registry)
        self._runs = RunMetrics(self.registry)
        self._observed = observed
        self._wanted = wanted
        self._orgs = OrgText()
        self._seeded = False
        self.registry.register(_Now(observed))

    def note(self, event: Event) -> None:
        """Count an event of a run."""
        self._runs.note(event)

    def run_ended(self, run: RunView) -> None:
        """Count the end of a run."""
        self._runs.run_ended(run, exception=run.exception)

    def families(self) -> Iterator[Metric]:
        """Return all of it. Called on the event loop; the orgs' part, by far the largest, is made when it is read."""
        self._seed()
        wanted = self._wanted()
        orgs = OrgMetrics(
            orgs=self._observed.orgs, per_org=wanted.per_org, usage=wanted.usage, products=self._orgs.products
        )
        return chain(list(self.registry.collect()), orgs.collect())

    def text(self) -> bytes:
        """Return all of it in the text format, version 0.0.4. Called on the event loop."""
        self._seed()
        return generate_latest(self.registry) + self._orgs.of(self._observed.orgs, self._wanted())

    def _seed(self) -> None:
        if self._observed.runs and not self._seeded:
            self._seeded = True
            self._runs.seed(run for run in self._observed.runs if run.command in (COMMAND, RECONCILE))


def wanted_of(settings: Settings) -> Wanted:
    """Return what the config wants."""
    return Wanted(per_org=settings.service.org_metrics, usage=settings.service.usage_metrics)


class _Now(Collector):
    """The gauges of the service itself, read from what operators see."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._interval: tuple[str, str, float] | None = None

    def collect(self) -> Iterator[Metric]:
        observed = self._observed
        progress = observed.current.progress if observed.current else None
        yield _gauge("run_under_way", "1 while a run is under way", progress is not None)
        left = sum(progress.left.values()) if progress else 0
        yield _gauge("queue_slices", "Slices of the run under way that are planned and have not ended", left)
        text = "1 if /readyz answers 200: config, ledger and output can be used"
        yield _gauge("ready", text, unready(observed) is None)
        yield _gauge("shards", "Services that share the orgs of the config; 1 without shards", observed.shards)
        if observed.next_run is not None:
            yield _moment("next_run", "When the next run is due", observed.next_run)
        if observed.next_reconcile is not None:
            yield _moment("next_reconcile", "When the next reconcile is due", observed.next_reconcile)
        if observed.cron:
            text = "The longest time between two runs that the schedule has within a week"
            yield _gauge("schedule_interval_seconds", text, self._interval_s(observed))
        text = "1 if the newest config is in force, 0 if it was refused and an older one stays"
        yield _gauge("config_last_reload_successful", text, observed.config_refused_at is None)
        yield _moment("config_last_reload_success", "When a config last came into force", observed.config_loaded_at)
        if observed.config_refused_at is not None:
            yield _moment("config_last_reload_failure", "When the config was refused", observed.config_refused_at)
        if observed.snapshot_at is not None:
            yield removed_metric(len(observed.removed))
            yield _moment("snapshot", "When the ledger was read for what is shown of orgs", observed.snapshot_at)
        if observed.budgets_read_at is not None:
            yield from BudgetMetrics(
                standings=observed.budgets, read_at=observed.budgets_read_at, shard=observed.shard
            ).collect()

    def _interval_s(self, observed: Observed) -> float:
        if self._interval is None or self._interval[:2] != (observed.cron, observed.timezone):
            schedule = Schedule(observed.cron, Zone.parse(observed.timezone))
            interval_s = longest_interval_s(schedule, observed.started_at)
            self._interval = (observed.cron, observed.timezone, interval_s)
        return self._interval[2]


def longest_interval_s(schedule: Schedule, now: datetime) -> float:
    """Return the longest time between two neighbouring runs of a schedule, in seconds, as a week shows it."""
    runs = [schedule.after(now)]
    while len(runs) < 2 or (runs[-1] - runs[0] < _HORIZON and len(runs) < _RUNS_LOOKED_AT):
        runs.append(schedule.after(runs[-1]))
    return max((later - earlier).total_seconds() for earlier, later in pairwise(runs))


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"collector_{name}", text, value=float(value))


def _moment(name: str, text: str, at: datetime) -> GaugeMetricFamily:
    return _gauge(f"{name}_timestamp_seconds", text, at.astimezone(UTC).timestamp())
