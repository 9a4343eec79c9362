"""Records on stdout as the messages of a Singer tap: SCHEMA, RECORD and STATE (`core.singer`).

A STATE is written for what is committed only: who hands it back misses no record. What it says of the ledger may be
large. So it is written at the first record, then each time that as many records came as it has slices, and at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from collector.adapters.sinks.jsonl import to_lines
from collector.adapters.sinks.stdout import StdoutSink
from collector.core import singer
from collector.core.visible import visible
from collector.errors import OutputError
from collector.model import Record

_STATE_EVERY = 1000  # records, at least


class Carry(Protocol):
    """What returns what the ledger knows, for a STATE."""

    def __call__(self, *, ended: bool) -> Mapping[str, Any]:
        """Return it, and how many `slices` it has. `ended`: nothing was emitted that it doesn't know."""
        ...


class SingerSink(StdoutSink):
    """Writes messages. Without `carry` the ledger is elsewhere, and a STATE has only the bookmark."""

    def __init__(
        self,
        fd: int = 1,
        *,
        selected: Sequence[str] | None = None,
        bookmark: str | None = None,
        carry: Carry | None = None,
    ) -> None:
        super().__init__(fd)
        self._selected = singer.fields() if selected is None else tuple(selected)
        self._bookmark = bookmark
        self._carry = carry
        self._has_schema = False
        self._uncommitted = False  # records were written whose slices may not be committed
        self._broken = False
        self._since_state = 0  # records
        self._state_every = _STATE_EVERY

    def append(self, records: Sequence[Record]) -> None:
        """Write a message for each record."""
        if not self._has_schema:
            self._write_schema()
            if self._carry:
                self._write_state(ended=False)  # from here on, the state of before may miss something
        found = [orjson.loads(line) for line in to_lines(records).splitlines()]
        self._uncommitted = True
        self._write_messages([singer.record_message(record, self._selected) for record in found])
        self._bookmark = max([self._bookmark or "", *(record[singer.BOOKMARK] for record in found)])
        self._since_state += len(records)

    def committed(self) -> None:
        """Write a STATE if enough records came since the last one."""
        self._uncommitted = False
        if self._since_state >= self._state_every:
            self._write_state(ended=False)

    def write_manifest(self, manifest: bytes) -> None:
        """Write the last STATE, of what is committed. Nothing else is known of a run that ends."""
        del manifest
        if self._broken or self._abandoned:
            return
        if not self._has_schema:
            self._write_schema()
        self._write_state(ended=not self._uncommitted)

    def _write_schema(self) -> None:
        self._write_messages([singer.schema_message(self._selected)])
        self._has_schema = True

    def _write_state(self, *, ended: bool) -> None:
        carried = self._carry(ended=ended) if self._carry else None
        self._write_messages([singer.state_message(self._bookmark, carried)])
        self._since_state = 0
        self._state_every = max(_STATE_EVERY, _slices(carried))

    def _write_messages(self, messages: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._write(visible(b"".join(orjson.dumps(message) + b"\n" for message in messages)))
        except OutputError:
            self._broken = True
            raise


def _slices(carried: Mapping[str, Any] | None) -> int:
    """Return how many slices a STATE carries, which is what it costs."""
    return int(carried["slices"]) if carried else 0
