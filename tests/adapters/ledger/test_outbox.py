"""The records of a file whose place has no files that grow: the ledger keeps them until they are delivered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from collector.core.ledger_entries import UnsealedFile
from collector.errors import LedgerError
from collector.ledger import NoLedger, SqlLedger
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import commit, registered
from tests.support.orgs import make_org

FIRST, SECOND = b'{"n":1}\n{"n":2}\n', b'{"n":3}\n'


def begin(ledger: SqlLedger | NoLedger) -> UnsealedFile:
    return ledger.open_file("run-1", "s3://bucket/usage", "usage-run-1-0001.jsonl", place="an-id")


def grown(file: UnsealedFile, lines: bytes) -> UnsealedFile:
    return replace(file, bytes=file.bytes + len(lines), records=file.records + lines.count(b"\n"))


def kept(ledger: SqlLedger, key: int) -> UnsealedFile:
    """A file with two chunks, each committed with a slice."""
    file = grown(begin(ledger), FIRST)
    ledger.commit([commit(key, 0)], file, lines=FIRST)
    file = grown(file, SECOND)
    ledger.commit([commit(key, 1)], file, lines=SECOND)
    return file


def test_lines_are_kept_in_their_order_until_the_file_is_sealed(ledger: SqlLedger, key: int) -> None:
    file = kept(ledger, key)
    assert b"".join(ledger.kept(file)) == FIRST + SECOND
    assert ledger.damage(limit=5) == []
    ledger.sealed(file.file_id)
    with pytest.raises(LedgerError, match=r"lacks records of the file usage-run-1-0001\.jsonl"):
        list(ledger.kept(file))


def test_a_commit_that_a_server_did_and_did_not_report_keeps_the_lines_once(ledger: SqlLedger, key: int) -> None:
    file = kept(ledger, key)
    ledger.commit([commit(key, 1)], file, lines=SECOND)
    assert b"".join(ledger.kept(file)) == FIRST + SECOND


def test_lines_of_a_commit_that_fails_are_not_kept(opened: Open) -> None:
    crashed, other = opened(), opened()
    key = registered(crashed, make_org())[0].key
    file = kept(crashed, key)
    crashed.abandon()
    assert other.left_behind() == [file]
    assert [*other.take_over([file.file_id])] == [file]
    late = opened(holder_id=crashed.holder.holder_id)
    with pytest.raises(LedgerError, match="no longer belongs to this process"):
        late.commit([commit(key, 2)], grown(file, SECOND), lines=SECOND)
    assert b"".join(other.kept(file)) == FIRST + SECOND


def test_another_process_finds_what_a_dead_one_has_committed(opened: Open) -> None:
    crashed = opened()
    file = kept(crashed, registered(crashed, make_org())[0].key)
    crashed.abandon()
    other = opened()
    assert [*other.take_over([one.file_id for one in other.left_behind()])] == [file]
    assert b"".join(other.kept(file)) == FIRST + SECOND


def test_lines_of_a_lost_file_are_forgotten_and_its_slices_are_to_be_fetched_again(ledger: SqlLedger, key: int) -> None:
    file = kept(ledger, key)
    assert ledger.lost(file.file_id) == 2
    assert ledger.damage(limit=5) == []
    with pytest.raises(LedgerError, match="lacks records"):
        list(ledger.kept(file))


def test_what_delivers_a_file_in_the_database_of_the_ledger_happens_with_forgetting_it_or_not_at_all(
    ledger: SqlLedger, key: int
) -> None:
    file = kept(ledger, key)
    seen: list[bytes] = []

    def fail(_connection: Any, lines: Iterator[bytes]) -> None:
        seen.extend(lines)
        raise LedgerError("the table is gone")

    with pytest.raises(LedgerError, match="the table is gone"):
        ledger.seal_along(file, fail)
    assert b"".join(ledger.kept(file)) == FIRST + SECOND
    assert b"".join(seen) == FIRST + SECOND
    ledger.seal_along(file, lambda _connection, lines: seen.extend(lines))
    assert not ledger.has_file(file.name)


def test_a_chunk_that_somebody_removed_is_damage(ledger: SqlLedger, key: int) -> None:
    file = kept(ledger, key)
    ledger._database.write(lambda tx: tx.exec_driver_sql("DELETE FROM outbox WHERE start = 0"))
    assert ledger.damage(limit=5) == [f"file {file.file_id}: the outbox lacks records that are committed"]


def test_without_a_ledger_lines_are_kept_for_the_run() -> None:
    ledger = NoLedger()
    for _ in range(2):
        file = begin(ledger)
        ledger.commit([], file, lines=FIRST)
        ledger.commit([], file, lines=SECOND)
        assert b"".join(ledger.kept(file)) == FIRST + SECOND
        ledger.sealed(file.file_id)
    ledger.close()
