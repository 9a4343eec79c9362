"""The slices that a run fetches of one org: in batches, so that a year costs no more memory than a day.

Owns the order of slices (oldest window first, its populations one after the other), and how many of them a batch holds.
Never knows when the next batch is planned (`run.leasing`), nor what of it is issued (`core.org_plan`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from collector.core.allowance import Allowance
from collector.core.comparing import Comparing
from collector.core.coverage import Coverage, Known
from collector.core.search import Search
from collector.core.totals import Totals
from collector.core.windows import merge
from collector.errors import Failure
from collector.model import Answer, Org, Population, Slice, Window

SPANS_KEPT = 8  # of each population: enough to see where in time slices are

Spans = Mapping[Population, Sequence[Window]]
Needs = Callable[[Org, Window, Known | None], bool]
After = Mapping[Population, datetime]  # the starts of windows; what is not behind them isn't planned again
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def spans_of(slices: Iterable[Slice]) -> dict[Population, list[Window]]:
    """Return where in time slices are, oldest first; one span more than is kept at most."""
    windows: dict[Population, list[Window]] = {}
    for slice_ in slices:
        windows.setdefault(slice_.population, []).append(slice_.window)
    return {population: merge(spans)[: SPANS_KEPT + 1] for population, spans in windows.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Slices that no batch holds yet: how many of each population, and where in time they are."""

    counts: Counter[Population] = field(default_factory=Counter)
    spans: Spans = field(default_factory=dict)

    def __len__(self) -> int:
        return self.counts.total()

    def before(self, slices: Collection[Slice]) -> Rest:
        """Return these slices together with earlier ones."""
        earlier = spans_of(slices)
        return Rest(
            counts=self.counts + Counter(slice_.population for slice_ in slices),
            spans={
                population: merge([*earlier.get(population, ()), *self.spans.get(population, ())])
                for population in dict.fromkeys([*earlier, *self.spans])
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was collected of the slices that a search may settle, and for which windows a zero is not to be trusted."""

    collected: Mapping[Population, Mapping[datetime, Totals]]
    may_be_deleted: Callable[[Window], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledSlice:
    """A slice that needs no request: empty by an answer; or as it was collected, or unknown for a reason."""

    slice: Slice
    by: Answer | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """Which slices a search may settle, by population and start, and how long a span may be."""

    max_span: timedelta
    starts: Collection[tuple[Population, datetime]] = ()
    expected: Expected | None = None  # None: nothing is, as in a sparse backfill

    def new_search(self, allowance: Allowance) -> Search:
        """Return a search of a population that knows nothing yet. A comparison has a bound of its own."""
        if self.expected is None:
            return Search(max_span=self.max_span, allowance=allowance)
        return Comparing(max_span=self.max_span, may_be_deleted=self.expected.may_be_deleted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The slices of an org that are fetched next."""

    org: Org
    slices: Sequence[Slice] = ()
    behind: Rest = field(default_factory=Rest)  # what follows them
    searched: Searched | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """An org of which this run fetches nothing more, and why."""

    org: Org
    failure: Failure


def needed(org: Org, windows: Iterable[Window], coverage: Coverage, needs: Needs) -> Iterator[Slice]:
    """Yield the slices of the windows that need fetching, oldest first; `coverage` is what the ledger holds."""
    for window in windows:
        for population in org.populations:
            if needs(org, window, coverage.get((population, window.start))):
                yield Slice(org, population, window)


@dataclass(slots=True)
class Portion:
    """How many slices a batch holds at most: of the whole org, or of one population if a search may settle some.

    Then it holds a whole span of those, or what is left of the one that a search is in (until `end`).
    """

    size: int
    max_span: timedelta | None = None
    end: datetime | None = None

    def take(self, window: Window, *, searched: bool) -> bool:
        """Return whether the next slice still belongs to the batch; after the first that doesn't, none does."""
        if self.end is None and searched and self.max_span is not None and self.size > 0:
            self.end = window.start + self.max_span
        fits = self.size > 0 if self.end is None else window.end <= self.end
        self.size = self.size - 1 if fits else 0
        if not fits:
            self.end = self.max_span = None
        return fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Searching:
    """Which windows searches may settle, how long their spans are, and until when each knows the windows already."""

    settles: Needs
    max_span: timedelta
    ends: Mapping[Population, datetime | None]

    def portion(self, population: Population, size: int) -> Portion:
        """Return how much of a population a batch holds."""
        return Portion(size, self.max_span, self.ends.get(population))


def next_batch(
    org: Org,
    windows: Iterable[Window],
    coverage: Coverage,
    needs: Needs,
    *,
    size: int,
    after: After | None = None,
    searching: Searching | None = None,
) -> Batch:
    """Return up to `size` slices of the windows that need fetching, behind those in `after`, and what follows them.

    `coverage` is what the ledger holds now. If a search may settle slices, the batch holds a whole span of each
    population.
    """
    slices: list[Slice] = []
    counts: Counter[Population] = Counter()
    spans: dict[Population, list[list[datetime]]] = {}
    searched = set()
    portion = Portion(size)
    portions = {p: searching.portion(p, size) if searching else portion for p in org.populations}
    for slice_ in needed(org, windows, coverage, needs):
        population, window = slice_.population, slice_.window
        if after is not None and window.start <= after.get(population, BEFORE_ALL):
            continue
        known = coverage.get((population, window.start))
        may_settle = searching is not None and searching.settles(org, window, known)
        if portions[population].take(window, searched=may_settle):
            slices.append(slice_)
            if may_settle:
                searched.add((population, window.start))
        else:
            counts[population] += 1
            _extend(spans.setdefault(population, []), window)
    behind = Rest(counts=counts, spans={p: [Window(*bounds) for bounds in found] for p, found in spans.items()})
    return Batch(
        org=org,
        slices=slices,
        behind=behind,
        searched=Searched(max_span=searching.max_span, starts=searched) if searching else None,
    )


def open_span(org: Org, span: Window, *, after: After) -> Window | None:
    """Return the part of a span that the next batch depends on: what was issued before is not looked at again."""
    start = max(span.start, min(after.get(population, span.start) for population in org.populations))
    return Window(start, span.end) if start < span.end else None


def _extend(spans: list[list[datetime]], window: Window) -> None:
    if spans and spans[-1][1] == window.start:
        spans[-1][1] = window.end
    elif len(spans) <= SPANS_KEPT:
        spans.append([window.start, window.end])
