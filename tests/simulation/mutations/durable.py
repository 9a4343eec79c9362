"""What is durable, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from collector.adapters.sinks import DirectorySink
from collector.deliver.writer import Writer
from collector.ledger import unsealed
from tests.simulation.disk import SimFiles
from tests.simulation.mutations.mutation import Mutation, Patch, nothing


def _sync_never() -> Sequence[Patch]:
    return [patch.object(SimFiles, "sync", lambda self, path: self.hand.point(f"no sync {path.name}"))]


def _book_before_the_records() -> Sequence[Patch]:
    """The order of append and book turned round."""
    append, write = DirectorySink.append, Writer.write
    held: dict[int, list[Any]] = {}  # by sink: several processes may write at once

    def later(self: DirectorySink, records: Sequence[Any]) -> None:
        if id(self) not in held:
            append(self, records)
        else:
            held[id(self)].extend(records)
            self._content.lines += 1  # the file counts as begun

    def mutated(self: Writer, outcomes: Sequence[Any]) -> Any:
        sink = self._sink
        assert isinstance(sink, DirectorySink)
        held[id(sink)] = []
        try:
            written = write(self, outcomes)
        finally:
            records = held.pop(id(sink))
        if records:
            sink._content.lines -= 1
            append(sink, records)
        return written

    return [patch.object(Writer, "write", mutated), patch.object(DirectorySink, "append", later)]


def _seal_without_intent() -> Sequence[Patch]:
    return [patch.object(unsealed, "intend_seal", nothing)]


def _name_never_durable() -> Sequence[Patch]:
    sync = SimFiles.sync

    def mutated(self: SimFiles, path: Any) -> None:
        if path in self.disk.names:
            self.disk.names[path].new = False
        sync(self, path)

    return [patch.object(SimFiles, "sync", mutated)]


def _seal_told_before_the_rename() -> Sequence[Patch]:
    publish = DirectorySink.publish

    def seal(self: Writer) -> Any:
        files = self._sink.close_file()
        if files and self._ledger and self._file:
            self._ledger.sealed(self._file.file_id)
            self._file = None
            publish(self._sink, files)  # type: ignore[arg-type]
            self.sealed += files
        return tuple(self.sealed)

    return [patch.object(Writer, "seal", seal)]


MUTATIONS = (
    Mutation("nothing is ever synced", {"again", "lost", "sealed", "lines", "revisions", "truth"}, _sync_never),
    Mutation("booked before the records are written", {"manifest", "again", "revisions"}, _book_before_the_records),
    Mutation("no intent before the rename", {"lost", "revisions"}, _seal_without_intent),
    Mutation("the name of a new file is never made durable", {"lost"}, _name_never_durable),
    Mutation("told to be sealed before the rename", {"sealed", "revisions"}, _seal_told_before_the_rename),
)
