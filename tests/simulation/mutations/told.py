"""What a run says of itself, and whose answers it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from collector.core import response, summary
from collector.core.identities import Identities
from collector.fetch import dispatcher
from collector.model import Answer, Org
from tests.simulation.mutations.mutation import Mutation, Patch, nothing


def _not_asked_is_forgotten() -> Sequence[Patch]:
    return [patch.object(summary.PopulationSummary, "close", nothing)]


def _identity_unchecked() -> Sequence[Patch]:
    def remember(self: Identities, org: Org, answer: Answer) -> None:
        self._known[org.name] = answer.org_id

    interpret = response.interpret

    def mutated(*args: Any, **kwargs: Any) -> Any:
        return interpret(*args, **(kwargs | {"pinned_org_id": None}))

    return [patch.object(Identities, "check", remember), patch.object(dispatcher, "interpret", mutated)]


MUTATIONS = (
    Mutation("what was not asked isn't counted", {"summary"}, _not_asked_is_forgotten),
    Mutation("another organization's answers are booked", {"identity", "answers"}, _identity_unchecked),
)
