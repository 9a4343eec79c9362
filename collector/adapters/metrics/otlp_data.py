"""Metrics of the Prometheus client as metrics of OpenTelemetry: the same names, labels and values.

Counters are monotonic cumulative sums, histograms have their explicit buckets, everything else is a gauge. A name keeps
its unit and `_total`: what turns OTLP into Prometheus' series adds neither twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, cast

from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample

from collector.adapters.tabular.extras import extra

with extra("otlp", "push.otlp"):
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Gauge,
        Histogram,
        HistogramDataPoint,
        Metric,
        NumberDataPoint,
        Sum,
    )

_UNITS = {"_seconds": "s", "_bytes": "By"}
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_BOUND = "le"


class Translation:
    """Translates families whose counters began at `started_at`, as they are at `now`."""

    def __init__(self, *, started_at: datetime, now: datetime) -> None:
        self._start = _nanoseconds(started_at)
        self._now = _nanoseconds(now)

    def metrics(self, families: Iterable[Family]) -> Iterator[Metric]:
        """Yield the metrics of families; none without a value."""
        for family in families:
            if family.type == "histogram":
                if points := list(self._histograms(family.samples)):
                    yield _metric(family.name, family, Histogram(points, _CUMULATIVE))
                continue
            by_name: defaultdict[str, list[NumberDataPoint]] = defaultdict(list)
            for sample in family.samples:
                by_name[sample.name].append(self._number(sample, cumulative=family.type == "counter"))
            for name, numbers in by_name.items():
                data = Sum(numbers, _CUMULATIVE, is_monotonic=True) if family.type == "counter" else Gauge(numbers)
                yield _metric(name, family, data)

    def _number(self, sample: Sample, *, cumulative: bool) -> NumberDataPoint:
        return NumberDataPoint(sample.labels, self._start if cumulative else 0, self._now, float(sample.value))

    def _histograms(self, samples: Iterable[Sample]) -> Iterator[HistogramDataPoint]:
        """Yield a point for each set of labels. Prometheus' buckets have all below them in their count, OTLP's not."""
        buckets: defaultdict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
        sums: dict[tuple[tuple[str, str], ...], float] = {}
        for sample in samples:
            labels = tuple(pair for pair in sample.labels.items() if pair[0] != _BOUND)
            if sample.name.endswith("_bucket"):
                buckets[labels].append((float(sample.labels[_BOUND]), sample.value))
            elif sample.name.endswith("_sum"):
                sums[labels] = sample.value
        for labels, found in buckets.items():
            yield self._histogram(dict(labels), sorted(found), sums.get(labels, 0.0))

    def _histogram(
        self, labels: dict[str, str], buckets: Sequence[tuple[float, float]], total: float
    ) -> HistogramDataPoint:
        reached = [int(count) for _, count in buckets]
        counts = [count - below for count, below in zip(reached, [0, *reached], strict=False)]
        unknown = cast("Any", None)  # the protocol leaves them out
        return HistogramDataPoint(
            attributes=labels,
            start_time_unix_nano=self._start,
            time_unix_nano=self._now,
            count=reached[-1],
            sum=total,
            bucket_counts=counts,
            explicit_bounds=[bound for bound, _ in buckets[:-1]],  # the last one is without end
            min=unknown,
            max=unknown,
        )


def _metric(name: str, family: Family, data: Any) -> Metric:
    plain = name.removesuffix("_total")
    unit = next((unit for ending, unit in _UNITS.items() if plain.endswith(ending)), "")
    return Metric(name, family.documentation, unit, data)


def _nanoseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000) * 1000
