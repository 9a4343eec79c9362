"""What a search for empty windows concludes from the answers for spans."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

from collector.core.search import Search
from collector.core.search_nodes import Kind, Node
from collector.core.totals import difference
from collector.model import Window
from tests.simulation.mutations.mutation import Mutation, Patch


def _partial_is_believed() -> Sequence[Patch]:
    return [patch.object(Search, "_usable", lambda _self, _answer: True)]


def _what_does_not_fit_is_believed() -> Sequence[Patch]:
    """Nothing is left of a span if its part has more; that is neither compared with its users nor checked."""

    def mutated(_self: Search, node: Node, part: Node, windows: Sequence[Window]) -> Node:
        rest = {metric: max(0, number) for metric, number in difference(node.rest, part.rest).items()}
        kind = Kind.DIFFERS if any(rest.values()) else Kind.SETTLED
        return Node(windows, kind, True, rest, 0, node.most_users, by=part.by)

    return [
        patch.object(Search, "_rest", mutated),
        patch.object(Search, "_is_to_be_checked", lambda _self, _size: False),
    ]


MUTATIONS = (
    Mutation("a search believes a partial answer", {"inferred"}, _partial_is_believed),
    Mutation("a search believes a difference that doesn't fit", {"inferred"}, _what_does_not_fit_is_believed),
)
