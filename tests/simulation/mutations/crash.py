"""What a crash leaves, and what recovery makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from sqlalchemy import update

from collector.adapters.sinks.sealing import Sealing
from collector.app import prepare
from collector.core.ledger_entries import UnsealedFile
from collector.deliver import recovery
from collector.ledger import holders, leases, runs, unsealed
from collector.ports import Ledger
from collector.run import run
from tests.simulation.disk import SimFiles
from tests.simulation.mutations.mutation import Mutation, Patch, nothing


def _recovery_never() -> Sequence[Patch]:
    return [patch.object(prepare, "recover", lambda *_args, **_kwargs: recovery.Recovered())]


def _recovery_cuts_nothing() -> Sequence[Patch]:
    return [patch.object(SimFiles, "truncate", lambda self, path, _size: self.sync(path))]


def _recovery_trusts_any_size() -> Sequence[Patch]:
    finish = recovery._finish

    def mutated(ledger: Ledger, sealing: Any, file: UnsealedFile, directory: Any) -> bool:
        size = sealing.size(directory, file.name)
        booked = file if size is None or not file.records else replace(file, bytes=min(size, file.bytes))
        return finish(ledger, sealing, booked, directory)

    return [patch.object(recovery, "_finish", mutated)]


def _recovery_converts_again() -> Sequence[Patch]:
    finish = recovery._finish

    def mutated(ledger: Ledger, sealing: Any, file: UnsealedFile, directory: Any) -> bool:
        is_there = sealing.size(directory, file.name) is not None
        return finish(ledger, sealing, replace(file, seal_intended=file.seal_intended and not is_there), directory)

    return [patch.object(recovery, "_finish", mutated)]


def _lines_removed_first() -> Sequence[Patch]:
    publish = Sealing.publish

    def mutated(self: Sealing, directory: Any, name: str, finals: Sequence[str] | None = None) -> None:
        self.forget(directory, name)
        publish(self, directory, name, finals)

    return [patch.object(Sealing, "publish", mutated)]


def _lost_without_prior() -> Sequence[Patch]:
    lost = unsealed.lost

    def mutated(tx: Any, file_id: int) -> int:
        table = unsealed.slice_
        tx.execute(update(table).where(table.c.file == file_id).values(prior=None))
        return lost(tx, file_id)

    return [patch.object(unsealed, "lost", mutated)]


def _leases_of_the_dead_stay() -> Sequence[Patch]:
    return [patch.object(module, "remove_dead_holders", nothing) for module in (leases, holders, unsealed, runs)]


def _gathered_for_a_minute() -> Sequence[Patch]:
    return [patch.object(run, "_GATHER_S", 60.0)]


MUTATIONS = (
    Mutation("what a killed run left is never finished", {"sealed", "revisions"}, _recovery_never),
    Mutation("recovery cuts nothing off", {"revisions", "lines"}, _recovery_cuts_nothing),
    Mutation("recovery takes a file that is too short", {"revisions", "lines", "truth"}, _recovery_trusts_any_size),
    Mutation("recovery converts again what was intended", {"sealed", "revisions"}, _recovery_converts_again),
    Mutation("the lines are removed before the names are there", {"revisions", "truth"}, _lines_removed_first),
    Mutation("a lost file takes all revisions back", {"revisions"}, _lost_without_prior),
    Mutation("the dead keep their leases", {"coverage", "exit code", "sealed", "again"}, _leases_of_the_dead_stay),
    Mutation("a minute of work is gathered before it is booked", {"again"}, _gathered_for_a_minute),
)
