"""Names and labels that are restated."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

from sqlalchemy import Connection, select, update

from collector.core.ledger_entries import SliceRow
from collector.core.naming import naming
from collector.core.normalise import Normalised
from collector.deliver import writer
from collector.events import SliceOutcome
from collector.ledger import unsealed
from collector.ledger.schema import slice_
from tests.simulation.mutations.mutation import Mutation, Patch


def _names_of_a_lost_file_stay() -> Sequence[Patch]:
    lost = unsealed.lost

    def mutated(tx: Connection, file_id: int) -> int:
        key = (slice_.c.org, slice_.c.population, slice_.c.start)
        before = tx.execute(select(*key, slice_.c.naming).where(slice_.c.file == file_id)).all()
        count = lost(tx, file_id)
        for *values, naming_ in before:
            one = (column == value for column, value in zip(key, values, strict=True))
            tx.execute(update(slice_).where(*one).values(naming=naming_))
        return count

    return [patch.object(unsealed, "lost", mutated)]


def _one_record_names_all() -> Sequence[Patch]:
    def mutated(outcome: SliceOutcome, found: Normalised | None, row: SliceRow | None) -> int | None:
        if found is None or outcome.finding is None or not found.records:
            return row.naming if row else None
        return naming(outcome.slice.org, outcome.finding.org_name)

    return [patch.object(writer, "_naming", mutated)]


MUTATIONS = (
    Mutation("the names of a lost file count as delivered", {"relabel"}, _names_of_a_lost_file_stay),
    Mutation("one restated record names all of its slice", {"relabel"}, _one_record_names_all),
)
