"""What a search knows of adjoining windows, as values (`core.search`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from collector.core.totals import Totals
from collector.model import Answer, Window


class Kind(Enum):
    """What is known of a node; `core.search` has the table."""

    OPEN = auto()
    DIFFERS = auto()
    SETTLED = auto()
    ONE_BY_ONE = auto()


@dataclass(frozen=True, slots=True)
class Settled:
    """Windows whose totals are the expected ones, and an answer that proves it: of them, or of a span before them."""

    windows: Sequence[Window]
    by: Answer


@dataclass(frozen=True, slots=True)
class Node:
    """Some adjoining windows. `rest` is what their total differs by from the expected one; users lie within bounds."""

    windows: Sequence[Window]
    kind: Kind
    by_difference: bool = False
    rest: Totals = field(default_factory=dict)
    least_users: int = 0
    most_users: int = 0
    by: Answer | None = None

    @property
    def span(self) -> Window:
        """From the first window's start to the last one's end."""
        return Window(self.windows[0].start, self.windows[-1].end)


@dataclass(frozen=True, slots=True)
class Awaited:
    """The request whose answer is awaited: for the first windows of a node, or for all of them."""

    node: Node
    size: int
    checks: bool = False  # the difference by which the node is settled; then the node is still on the stack

    @property
    def part(self) -> Node:
        """What is requested."""
        return Node(self.node.windows[: self.size], Kind.OPEN)

    @property
    def behind(self) -> Sequence[Window]:
        """The windows of the node that are not requested."""
        return self.node.windows[self.size :]
