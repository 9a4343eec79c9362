"""Makes a report from windows: of a period, and of the period before. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial

from collector.core.grouping import (
    NO_PRICES,
    PERIODS,
    By,
    Dimension,
    Group,
    Groups,
    Key,
    Sum,
    parts,
    period_of,
    refuse_undivided,
)
from collector.core.org_coverage import CoverageState
from collector.core.periods import Period
from collector.core.present import PresentOrg, PresentWindow
from collector.core.prices import PriceList
from collector.core.report import Line, Metric, Number, Report, Unknown
from collector.model import Granularity, Population

_PART = {Granularity.HOUR: By.DAY, Granularity.DAY: By.DAY, Granularity.WEEK: By.WEEK, Granularity.MONTH: By.MONTH}
_PARTS = (By.DAY, By.WEEK, By.MONTH)


class Reporting:
    """Reads windows of both periods, the windows of an org one after the other in each, and makes the report."""

    def __init__(
        self,
        period: Period,
        *,
        granularities: Collection[Granularity] = (),
        by: Sequence[Dimension] = (),
        products: Sequence[str] = (),
        metric: Metric = Metric.TESTS,
        prices: PriceList = NO_PRICES,
    ) -> None:
        self._period, self._before = period, period.before()
        self._expected = self._before.days / period.days
        self._by, self._products, self._metric = tuple(by), tuple(products), metric
        self._prices = prices
        self._part = period.part(max((_PART[one] for one in granularities), key=_PARTS.index, default=By.DAY))
        product = (Dimension(By.PRODUCT),)
        self._now = _Both(_Parts(self._by, products, prices), Groups(product, products, prices))
        self._then = _Both(_Parts(self._by, products, prices), Groups(product, products, prices))
        self._in_parts = Groups((*product, Dimension(self._part)), products, prices)
        self._orgs: dict[tuple[str, str | None], _OrgSums] = {}
        self._days: dict[date, Sum] = {}
        self._unknown: dict[tuple[str, Population, CoverageState, str | None], Unknown] = {}
        self._coarse: dict[str, None] = {}
        self._gone: dict[str, None] = {}
        self._extra = False

    @property
    def before(self) -> Period:
        """Return the period that the report compares with."""
        return self._before

    def add(self, window: PresentWindow) -> None:
        """Add a window of the period. Raises ConfigError for one that can't be divided as `by` says."""
        refuse_undivided(window, self._by)
        self._now.by.add(window)
        self._now.products.add(window)
        self._in_parts.add(window)
        one = sum_of(window, self._products, self._prices)
        self._org(window).add(window.population, period_of(window.window_date, self._part), one)
        if _PART[window.granularity] is not By.DAY:
            self._coarse[window.org.name] = None
        else:
            self._days.setdefault(window.window_date, Sum()).merge(one)
        if one.unknown:
            self._note_unknown(window)
        if not window.org.in_config:
            self._gone[window.org.name] = None
        self._extra = self._extra or any(of.usage.extra for of in window.products.values())

    def add_before(self, window: PresentWindow) -> None:
        """Add a window of the period before. Raises ConfigError as `add`."""
        refuse_undivided(window, self._by)
        if not any(one.by in PERIODS for one in self._by):  # else no line of the period before has the same time
            self._then.by.add(window)
        self._then.products.add(window)
        self._org(window).before.setdefault(window.population, Sum()).merge(
            sum_of(window, self._products, self._prices)
        )

    def report(self, made_at: datetime, *, not_wanted: Mapping[str, int] | None = None) -> Report:
        """Return the report of what was added."""
        orgs = list(self._orgs.values())
        lines = [org.line() for org in orgs]
        labels = sorted({key for org in orgs for key in org.org.labels})
        return Report(
            period=self._period,
            before=self._before,
            metric=self._metric,
            part=self._part,
            made_at=made_at,
            products=self._products,
            by=self._by,
            total=_merged((), lines),
            lines=self._lines_of_by(),
            orgs=self._ordered(lines),
            of_products=self._lines(self._now.products.rows(), self._then.products.rows(), self._in_parts.rows()),
            populations=self._ordered(
                _merged((population,), [org.of_population(population) for org in orgs]) for population in Population
            ),
            labels={label: self._of_label(label, orgs, lines) for label in labels},
            days=self._days,
            unknown=sorted(self._unknown.values(), key=lambda one: (-one.windows, one.org, one.population)),
            coarse=sorted(self._coarse),
            gone=list(self._gone),
            not_wanted={org: windows for org, windows in (not_wanted or {}).items() if windows},
            prices=self._prices,
            extra=self._extra,
        )

    def _org(self, window: PresentWindow) -> _OrgSums:
        key = (window.org.name, window.org.org_id)
        return self._orgs.setdefault(key, _OrgSums(window.org, self._expected))

    def _note_unknown(self, window: PresentWindow) -> None:
        key = (window.org.name, window.population, window.state, window.reason)
        known = self._unknown.get(key)
        day = window.window_date
        self._unknown[key] = Unknown(
            org=window.org.name,
            population=window.population,
            state=window.state,
            reason=window.reason,
            windows=1 + (known.windows if known else 0),
            first=min(known.first, day) if known else day,
            last=max(known.last, day) if known else day,
        )

    def _of_label(self, label: str, orgs: Sequence[_OrgSums], lines: Sequence[Line]) -> Sequence[Line]:
        of: dict[str | None, list[Line]] = {}
        for org, line in zip(orgs, lines, strict=True):
            of.setdefault(org.org.labels.get(label), []).append(line)
        return self._ordered(_merged((value,), found) for value, found in of.items())

    def _lines_of_by(self) -> Sequence[Line]:
        """Return the lines of `by`: the largest first, and by time first where the time is one of the dimensions."""
        if not self._by:
            return ()
        lines = self._lines(self._now.by.rows(), self._then.by.rows())
        times = [place for place, one in enumerate(self._by) if one.by in PERIODS]
        return sorted(lines, key=lambda line: [str(line.key[place]) for place in times])

    def _lines(self, now: Sequence[Group], before: Sequence[Group], parts: Sequence[Group] = ()) -> Sequence[Line]:
        by_key = {(one.key, one.org_id): one.sum for one in now}
        then = {(one.key, one.org_id): one.sum for one in before}
        of_parts: dict[Key, dict[date, Sum]] = {}
        for one in parts:
            *key, part = one.key
            of_parts.setdefault(tuple(key), {})[part if isinstance(part, date) else date.min] = one.sum
        return self._ordered(
            Line(
                key=key,
                org_id=org_id,
                now=by_key.get((key, org_id), Sum()),
                before=then.get((key, org_id), Sum()),
                parts=of_parts.get(key, {}),
                expected=self._expected,
            )
            for key, org_id in dict.fromkeys([*by_key, *then])
        )

    def _ordered(self, lines: Iterable[Line]) -> list[Line]:
        """Return lines, the largest first; those of which nothing is known last."""
        return sorted(lines, key=lambda line: (-_or_less(self._metric.of(line.now)), line.name))


