"""Finds the windows whose totals are not those that were collected, for `reconcile`.

The search of `core.search`, with what was collected as the expected totals, and with an end: a window that changed
costs a request for each halving of its span, and one more. So each request is awaited, with its retries, and an answer
that contradicts an earlier one ends the search of its span: either totals don't add up here, or numbers changed in
between. What a span's own answer said stays said. Windows with an unknown number (`settles` is false) are requested one
by one, and never compared.

| what ends the search | of |
|---|---|
| no answer, or a partial one | the span, all that isn't known of it |
| two answers that contradict each other | the same |
| all zero, for windows so old that the API may have deleted the data | the windows of that answer |
| only products differ that the answer doesn't have: no answer can correct them | the same |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collector.core.collected import added, whole
from collector.core.search import Search
from collector.core.search_nodes import Awaited, Kind, Node, Settled
from collector.core.totals import Metric, Totals, difference, totals_of
from collector.errors import Failure, Rejected
from collector.model import Answer, Window

NO_ANSWER = Rejected(
    code="not_compared", message="the API gave no whole answer for the span of these windows: they were not compared"
)
NOT_LOCATED = Rejected(
    code="not_located",
    message="some of these windows changed, and it isn't known which ones: the API gave no whole answer for a part of "
    "them. Run it again",
)
CONTRADICTION = Rejected(
    code="not_additive",
    message="the API's totals of a span are not those of its parts: they don't add up, or changed while they were "
    "compared. The search for what changed ended here. Run it again; if it says the same, `collector check --deep`",
)
DELETED = Rejected(
    code="maybe_deleted",
    message="the API says zero for all of these windows, which are older than `trust_zero_for`: it may have deleted "
    "the data. What was collected stays",
)
PRODUCT_GONE = Rejected(
    code="product_missing",
    message="the API no longer names products that these windows have. What was collected stays",
)

UNRESOLVED = frozenset(
    one.code for one in (NOT_LOCATED, CONTRADICTION, DELETED, PRODUCT_GONE)
)  # the total of such windows was compared; which of them changed stays unknown


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Windows of which it stays unknown which one changed, and why."""

    windows: Sequence[Window]
    why: Failure


@dataclass(slots=True)
class Compared:
    """What the API said of a span of windows, and what had been collected of them; and what the search in it found."""

    windows: int
    api: Totals
    collected: Totals
    changed: Counter[Metric] = field(default_factory=Counter)  # windows in which it is another number
    searched: int = 0  # windows of which it is known whether they changed

    @property
    def differing(self) -> dict[Metric, int]:
        """In how many windows at least each number is another one: where a total differs, it is one or more."""
        totals = [metric for metric, rest in difference(self.api, self.collected).items() if rest]
        return {metric: max(1, self.changed[metric]) for metric in dict.fromkeys([*totals, *self.changed])}

    @property
    def is_searched(self) -> bool:
        """Whether all windows that changed were found."""
        return self.searched >= self.windows


