"""What remains of an output after an error of the disk, and what is said of it."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.errors import OutputError
from tests.support.commands import unmeasured
from tests.support.disks import small_disk_at
from tests.support.outputs import LINE, RUN_ID, Output, names, open_sink, records

FILE_SIZE_LIMIT = """
import resource, sys
from pathlib import Path
from tests.adapters.test_sink_errors import fill
from tests.support.outputs import names, open_sink
from collector.errors import OutputError

sink = open_sink(Path(sys.argv[1]), seal_at=10**9)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    fill(sink)
except OutputError as error:
    print(error)
sink.discard()
print(names(Path(sys.argv[1])), sink.seal())
"""


@pytest.mark.parametrize(
    ("below", "message"), [(".", "is a file: name a directory"), ("deeper/still", "can't be written: Not a directory")]
)
def test_a_path_that_is_a_file_is_an_error_when_the_sink_is_opened(tmp_path: Path, below: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    directory = tmp_path / "file" / below
    with pytest.raises(OutputError, match=message):
        open_sink(directory)


def test_a_read_only_directory_is_an_error_when_the_sink_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)  # tests may run as root, who may write everywhere
    with pytest.raises(OutputError) as caught:
        open_sink(tmp_path)
    assert str(caught.value) == f"the output directory {tmp_path} can't be written: Permission denied"
    assert names(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    with small_disk_at(tmp_path / "disk", "64k") as disk:
        yield disk


def fill(sink: Output) -> None:
    for day in range(1000):
        sink.write(records(10, day))


def test_a_full_disk_is_reported_and_sealed_files_stay(small_disk: Path) -> None:
    sink = open_sink(small_disk, seal_at=16_000)
    with pytest.raises(OutputError) as caught:
        fill(sink)
    assert str(caught.value) == f"the output directory {small_disk} can't be written: No space left on device"
    sink.discard()
    sealed = sink.seal()
    assert len(sealed) >= 2
    assert names(small_disk) == [file.name for file in sealed]
    for file in sealed:
        assert hashlib.sha256((small_disk / file.name).read_bytes()).hexdigest() == file.sha256
    sink.finish(b"{}")
    assert names(small_disk) == [f"run-{RUN_ID}.json", *(file.name for file in sealed)]


def test_a_manifest_that_does_not_fit_on_the_disk_leaves_no_file(small_disk: Path) -> None:
    sink = open_sink(small_disk)
    sink.write(records(10))
    (sealed,) = sink.seal()
    with pytest.raises(OutputError, match="No space left on device"):
        sink.finish(bytes(128 * 1024))
    sink.discard()
    assert names(small_disk) == [sealed.name]


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_seal_that_fails_publishes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    sink = open_sink(tmp_path, seal_at=5 * LINE)
    sink.write(records(10, 0))
    sink.write(records(1, 1))

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, step, refuse)
        with pytest.raises(OutputError, match="Input/output error"):
            sink.seal()
    sink.discard()
    visible = [name for name in names(tmp_path) if not name.startswith(".")]
    assert visible == [file.name for file in sink.seal()] == [f"usage-{RUN_ID}-0001.jsonl"]


def test_a_limit_on_file_size_is_reported_like_a_full_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILE_SIZE_LIMIT, str(tmp_path)],
        env=unmeasured(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"the output directory {tmp_path} can't be written: File too large\n[] ()\n"
