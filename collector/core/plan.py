"""What a run asks of one org, in which order: lazily, so that a year costs no more memory than a day.

Owns the order of slices: oldest window first, its populations one after the other. Never
knows how or when a slice is asked: that is `dispatch`'s. A plan is pulled one slice at a
time and only when a request can leave, so that a later plan may react to what was answered.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from collector.core.windows import Calendar, merge
from collector.model import Org, Population, Slice, Window

SPANS_KEPT = 8  # of what a population lacks: enough to see where in time that is

Spans = Mapping[Population, Sequence[Window]]


def spans_of(slices: Iterable[Slice]) -> dict[Population, list[Window]]:
    """Return where in time slices lie, in as few spans as possible, oldest first; one more than is kept at most."""
    windows: dict[Population, list[Window]] = {}
    for slice_ in slices:
        windows.setdefault(slice_.population, []).append(slice_.window)
    return {population: merge(spans)[: SPANS_KEPT + 1] for population, spans in windows.items()}


class Plan(Protocol):
    """What a lane needs of a plan."""

    @property
    def org(self) -> Org:
        """Whose slices they are."""
        ...

    @property
    def remaining(self) -> int:
        """How many slices can be issued now."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether none will ever be issued again."""
        ...

    @property
    def left(self) -> int:
        """How many slices were not issued, now or for later."""
        ...

    @property
    def unissued(self) -> Spans:
        """Where in time they lie."""
        ...

    def __next__(self) -> Slice:
        """Issue the next slice."""
        ...

    def end(self) -> None:
        """Issue none any more."""
        ...


@dataclass(slots=True)
class ListedPlan:
    """Slices that were listed beforehand: what a check asks."""

    org: Org
    slices: list[Slice]
    _ended: bool = False

    @property
    def remaining(self) -> int:
        """How many slices may still be issued."""
        return 0 if self._ended else len(self.slices)

    @property
    def exhausted(self) -> bool:
        """Whether none will be issued again."""
        return not self.remaining

    @property
    def left(self) -> int:
        """How many slices were not issued."""
        return len(self.slices)

    @property
    def unissued(self) -> Spans:
        """Where in time they lie."""
        return spans_of(self.slices)

    def __next__(self) -> Slice:
        """Issue the next slice."""
        return self.slices.pop(0)

    def end(self) -> None:
        """Issue none any more."""
        self._ended = True


@dataclass(slots=True)
class BatchPlan:
    """Slices that come a batch at a time, as the ledger lets this process work on the org."""

    org: Org
    batch: deque[Slice] = field(default_factory=deque)
    more: bool = True  # batches may follow
    behind: int = 0  # slices that follow with them, as far as is known,
    beyond: Spans = field(default_factory=dict)  # and where those lie
    begun: Counter[Population] = field(default_factory=Counter)  # slices issued, each counted once
    last: Slice | None = None  # the last of them
    _ended: bool = False

    @property
    def remaining(self) -> int:
        """How many slices of the batch were not issued yet."""
        return len(self.batch)

    @property
    def exhausted(self) -> bool:
        """Whether none will ever be issued again."""
        return not self.batch and not self.more

    def __next__(self) -> Slice:
        """Issue the next slice of the batch."""
        self.last = self.batch.popleft()
        self.begun[self.last.population] += 1
        return self.last

    @property
    def left(self) -> int:
        """How many slices were not issued, now or for later."""
        return len(self.batch) + self.behind

    @property
    def unissued(self) -> Spans:
        """Where in time they lie."""
        batch = spans_of(self.batch)
        return {
            population: merge([*batch.get(population, ()), *self.beyond.get(population, ())])
            for population in self.org.populations
        }

    def refill(self, slices: Iterable[Slice], *, behind: int, beyond: Spans) -> None:
        """Begin another batch; so many slices follow it, and lie there. A plan that has ended only takes note of it."""
        self.batch = deque(slices)
        self.behind, self.beyond = behind, beyond
        self.more = behind > 0
        if self._ended:
            self.end()

    def cut(self) -> None:
        """Take back what was not issued: it is planned again."""
        if self.batch:
            self.behind, self.beyond = self.left, self.unissued
            self.batch.clear()
            self.more = True

    def end(self) -> None:
        """Issue none any more, and take no other batch."""
        self.cut()
        self.more = False
        self._ended = True


@dataclass(slots=True)
class LanePlan:
    """The slices of one org: an iterator that knows how many there are and how many are left."""

    org: Org
    span: Window | None
    total: int = field(init=False)
    issued: int = field(init=False, default=0)
    _ended: bool = field(init=False, default=False)
    _last: Slice | None = field(init=False, default=None)
    _slices: Iterator[Slice] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.total = self.windows * len(self.org.populations)
        self._slices = self._generate()

    @property
    def calendar(self) -> Calendar:
        """The org's own calendar."""
        return Calendar(self.org.zone, self.org.granularity)

    @property
    def windows(self) -> int:
        """How many windows there are for each population."""
        return _count(self.calendar, self.span) if self.span else 0

    @property
    def remaining(self) -> int:
        """How many slices may still be issued."""
        return 0 if self._ended else self.total - self.issued

    @property
    def exhausted(self) -> bool:
        """Whether none will be issued again."""
        return not self.remaining

    @property
    def left(self) -> int:
        """How many slices were not issued."""
        return self.total - self.issued

    @property
    def unissued(self) -> Spans:
        """Where in time they lie."""
        if self.span is None or self.issued == self.total:
            return {}
        return {population: self._behind(population, self.span) for population in self.org.populations}

    def _behind(self, population: Population, span: Window) -> list[Window]:
        if self._last is None:
            return [span]
        order = self.org.populations.index
        asked = order(population) <= order(self._last.population)
        start = self._last.window.end if asked else self._last.window.start
        return [Window(start, span.end)] if start < span.end else []

    def __next__(self) -> Slice:
        """Issue the next slice."""
        self._last = next(self._slices)
        self.issued += 1
        return self._last

    def end(self) -> None:
        """Issue none any more."""
        self._ended = True

    def _generate(self) -> Iterator[Slice]:
        if self.span is None:
            return
        for window in self.calendar.split(self.span):
            for population in self.org.populations:
                yield Slice(self.org, population, window)


@lru_cache(maxsize=4096)
def _count(calendar: Calendar, span: Window) -> int:
    """Orgs share calendars and spans: ten thousand of them cost a handful of counts."""
    return sum(1 for _ in calendar.split(span))
