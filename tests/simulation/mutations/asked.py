"""Which slices are fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from unittest.mock import patch

from collector.core import coverage, plan, wanted
from collector.core.coverage import Known
from collector.model import Org, Population, Slice, Window
from tests.simulation.mutations.mutation import Mutation, Patch


def _cursor() -> Sequence[Patch]:
    """Coverage as the newest window that is complete: what is older is never asked again."""
    needed = plan.needed

    def mutated(
        org: Org, windows: Iterable[Window], known: Mapping[tuple[Population, datetime], Known], needs: Any
    ) -> list[Slice]:
        done = [start for (_, start), one in known.items() if one.state is coverage.SliceState.COMPLETE]
        slices = list(needed(org, windows, known, needs))
        return [slice_ for slice_ in slices if not done or slice_.window.start >= max(done)]

    return [patch.object(plan, "needed", mutated)]


def _never_rechecked() -> Sequence[Patch]:
    return [patch.object(coverage, "_recheck_due", lambda *_args, **_kwargs: False)]


def _failed_is_done() -> Sequence[Patch]:
    to_collect = coverage.to_collect

    def mutated(window: Window, known: Known | None, *args: Any, **kwargs: Any) -> bool:
        return known is None and to_collect(window, known, *args, **kwargs)

    return [
        patch.object(wanted, "to_collect", mutated),
        patch.object(wanted, "to_backfill", lambda known, *, force, **_: force or known is None),
    ]


MUTATIONS = (
    Mutation("coverage is a cursor", {"coverage"}, _cursor),
    Mutation("complete windows are never looked at again", {"recheck"}, _never_rechecked),
    Mutation("a slice that failed counts as done", {"coverage"}, _failed_is_done),
)
