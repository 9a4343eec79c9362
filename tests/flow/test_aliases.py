"""Several orgs of the config that are one organization (`same_organization: allow`), in one run and in two."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from collector.core.exit_codes import ExitCode
from collector.fetch import RateLimit
from collector.model import SliceState
from collector.run.manifest import RunResult
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.flow.test_sharing import Shared, backfill, run_all
from tests.flow.world import NOON, World
from tests.support.breadth import some_of
from tests.support.fake_api import UNAUTHORIZED, FakeApi, FakeClock, answer
from tests.support.orgs import make_org
from tests.support.virtual_time import run_virtual

DAYS = 100  # more than one batch


def aliases(tmp_path: Path, n: int, **changes: Any) -> World:
    """So many names of one organization, each with a credential of its own."""
    return World(
        tmp_path,
        orgs=[make_org(f"org-{i:02}", **changes) for i in range(n)],
        api=FakeApi(script=lambda org, request, _n: answer(org, request, org_id="42")),
        limits=replace(FAST, org_rate=RateLimit(50, 1.0)),
        same_organization="allow",
    )


PINNED = pytest.mark.parametrize("pinned", [{}, {"org_id": "42"}], ids=["found out", "pinned"])


@PINNED
@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_many_aliases_end_as_soon_as_one_org_does(tmp_path: Path, n: int, pinned: dict[str, Any]) -> None:
    """Those that the run found out, from three on, blocked each other until the attempts of a slice were spent."""
    world, run = aliases(tmp_path, n, **pinned), Shared(backfill(DAYS))
    run_all(world, run)
    assert run.result is not None
    summary = run.result.summary
    assert (run.result.exit_code, summary.planned) == (ExitCode.OK, DAYS * 2)
    found_out = 0 if pinned else n - 1  # one more request for each; with the pin, the ledger has one row from the start
    assert summary.requests == len(world.api.asked) == DAYS * 2 + found_out
    assert run.took_s < 12.0
    assert_once(world)


@PINNED
@pytest.mark.parametrize("n", some_of([2, 3, 40], 2))
@pytest.mark.parametrize("begins_at", some_of([0.0, 0.05, 0.3, 1.0], 2))
def test_aliases_that_two_processes_work_on_delay_neither_for_long(
    tmp_path: Path, n: int, pinned: dict[str, Any], begins_at: float
) -> None:
    """A process whose rows of new orgs the other had merged meanwhile ended with 5."""
    world = aliases(tmp_path, n, **pinned)
    one, other = Shared(backfill(DAYS)), Shared(backfill(DAYS), begins_at=begins_at)
    run_all(world, one, other)
    assert one.result is not None
    assert other.result is not None
    assert (one.result.exit_code, other.result.exit_code) == (ExitCode.OK, ExitCode.OK)
    assert one.result.summary.planned + other.result.summary.planned == DAYS * 2
    assert max(one.took_s, other.took_s) < 20.0
    assert_once(world)


@PINNED
@pytest.mark.parametrize("n", [2, 3, 40])
def test_aliases_that_the_ledger_knows_are_leased_in_turn(tmp_path: Path, n: int, pinned: dict[str, Any]) -> None:
    world, run = aliases(tmp_path, n, **pinned), Shared(backfill(DAYS))
    run_all(world, Shared(backfill(1)))
    before = len(world.api.asked)
    run_all(world, run)
    assert run.result is not None
    assert run.result.exit_code == ExitCode.OK
    assert len(world.api.asked) - before == (DAYS - 1) * 2
    assert run.took_s < 12.0


def test_an_alias_whose_credential_was_doubted_before_it_was_found_out_is_not_refused(tmp_path: Path) -> None:
    """Its answer came while the other alias had the lease: that counted as the second refusal."""
    world, run = aliases(tmp_path, 3), Shared(backfill(DAYS))
    world.api.script = lambda org, request, n: (
        UNAUTHORIZED if (org.name, n) == ("org-02", 0) else answer(org, request, org_id="42")
    )
    run_all(world, run)
    assert run.result is not None
    assert run.result.exit_code == ExitCode.OK
    assert run.result.summary.requests == len(world.api.asked)


def test_a_run_that_ends_early_counts_the_requests_of_postponed_slices(tmp_path: Path) -> None:
    """A slice that was given back was not fetched; its request was sent."""
    world, stop = aliases(tmp_path, 3), Stop()

    async def stopped() -> RunResult:
        asyncio.get_running_loop().call_later(1.0, stop.request, SIGTERM)
        return await world.run(backfill(DAYS), run_id="1", clock=FakeClock(NOON), stop=stop)

    summary = run_virtual(stopped()).summary
    assert summary.requests == len(world.api.asked) == summary.count(SliceState.COMPLETE) + 2
    assert summary.planned == summary.count(SliceState.COMPLETE) + summary.count(SliceState.NOT_ASKED)


def assert_once(world: World) -> None:
    fetched = Counter((record["record_id"], record["revision"]) for record in world.records)
    assert len(fetched) == sum(fetched.values()) == DAYS * 2 * 2  # populations, products
