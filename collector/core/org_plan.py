"""The slices of one org in one run: which were issued, which are left, and which one is next.

Slices that a search may settle (`core.search`) are issued as it says, each population for itself: a request for a span
is no slice, and a settled slice needs no request. Never knows when a slice is fetched (`fetch`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collector.core.allowance import Allowance
from collector.core.comparing import Compared, Comparing
from collector.core.plan import BEFORE_ALL, After, Batch, Rest, Searched, SettledSlice
from collector.core.search import Search
from collector.model import Answer, Org, Population, Slice, Span

_TICK = timedelta(microseconds=1)


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
        return [one for one in batch.slices if one.window.start > self.after.get(one.population, BEFORE_ALL)]

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