@dataclass(slots=True)
class _Both:
    """The sums of one period that don't follow from those of orgs: of `by`, and of products."""

    by: _Parts
    products: Groups


class _Parts:
    """Sums over dimensions: apart for orgs that an export sums apart, in whatever order their windows come."""

    def __init__(self, dimensions: Sequence[Dimension], products: Sequence[str], prices: PriceList) -> None:
        self._make = partial(Groups, dimensions, products, prices)
        self._part_of = parts(dimensions)
        self._groups: dict[Key, Groups] = {}

    def add(self, window: PresentWindow) -> None:
        """Add a window."""
        part = self._part_of(window.org)
        if part not in self._groups:
            self._groups[part] = self._make()
        self._groups[part].add(window)

    def rows(self) -> list[Group]:
        """Return the groups of all parts."""
        return [group for groups in self._groups.values() for group in groups.rows()]


@dataclass(slots=True)
class _OrgSums:
    """The sums of an org by population: of the parts of the period, and of the period before."""

    org: PresentOrg
    expected: float
    parts: dict[tuple[Population, date], Sum] = field(default_factory=dict)
    before: dict[Population, Sum] = field(default_factory=dict)

    def add(self, population: Population, part: date, sums: Sum) -> None:
        self.parts.setdefault((population, part), Sum()).merge(sums)

    def line(self) -> Line:
        return self._line((self.org.name,), tuple(Population))

    def of_population(self, population: Population) -> Line:
        return self._line((population.value,), (population,))

    def _line(self, key: Key, populations: Sequence[Population]) -> Line:
        parts: dict[date, Sum] = {}
        for (population, part), sums in self.parts.items():
            if population in populations:
                parts.setdefault(part, Sum()).merge(sums)
        before = merged(sums for population, sums in self.before.items() if population in populations)
        return Line(
            key=key,
            org_id=self.org.org_id,
            now=merged(parts.values()),
            before=before,
            parts=parts,
            expected=self.expected,
        )


def sum_of(window: PresentWindow, products: Sequence[str] = (), prices: PriceList = NO_PRICES) -> Sum:
    """Return the known numbers of one window."""
    found = Sum()
    found.add_window(window, products, prices)
    return found


def merged(sums: Iterable[Sum]) -> Sum:
    """Return the sum of sums over different windows."""
    found = Sum()
    for one in sums:
        found.merge(one)
    return found


def _merged(key: Key, lines: Sequence[Line]) -> Line:
    parts: dict[date, Sum] = {}
    for line in lines:
        for part, sums in line.parts.items():
            parts.setdefault(part, Sum()).merge(sums)
    now, before = merged(line.now for line in lines), merged(line.before for line in lines)
    expected = lines[0].expected if lines else 1
    return Line(key=key, now=now, before=before, parts=parts, expected=expected)


def _or_less(value: Number | None) -> Number:
    return -1 if value is None else value
