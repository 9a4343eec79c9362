"""A full disk: it is reported, and nothing is lost or written in part."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.errors import LedgerError
from collector.ledger import SqlLedger
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ALWAYS, commit, registered, url_of
from tests.support.commands import unmeasured
from tests.support.disks import small_disk_at
from tests.support.orgs import make_org

BATCH = 100


@pytest.fixture
def url(path: Path) -> str:
    """A ledger in SQLite."""
    return url_of(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    with small_disk_at(tmp_path / "disk", "1m") as disk:
        yield disk


def fill(ledger: SqlLedger, key: int) -> tuple[int, LedgerError]:
    """Commit batches until one fails; return their number and the error."""
    for batch in range(1000):
        try:
            ledger.commit([commit(key, batch * BATCH + n) for n in range(BATCH)], None)
        except LedgerError as error:
            return batch, error
    raise AssertionError("the disk never filled")


def test_a_full_disk_is_reported_and_commits_work_again_once_there_is_space(opened: Open, small_disk: Path) -> None:
    path = small_disk / "ledger.db"
    ballast = small_disk / "ballast"
    ledger = opened(path)
    (standing,) = registered(ledger, make_org())
    ballast.write_bytes(bytes(300_000))
    batches, error = fill(ledger, standing.key)
    assert str(error).startswith(f"the ledger {path} can't be used: the disk ")
    assert len(ledger.coverage(standing.key, ALWAYS)) == batches * BATCH
    ballast.unlink()
    ledger.commit([commit(standing.key, 10_000 + n) for n in range(BATCH)], None)
    assert len(ledger.coverage(standing.key, ALWAYS)) == (batches + 1) * BATCH


def test_a_ledger_on_a_full_disk_can_be_closed_and_opened_again(opened: Open, small_disk: Path) -> None:
    path = small_disk / "ledger.db"
    ballast = small_disk / "ballast"
    ledger = opened(path)
    (standing,) = registered(ledger, make_org())
    ledger.acquire([standing.key])
    ballast.write_bytes(bytes(300_000))
    batches, _ = fill(ledger, standing.key)
    with ballast.open("ab") as file, pytest.raises(OSError, match="No space"):
        file.write(bytes(2**20))
    ledger.close()
    ballast.unlink()
    again = opened(path)
    assert again.acquire([standing.key]) == {}
    assert len(again.coverage(standing.key, ALWAYS)) == batches * BATCH


def test_a_disk_without_space_for_a_new_ledger_is_reported_and_no_file_is_left(small_disk: Path, opened: Open) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**20 - 64 * 1024))
    with pytest.raises(LedgerError, match="the disk"):
        opened(small_disk / "ledger.db")
    assert not (small_disk / "ledger.db").exists()
    ballast.unlink()
    opened(small_disk / "ledger.db")


FILE_SIZE_LIMIT = """
import resource, sys
from pathlib import Path
from tests.adapters.ledger.support import ALWAYS, open_ledger, registered
from tests.adapters.ledger.test_full_disk import BATCH, fill
from tests.support.orgs import make_org

ledger = open_ledger(Path(sys.argv[1]))
(standing,) = registered(ledger, make_org())
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
batches, error = fill(ledger, standing.key)
print(error)
print(batches > 0, len(ledger.coverage(standing.key, ALWAYS)) == batches * BATCH)
ledger.close()
"""


def test_a_limit_on_file_size_is_reported_like_a_full_disk(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILE_SIZE_LIMIT, str(path)],
        env=unmeasured() | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    message, result = done.stdout.splitlines()
    assert message.startswith(f"the ledger {path} can't be used: the disk ")
    assert result == "True True"
