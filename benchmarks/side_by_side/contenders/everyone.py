"""All contenders, in the order of their turns."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from benchmarks.side_by_side.contenders import ROOT, Contender
from benchmarks.side_by_side.contenders.bare import bare, wrk
from benchmarks.side_by_side.contenders.collector import collector
from benchmarks.side_by_side.contenders.peers import airbyte, dlt, singer
from benchmarks.side_by_side.contenders.starts import compared, starts

_BEFORE = "-before"


def everyone(python: str, before: Path) -> list[Contender]:
    """Return all; `before` is the other checkout."""
    return [
        wrk(),
        bare(python),
        collector(python, name="collector", title="collector, files and ledger"),
        collector(python, name="no-ledger", title="collector, files only", ledger=False),
        collector(python, name=f"collector{_BEFORE}", title="collector, files and ledger, before", checkout=before),
        dlt(),
        singer(),
        airbyte(),
        *starts(python),
        *compared(python, ROOT),
        *compared(python, before, suffix=_BEFORE),
    ]


def chosen(all_of_them: Sequence[Contender], names: str | None, *, with_before: bool) -> list[Contender]:
    """Return those that are named; by default all, and what is of the other checkout only if there is one."""
    known = [one.name for one in all_of_them]
    wanted = names.split(",") if names else [name for name in known if with_before or not name.endswith(_BEFORE)]
    if unknown := set(wanted).difference(known):
        raise SystemExit(f"--only: unknown: {', '.join(sorted(unknown))}. Known are: {', '.join(known)}")
    return [one for one in all_of_them if one.name in wanted]


def revision() -> str:
    """Return what git calls this checkout, with a mark if it was changed."""
    args = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def check_out(revision: str, directory: Path) -> None:
    """Put the package of a revision into a directory."""
    done = subprocess.run(["git", "-C", ROOT, "archive", revision, "collector"], capture_output=True, check=False)  # noqa: S607
    if done.returncode:
        raise SystemExit(f"--before {revision}: git archive failed: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(directory, filter="data")
