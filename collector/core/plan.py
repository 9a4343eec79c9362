"""The slices that a run fetches of one org: in batches, so that a year costs no more memory than a day.

Owns the order of slices (oldest window first, its populations one after the other) and the arithmetic
of batches: what is issued, what is left. Never knows when a slice is fetched (`fetch`), nor when the
next batch is planned (`run.leasing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from collector.core.coverage import Coverage, Known
from collector.core.windows import merge
from collector.errors import Failure
from collector.model import Org, Population, Slice, Window

SPANS_KEPT = 8  # of each population: enough to see where in time slices are

Spans = Mapping[Population, Sequence[Window]]
Needs = Callable[[Org, Window, Known | None], bool]


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
class Batch:
    """The slices of an org that are fetched next."""

    org: Org
    slices: Sequence[Slice] = ()
    behind: Rest = field(default_factory=Rest)  # what follows them


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


def next_batch(
    org: Org,
    windows: Iterable[Window],
    coverage: Coverage,
    needs: Needs,
    *,
    size: int,
    after: Slice | None = None,
) -> Batch:
    """Return up to `size` slices of the windows that need fetching, behind the slice `after`, and what follows them.

    `coverage` is what the ledger holds now.
    """
    slices: list[Slice] = []
    counts: Counter[Population] = Counter()
    spans: dict[Population, list[list[datetime]]] = {}
    for slice_ in needed(org, windows, coverage, needs):
        if after is not None and _position(slice_) <= _position(after):
            continue
        if len(slices) < size:
            slices.append(slice_)
        else:
            counts[slice_.population] += 1
            _extend(spans.setdefault(slice_.population, []), slice_.window)
    behind = Rest(counts=counts, spans={p: [Window(*bounds) for bounds in found] for p, found in spans.items()})
    return Batch(org=org, slices=slices, behind=behind)


def open_span(span: Window, *, after: Slice | None) -> Window | None:
    """Return the part of a span that the next batch depends on: what was issued before is not looked at again."""
    start = span.start if after is None else max(span.start, after.window.start)
    return Window(start, span.end) if start < span.end else None


def _position(slice_: Slice) -> tuple[datetime, int]:
    return slice_.window.start, slice_.org.populations.index(slice_.population)


def _extend(spans: list[list[datetime]], window: Window) -> None:
    if spans and spans[-1][1] == window.start:
        spans[-1][1] = window.end
    elif len(spans) <= SPANS_KEPT:
        spans.append([window.start, window.end])


@dataclass(slots=True)
class OrgPlan:
    """The slices of one org in one run: those of the present batch are issued one at a time."""

    org: Org
    batch: list[Slice] = field(default_factory=list)  # newest first; an empty deque has 760 bytes
    behind: Rest = field(default_factory=Rest)
    more: bool = True  # batches may follow
    expected: int = 0  # slices, before the first batch is planned: an estimate
    issued: Counter[Population] = field(default_factory=Counter)  # each slice once, however often it is requested
    last: Slice | None = None  # the last one issued
    _before_last: Slice | None = None
    _ended: bool = False

    @property
    def remaining(self) -> int:
        """How many slices of the batch were not issued yet."""
        return len(self.batch)

    @property
    def exhausted(self) -> bool:
        """Whether no slice will be issued again."""
        return not self.batch and not self.more

    def planned_with(self, batch: Batch) -> Counter[Population]:
        """Return how many slices the run fetches of each population if it goes on with a batch."""
        return self.issued + Counter(slice_.population for slice_ in self._not_issued(batch)) + batch.behind.counts

    @property
    def left(self) -> Counter[Population]:
        """How many slices were not issued, in this batch or behind it."""
        return self.behind.counts + Counter(slice_.population for slice_ in self.batch)

    @property
    def unissued(self) -> Rest:
        """The slices that were not issued, in this batch or behind it."""
        return self.behind.before(self.batch)

    def __next__(self) -> Slice:
        """Issue the next slice of the batch."""
        self._before_last, self.last = self.last, self.batch.pop()
        self.issued[self.last.population] += 1
        return self.last

    def take_back(self) -> None:
        """Take back the slice that was issued last, and what was not issued: the next batch will hold them again."""
        if self.last is not None:
            self.batch.append(self.last)
            self.issued[self.last.population] -= 1
            self.last = self._before_last
        if self._ended:
            self.end()
        else:
            self.cut()

    def begin(self, batch: Batch) -> None:
        """Go on with another batch. A plan that has ended only notes what is left.

        What was issued while the batch was planned isn't issued again.
        """
        self.expected = 0
        self.batch = [*self._not_issued(batch)][::-1]
        self.behind = batch.behind
        self.more = len(batch.behind) > 0
        if self._ended:
            self.end()

    def _not_issued(self, batch: Batch) -> Iterator[Slice]:
        return (one for one in batch.slices if self.last is None or _position(one) > _position(self.last))

    def cut(self) -> None:
        """Take back what was not issued: the next batch will hold it again."""
        if self.batch:
            self.behind = self.unissued
            self.batch.clear()
            self.more = True

    def end(self) -> None:
        """Issue no slice again, and hold no other batch."""
        self.cut()
        self.more = False
        self._ended = True
