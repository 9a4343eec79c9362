"""Unsealed files and runs without an end: what is left of them after a crash."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from collector.core.coverage import Known
from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import UnsealedFile
from collector.errors import LedgerError
from collector.ledger import SqlLedger
from collector.model import ProductUsage, Quality, SliceState
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ACCOUNT, ALWAYS, T0, commit, day, emission, registered, slice_at
from tests.support.orgs import make_org

LOST = Known(state=SliceState.FAILED, complete_at=None)


def begin(ledger: SqlLedger, name: str = "usage-1.jsonl") -> UnsealedFile:
    return ledger.open_file("run-1", "out", name, place="a-directory")


def taken_over(ledger: SqlLedger) -> list[UnsealedFile]:
    """Take over all files that were left behind."""
    return list(ledger.take_over([file.file_id for file in ledger.left_behind()]))


def emitted(ledger: SqlLedger, key: int, n: int = 0) -> Emission | None:
    return ledger.rows([slice_at(key, n)])[slice_at(key, n)].emission


def test_a_new_file_is_committed_as_empty(ledger: SqlLedger) -> None:
    assert begin(ledger) == UnsealedFile(
        file_id=1,
        run_id="run-1",
        directory="out",
        name="usage-1.jsonl",
        bytes=0,
        records=0,
        seal_intended=False,
        host=socket.gethostname(),
        place="a-directory",
    )


def test_committing_an_empty_file_again_returns_the_same_row(ledger: SqlLedger) -> None:
    file = begin(ledger)
    assert begin(ledger) == file  # a server may commit and fail before it reports it
    ledger.commit([], replace(file, bytes=1))
    assert begin(ledger).file_id != file.file_id


def test_files_of_a_crashed_process_are_taken_over_as_they_were_committed(opened: Open) -> None:
    crashed = opened()
    key = registered(crashed, make_org())[0].key
    first, second = begin(crashed), begin(crashed, "usage-2.jsonl")
    first = replace(first, bytes=100, records=3)
    crashed.commit([commit(key, 0)], first)
    crashed.intend_seal(first.file_id)
    crashed.abandon()
    assert taken_over(opened()) == [replace(first, seal_intended=True), second]


def test_files_of_a_living_process_are_not_left_behind(opened: Open) -> None:
    living, other = opened(), opened()
    begin(living)
    assert other.left_behind() == []
    assert living.left_behind() == []


def test_files_of_an_ended_process_are_left_behind(opened: Open) -> None:
    ended, other = opened(), opened()
    file = begin(ended)
    ended.close()
    assert other.left_behind() == [file]


def test_a_file_that_was_taken_over_belongs_to_the_new_process(opened: Open) -> None:
    crashed, one, other = opened(), opened(), opened()
    file = begin(crashed)
    crashed.abandon()
    assert taken_over(one) == [file]
    assert other.left_behind() == []
    one.commit([], replace(file, bytes=1))
    one.abandon()
    assert taken_over(other) == [replace(file, bytes=1)]


def test_only_one_process_takes_over_a_file(opened: Open) -> None:
    crashed, one, other = opened(), opened(), opened()
    file = begin(crashed)
    crashed.abandon()
    assert one.left_behind() == other.left_behind() == [file]  # listing takes nothing over
    assert one.take_over([file.file_id]) == [file]
    assert other.take_over([file.file_id]) == []
    assert one.take_over([file.file_id]) == [file]


def test_a_file_that_no_process_took_over_is_awaited_and_its_slices_are_in_doubt(opened: Open) -> None:
    crashed, other = opened(), opened()
    key = registered(crashed, make_org())[0].key
    crashed.begin_run("run-1", "collect", T0)
    crashed.commit([commit(key, 0)], None)
    file = begin(crashed)
    crashed.commit([commit(key, 1), commit(key, 2)], replace(file, bytes=9, records=2))
    assert other.awaited() == []
    assert other.in_doubt() == {}
    crashed.abandon()
    other.left_behind()
    assert [(one.file.name, one.file.host, one.slices, one.begun_at) for one in other.awaited()] == [
        (file.name, file.host, 2, T0)
    ]
    assert other.in_doubt() == {key: frozenset({file.file_id})}
    (taken,) = other.take_over([file.file_id])
    assert other.in_doubt() == {}
    other.sealed(taken.file_id)
    assert other.awaited() == []


def test_files_of_our_own_ended_run_are_left_behind(ledger: SqlLedger) -> None:
    ledger.begin_run("run-1", "serve", T0)
    file = begin(ledger)
    assert ledger.left_behind() == []
    ledger.end_run("run-1", 5, T0)
    assert ledger.left_behind() == [file]


def test_a_sealed_file_is_deleted_and_its_slices_stay(ledger: SqlLedger, key: int) -> None:
    file = begin(ledger)
    ledger.commit([commit(key, 0)], file)
    ledger.sealed(file.file_id)
    assert ledger.lost(file.file_id) == 0
    assert emitted(ledger, key) == emission()


def test_slices_of_a_lost_file_are_fetched_and_emitted_again(ledger: SqlLedger, key: int) -> None:
    file = begin(ledger)
    ledger.commit([commit(key, n) for n in range(3)], file)
    ledger.commit([commit(key, 7)], None)
    assert ledger.lost(file.file_id) == 3
    assert [ledger.coverage(key, ALWAYS)[ACCOUNT, day(n)] for n in range(3)] == [LOST] * 3
    assert emitted(ledger, key) is None
    assert ledger.coverage(key, ALWAYS)[ACCOUNT, day(7)].state is SliceState.COMPLETE
    assert ledger.lost(file.file_id) == 0


def test_a_restatement_in_a_lost_file_is_reset_to_what_sealed_files_hold(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0)], None)
    file = begin(ledger)
    ledger.commit([commit(key, 0, emission=emission(8, revision=2))], file)
    ledger.commit([commit(key, 0, emission=emission(9, revision=3))], file)
    assert ledger.lost(file.file_id) == 1
    assert ledger.coverage(key, ALWAYS)[ACCOUNT, day(0)] == LOST
    assert emitted(ledger, key) == emission()


def test_products_that_were_not_restated_keep_their_revision_when_the_others_are_lost(
    ledger: SqlLedger, key: int
) -> None:
    def of(product: int) -> Emission:
        first = Emitted(revision=1, quality=Quality.MEASURED, usage=ProductUsage(total_tests=1))
        changed = Emitted(revision=product, quality=Quality.MEASURED, usage=ProductUsage(total_tests=product))
        return Emission(emitted_at=T0, users=1, products={"automation": first, "realtime": changed})

    ledger.commit([commit(key, 0, emission=of(1))], None)
    file = begin(ledger)
    ledger.commit([commit(key, 0, emission=of(2))], file)
    ledger.lost(file.file_id)
    assert emitted(ledger, key) == of(1)


def test_a_slice_without_a_new_emission_is_not_lost_with_the_file(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0), commit(key, 1)], None)
    file = begin(ledger)
    ledger.commit([commit(key, 0), commit(key, 1, SliceState.FAILED), commit(key, 2, SliceState.FAILED)], file)
    assert ledger.lost(file.file_id) == 0
    assert ledger.coverage(key, ALWAYS)[ACCOUNT, day(0)].state is SliceState.COMPLETE
    assert emitted(ledger, key, 1) == emission()


def test_a_slice_that_failed_after_its_emission_is_lost_with_its_file(ledger: SqlLedger, key: int) -> None:
    file = begin(ledger)
    ledger.commit([commit(key, 0)], file)
    ledger.commit([commit(key, 0, SliceState.FAILED)], None)
    assert ledger.lost(file.file_id) == 1
    assert emitted(ledger, key) is None


def test_a_slice_belongs_to_the_file_of_its_last_revision(ledger: SqlLedger, key: int) -> None:
    first, second = begin(ledger), begin(ledger, "usage-2.jsonl")
    ledger.commit([commit(key, 0)], first)
    ledger.commit([commit(key, 0, emission=emission(9, revision=2))], second)
    ledger.sealed(first.file_id)
    ledger.lost(second.file_id)
    assert emitted(ledger, key) == emission()


def test_a_file_of_another_process_can_not_be_committed(opened: Open) -> None:
    one, other = opened(), opened()
    key = registered(one, make_org())[0].key
    file = begin(one)
    with pytest.raises(LedgerError, match="no longer belongs to this process"):
        other.commit([commit(key, 0)], replace(file, bytes=1))
    with pytest.raises(LedgerError, match="no longer belongs to this process"):
        other.intend_seal(file.file_id)
    assert one.coverage(key, ALWAYS) == {}


def test_ids_of_files_are_never_reused(ledger: SqlLedger) -> None:
    first = begin(ledger)
    ledger.sealed(first.file_id)
    assert begin(ledger).file_id > first.file_id


def test_runs_of_dead_processes_are_ended_and_returned_once(opened: Open) -> None:
    crashed, ended, living = opened(), opened(), opened()
    assert crashed.begin_run("run-2", "collect", day(2)) == []
    assert ended.begin_run("run-1", "collect", day(1)) == []
    assert living.begin_run("run-3", "backfill", day(3)) == []
    crashed.abandon()
    ended.close()
    assert living.begin_run("run-4", "backfill", day(4)) == ["run-1", "run-2"]
    assert living.begin_run("run-5", "backfill", day(5)) == []
