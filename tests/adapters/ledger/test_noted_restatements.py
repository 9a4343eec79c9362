"""What the ledger notes of restatements: the former records, when they were replaced, and by which run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from collector.core.delivered import PastRun
from collector.core.emission import Emission
from collector.core.ledger_entries import Replaced, Restatement, SliceCommit
from collector.ledger import SqlLedger
from collector.ledger.schema import restatement
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ALWAYS, T0, commit, day, emission, registered, slice_at
from tests.adapters.ledger.test_adoption import delivered, emitted, identified
from tests.adapters.ledger.test_migrations import STORED, restore
from tests.support.orgs import make_org


def restated(key: int, n: int, before: Emission, after: Emission, run_id: str = "run-2") -> SliceCommit:
    return commit(key, n, emission=after, replaced=Replaced(emission=before, run_id=run_id))


def noted(ledger: SqlLedger, key: int, since: datetime = ALWAYS.start) -> list[tuple[datetime, str, Emission]]:
    return [(one.at, one.run_id, one.replaced) for one in ledger.restatements(key, since)]


FIRST, SECOND, THIRD = (emission(6 + n, revision=n, at=day(n)) for n in (1, 2, 3))


def test_a_restatement_is_noted_with_what_it_replaced(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0, emission=FIRST), commit(key, 1, emission=FIRST)], None)
    assert noted(ledger, key) == []
    ledger.commit([restated(key, 0, FIRST, SECOND)], None)
    ledger.commit([restated(key, 0, SECOND, THIRD, "run-3")], None)
    assert ledger.restatements(key, ALWAYS.start) == [
        Restatement(slice=slice_at(key, 0), at=day(2), run_id="run-2", replaced=FIRST),
        Restatement(slice=slice_at(key, 0), at=day(3), run_id="run-3", replaced=SECOND),
    ]
    assert noted(ledger, key, day(3)) == [(day(3), "run-3", SECOND)]
    assert ledger.restatements_known_from() is None


def test_a_restatement_in_a_lost_file_was_never_emitted(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, n, emission=FIRST) for n in range(2)], None)
    ledger.commit([restated(key, 1, FIRST, SECOND)], None)
    file = ledger.open_file("run-3", "out", "name")
    ledger.commit([restated(key, 0, FIRST, SECOND, "run-3"), restated(key, 1, SECOND, THIRD, "run-3")], file)
    assert len(noted(ledger, key)) == 3
    ledger.lost(file.file_id)
    assert noted(ledger, key) == [(day(2), "run-2", FIRST)]
    assert emitted(ledger, key, 1) == SECOND


def test_a_restatement_in_a_sealed_file_stays(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0, emission=FIRST)], None)
    file = ledger.open_file("run-2", "out", "name")
    ledger.commit([restated(key, 0, FIRST, SECOND)], file)
    ledger.sealed(file.file_id)
    ledger.lost(file.file_id)
    assert noted(ledger, key) == [(day(2), "run-2", FIRST)]


def test_what_a_restored_ledger_takes_over_is_noted(ledger: SqlLedger) -> None:
    key = identified(ledger)
    ledger.commit([commit(key, 0, emission=FIRST)], None)
    for _ in range(2):  # each transaction may be done twice
        ledger.adopt([replace(delivered(0, SECOND), run_id="run-2"), replace(delivered(1, SECOND), run_id="run-2")])
        ledger.adopt([replace(delivered(0, THIRD), run_id="r" * 100)])
        ledger.adopt([delivered(0, FIRST)])
    assert noted(ledger, key) == [(day(2), "run-2", FIRST), (day(3), "r" * 64, SECOND)]


def test_a_restored_ledger_replaces_what_sealed_files_have(ledger: SqlLedger) -> None:
    key = identified(ledger)
    ledger.commit([commit(key, 0, emission=FIRST)], None)
    file = ledger.open_file("run-2", "out", "name")
    ledger.commit([restated(key, 0, FIRST, SECOND)], file)
    ledger.adopt([replace(delivered(0, THIRD), run_id="run-3")])
    ledger.lost(file.file_id)
    assert noted(ledger, key) == [(day(3), "run-3", FIRST)]
    assert emitted(ledger, key) == THIRD


def test_after_files_that_are_gone_not_all_restatements_are_known(ledger: SqlLedger) -> None:
    def past(run_id: str, n: int, *, read: bool) -> PastRun:
        return PastRun(run_id=run_id, command="collect", started_at=day(n), ended_at=day(n), exit_code=0, read=read)

    ledger.adopt_runs([past("run-1", 1, read=True)])
    assert ledger.restatements_known_from() is None
    ledger.adopt_runs([past("run-5", 5, read=False), past("run-3", 3, read=False)])
    assert ledger.restatements_known_from() == day(5)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_an_older_ledger_knows_no_restatement_of_before(opened: Open, path: Path) -> None:
    restore(STORED["0009"], path)
    ledger = opened()
    key = registered(ledger, make_org("acme"))[0].key
    assert noted(ledger, key) == []
    assert ledger.restatements_known_from() == day(4)  # when the last slice of it was fetched


def test_restatements_go_with_an_org_that_becomes_another(opened: Open, ledger: SqlLedger) -> None:
    """A fresh row that is merged has nothing that was emitted, so no restatement either; the old row keeps its own."""
    key = identified(ledger)
    ledger.commit([commit(key, 0, emission=FIRST)], None)
    ledger.commit([restated(key, 0, FIRST, SECOND)], None)
    fresh = registered(ledger, make_org("renamed"))[0].key
    assert fresh != key
    assert ledger.identify(fresh, name="renamed", org_id="id-acme", org_name="Acme") == key
    assert noted(ledger, key) == [(day(2), "run-2", FIRST)]
    assert opened().restatements(fresh, T0) == []
    assert ledger.rows([slice_at(key, 0)])[slice_at(key, 0)].emission == SECOND


def test_damage_in_it_is_found(opened: Open, ledger: SqlLedger, key: int) -> None:
    ledger.commit([restated(key, 0, FIRST, SECOND)], None)
    assert ledger.damage(limit=9) == []
    ledger._database.write(lambda tx: tx.execute(update(restatement).values(replaced="x")))
    (found,) = opened().damage(limit=9)
    assert found.startswith(f"restatement of org {key}, population 0, start ")
