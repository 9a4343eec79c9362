"""The real ledger, opened cheaply: from a template that was migrated once, with statements compiled once.

Each process of a seed opens the ledger anew. Compiling the same SQL for each of them would be half of what a
simulation costs, so their engines share one dialect and what was compiled for it.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, create_engine

from collector.ledger import SqlLedger, sql_ledger
from collector.ledger.sqlite import engine as ledger_engine

_SHM = Path("/dev/shm")  # noqa: S108 - memory, where there is any: nothing here has to last
SCRATCH = _SHM if _SHM.is_dir() else None
_first: list[Engine] = []


@contextmanager
def compiled_once() -> Iterator[None]:
    """Let all ledgers that are opened meanwhile share what is compiled, and what identifies a process.

    A message about a busy org names the process, and its length is that of the manifest: a seed would not be the
    same story in a process whose id has more digits.
    """
    with (
        patch.object(ledger_engine, "create_engine", _create_engine),
        patch.object(sql_ledger, "os", SimpleNamespace(getpid=lambda: 4711)),
        patch.object(sql_ledger, "socket", SimpleNamespace(gethostname=lambda: "machine")),
    ):
        yield


def _create_engine(*args: Any, **kwargs: Any) -> Engine:
    engine = create_engine(*args, **kwargs)
    if _first:
        engine.dialect = _first[0].dialect
        engine._compiled_cache = _first[0]._compiled_cache
    else:
        _first.append(engine)
    return engine


@cache
def template() -> Path:
    """Return an empty ledger: each seed begins with a copy."""
    directory = Path(tempfile.mkdtemp(dir=SCRATCH))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = directory / "ledger.db"
    now = datetime(2026, 1, 1, tzinfo=UTC)
    SqlLedger.open(f"sqlite:///{path}", command="template", now=lambda: now, durable=False).close()
    return path
