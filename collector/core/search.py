"""Finds the windows that need a request of their own, by requests for the spans that enclose them.

Theory of operation. There are adjoining windows of one org and population, and for each of them totals that are
*expected*: for `backfill --sparse` nothing, for others what was collected. Totals add up and are never negative. So one
answer for an enclosing span whose total is the expected one *settles* all of its windows without a request for each.
A span whose total is another one is split: its first part is requested, and the total of the rest is the difference.
A single window is always requested, never settled by itself: its numbers are measured.

| node of the search | is what is known of some adjoining windows |
|---|---|
| open | nothing: one request for all of them follows, if it may cost one more |
| differs | their total, which isn't the expected one: a part of them is requested next |
| settled | their total is the expected one, by an answer or by a difference |
| one by one | nothing can be concluded: each window is requested, and nothing is awaited |

The nodes are a stack, the oldest windows on top, so windows are settled and requested in their order. One request
is awaited at a time (`next` is None meanwhile). An answer that is partial, or that doesn't fit its enclosing one,
proves nothing. The first difference by which windows are settled is checked by a request; where nothing is expected, so
is each that is about more than twice as many windows as any that was. If one is wrong, totals don't add up here: no
difference is believed any more, and what is known by one is open again.

Where nothing is expected, usage comes in stretches: behind a window with usage the next part is one window, which
costs nothing extra; elsewhere it is half of the span. `Allowance` bounds what spans may cost.
Pure: knows no clock, and sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from collector.core.allowance import Allowance
from collector.core.search_nodes import Awaited, Kind, Node, Settled
from collector.core.totals import Totals, difference, only_counts, totals_of
from collector.model import Answer, Window


class Search:
    """The search of one org's population, over all batches of a run.

    `expected` has totals by the start of their window; None expects nothing at all, and is strict about it: users
    have to fit too, and both answers of a difference must have the same products and metrics. Without an `allowance`
    nothing bounds the requests for spans.
    """

    def __init__(
        self, *, max_span: timedelta, allowance: Allowance | None, expected: Mapping[datetime, Totals] | None = None
    ) -> None:
        self.allowance = allowance
        self.additive = True  # until a difference turned out to be wrong
        self._max_span = max_span
        self._expected = expected
        self._nodes: list[Node] = []  # the last one has the oldest windows
        self._awaited: Awaited | None = None
        self._check: Node | None = None  # that is settled by a difference which is checked next
        self._checked = 0  # windows of the longest such node whose difference was right
        self._used = False  # whether the window before the next one has usage
        self._longest: int | None = None  # windows of a span, after a longer one was not answered
        self._considered = 0  # windows of the whole command
        self._behind = 0  # windows of later batches
        self._kept = 0  # requests for spans to come, in this batch and behind it
        self._widest = 1  # windows of a span of this batch, at most

    # -- what others do with it

    @property
    def windows(self) -> list[Window]:
        """The windows that are neither settled nor requested yet, oldest first."""
        return [window for node in self._all for window in node.windows]

    @property
    def end(self) -> datetime | None:
        """Return until when windows are known to the search: a batch that goes on with them ends there at most."""
        return windows[-1].end if (windows := self.windows) else None

    def begin(
        self, windows: Sequence[Window], settles: Callable[[Window], bool], *, behind: int, considered: int
    ) -> None:
        """Go on with the windows of a batch, oldest first; only those that `settles` accepts may be settled.

        What is known is kept if they are the windows that were left, or begin with them. `behind` more windows follow;
        `considered` are all of the command.
        """
        self._behind = behind
        if self.allowance is not None:
            self.allowance.considered += considered - self._considered
            self._considered = considered
        known = self.windows
        if list(windows[: len(known)]) != known or not all(map(settles, self._searched)):
            self.forget()
            known = []
        new = self._spans(windows[len(known) :], settles)
        self._widest = max([len(node.windows) for node in new if node.kind is Kind.OPEN], default=self._widest)
        self._nodes[:0] = reversed(new)
        self._keep()

    def forget(self) -> None:
        """Forget all windows; an answer that is still to come proves nothing."""
        self._nodes.clear()
        self._awaited = self._check = None

    def next(self) -> Window | None:
        """Return what is requested next, one window or a span; None if an answer is awaited, or nothing is left."""
        if not self.ready:
            return None
        if self._check is not None and (checked := self._request_check(self._check)) is not None:
            return checked
        node = self._nodes.pop()
        size = len(node.windows)
        match node.kind:
            case Kind.DIFFERS if size > 1:
                return self._request(node, self._part_of(size))
            case Kind.OPEN if size > (self._longest or size):
                parts = node.windows[self._longest :], node.windows[: self._longest]
                self._nodes += [Node(part, Kind.OPEN) for part in parts]
                return self.next()
            case Kind.OPEN if size > 1 and self._permits(first=True):
                return self._request(node, size)
        if size > 1:
            self._nodes.append(Node(node.windows[1:], Kind.ONE_BY_ONE))
        self._used = node.kind is Kind.DIFFERS
        return node.windows[0]

    @property
    def ready(self) -> bool:
        """Whether a request can be sent now."""
        return self._awaited is None and bool(self._nodes) and not self._is_settled(self._nodes[-1])

    def answered(self, window: Window, answer: Answer | None) -> None:
        """Take the answer to the request that is awaited; None if none came. Others change nothing."""
        awaited = self._awaited
        if awaited is None or awaited.part.span != window:
            return
        self._awaited = None
        usable = answer if answer is not None and self._usable(answer) else None
        if usable is None:
            self._useless(awaited)
            return
        if self._longest is not None and awaited.size >= self._longest:
            self._longest *= 2
        part = self._node(awaited.part.windows, usable)
        if awaited.checks:
            self._compare(awaited, part)
        elif awaited.size == len(awaited.node.windows):
            self._push(part)
        else:
            self._part(awaited.node, part, awaited.behind)

    def settle(self) -> list[Settled]:
        """Return the windows that are settled next, in their order."""
        found = []
        while self._awaited is None and self._nodes and self._is_settled(self._nodes[-1]):
            node = self._nodes.pop()
            self._used = False
            if node.by is not None:
                found.append(Settled(node.windows, node.by))
            if self.allowance is not None:
                self.allowance.saved += len(node.windows)
        return found

    # -- the windows

    @property
    def _all(self) -> list[Node]:
        """All nodes, those with the oldest windows first."""
        awaited = [] if self._awaited is None or self._awaited.checks else [self._awaited.node]
        return [*awaited, *reversed(self._nodes)]

    @property
    def _searched(self) -> list[Window]:
        return [window for node in self._all if node.kind is not Kind.ONE_BY_ONE for window in node.windows]

    def _spans(self, windows: Iterable[Window], settles: Callable[[Window], bool]) -> list[Node]:
        """Return the windows as spans that one request can be for, and those that are requested one by one."""
        groups: list[tuple[bool, list[Window]]] = []
        for window in windows:
            settled = settles(window)
            if groups and groups[-1][0] is settled and self._adjoins(groups[-1][1], window):
                groups[-1][1].append(window)
            else:
                groups.append((settled, [window]))
        return [Node(group, Kind.OPEN if settled else Kind.ONE_BY_ONE) for settled, group in groups]

    def _adjoins(self, group: Sequence[Window], window: Window) -> bool:
        return group[-1].end == window.start and window.end - group[0].start <= self._max_span

    # -- what to request

    def _part_of(self, size: int) -> int:
        """Return how many windows of a span that differs are requested next."""
        if self._expected is None and self._used and self.additive:
            return 1
        half = size // 2
        return half if half == 1 or self._permits(first=False) else 1

    def _permits(self, *, first: bool) -> bool:
        """Return whether a request for a span is affordable: for the first time, or for a part of it.

        For a part, one more is kept: the check of a difference.
        """
        self._keep()
        if self.allowance is None:
            return True
        return self.allowance.permits(kept=0 if first else self.allowance.kept + self.additive)

    def _keep(self) -> None:
        """Keep a request for each span that is still to be requested for the first time."""
        in_batch = sum(node.kind is Kind.OPEN and len(node.windows) > 1 for node in self._nodes)
        kept = in_batch + -(-self._behind // self._widest)
        if self.allowance is not None:
            self.allowance.kept += kept - self._kept
        self._kept = kept

    def _request_check(self, node: Node) -> Window | None:
        """Return the request that checks a difference; a single window is the next one anyway, and is measured by it.

        If the request isn't affordable nothing is concluded: return None.
        """
        self._check = None
        if len(node.windows) == 1:
            self._nodes.remove(node)
        elif self.allowance is not None and not self.allowance.permits():
            self._replace(node, Node(node.windows, Kind.ONE_BY_ONE))
            return None
        return self._request(node, len(node.windows), checks=True)

    def _replace(self, node: Node, by: Node) -> None:
        self._nodes = [by if one is node else one for one in self._nodes]

    def _request(self, node: Node, size: int, *, checks: bool = False) -> Window:
        self._awaited = awaited = Awaited(node, size, checks)
        if self.allowance is not None and size > 1:
            self.allowance.extra += 1
        return awaited.part.span

    def _is_settled(self, node: Node) -> bool:
        return node.kind is Kind.SETTLED and node is not self._check

    # -- what follows from an answer

    def _usable(self, answer: Answer) -> bool:
        return not answer.partial and (self._expected is not None or only_counts(answer))

    def _node(self, windows: Sequence[Window], answer: Answer) -> Node:
        """Return what an answer says about exactly these windows."""
        rest: Totals = totals_of(answer)
        for window in windows if self._expected is not None else ():
            rest = difference(rest, self._expected[window.start])  # type: ignore[index]
        as_expected = not any(rest.values()) and (self._expected is not None or answer.users == 0)
        if as_expected:
            return Node(windows, Kind.SETTLED, rest=rest, by=answer)
        return Node(windows, Kind.DIFFERS, False, rest, answer.users, answer.users, by=answer)

    def _useless(self, awaited: Awaited) -> None:
        """Go on without an answer: with shorter spans, as long ones may be what is not answered."""
        if awaited.size > 1:
            self._longest = max(1, awaited.size // 4)
        if awaited.checks:
            self._replace(awaited.node, Node(awaited.node.windows, Kind.OPEN))
            return
        self._used = False
        if awaited.behind:
            self._nodes.append(Node(awaited.behind, Kind.OPEN))
        if awaited.size > 1:
            self._nodes.append(Node(awaited.part.windows, Kind.OPEN))

    def _compare(self, awaited: Awaited, found: Node) -> None:
        """Go on after a request that checked a difference."""
        if found.kind is Kind.SETTLED:
            self._checked = max(self._checked, awaited.size)
        else:
            self.additive = False
            self._nodes = [
                Node(one.windows, Kind.OPEN) if one.by_difference and one is not awaited.node else one
                for one in self._nodes
            ]
        self._used = found.kind is Kind.DIFFERS if awaited.size == 1 else self._used
        self._replace(awaited.node, found)

    def _part(self, node: Node, part: Node, behind: Sequence[Window]) -> None:
        """Go on after a request for the first windows of a node whose total is known."""
        rest = self._rest(node, part, behind)
        self._nodes.append(rest)
        self._push(part)
        if rest.kind is Kind.SETTLED and self._is_to_be_checked(len(behind)):
            self._check = rest

    def _rest(self, node: Node, part: Node, windows: Sequence[Window]) -> Node:
        """Return what is known of the windows behind a part of a node, by the difference."""
        if not self.additive:
            return Node(windows, Kind.OPEN)
        if not self._fits(node, part):
            return Node(windows, Kind.ONE_BY_ONE)
        rest, least_users = difference(node.rest, part.rest), max(0, node.least_users - part.most_users)
        if any(rest.values()):
            return Node(windows, Kind.DIFFERS, True, rest, least_users, node.most_users)
        if self._expected is None and least_users:
            return Node(windows, Kind.ONE_BY_ONE)
        return Node(windows, Kind.SETTLED, True, by=part.by)

    def _is_to_be_checked(self, size: int) -> bool:
        return size > 2 * self._checked if self._expected is None else not self._checked

    def _fits(self, node: Node, part: Node) -> bool:
        """Return whether a part can be one of its node."""
        if self._expected is not None:
            return True
        return (
            node.rest.keys() == part.rest.keys()
            and all(part.rest[metric] <= number for metric, number in node.rest.items())
            and part.most_users <= node.most_users
        )

    def _push(self, found: Node) -> None:
        """Go on with windows of which a request has told the total; a single one is measured by that."""
        if len(found.windows) == 1:
            self._used = found.kind is Kind.DIFFERS
            return
        self._nodes.append(found)
