"""The coverage of orgs as gauges: for `/metrics`, and at the end of a run that pushes.

A pure function of `core.org_coverage`. A series per org exists only where `service.org_metrics` wants it; the
aggregates always do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.adapters.metrics import Bounded
from collector.core.org_coverage import INCOMPLETE, CoverageState, OrgCoverage, PopulationCoverage
from collector.errors import RefusalReason
from collector.model import ProductUsage

BEHIND_S = 86_400.0  # an org with such a lag counts as behind
PRODUCTS = 16  # with a label of their own in the gauges of usage
_DOCUMENTED = ("automation", "app-automation", "hyperexecute", "realtime", "realdevice", "smartui")
_UNKNOWN = "unknown"


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"collector_{name}", text, labels=labels)


@dataclass(slots=True, kw_only=True, eq=False)
class OrgMetrics(Collector):
    """Yields the gauges of `orgs`. `products` keeps which names are labels from scrape to scrape."""

    orgs: Mapping[str, OrgCoverage] = field(default_factory=dict)
    per_org: bool = True
    usage: bool = False
    removed: int | None = None  # orgs that the config no longer has; None: another collector has the gauge
    products: Bounded = field(default_factory=lambda: Bounded.of(PRODUCTS, _DOCUMENTED))

    def collect(self) -> Iterator[Metric]:
        """Yield all families; those that are switched off are left out."""
        orgs = self.orgs.values()
        yield from self.fleet(orgs)
        if self.removed is not None:
            yield removed_metric(self.removed)
        if self.per_org:
            yield from self.each(orgs, usage=self.usage)

    def fleet(self, orgs: Collection[OrgCoverage]) -> Iterator[Metric]:
        """Yield the aggregates."""
        return _fleet(orgs)

    def each(self, orgs: Collection[OrgCoverage], *, usage: bool) -> Iterator[Metric]:
        """Yield the families with a label for the org, always the same ones in the same order."""
        yield from _each(orgs)
        if usage:
            yield from _usage(orgs, self.products)


def removed_metric(orgs: int) -> GaugeMetricFamily:
    """Return the gauge of the orgs that the config no longer has."""
    return _value("orgs_removed", "Orgs that the config no longer has, and that nobody has forgotten", orgs)


def _fleet(orgs: Collection[OrgCoverage]) -> Iterator[Metric]:
    lags = [org.lag_s for org in orgs]
    refused = Counter(org.credential.reason or _UNKNOWN for org in orgs if org.refused)
    incomplete = [org for org in orgs if org.incomplete]
    windows = {state: [org.count(state) for org in incomplete] for state in INCOMPLETE}
    successes = [p.last_success for org in orgs for p in org.populations if p.last_success]
    yield _value("orgs", "Orgs of the config", len(orgs))
    yield _value("orgs_behind", "Orgs that lag by a day or more", sum(lag_s >= BEHIND_S for lag_s in lags))
    yield _value("max_lag_seconds", "The largest lag of any org", max(lags, default=0.0))
    yield _by("orgs_refused", "Orgs whose credential is refused", "reason", [*RefusalReason, _UNKNOWN], refused)
    orgs_lacking = {state.value: sum(count > 0 for count in counts) for state, counts in windows.items()}
    text = "Orgs with wanted, due windows that are not complete, by the windows' state"
    yield _by("orgs_lacking", text, "state", INCOMPLETE, orgs_lacking)
    lacking_windows = {state.value: sum(counts) for state, counts in windows.items()}
    yield _by("lacking_windows", "Wanted, due windows that are not complete", "state", INCOMPLETE, lacking_windows)
    unverified = sum(org.count(CoverageState.UNVERIFIED) for org in orgs)
    text = "Wanted, due windows that are zero throughout, and so old that the API may have deleted the data"
    yield _value("unverified_windows", text, unverified)
    beyond = sum(org.stranded is not None for org in orgs)
    yield _value("orgs_beyond_catch_up", "Orgs with gaps so old that only a backfill fills them", beyond)
    if successes:
        text = "The last success that is the longest ago, of all orgs and populations"
        yield _value("oldest_last_success_timestamp_seconds", text, min(successes).timestamp())


def _each(orgs: Iterable[OrgCoverage]) -> Iterator[Metric]:
    lag = _gauge("org_lag_seconds", "How far the newest complete window is behind the newest due", *_WHO)
    success = _gauge("org_last_success_timestamp_seconds", "When a complete answer last came", *_WHO)
    text = "Wanted, due windows that are not complete; no series where there are none"
    incomplete = _gauge("org_lacking_windows", text, *_WHO, "state")
    refused = _gauge("org_refused", "1 where the org's credential is refused", "org")
    for population, who in _populations(orgs):
        lag.add_metric(who, population.lag_s)
        if population.last_success is not None:
            success.add_metric(who, population.last_success.timestamp())
        for state in INCOMPLETE:
            if count := population.count(state):
                incomplete.add_metric([*who, state], count)
    for org in orgs:
        refused.add_metric([_label(org.name)], org.refused)
    yield from (lag, success, incomplete, refused)


def _usage(orgs: Iterable[OrgCoverage], products: Bounded) -> Iterator[Metric]:
    usage = _gauge("org_usage", "Usage in the newest due window, as the API reports it", *_WHO, "product", "metric")
    users = _gauge("org_users", "Distinct users in the newest due window: never to be summed", *_WHO)
    window = _gauge("org_usage_window_end_timestamp_seconds", "The end of the window that the usage is of", *_WHO)
    for population, who in _populations(orgs):
        for (product, metric), value in _totals(population.newest_usage, products).items():
            usage.add_metric([*who, product, metric], value)
        if population.newest_users is not None:
            users.add_metric(who, population.newest_users)
        if population.newest_usage and population.newest_due is not None:
            window.add_metric(who, population.newest_due.timestamp())
    yield from (usage, users, window)


_WHO = ("org", "population")


def _populations(orgs: Iterable[OrgCoverage]) -> Iterator[tuple[PopulationCoverage, list[str]]]:
    for org in orgs:
        name = _label(org.name)
        for population in org.populations:
            yield population, [name, population.population]


def _totals(usages: Mapping[str, ProductUsage], products: Bounded) -> Counter[tuple[str, str]]:
    totals: Counter[tuple[str, str]] = Counter()
    for name, usage in usages.items():
        product = products.label(_label(name))
        counts = {"tests": usage.total_tests, "duration": usage.total_duration, "screenshots": usage.total_screenshots}
        for metric, count in counts.items():
            if count is not None:
                totals[product, metric] += count
    return totals


def _value(name: str, text: str, value: float) -> GaugeMetricFamily:
    family = _gauge(name, text)
    family.add_metric([], value)
    return family


def _by(name: str, text: str, label: str, values: Iterable[str], counts: Mapping[str, int]) -> GaugeMetricFamily:
    family = _gauge(name, text, label)
    for value in values:
        family.add_metric([value], counts.get(value, 0))
    return family


def _label(text: str) -> str:
    """Return a text that UTF-8 can hold: the client escapes everything else."""
    return text.encode("utf-8", "replace").decode()
