"""The metrics of a command that ends: pushed to a Pushgateway or by OTLP, or written for a textfile collector.

A push that fails is logged as a warning and changes no exit code. Each push has a timeout of
some seconds. There are two groups. One is the run, grouped by
its command, so that a `backfill` never hides that no `collect` runs any more. The other is the
state of each org: there the newest push replaces the ones before. A group is a group of the gateway, and a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from collector.adapters.clock import SystemClock
from collector.adapters.metrics import EndedRun, Labelled, RunMetrics, new_registry, push, write_textfile
from collector.app.budgets import read_budgets, warn_of_products
from collector.app.command import Command, has_ledger
from collector.app.coverage import CoverageReader
from collector.app.ledgers import open_ledger
from collector.app.scope import Scope
from collector.config import LoadedConfig
from collector.core.shards import Shard
from collector.errors import ConfigError
from collector.events import Event
from collector.ledger import SqlLedger
from collector.ports import Clock
from collector.service.budget_metrics import BudgetMetrics
from collector.service.org_metrics import OrgMetrics
from collector.service.otlp import TIMEOUT_S, check_otlp, send_otlp, warned

_SIGNAL = 128
_COLLECT = "collect"
_ORGS = "orgs"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crashed:
    """A run that an exception ended."""

    command: str
    started_at: datetime
    ended_at: datetime
    exit_code: None = None


@dataclass(slots=True)
class Leaving:
    """The events and the result of a run, kept for the push at its end. Set `result` once it is there."""

    metrics: RunMetrics | None = None
    result: EndedRun | None = None

    def note(self, event: Event) -> None:
        """Count an event, if anything is to be pushed."""
        if self.metrics is not None:
            self.metrics.note(event)


@contextmanager
def leaving_metrics(config: LoadedConfig, command: Command, *, clock: Clock | None = None) -> Iterator[Leaving]:
    """Yield what collects a run's events and result. After the run, also after an exception, push its metrics."""
    wanted = config.settings.push
    if wanted.gateway is None and wanted.textfile is None and wanted.otlp.endpoint is None:
        yield Leaving()
        return
    check_otlp(config.settings)
    clock = clock or SystemClock()
    registry = new_registry()
    ProcessCollector(registry=registry)
    metrics = RunMetrics(registry)
    leaving, started_at = Leaving(metrics), clock.now()
    try:
        yield leaving
    except ConfigError:
        raise  # nothing was fetched: there was no run
    except Exception as error:
        crashed = _Crashed(command=command.name, started_at=started_at, ended_at=clock.now())
        metrics.run_ended(crashed, exception=type(error).__name__)
        _send(config, command, registry, None, started_at=started_at, now=crashed.ended_at)
        raise
    if leaving.result is not None:
        metrics.run_ended(leaving.result)
        stopped = (leaving.result.exit_code or 0) > _SIGNAL  # the one who stopped it is waiting
        orgs = None if stopped else _orgs(config, command, clock)
        _send(config, command, registry, orgs, started_at=started_at, now=clock.now())


def _orgs(config: LoadedConfig, command: Command, clock: Clock) -> Collector | None:
    """Return the metrics of all orgs and budgets of the config or shard, whatever the run's scope.

    None if there is no ledger, or orgs can't be read.
    """
    found: list[Collector] = []
    if has_ledger(config):
        scope = Scope(shard=command.scope.shard)
        with warned("reading the metrics of orgs"), _reading(config, clock) as ledger:
            found.append(_of_orgs(ledger, config, scope, clock))
            if config.budgets:
                with warned("reading the metrics of budgets"):
                    found.append(_of_budgets(ledger, config, scope, clock))
    return _Together(found) if found else None


@contextmanager
def _reading(config: LoadedConfig, clock: Clock) -> Iterator[SqlLedger]:
    ledger = open_ledger(config.settings, "push", clock, create=False)
    try:
        yield ledger
    finally:
        ledger.close()


def _of_orgs(ledger: SqlLedger, config: LoadedConfig, scope: Scope, clock: Clock) -> OrgMetrics:
    service = config.settings.service
    orgs = CoverageReader(config, scope).read_all(ledger, clock.now())
    removed = ledger.removed([org.name for org in config.orgs])
    return OrgMetrics(orgs=orgs, per_org=service.org_metrics, usage=service.usage_metrics, removed=len(removed))


def _of_budgets(ledger: SqlLedger, config: LoadedConfig, scope: Scope, clock: Clock) -> BudgetMetrics:
    now = clock.now()
    shard = None if scope.shard is None else str(scope.shard)
    standings = read_budgets(ledger, config, scope, now=now)
    warn_of_products(standings)
    return BudgetMetrics(standings=standings, read_at=now, shard=shard)


class _Together(Collector):
    """The metrics of several collectors."""

    def __init__(self, of: Sequence[Collector]) -> None:
        self._of = of

    def collect(self) -> Iterator[Metric]:
        return chain.from_iterable(one.collect() for one in self._of)


def _send(
    config: LoadedConfig,
    command: Command,
    registry: CollectorRegistry,
    orgs: Collector | None,
    *,
    started_at: datetime,
    now: datetime,
) -> None:
    wanted, shard = config.settings.push, command.scope.shard
    of_command = {"command": command.name}
    group = {} if shard is None else {"instance": f"shard-{shard.index}-of-{shard.of}"}
    if gateway := wanted.gateway:
        with warned("pushing the metrics of the run"):
            push(gateway, registry, grouping=group | of_command, timeout_s=TIMEOUT_S)
        if orgs is not None:
            with warned("pushing the metrics of orgs"):
                push(gateway, orgs, grouping=group, timeout_s=TIMEOUT_S)
    if wanted.textfile:
        group = {} if shard is None else {"shard": f"{shard.index}-of-{shard.of}"}
        with warned("push.textfile"):
            file = textfile(wanted.textfile, command.name, shard)
            write_textfile(file, registry, labels=group | of_command)
            if orgs is not None:
                write_textfile(textfile(wanted.textfile, _ORGS, shard), orgs, labels=group)
    with warned("push.otlp"):
        families = chain(Labelled(registry, of_command).collect(), () if orgs is None else orgs.collect())
        send_otlp(wanted.otlp, families, shard=shard, started_at=min(started_at, now), now=now)


def textfile(configured: Path, group: str, shard: Shard | None) -> Path:
    """Return the file of a group. That of `collect` has the configured name: an alert watches its age."""
    parts = [configured.stem]
    if shard is not None:
        parts.append(f"shard-{shard.index}-of-{shard.of}")
    if group != _COLLECT:
        parts.append(group)
    return configured.with_name("-".join(parts) + configured.suffix)
