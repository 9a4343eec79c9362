"""With each guard taken out in turn, the simulation finds it, and says which promise is broken by that."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.run import run_seed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untraced")]
_AT_MOST = 12  # seeds, behind the one that is known to find it

# A seed that is known to find each: asked first, so that this takes a minute and not an hour.
FOUND_BY = {
    "nothing is ever synced": 5,
    "no intent before the rename": 60,
    "the name of a new file is never made durable": 12,
    "told to be sealed before the rename": 164,
    "recovery cuts nothing off": 2,
    "recovery takes a file that is too short": 67,
    "recovery converts again what was intended": 116,
    "the lines are removed before the names are there": 116,
    "a restored ledger doesn't look at its files": 21,
    "a file sealed after the backup is lost": 171,
    "a run that went on after the backup counts as known": 46,
    "the dead keep their leases": 4,
    "a minute of work is gathered before it is booked": 2,
    "released before it is booked": 114,
    "an org is left to nobody who waits": 24,
    "released while slices wait for retries": 31,
    "the lease is ignored": 2,
    "a worse answer replaces a better": 1,
    "collected_at follows the clock": 3,
    "old windows that shrank are restated": 3,
    "an equal record is emitted again": 1,
    "the names of a lost file count as delivered": 115,
    "one restated record names all of its slice": 40,
    "the rest of a span counts as unchanged": 44,
    "one product is compared for all": 44,
    "a partial answer's zero is measured": 27,
    "a partial answer completes a slice": 27,
    "coverage is a cursor": 2,
    "complete windows are never looked at again": 1,
    "a slice that failed counts as done": 2,
    "the limits have no margin": 1,
    "a permit counts from when it was taken": 9,
    "slices are asked again at once": 2,
    "Retry-After is not heard": 18,
    "a refused org is asked on and on": 4,
    "an org's concurrency is doubled": 2,
    "one org's Retry-After pauses all": 28,
    "what was not asked isn't counted": 4,
    "what a killed run left is never finished": 2,
    "a lost file takes all revisions back": 98,
    "booked before the records are written": 10,
    "another organization's answers are booked": 13,
    "a search believes a partial answer": 297,
    "a search believes a difference that doesn't fit": 172,
}


def found(mutation: Mutation) -> tuple[int, str] | None:
    """Return the first seed that finds the mutation, and the invariant that it names."""
    for seed in (FOUND_BY[mutation.name], *range(1, _AT_MOST + 1)):
        with mutation.applied():
            verdict = run_seed(seed)
        if verdict.broken in mutation.breaks:
            return seed, str(verdict.broken)
    return None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_the_simulation_finds_that(mutation: Mutation) -> None:
    assert found(mutation) is not None, f"none of the seeds names one of {sorted(mutation.breaks)}"


def test_there_are_guards_of_every_kind() -> None:
    """With all of them in place the same seeds find nothing: they are among the 500 of test_simulation.py."""
    assert len(MUTATIONS) >= 33
    assert max(FOUND_BY.values()) <= 500
    assert set(FOUND_BY) == {mutation.name for mutation in MUTATIONS}
    assert len({name for mutation in MUTATIONS for name in mutation.breaks}) >= 12
