"""A ledger that was restored from a backup, and its output directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from collector.app import prepare
from collector.deliver import recovery, unsettled
from tests.simulation.mutations.mutation import Mutation, Patch


def _does_not_look() -> Sequence[Patch]:
    return [patch.object(prepare, "look", lambda *_, **__: unsettled.Unsettled())]


def _takes_sealed_for_lost() -> Sequence[Patch]:
    return [patch.object(recovery, "_was_sealed", lambda *_: False)]


def _adopted_without_the_newest() -> Sequence[Patch]:
    """Only runs that the ledger doesn't know at all are looked at: not one that went on after the backup."""
    look = unsettled.look

    def mutated(*args: Any, **options: Any) -> unsettled.Unsettled:
        found = look(*args, **options)
        return replace(found, begun={run_id: begun for run_id, begun in found.begun.items() if not begun})

    return [patch.object(prepare, "look", mutated)]


MUTATIONS = (
    Mutation("a restored ledger doesn't look at its files", {"revisions"}, _does_not_look),
    Mutation("a file sealed after the backup is lost", {"lost"}, _takes_sealed_for_lost),
    Mutation("a run that went on after the backup counts as known", {"revisions"}, _adopted_without_the_newest),
)
