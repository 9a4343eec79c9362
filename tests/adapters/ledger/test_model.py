"""The ledger beside a naive model of it: whatever is booked, sealed, lost, crashed and opened again."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection

from collector.core.coverage import Known
from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import SliceCommit, SliceKey, SliceRow, UnsealedFile
from collector.ledger import SqlLedger
from collector.model import Population, ProductUsage, Quality, SliceState
from tests.adapters.ledger.support import ALWAYS, DAY, day, days, open_ledger, registered
from tests.support.orgs import make_org

T = TypeVar("T")
SLICES = 4
PLACES = st.tuples(st.integers(0, 1), st.sampled_from(Population), st.integers(0, SLICES - 1))
FINDINGS = st.tuples(
    PLACES,
    st.sampled_from([SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED, SliceState.REFUSED]),
    st.none() | st.integers(0, 3),  # what is emitted; None for nothing at all
)


@dataclass
class Held:
    """A slice, naively: with all that stands in sealed files, and what stands in the unsealed one."""

    known: Known
    emission: Emission | None
    sealed: Emission | None = None
    file_id: int | None = None


class LedgerBesideModel(RuleBasedStateMachine):
    """One process, one file at a time, as the writer does."""

    told_again: int | None = None  # how many slices are lost with a file that was lost before

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "ledger.db"
        self.ledger = self.open()
        self.held: dict[SliceKey, Held] = {}
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
        self, place: tuple[int, Population, int], state: SliceState, tests: int | None, file: UnsealedFile | None
    ) -> SliceCommit:
        org, population, n = place
        slice_ = SliceKey(key=self.keys[org], population=population, start=day(n))
        at = day(100) + next(self.ticks) * DAY
        before = self.held.get(slice_)
        last = before.emission if before else None
        now = None if tests is None else self.emission(last, tests)
        known = Known(state=state, complete_at=at if state is SliceState.COMPLETE else None)
        after = Held(known=known, emission=last if now is None else now)
        if now is None or now == last:
            after.sealed, after.file_id = (before.sealed, before.file_id) if before else (None, None)
        elif file is not None:
            after.file_id = file.file_id
            after.sealed = before.sealed if before and before.file_id == file.file_id else last
        self.held[slice_] = after
        return SliceCommit(
            slice=slice_,
            end=day(n + 1),
            state=state,
            code=None,
            asked_at=at,
            complete_at=known.complete_at,
            emission=now,
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
        for held in self.held.values():
            if held.file_id == self.file.file_id:
                held.sealed, held.file_id = None, None
        self.file = None

    @precondition(lambda self: self.file is not None)
    @rule()
    def lose(self) -> None:
        assert self.file is not None
        gone = [held for held in self.held.values() if held.file_id == self.file.file_id]
        assert self.ledger.lost(self.file.file_id) in {len(gone), self.told_again}
        for held in gone:
            held.known = Known(state=SliceState.FAILED, complete_at=None)
            held.emission, held.sealed, held.file_id = held.sealed, None, None
        self.file = None

    @rule(crash=st.booleans())
    def open_again(self, crash: bool) -> None:
        (self.ledger.abandon if crash else self.ledger.close)()
        self.ledger = self.open()
        assert self.taken_over() == ([] if self.file is None else [self.file])

    def taken_over(self) -> list[UnsealedFile]:
        left = self.ledger.left_behind()
        taken = self.ledger.take_over([file.file_id for file in left])
        assert taken == left
        return [replace(file, host=None) for file in taken]

    @rule(first=st.integers(0, SLICES), length=st.integers(1, SLICES))
    def look_at_a_span(self, first: int, length: int) -> None:
        span = days(first, first + length)
        for key in self.keys:
            assert self.ledger.coverage(key, span) == {
                (slice_.population, slice_.start): held.known
                for slice_, held in self.held.items()
                if slice_.key == key and span.start <= slice_.start < span.end
            }

    @invariant()
    def all_is_held_as_it_was_booked(self) -> None:
        places = itertools.product(self.keys, Population, range(SLICES))
        everything = [SliceKey(key=key, population=population, start=day(n)) for key, population, n in places]
        assert self.ledger.rows(everything) == {
            slice_: SliceRow(start=slice_.start, end=slice_.start + DAY, known=held.known, emission=held.emission)
            for slice_, held in self.held.items()
        }
        assert sum(len(self.ledger.coverage(key, ALWAYS)) for key in self.keys) == len(self.held)

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.directory)


LedgerBesideModel.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
test_the_ledger_behaves_like_its_model = LedgerBesideModel.TestCase


class LedgerThatIsToldTwiceBesideModel(LedgerBesideModel):
    """A server commits and goes away before it says so: then everything is done a second time."""

    told_again = 0

    def open(self) -> SqlLedger:
        ledger = super().open()
        write = ledger._database.write

        def write_twice(work: Callable[[Connection], T], *, patient: bool = True) -> T:
            write(work, patient=patient)
            return write(work, patient=patient)

        ledger._database.write = write_twice  # type: ignore[method-assign]
        return ledger


LedgerThatIsToldTwiceBesideModel.TestCase.settings = settings(max_examples=20, stateful_step_count=20)
test_a_ledger_that_is_told_everything_twice_behaves_like_its_model = LedgerThatIsToldTwiceBesideModel.TestCase
