"""Files that the ledger keeps until they are delivered: what a run does after a process died at each point."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

import pytest

from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.outbox import Ended, OutboxPlace, OutboxSink
from collector.adapters.sinks.sealing import Sealing
from collector.core.ledger_entries import UnsealedFile
from collector.deliver.recovery import Recovered, recover, why_awaited
from collector.errors import OutputError
from collector.ledger import SqlLedger
from collector.ports import SealedFile
from tests.adapters.ledger.support import commit, open_ledger, registered
from tests.support.orgs import make_org
from tests.support.outputs import records

T = TypeVar("T")

LINES = b'{"n":1}\n{"n":2}\n'
URL = "s3://bucket/usage"


@dataclass
class MemoryPlace:
    """A place that takes whole files, and whose next deliveries fail if a test says so."""

    id: str | None = "an-id"
    along: None = None
    files: dict[str, bytes] = field(default_factory=dict)
    deliveries: list[str] = field(default_factory=list)
    fails: int = 0
    loses_answers: bool = False

    def has(self, name: str) -> bool:
        return name in self.files

    def deliver(self, name: str, lines: Iterable[bytes]) -> None:
        self.deliveries.append(name)
        content = b"".join(lines)
        if not self.fails or self.loses_answers:
            self.files.setdefault(name, content)
        if self.fails:
            self.fails -= 1
            raise OutputError("the store doesn't answer")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqlLedger]:
    """The ledger of a later process."""
    with_it = open_ledger(path)
    yield with_it
    with_it.close()


def leave(path: Path, lines: bytes = LINES, *, intended: bool = False, place: str = "an-id") -> UnsealedFile:
    """A file of a process that died: with what it has committed."""
    dead = open_ledger(path)
    key = registered(dead, make_org())[0].key
    file = dead.open_file("run-1", URL, "usage-run-1-0001.jsonl", place=place)
    if lines:
        file = replace(file, bytes=len(lines), records=lines.count(b"\n"))
        dead.commit([commit(key, 0)], file, lines=lines)
    if intended:
        dead.intend_seal(file.file_id)
    dead.abandon()
    return replace(file, seal_intended=intended)


def finish(ledger: SqlLedger, place: MemoryPlace | None, delivered: Collection[str] = ()) -> Recovered:
    return recover(ledger, Sealing(files=OsFiles()), place=place, delivered=delivered)


@pytest.mark.parametrize("intended", [False, True])
def test_what_was_committed_is_delivered_once(path: Path, intended: bool, ledger: SqlLedger) -> None:
    file, place = leave(path, intended=intended), MemoryPlace()
    recovered = finish(ledger, place)
    assert recovered.sealed == [file]
    assert not recovered.ahead
    assert place.files == {file.name: LINES}
    assert finish(ledger, place) == Recovered()
    assert place.deliveries == [file.name]


def test_what_was_delivered_and_not_forgotten_stays_as_it_is(path: Path, ledger: SqlLedger) -> None:
    file, place = leave(path, intended=True), MemoryPlace()
    place.files[file.name] = LINES
    recovered = finish(ledger, place)
    assert (recovered.sealed, recovered.ahead) == ([file], [])
    assert place.files == {file.name: LINES}
    assert not ledger.has_file(file.name)


def test_a_file_that_is_there_though_nobody_meant_to_deliver_it_shows_a_restored_ledger(
    path: Path, ledger: SqlLedger
) -> None:
    file, place = leave(path), MemoryPlace()
    place.files[file.name] = LINES + b'{"n":3}\n'
    assert finish(ledger, place).ahead == [file]
    assert place.files[file.name] == LINES + b'{"n":3}\n'


def test_a_file_that_a_manifest_lists_was_delivered_wherever_it_is_now(path: Path, ledger: SqlLedger) -> None:
    file, place = leave(path), MemoryPlace()
    assert finish(ledger, place, delivered=frozenset({file.name})).ahead == [file]
    assert place.files == {}


def test_a_file_without_records_is_forgotten(path: Path, ledger: SqlLedger) -> None:
    leave(path, b"")
    place = MemoryPlace()
    finish(ledger, place)
    assert (place.files, ledger.left_behind()) == ({}, [])


@pytest.mark.parametrize("loses_answers", [False, True])
def test_a_delivery_that_fails_is_made_up_for_by_the_next_run(
    path: Path, ledger: SqlLedger, loses_answers: bool
) -> None:
    file, place = leave(path), MemoryPlace(fails=1, loses_answers=loses_answers)
    with pytest.raises(OutputError, match="doesn't answer"):
        finish(ledger, place)
    ledger.close()
    later = open_ledger(path)
    again = finish(later, place)
    later.close()
    assert [one.name for one in again.sealed] == [file.name]
    assert not again.ahead
    assert place.files == {file.name: LINES}


@pytest.mark.parametrize("place", [None, MemoryPlace(id="another"), MemoryPlace(id=None)])
def test_a_process_with_another_output_leaves_it_for_one_that_has_it(
    path: Path, ledger: SqlLedger, place: MemoryPlace | None
) -> None:
    file = leave(path)
    assert finish(ledger, place).awaited == [file]
    assert ledger.has_file(file.name)
    why = why_awaited(file.name, "collector collect", place=file.directory)
    assert f"The next run with the output {URL} delivers them" in why
    assert "mounted" not in why


def test_a_file_in_a_directory_of_another_machine_is_awaited_beside_a_place(path: Path, ledger: SqlLedger) -> None:
    dead = open_ledger(path)
    dead.open_file("run-0", "/not/here", "usage-run-0-0001.jsonl", place="a-directory")
    dead.abandon()
    file = leave(path)
    recovered = finish(ledger, MemoryPlace())
    assert [one.name for one in recovered.awaited] == ["usage-run-0-0001.jsonl"]
    assert recovered.sealed == [file]


class ProcessDied(BaseException):
    """What ends a process in the middle of its work."""


class Steps:
    """Counts what a process does, and ends it before or after one of its steps."""

    def __init__(self, dies_at: int) -> None:
        self.left = dies_at

    def __call__(self, work: Callable[[], T]) -> T:
        self._count()
        result = work()
        self._count()
        return result

    def _count(self) -> None:
        if self.left == 0:
            raise ProcessDied
        self.left -= 1


class PlaceOfSteps:
    """The place of a run, whose deliveries are steps (`outbox.OutboxPlace`)."""

    along = None
    at_most = None
    has_files = True
    ledger_id = ""

    def __init__(self, place: MemoryPlace, step: Steps) -> None:
        self._place, self._step = place, step

    def name_of(self, run_id: str, number: int) -> str:
        return f"usage-{run_id}-{number:04}.jsonl"

    def note(self, run_id: str) -> None:
        pass

    def ended(self, lines: SealedFile, kept: Iterable[bytes]) -> Ended:
        content = b"".join(kept)
        return Ended([lines], lambda: self._step(lambda: self._place.deliver(lines.name, [content])))


FILES, BATCHES = 2, 2
STEPS = 2 * FILES * (1 + BATCHES + 3)  # each file is opened, its batches are committed, and it is sealed in three steps


@pytest.mark.parametrize("dies_at", range(STEPS + 1))
def test_a_process_that_dies_before_or_after_each_of_its_steps_loses_and_doubles_nothing(
    path: Path, dies_at: int
) -> None:
    place, step, first = MemoryPlace(), Steps(dies_at), open_ledger(path)
    key = registered(first, make_org())[0].key
    sink = OutboxSink(cast("OutboxPlace", PlaceOfSteps(place, step)), run_id="run-1", seal_at=10**9)
    committed = 0
    try:
        for number in range(FILES):
            name = sink.next_name() or ""
            file = step(lambda name=name: first.open_file("run-1", URL, name, place="an-id"))  # type: ignore[misc]
            for batch in range(BATCHES):
                sink.append(records(3, day=BATCHES * number + batch))
                size, count = sink.written
                file = replace(file, bytes=size, records=count)
                slices, lines = [commit(key, BATCHES * number + batch)], sink.take_lines()
                before = step.left
                try:
                    step(lambda file=file, slices=slices, lines=lines: first.commit(slices, file, lines=lines))  # type: ignore[misc]
                finally:
                    committed += 3 * (before > 0)
            files = sink.close_file(first.kept(file))
            step(lambda file=file: first.intend_seal(file.file_id))  # type: ignore[misc]
            sink.publish(files)
            step(lambda file=file: first.sealed(file.file_id))  # type: ignore[misc]
    except ProcessDied:
        first.abandon()
    else:
        assert dies_at == STEPS
        first.close()
    later = open_ledger(path)
    finish(later, place)
    delivered = [line for content in place.files.values() for line in content.splitlines()]
    assert len(delivered) == len(set(delivered)) == committed
    assert later.left_behind() == []
    later.close()
