"""File systems that can't do what is needed: each is named as what it is, before anything is requested."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.commands import Here, SimulatedApi, simulated_api

Break = Callable[[str, Path], None]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("file-systems"), orgs=1) as api:
        yield api


def path_of(file: object) -> Path:
    """The path behind a descriptor, or the path itself."""
    return Path(f"/proc/self/fd/{file}").readlink() if isinstance(file, int) else Path(str(file)).absolute()


def is_directory(descriptor: object) -> bool:
    return isinstance(descriptor, int) and stat.S_ISDIR(os.fstat(descriptor).st_mode)


# What the file system can't do: the function, its error, and to what it is done.
CANNOT: dict[str, tuple[object, str, int, Callable[[object], bool]]] = {
    "flock": (fcntl, "flock", errno.ENOLCK, lambda _: True),
    "fcntl": (fcntl, "lockf", errno.ENOLCK, lambda _: True),
    "mmap": (mmap, "mmap", errno.ENODEV, lambda _: True),
    "fsync": (os, "fsync", errno.EINVAL, lambda file: not is_directory(file)),
    "fsync of a directory": (os, "fsync", errno.EINVAL, is_directory),
    "rename": (os, "rename", errno.ENOSYS, lambda _: True),
}
MESSAGES = {
    "flock": "can't lock files (flock) (No locks available)",
    "fcntl": "can't lock parts of files (fcntl) (No locks available)",
    "mmap": "can't share memory between processes (mmap) (No such device)",
    "fsync": "can't make the content of files durable (fsync) (Invalid argument)",
    "fsync of a directory": "can't make the names of files durable (fsync of a directory) (Invalid argument)",
    "rename": "can't rename files (Function not implemented)",
}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Makes the file system of a directory one that can't do something."""

    def break_(what: str, directory: Path) -> None:
        module, name, error, concerns = CANNOT[what]
        real = getattr(module, name)

        def call(file: object, *args: object, **more: object) -> object:
            if concerns(file) and path_of(file).is_relative_to(directory):
                raise OSError(error, os.strerror(error))
            return real(file, *args, **more)

        monkeypatch.setattr(module, name, call)

    return break_


@pytest.mark.parametrize(
    ("where", "what"),
    [
        *(("state", what) for what in CANNOT),
        *(("out", what) for what in ("fsync", "fsync of a directory", "rename")),
    ],
)
@pytest.mark.parametrize("new", [True, False])
def test_it_is_named_before_anything_is_requested(
    api: SimulatedApi, here: Here, tmp_path: Path, broken: Break, where: str, what: str, new: bool
) -> None:
    args = ["collect", "-c", str(api.config), "-o", "out"]
    if not new:
        assert here(*args).code == 0
    before, asked = names(tmp_path), api.stats["total"]["asked"]
    broken(what, tmp_path / where)
    done = here("backfill", *args[1:], "--last", "9d")
    assert done.code == 5
    assert f"its file system {MESSAGES[what]}: use another file system, such as a local disk" in done.stderr
    assert api.stats["total"]["asked"] == asked
    assert new or names(tmp_path) == before
    assert not any("prob" in name for name in names(tmp_path))


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_an_output_needs_no_locks(api: SimulatedApi, here: Here, tmp_path: Path, broken: Break) -> None:
    broken("flock", tmp_path / "out")
    assert here("collect", "-c", api.config, "-o", "out").code == 0


@pytest.mark.parametrize("what", ["fsync", "rename"])
def test_a_disk_that_fails_is_not_called_one_that_cannot(
    api: SimulatedApi, here: Here, tmp_path: Path, broken: Break, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    module, name, _, concerns = CANNOT[what]
    monkeypatch.setitem(CANNOT, what, (module, name, errno.EIO, concerns))
    broken(what, tmp_path / "out")
    done = here("collect", "-c", api.config, "-o", "out")
    assert (done.code, "can't be written: Input/output error" in done.stderr) == (5, True)
