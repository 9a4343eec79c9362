"""New files of one owner, that others can't read: all of them or none. A file that is there is never replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from collector.disk import create_file, draft_of, make_directories, rename, sync_directory, sync_file

_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})


def write_new_files(files: Mapping[Path, str]) -> None:
    """Create files in this order, with mode 0600, each atomically; and their directories.

    If one can't be created, none is left. Raises OSError; FileExistsError if something is there.
    """
    directories: list[Path] = []
    written: dict[Path, os.stat_result] = {}
    try:
        for file, content in files.items():
            directories += make_directories(file.parent, 0o777)
            _write_new(file, content, written)
    except BaseException:
        for file, ours in written.items():
            with suppress(OSError):
                if os.path.samestat(file.lstat(), ours):
                    file.unlink()
        for directory in reversed(directories):
            with suppress(OSError):
                directory.rmdir()
        raise


def _write_new(file: Path, content: str, written: dict[Path, os.stat_result]) -> None:
    """Create one file; note what it is before it gets its name, so that it can be told from a file of others."""
    draft = draft_of(file, str(os.getpid()))
    descriptor = create_file(draft, os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(content)
            stream.flush()
            sync_file(descriptor)
            written[file] = os.fstat(descriptor)
        _put(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(file.parent)


def _put(draft: Path, file: Path) -> None:
    """Give a file its name if nothing has that name."""
    try:
        os.link(draft, file)
    except OSError as error:
        if error.errno not in _NO_LINKS and not isinstance(error, FileExistsError):
            raise
        if os.path.lexists(file):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file)) from None
        rename(draft, file)
