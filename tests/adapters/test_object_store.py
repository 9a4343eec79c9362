"""Object stores over real HTTP, with requests that fail, stall, are throttled, and whose answers are lost."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest

from collector.adapters.sinks.directory import JOURNAL, journal_of, note
from collector.adapters.sinks.directory_id import ensure_id, id_of
from collector.adapters.sinks.object_place import ObjectPlace
from collector.adapters.sinks.object_store import ObjectStore
from collector.core.outputs import journal_line
from collector.errors import OutputError
from collector.ports import SealedFile
from tests.support.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from tests.support.object_stores import STORES, Store

pytestmark = pytest.mark.slow

LINES = b'{"n":1}\n{"n":2}\n'
NAME = "usage-20261126T000000Z-abcdef-0001.jsonl"
A, B = "a" * 32, "b" * 32


@pytest.fixture(scope="module", params=STORES)
def server(request: pytest.FixtureRequest) -> Iterator[Store]:
    with STORES[request.param]() as store:
        yield store


@pytest.fixture
def store(server: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A part of the store that is empty, and its environment."""
    for name, text in server.env.items():
        monkeypatch.setenv(name, text)
    return server.below(secrets.token_hex(4))


@pytest.fixture
def faulty(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ObjectStore, FaultyProxy]]:
    """The store behind a proxy, by a client that waits two seconds for an answer."""
    with faulty_proxy(store.address) as proxy:
        for name, text in store.at(proxy.address).env.items():
            monkeypatch.setenv(name, text)
        yield (
            ObjectStore(store.url, timeout=timedelta(seconds=2), retry_for=timedelta(seconds=3)),
            proxy,
        )


def test_an_object_is_created_once_and_what_is_there_stays(store: Store) -> None:
    blobs = ObjectStore(store.url)
    assert blobs.create(NAME, LINES)
    assert not blobs.create(NAME, b"other")
    assert blobs.read(NAME) == store.read(NAME) == LINES
    assert blobs.size(NAME) == len(LINES)
    assert blobs.listed("") == [NAME]
    assert blobs.read("usage-none") is None
    assert blobs.size("usage-none") is None


def test_a_place_has_an_id_and_a_journal_as_a_directory_has(store: Store) -> None:
    place = ObjectPlace(ObjectStore(store.url))
    assert id_of(place.files, place.path) is None
    given = ensure_id(place.files, place.path)
    assert given == ensure_id(ObjectPlace(ObjectStore(store.url)).files, place.path) == place.id
    assert journal_of(place.files, place.path).ledger_id is None
    place.ledger_id = A
    place.note("run-1")
    place.note("run-2")
    journal = journal_of(place.files, place.path)
    assert (sorted(journal.run_ids), journal.ledger_id) == (["run-1", "run-2"], A)
    assert place.files.names(place.path) == [".collector-output-id"]
    assert id_of(place.files, place.path) == given


def test_a_place_that_another_ledger_took_over_is_its_own_from_then_on(store: Store) -> None:
    place = ObjectPlace(ObjectStore(store.url))
    place.files.append(place.path / JOURNAL, journal_line("run-1", A))
    note(place.files, place.path, None, B)
    assert journal_of(place.files, place.path).ledger_id == B  # though it is the same second for the store
    note(place.files, place.path, None, A)
    assert journal_of(place.files, place.path).ledger_id == A


def test_lines_become_one_object_whose_checksum_is_known(store: Store) -> None:
    place = ObjectPlace(ObjectStore(store.url))
    lines = SealedFile(name=NAME, records=2, bytes=len(LINES), sha256="")
    ended = place.ended(lines, iter([LINES[:8], LINES[8:]]))
    (file,) = ended.files
    assert (file.name, file.bytes, file.records) == (NAME, len(LINES), 2)
    assert file.sha256 == hashlib.sha256(LINES).hexdigest()
    assert not place.has(NAME)
    ended.publish()
    ended.publish()
    place.deliver(NAME, [LINES])
    assert place.has(NAME)
    assert store.read(NAME) == LINES


@pytest.mark.parametrize(
    "faults",
    [
        [Fault.SLOW_DOWN, Fault.SLOW_DOWN],
        [Fault.RESET],
        [Fault.LOST],
        [Fault.STALL],
        [Fault.LOST, Fault.SLOW_DOWN, Fault.RESET],
    ],
    ids=lambda faults: "-".join(fault.name for fault in faults),
)
def test_an_upload_is_retried_until_the_object_is_there_once(
    store: Store, faulty: tuple[ObjectStore, FaultyProxy], faults: list[Fault]
) -> None:
    blobs, proxy = faulty
    proxy.faults = list(faults)
    blobs.create(NAME, LINES)
    assert store.read(NAME) == LINES
    assert store.names() == [NAME]
    assert len(proxy.uploads()) >= 2
    assert not proxy.faults


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault.SLOW_DOWN, "come too fast, also after retries"),
        (Fault.DENIED, "access is denied: these credentials may not do that"),
        (Fault.RESET, "the store doesn't answer"),
        (Fault.STALL, "the store doesn't answer"),
    ],
)
def test_an_upload_that_goes_on_failing_ends_with_the_reason_and_leaves_nothing(
    store: Store, faulty: tuple[ObjectStore, FaultyProxy], fault: Fault, why: str
) -> None:
    blobs, proxy = faulty
    proxy.always = fault
    with pytest.raises(OutputError, match=why) as failed:
        blobs.create(NAME, LINES)
    assert store.url in str(failed.value)
    said = str(failed.value)
    assert not [text for text in store.env.values() if len(text) > 12 and text in said]
    assert store.names() == []


def test_an_upload_that_a_run_waits_for_ends_with_the_run(faulty: tuple[ObjectStore, FaultyProxy]) -> None:
    blobs, proxy = faulty
    proxy.always = Fault.STALL
    blobs.abandon()
    with pytest.raises(OutputError, match="the run had to end"):
        blobs.create(NAME, LINES)


def test_a_bucket_that_is_not_there_is_named(store: Store) -> None:
    scheme, _, rest = store.url.partition("://")
    account = f"{rest.split('/')[0]}/" if scheme == "az" else ""
    missing = ObjectStore(f"{scheme}://{account}no-such-bucket/usage")
    for use in (lambda: missing.create(NAME, LINES), lambda: missing.listed("")):
        with pytest.raises(OutputError, match=f"{scheme}://.*no-such-bucket/usage can't be"):
            use()
