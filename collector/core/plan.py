"""The slices that a run fetches of one org: in batches, so that a year costs no more memory than a day.

Owns the order of slices (oldest window first, its populations one after the other) and the arithmetic
of batches: what is issued, what is left. Slices that a search may settle (`core.search`) are issued as it says, each
population for itself: a request for a span is no slice, and a settled slice needs no request. Never knows when a slice
is fetched (`fetch`), nor when the next batch is planned (`run.leasing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from collector.core.comparing import Compared, Comparing
from collector.core.coverage import Coverage, Known
from collector.core.search import Allowance, Search
from collector.core.totals import Totals
from collector.core.windows import merge
from collector.errors import Failure
from collector.model import Answer, Org, Population, Slice, Span, Window

SPANS_KEPT = 8  # of each population: enough to see where in time slices are

Spans = Mapping[Population, Sequence[Window]]
Needs = Callable[[Org, Window, Known | None], bool]
After = Mapping[Population, datetime]  # the starts of windows; what is not behind them isn't planned again
_TICK = timedelta(microseconds=1)
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


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
        if after is not None and window.start <= after.get(population, _BEFORE_ALL):
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


@dataclass(slots=True)
class OrgPlan:
    """The slices of one org in one run: those of the present batch are issued one at a time."""

    org: Org
    allowances: dict[Population, Allowance] = field(default_factory=dict)  # the same for all orgs of a run
    behind: Rest = field(default_factory=Rest)
    more: bool = True  # batches may follow
    expected: int = 0  # slices, before the first batch is planned: an estimate
    issued: Counter[Population] = field(default_factory=Counter)  # each slice once, however often it is requested
    after: After = field(default_factory=dict)  # behind these starts nothing was issued yet
    searches: dict[Population, Search] = field(default_factory=dict)
    _batch: dict[Population, list[Slice]] = field(default_factory=dict)  # newest first: a deque has 760 bytes
    _last: Slice | None = None  # the last one issued, or the span
    _before_last: After = field(default_factory=dict)  # what `after` was before it
    _cut: bool = False
    _ended: bool = False

    @property
    def remaining(self) -> int:
        """How many slices of the batch can be issued now; where a search goes on, the next one or its span."""
        return 0 if self._cut else sum(self._ready(population) for population in self._batch)

    @property
    def awaits(self) -> bool:
        """Whether slices of the batch may be issued, or settled, after an answer."""
        return not self._cut and any(
            self._batch[population] for population in self.searches if population in self._batch
        )

    @property
    def exhausted(self) -> bool:
        """Whether no slice will be issued again."""
        return not self.more and (self._ended or not any(self._batch.values()))

    def planned_with(self, batch: Batch) -> Counter[Population]:
        """Return how many slices the run fetches of each population if it goes on with a batch."""
        return self.issued + Counter(slice_.population for slice_ in self._not_issued(batch)) + batch.behind.counts

    @property
    def left(self) -> Counter[Population]:
        """How many slices were not issued, in this batch or behind it."""
        return self.behind.counts + Counter({population: len(slices) for population, slices in self._batch.items()})

    @property
    def unissued(self) -> Rest:
        """The slices that were not issued, in this batch or behind it."""
        return self.behind.before([slice_ for slices in self._batch.values() for slice_ in slices])

    @property
    def ends(self) -> dict[Population, datetime | None]:
        """Until when each search knows the windows."""
        return {population: search.end for population, search in self.searches.items()}

    def __next__(self) -> Slice:
        """Issue the next slice of the batch, or a span that a search is about."""
        ready = [population for population in self.org.populations if self._ready(population)]
        population = min(ready, key=lambda population: self._batch[population][-1].window.start)
        first = self._batch[population][-1]
        if population in self.searches:
            window = self.searches[population].next()
            if window is not None and window != first.window:
                self._last = Span(self.org, population, window)
                return self._last
        self._last, self._before_last = first, self.after
        return self._pop(population)

    @property
    def compares(self) -> bool:
        """Whether each answer decides what is requested next, so that it is waited for, with retries."""
        return any(isinstance(search, Comparing) for search in self.searches.values())

    def answered(self, slice_: Slice, answer: Answer | None) -> bool:
        """Take the answer to a request for a slice or a span; None if there was none.

        Return whether it shows that totals don't add up here.
        """
        search = self.searches.get(slice_.population)
        if search is None:
            return False
        was_additive = search.additive
        search.answered(slice_.window, answer)
        return was_additive and not search.additive

    def compared(self, population: Population) -> Sequence[Compared]:
        """Return what the spans of a population came to, if they were compared."""
        search = self.searches.get(population)
        return search.compared if isinstance(search, Comparing) else ()

    def settle(self) -> list[SettledSlice]:
        """Issue the slices that need no request: those that are settled, and those that a comparison gives up."""
        settled = []
        for population, search in self.searches.items():
            compares = isinstance(search, Comparing)
            for given_up in search.take_given_up() if isinstance(search, Comparing) else ():
                settled += [SettledSlice(slice=self._pop(population), failure=given_up.why) for _ in given_up.windows]
            for one in search.settle():
                by = None if compares else one.by
                settled += [SettledSlice(slice=self._pop(population), by=by) for _ in one.windows]
        return settled

    def first_of(self, span: Span) -> Slice:
        """Issue the first slice of a span that is requested no more; what is known of its windows is forgotten."""
        self.searches[span.population].forget()
        return self._pop(span.population)

    def take_back(self) -> None:
        """Take back the slice that was issued last, and what was not issued: the next batch will hold them again."""
        last = self._last
        if last is not None and not isinstance(last, Span):
            self._batch.setdefault(last.population, []).append(last)
            self.issued[last.population] -= 1
            self.after = self._before_last
        self._last = None
        self.discard()

    def begin(self, batch: Batch) -> None:
        """Go on with another batch. A plan that has ended only notes what is left.

        What was issued while the batch was planned isn't issued again.
        """
        self.expected = 0
        self._batch = {population: [] for population in self.org.populations}
        for slice_ in self._not_issued(batch)[::-1]:
            self._batch[slice_.population].append(slice_)
        self.behind = batch.behind
        self.more = len(batch.behind) > 0
        self._cut = False
        if batch.searched is not None:
            self._search(batch, batch.searched)
        if self._ended:
            self.end()

    def _not_issued(self, batch: Batch) -> list[Slice]:
        return [one for one in batch.slices if one.window.start > self.after.get(one.population, _BEFORE_ALL)]

    def cut(self) -> None:
        """Take back what was not issued: the next batch will hold it again. What searches know is kept for it."""
        if any(self._batch.values()):
            self._cut = self.more = True

    def discard(self) -> None:
        """Take back what was not issued, and forget what searches know: the ledger may hold other things of it."""
        for search in self.searches.values():
            search.forget()
        if self._ended:
            self.end()
        else:
            self.cut()

    def end(self) -> None:
        """Issue no slice again, and hold no other batch."""
        self.cut()
        self.more = False
        self._ended = True

    def _ready(self, population: Population) -> int:
        slices = self._batch.get(population)
        if not slices:
            return 0
        search = self.searches.get(population)
        return len(slices) if search is None else int(search.ready)

    def _pop(self, population: Population) -> Slice:
        slice_ = self._batch[population].pop()
        self.issued[population] += 1
        self.after = self._behind(population, slice_.window.start)
        return slice_

    def _behind(self, issued: Population, start: datetime) -> After:
        """Return what `after` is when a slice has been issued; without searches, populations come in turn."""
        if self.searches:
            return {**self.after, issued: start}
        order = self.org.populations
        until = order.index(issued)
        return {one: start if index <= until else start - _TICK for index, one in enumerate(order)}

    def _search(self, batch: Batch, searched: Searched) -> None:
        considered = self.planned_with(batch)
        for population, slices in self._batch.items():
            allowance = self.allowances.setdefault(population, Allowance())
            search = self.searches.setdefault(population, searched.new_search(allowance))
            if isinstance(search, Comparing) and searched.expected is not None:
                search.expect(searched.expected.collected.get(population, {}))
            starts = {start for of, start in searched.starts if of is population}
            search.begin(
                [slice_.window for slice_ in reversed(slices)],
                lambda window, starts=starts: window.start in starts,  # type: ignore[misc]
                behind=batch.behind.counts[population],
                considered=considered[population],
            )
