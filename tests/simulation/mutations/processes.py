"""Leases: several processes on one ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from collector.fetch.lane import Lane
from collector.ledger import SqlLedger, leases
from collector.run.leasing import Leasing
from collector.run.org_task import OrgTask
from tests.simulation.mutations.mutation import Mutation, Patch


def _lease_ignored() -> Sequence[Patch]:
    acquire = leases.acquire

    def mutated(*args: Any) -> dict[int, Any]:
        acquire(*args)
        return {}

    return [patch.object(leases, "acquire", mutated)]


def _released_before_it_is_committed() -> Sequence[Patch]:
    release = Leasing._release

    async def mutated(self: Leasing, tasks: Sequence[OrgTask]) -> None:
        if tasks:
            await self._offload(lambda: self._ledger.release([task.key for task in tasks]))
        await release(self, tasks)

    return [patch.object(Leasing, "_release", mutated)]


def _left_to_nobody() -> Sequence[Patch]:
    return [patch.object(SqlLedger, "waited_for", lambda *_args: ())]


def _released_while_retries_wait() -> Sequence[Patch]:
    return [patch.object(Lane, "waiting", False)]


MUTATIONS = (
    Mutation("released before it is booked", {"again"}, _released_before_it_is_committed),
    Mutation("an org is left to nobody who waits", {"waits"}, _left_to_nobody),
    Mutation("released while slices wait for retries", {"again"}, _released_while_retries_wait),
    Mutation("the lease is ignored", {"lease"}, _lease_ignored),
)
