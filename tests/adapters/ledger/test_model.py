"""The ledger against a simple model: commits, seals, lost files, crashes and reopening in any order."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection

from collector.core.coverage import Known
from collector.core.emission import Emission, Emitted, replaced
from collector.core.ledger_entries import Replaced, SliceCommit, SliceKey, SliceRow, UnsealedFile
from collector.ledger import SqlLedger
from collector.model import Population, ProductUsage, Quality, SliceState
from tests.adapters.ledger.support import ALWAYS, DAY, day, days, open_ledger, registered
from tests.support.orgs import make_org

T = TypeVar("T")
SLICES = 4
POSITIONS = st.tuples(st.integers(0, 1), st.sampled_from(Population), st.integers(0, SLICES - 1))
FINDINGS = st.tuples(
    POSITIONS,
    st.sampled_from([SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED, SliceState.REFUSED]),
    st.none() | st.integers(0, 3),  # what is emitted; None for nothing at all
)


@dataclass
class Expected:
    """A slice in the model: its state, and its emission with and without the unsealed file."""

    known: Known
    asked_at: datetime
    emission: Emission | None
    code: str | None = None
    sealed: Emission | None = None
    file_id: int | None = None
    restated: list[tuple[Emission, int | None]] = field(default_factory=list)  # what was replaced, and the file


class LedgerBesideModel(RuleBasedStateMachine):
    """One process, one file at a time, as the writer does."""

    lost_again: int | None = None  # the result of `lost` for a file that was already lost

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "ledger.db"
        self.ledger = self.open()
        self.expected: dict[SliceKey, Expected] = {}
        self.file: UnsealedFile | None = None
        self.ticks = itertools.count()

    def open(self) -> SqlLedger:
        return open_ledger(self.path)

    @initialize()
    def register(self) -> None:
        self.keys = [standing.key for standing in registered(self.ledger, make_org("a"), make_org("b"))]

    @rule(findings=st.lists(FINDINGS, max_size=6), to_file=st.booleans())
    def commit(self, findings: list[tuple[tuple[int, Population, int], SliceState, int | None]], to_file: bool) -> None:
        file = None
        if to_file:
            self.file = self.file or replace(self.ledger.open_file("run", "out", "name"), host=None)
            file = self.file = replace(self.file, bytes=self.file.bytes + 10, records=self.file.records + 1)
        commits = [self.one_commit(*finding, file=file) for finding in findings]
        self.ledger.commit(commits, file)

    def one_commit(
        self, position: tuple[int, Population, int], state: SliceState, tests: int | None, file: UnsealedFile | None
    ) -> SliceCommit:
        org, population, n = position
        slice_ = SliceKey(key=self.keys[org], population=population, start=day(n))
        at = day(100) + next(self.ticks) * DAY
        before = self.expected.get(slice_)
        last = before.emission if before else None
        now = None if tests is None else self.emission(last, tests)
        known = Known(state=state, complete_at=at if state is SliceState.COMPLETE else None)
        after = Expected(known=known, asked_at=at, emission=last if now is None else now)
        if now is None or now == last:
            after.sealed, after.file_id = (before.sealed, before.file_id) if before else (None, None)
        elif file is not None:
            after.file_id = file.file_id
            after.sealed = before.sealed if before and before.file_id == file.file_id else last
        replaces = replaced(last, now) if now else None
        after.restated = list(before.restated) if before else []
        if replaces is not None:
            after.restated.append((replaces, file.file_id if file else None))
        self.expected[slice_] = after
        return SliceCommit(
            slice=slice_,
            end=day(n + 1),
            state=state,
            code=None,
            asked_at=at,
            complete_at=known.complete_at,
            emission=now,
            replaced=None if replaces is None else Replaced(emission=replaces, run_id="run"),
        )

    def emission(self, last: Emission | None, tests: int) -> Emission:
        usage = ProductUsage(total_tests=tests)
        old = last.products["automation"] if last else None
        if last is not None and old is not None and old.usage == usage:
            return last
        emitted = Emitted(revision=old.revision + 1 if old else 1, quality=Quality.MEASURED, usage=usage)
        return Emission(emitted_at=day(next(self.ticks)), users=1, products={"automation": emitted})

    @precondition(lambda self: self.file is not None)
    @rule()
    def seal(self) -> None:
        assert self.file is not None
        self.ledger.intend_seal(self.file.file_id)
        self.ledger.sealed(self.file.file_id)
        for expected in self.expected.values():
            if expected.file_id == self.file.file_id:
                expected.sealed, expected.file_id = None, None
        self.file = None

    @precondition(lambda self: self.file is not None)
    @rule()
    def lose(self) -> None:
        assert self.file is not None
        lost = [expected for expected in self.expected.values() if expected.file_id == self.file.file_id]
        assert self.ledger.lost(self.file.file_id) in {len(lost), self.lost_again}
        for expected in lost:
            expected.known, expected.code = Known(state=SliceState.FAILED, complete_at=None), "lost"
            expected.restated = [one for one in expected.restated if one[1] != expected.file_id]
            expected.emission, expected.sealed, expected.file_id = expected.sealed, None, None
        self.file = None

    @rule(crash=st.booleans())
    def open_again(self, crash: bool) -> None:
        (self.ledger.abandon if crash else self.ledger.close)()
        self.ledger = self.open()
        assert self.taken_over() == ([] if self.file is None else [self.file])

    def taken_over(self) -> list[UnsealedFile]:
        left = self.ledger.left_behind()
        files = self.ledger.take_over([file.file_id for file in left])
        assert files == left
        return [replace(file, host=None) for file in files]

    @rule(first=st.integers(0, SLICES), length=st.integers(1, SLICES))
    def read_coverage_of_a_span(self, first: int, length: int) -> None:
        span = days(first, first + length)
        for key in self.keys:
            assert self.ledger.coverage(key, span) == {
                (slice_.population, slice_.start): expected.known
                for slice_, expected in self.expected.items()
                if slice_.key == key and span.start <= slice_.start < span.end
            }

    @invariant()
    def ledger_has_what_the_model_has(self) -> None:
        positions = itertools.product(self.keys, Population, range(SLICES))
        everything = [SliceKey(key=key, population=population, start=day(n)) for key, population, n in positions]
        assert self.ledger.rows(everything) == {
            slice_: SliceRow(
                start=slice_.start,
                end=slice_.start + DAY,
                known=expected.known,
                code=expected.code,
                asked_at=expected.asked_at,
                emission=expected.emission,
            )
            for slice_, expected in self.expected.items()
        }
        assert sum(len(self.ledger.coverage(key, ALWAYS)) for key in self.keys) == len(self.expected)
        restatements = [one for key in self.keys for one in self.ledger.restatements(key, ALWAYS.start)]
        for slice_, expected in self.expected.items():
            assert [one.replaced for one in restatements if one.slice == slice_] == [
                one for one, _ in expected.restated
            ]

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.directory)


LedgerBesideModel.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
test_a_ledger_behaves_like_its_model = LedgerBesideModel.TestCase


class RepeatedTransactionsBesideModel(LedgerBesideModel):
    """Every transaction runs twice, as when a server commits and fails before it reports it."""

    lost_again = 0

    def open(self) -> SqlLedger:
        ledger = super().open()
        write = ledger._database.write

        def write_twice(work: Callable[[Connection], T], *, patient: bool = True) -> T:
            write(work, patient=patient)
            return write(work, patient=patient)

        ledger._database.write = write_twice  # type: ignore[method-assign]
        return ledger


RepeatedTransactionsBesideModel.TestCase.settings = settings(max_examples=20, stateful_step_count=20)
test_a_ledger_behaves_like_its_model_if_every_transaction_runs_twice = pytest.mark.slow(
    RepeatedTransactionsBesideModel.TestCase
)
