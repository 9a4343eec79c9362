"""Files that are written anew as a whole: under a hidden name, then renamed. Never a half file under the right name."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from collector.disk import create_file, draft_of, reason_of, rename, sync_file
from collector.errors import ConfigError, OutputError

_MODE = 0o666  # less what the process masks: whoever may write here decides who reads


def refuse_as_file(path: Path) -> None:
    """Raise ConfigError if a path can't be a file that is written anew."""
    try:
        _refuse(path)
    except OSError as error:  # such as a name that is too long
        raise ConfigError(f"{path} can't be written: {os.strerror(error.errno or 0)}") from error


def _refuse(path: Path) -> None:
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is not an existing directory")
    if path.is_dir():
        raise ConfigError(f"{path} is a directory: name a file in it")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise ConfigError(f"{path} is not a regular file: name one, or write to stdout (-)")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file. It gets its name when all is written, in place of one that was there; else it is removed.

    Raises OutputError.
    """
    path = path.resolve()  # a link stays one
    draft = draft_of(path, secrets.token_hex(4))
    try:
        descriptor = create_file(draft, os.O_RDWR, _MODE)
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                yield stream
                stream.flush()
                sync_file(descriptor)
            rename(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason_of(error)}") from error
