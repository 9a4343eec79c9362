"""How budgets stand as gauges: for `/metrics`, and at the end of a run that pushes.

What isn't known has no series. A shard knows its own orgs only: its series have the label `part`, and are summed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.core.budgets import BudgetStanding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BudgetMetrics(Collector):
    """Yields the gauges of budgets."""

    standings: Sequence[BudgetStanding]
    read_at: datetime
    shard: str | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        where = {} if self.shard is None else {"part": self.shard}
        used = _gauge(
            "budget_used_ratio", "The used part of a budget, by what is known: 1 is all of it", "budget", *where
        )
        text = "What will be used of a budget by the end of the month, as a part of it"
        forecast = _gauge("budget_forecast_ratio", text, "budget", *where)
        text = "Due windows of the month whose numbers are unknown: what they used is not counted"
        unknown = _gauge("budget_unknown_windows", text, "budget", *where)
        amount = _gauge("budget_amount", "How much a budget allows in a month", "budget", "metric", *where)
        for one in self.standings:
            name = one.budget.name.encode("utf-8", "replace").decode()
            labels = [name, *where.values()]
            _add(used, labels, one.used_ratio)
            _add(forecast, labels, one.forecast_ratio)
            unknown.add_metric(labels, one.unknown)
            amount.add_metric([name, one.budget.metric, *where.values()], float(one.budget.amount))
        text = "When the ledger was read for the values of budgets"
        read = _gauge("budgets_read_timestamp_seconds", text, *where)
        read.add_metric([*where.values()], self.read_at.timestamp())
        yield from (used, forecast, unknown, amount, read)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"collector_{name}", text, labels=labels)


def _add(family: GaugeMetricFamily, labels: Sequence[str], ratio: Fraction | None) -> None:
    if ratio is not None:
        family.add_metric(labels, float(ratio))
