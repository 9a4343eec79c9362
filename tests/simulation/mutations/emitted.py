"""What is emitted, with which revision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from collector.core import emission, finding, normalise
from collector.core.finding import Finding
from collector.fetch import slice_fetch
from collector.model import Answer
from tests.simulation.mutations.mutation import Mutation, Patch


def _emission_change(**mutated: Any) -> Callable[[], Sequence[Patch]]:
    return lambda: [patch.object(emission, name, value) for name, value in mutated.items()]


def _collected_at_follows_the_clock() -> Sequence[Patch]:
    change = normalise.change

    def mutated(*args: Any, now: datetime, **kwargs: Any) -> Any:
        changed = change(*args, now=now, **kwargs)
        return replace(changed, emission=replace(changed.emission, emitted_at=now))

    return [patch.object(normalise, "change", mutated)]


def _equal_is_emitted_again() -> Sequence[Patch]:
    change = normalise.change

    def mutated(previous: Any, found: Finding, **kwargs: Any) -> Any:
        changed = change(previous, found, **kwargs)
        again = {
            name: one._replace(revision=one.revision + 1)
            for name, one in (previous.products.items() if previous else ())
            if name not in changed.emitted
        }
        at = max(kwargs["now"], previous.emitted_at + emission._TICK) if again else changed.emission.emitted_at
        products = {**changed.emission.products, **again}
        return replace(
            changed,
            emitted={**changed.emitted, **again},
            emission=replace(changed.emission, products=products, emitted_at=at),
        )

    return [patch.object(normalise, "change", mutated)]


def _shrunk_is_always_restated() -> Sequence[Patch]:
    change = normalise.change

    def mutated(*args: Any, **kwargs: Any) -> Any:
        return change(*args, **(kwargs | {"emit_shrunk": True}))

    return [patch.object(normalise, "change", mutated)]


def _partial_zero_is_measured() -> Sequence[Patch]:
    absorb = finding.absorb

    def mutated(before: Finding | None, answer: Answer) -> Finding:
        found = absorb(before, answer)
        products = {name: usage or answer.products.get(name) for name, usage in found.products.items()}
        return replace(found, products=products)

    return [patch.object(slice_fetch, "absorb", mutated)]


def _partial_is_complete() -> Sequence[Patch]:
    return [patch.object(Finding, "complete", property(lambda _self: True))]


MUTATIONS = (
    Mutation(
        "a worse answer replaces a better",
        {"worse", "truth"},
        _emission_change(_RANK=dict.fromkeys(emission._RANK, 0)),
    ),
    Mutation("collected_at follows the clock", {"collected_at"}, _collected_at_follows_the_clock),
    Mutation("old windows that shrank are restated", {"shrunk"}, _shrunk_is_always_restated),
    Mutation("an equal record is emitted again", {"equal"}, _equal_is_emitted_again),
    Mutation("a partial answer's zero is measured", {"false zero"}, _partial_zero_is_measured),
    Mutation("a partial answer completes a slice", {"summary", "coverage", "exit code"}, _partial_is_complete),
)