class Comparing(Search):
    """The search of one org's population. `may_be_deleted` says of which windows a zero is not to be trusted."""

    def __init__(self, *, max_span: timedelta, may_be_deleted: Callable[[Window], bool]) -> None:
        super().__init__(max_span=max_span, allowance=None, expected={})
        self._collected: Mapping[datetime, Totals] = {}
        self._may_be_deleted = may_be_deleted
        self.compared: list[Compared] = []  # what whole spans came to
        self._given_up: list[GivenUp] = []
        self._said_until: datetime | None = None  # the end of the newest span that was compared
        self._searched_until: datetime | None = None  # the end of the newest window of which it is known if it changed
        self._right = False  # whether a difference was right

    def expect(self, collected: Mapping[datetime, Totals]) -> None:
        """Go on with what the ledger has now. What is known by other numbers is forgotten."""
        if any(collected.get(window.start) != self._collected.get(window.start) for window in self.windows):
            self.forget()
        self._collected = collected

    def next(self) -> Window | None:
        """Return what is requested next, one window or a span; None if an answer is awaited, or nothing is left."""
        if not self.ready:
            return None
        if self._nodes[-1].kind is Kind.ONE_BY_ONE:
            return super().next()
        node = self._nodes.pop()
        size = len(node.windows)
        return self._request(node, size // 2 if node.kind is Kind.DIFFERS and size > 1 else size)

    def take_given_up(self) -> list[GivenUp]:
        """Return the windows that were given up since the last call."""
        found, self._given_up = self._given_up, []
        return found

    def answered(self, window: Window, answer: Answer | None) -> None:
        """Take the answer to the request that is awaited; None if none came. Others change nothing."""
        awaited = self._awaited
        if awaited is None or awaited.part.span != window:
            return
        self._awaited = None
        if answer is None or answer.partial:
            self._useless(awaited)
            return
        part = self._node(awaited.part.windows, answer)
        if awaited.behind:
            self._nodes.append(self._rest(awaited.node, part, awaited.behind))
            self._push(part)
        else:
            self._whole(awaited.node, part)
        if len(part.windows) == 1:
            self._count(part.windows, part.rest)

    def settle(self) -> list[Settled]:
        """Return the windows that are settled next, in their order."""
        found = super().settle()
        for one in found:
            self._count(one.windows, {})
        return found

    def _is_settled(self, node: Node) -> bool:
        """Return whether a node needs no request: the first difference is checked by one."""
        return node.kind is Kind.SETTLED and (self._right or not node.by_difference)

    def _node(self, windows: Sequence[Window], answer: Answer) -> Node:
        """Return what an answer says about exactly these windows, in whole numbers."""
        rest: dict[Metric, int | float] = {**whole(totals_of(answer))}
        for window in windows:
            for metric, number in self._collected[window.start].items():
                rest[metric] = rest.get(metric, 0) - number
        rest = {metric: number for metric, number in rest.items() if number}
        return Node(windows, Kind.DIFFERS if rest else Kind.SETTLED, rest=rest, by=answer)

    def _useless(self, awaited: Awaited) -> None:
        """Give the rest of a span up. How a single window ended that was requested, others say."""
        why = NOT_LOCATED if self._is_noted(awaited.node.windows[0]) else NO_ANSWER
        self._give_up_span(awaited.node.windows if awaited.size > 1 else awaited.behind, why)

    def _whole(self, node: Node, found: Node) -> None:
        """Go on after a request for all windows of a node."""
        if node.kind is Kind.OPEN:
            self._note(found)
        elif any(difference(found.rest, node.rest).values()):
            self._give_up_span(found.windows if len(found.windows) > 1 else (), CONTRADICTION)
            return
        else:
            self._right = True
        self._push(found)

    def _push(self, found: Node) -> None:
        """Go on with windows whose totals an answer said, unless no further one can be of use."""
        if found.kind is Kind.DIFFERS and len(found.windows) > 1 and (why := self._why_not(found)) is not None:
            self._given_up.append(GivenUp(found.windows, why))
        else:
            super()._push(found)

    def _why_not(self, found: Node) -> Failure | None:
        if found.by is None:
            return None
        if found.by.is_zero and all(map(self._may_be_deleted, found.windows)):
            return DELETED
        return PRODUCT_GONE if all(metric[0] not in found.by.products for metric in found.rest) else None

    def _note(self, found: Node) -> None:
        """Note what a whole span came to; not once more if it is a part of one that was noted before."""
        if found.by is None or self._is_noted(found.windows[0]):
            return
        self._said_until = found.windows[-1].end
        collected: Totals = {}
        for window in found.windows:
            collected = added(collected, self._collected[window.start])
        self.compared.append(Compared(len(found.windows), whole(totals_of(found.by)), collected))

    def _is_noted(self, window: Window) -> bool:
        """Return whether a window is in a span of which it was noted what it came to."""
        return self._said_until is not None and window.start < self._said_until

    def _count(self, windows: Sequence[Window], rest: Totals) -> None:
        """Count windows of which it is known now how they differ; not once more if one is requested again."""
        if not self.compared or (self._searched_until is not None and windows[0].start < self._searched_until):
            return
        self._searched_until = windows[-1].end
        self.compared[-1].searched += len(windows)
        self.compared[-1].changed.update(metric for metric, number in rest.items() if number)

    def _adjoins(self, group: Sequence[Window], window: Window) -> bool:
        return window.start != self._said_until and super()._adjoins(group, window)

    def _give_up_span(self, windows: Sequence[Window], why: Failure) -> None:
        """Give up windows, and all that is left of their span: what is known of others is not of it."""
        left = [*windows]
        while self._nodes and self._nodes[-1].kind in (Kind.DIFFERS, Kind.SETTLED):
            left += self._nodes.pop().windows
        if left:
            self._given_up.append(GivenUp(left, why))
