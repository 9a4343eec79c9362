"""What a reconcile concludes from totals."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

from collector.core.comparing import Comparing
from collector.core.search_nodes import Kind, Node
from collector.model import Answer, Window
from tests.simulation.mutations.mutation import Mutation, Patch


def _the_rest_of_a_span_is_unchanged() -> Sequence[Patch]:
    def mutated(_self: Comparing, _node: Node, part: Node, windows: Sequence[Window]) -> Node:
        return Node(windows, Kind.SETTLED, by=part.by)

    return [patch.object(Comparing, "_rest", mutated)]


def _only_the_first_metric_is_compared() -> Sequence[Patch]:
    real = Comparing._node

    def mutated(self: Comparing, windows: Sequence[Window], answer: Answer) -> Node:
        found = real(self, windows, answer)
        rest = {metric: number for metric, number in found.rest.items() if metric[0] == "automation"}
        return Node(windows, Kind.DIFFERS if rest else Kind.SETTLED, rest=rest, by=answer)

    return [patch.object(Comparing, "_node", mutated)]


MUTATIONS = (
    Mutation("the rest of a span counts as unchanged", {"reconciled"}, _the_rest_of_a_span_is_unchanged),
    Mutation("one product is compared for all", {"reconciled"}, _only_the_first_metric_is_compared),
)
