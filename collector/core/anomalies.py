"""Finds answers that look wrong. Each anomaly is logged, counted and on the records that the answer emits.

It changes no number. Which numbers stay where an answer has smaller ones, `emission` decides.

No document says whether counts are per population, which usage is deleted after a time, or
whether units can change. So an answer is compared with the other population's answer for the
same window, and with the same population's answers of the last four weeks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from collector.core.emission import Emission
from collector.core.finding import Finding
from collector.model import ProductUsage, Window

LOOK_BACK = timedelta(days=28)
_NEARLY_ALL = timedelta(days=27)  # of the four weeks: windows of months don't fit, and days may have 23 hours
_LEAP = 300.0  # a changed unit is a factor of 1000; real usage varies less
_ENOUGH_TESTS = 10  # with fewer, a mean is not reliable


class Anomaly(StrEnum):
    """The kinds of anomalies, by their names in records, ledgers, logs, manifests and metrics."""

    SAME_TOTALS = "same_totals"
    SUDDENLY_ZERO = "suddenly_zero"
    UNIT_CHANGED = "unit_changed"
    SHRUNK = "shrunk"
    PRODUCT_MISSING = "product_missing"


LARGER_STAY = (
    "The answer is not emitted for these products: the earlier, larger numbers stay, as the window is older than "
    "schedule.restate_for, or the new numbers are unverified zeros. If the smaller numbers are right, set "
    "schedule.restate_for higher than the window's age and run `backfill --force` for it (docs/runbook.md)"
)

Anomalies = Mapping[Anomaly, Sequence[str]]  # of an answer, with the products of each; none: it is about all of it


MEANING = {
    Anomaly.SAME_TOTALS: "both populations have the same totals: the counts may cover all users, so don't add them up",
    Anomaly.SUDDENLY_ZERO: "all totals are zero, as in no window of the last four weeks",
    Anomaly.UNIT_CHANGED: "the mean duration of a test changed by a factor of 300 or more: its unit may have changed",
    Anomaly.SHRUNK: "totals are smaller than before: retention, or a correction. The larger ones stay if the window is "
    "older than schedule.restate_for",
    Anomaly.PRODUCT_MISSING: "a documented product is not in the answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The part of an earlier, complete slice of the same population that anomaly checks need."""

    window: Window
    zero: bool
    means: Mapping[str, float]  # duration per test, for products with enough tests


def past_of(window: Window, emission: Emission) -> Past:
    """Return the part of a complete slice that later anomaly checks need."""
    usages = {name: emitted.usage for name, emitted in emission.products.items()}
    return Past(
        window=window,
        zero=not emission.users and all(usage.is_zero for usage in usages.values()),
        means={name: mean for name, usage in usages.items() if (mean := _mean(usage)) is not None},
    )


class History:
    """Complete slices of one population, and between which bounds the means of each product have been."""

    def __init__(self, slices: Iterable[Past] = ()) -> None:
        self._slices: dict[datetime, Past] = {}
        self._bounds: dict[str, tuple[float, float]] = {}
        for one in slices:
            self.add(one)

    def __len__(self) -> int:
        return len(self._slices)

    def __iter__(self) -> Iterator[Past]:
        return iter(self._slices.values())

    def add(self, one: Past) -> None:
        """Add a slice, or replace the one of its window."""
        self._slices[one.window.start] = one
        for product, mean in one.means.items():
            low, high = self._bounds.get(product, (mean, mean))
            self._bounds[product] = (min(low, mean), max(high, mean))

    def since(self, instant: datetime) -> History:
        """Return the slices that are still needed for windows that start at an instant or later."""
        return History(one for one in self if one.window.end > instant - LOOK_BACK)

    def before(self, window: Window) -> list[Past]:
        """Return the slices of the four weeks before a window."""
        return [one for one in self if window.start - LOOK_BACK < one.window.end <= window.start]

    def may_leap(self, product: str, usage: ProductUsage | None) -> bool:
        """Return whether a mean is so far from any earlier one that it may be far from their median, too."""
        bounds, mean = self._bounds.get(product), _mean(usage) if usage else None
        return bounds is not None and mean is not None and not bounds[1] / _LEAP < mean < bounds[0] * _LEAP


def anomalies(window: Window, finding: Finding, *, past: History, twin: Emission | None) -> Anomalies:
    """Return the anomalies of a complete answer.

    `past` has other slices of the population; `twin` is the emission of the other population in the same window, if
    that is complete.
    """
    if not finding.complete:
        return {}
    found: dict[Anomaly, Sequence[str]] = {}
    if twin is not None and _same_totals(finding, twin):
        found[Anomaly.SAME_TOTALS] = ()
    far = {name: usage for name, usage in finding.products.items() if usage and past.may_leap(name, usage)}
    zero = not far and finding.is_zero
    recent = past.before(window) if far or zero else []
    if zero and _never_zero(recent):
        found[Anomaly.SUDDENLY_ZERO] = ()
    if leapt := [name for name, usage in far.items() if _leapt(name, usage, recent)]:
        found[Anomaly.UNIT_CHANGED] = leapt
    return found


def _same_totals(finding: Finding, twin: Emission) -> bool:
    ours = {name: usage for name, usage in finding.products.items() if usage is not None and not usage.is_zero}
    theirs = {name: emitted.usage for name, emitted in twin.products.items() if not emitted.usage.is_zero}
    return bool(ours) and ours == theirs


def _never_zero(recent: Sequence[Past]) -> bool:
    known = sum((one.window.elapsed for one in recent), timedelta(0))
    return known >= _NEARLY_ALL and not any(one.zero for one in recent)


def _leapt(product: str, usage: ProductUsage, recent: Sequence[Past]) -> bool:
    mean = _mean(usage)
    before = [one.means[product] for one in recent if product in one.means]
    if mean is None or not before:
        return False
    usual = median(before)
    return mean >= usual * _LEAP or mean <= usual / _LEAP


def _mean(usage: ProductUsage) -> float | None:
    tests, duration = usage.total_tests or 0, usage.total_duration or 0
    return duration / tests if tests >= _ENOUGH_TESTS and duration > 0 else None
