"""Where the records of a ledger go, and whether a run may deliver there.

A slice that is complete in the ledger is not fetched again. So its records must be where their readers look: a run that
delivered them elsewhere would lose them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto

STDOUT = "-"
_SCHEME = "://"  # in the path of an output that is no directory: an object store, or a table
_LINE = re.compile(r"([\w-]{1,64}) ([0-9a-f]{32})")
_NO_RUN = "-"


def is_remote(path: str) -> bool:
    """Return whether an output is one that every machine sees under the same path, and that takes whole files only."""
    return _SCHEME in path


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A place that records are delivered to."""

    path: str  # absolute, a URL, or `STDOUT`
    directory_id: str | None  # of a directory, unless it has none yet
    host: str  # the machine; empty for a URL, which means the same on each
    shard: str = ""  # such as 0/4, of a run that had one


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOutputs:
    """The id of a ledger, and where its records went, the latest first."""

    ledger_id: str
    outputs: tuple[Output, ...] = ()

    @property
    def directories(self) -> tuple[Output, ...]:
        """Those that are directories; one that was moved is there once, where it was last."""
        found: dict[str, Output] = {}
        for one in self.outputs:
            if one.path != STDOUT:
                found.setdefault(one.directory_id or one.path, one)
        return tuple(found.values())


class Fit(Enum):
    """How an output fits those that a ledger knows."""

    KNOWN = auto()
    NEW = auto()  # and nothing speaks against it
    ELSEWHERE = auto()
    REPLACED = auto()  # the path is known, but another directory is there


def fit_of(here: Output, known: KnownOutputs, *, across_machines: bool) -> Fit:
    """Return how an output fits.

    Machines that share a ledger may each have a directory of their own at one path, and shards one at their own path.
    """
    if here.path == STDOUT:
        return _fit_of_stdout(known)
    if here.directory_id is not None and here.directory_id in {one.directory_id for one in known.outputs}:
        return Fit.KNOWN
    at_path = [one for one in known.outputs if one.path == here.path]
    if any(not across_machines or one.host == here.host for one in at_path):
        return Fit.REPLACED
    ours = [one for one in known.outputs if not here.shard or one.shard == here.shard]
    return Fit.ELSEWHERE if ours and not at_path else Fit.NEW


def _fit_of_stdout(known: KnownOutputs) -> Fit:
    if known.directories:
        return Fit.ELSEWHERE
    return Fit.KNOWN if known.outputs else Fit.NEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What a directory notes of the runs that wrote to it. It remains when readers have moved all files away."""

    run_ids: Collection[str] = ()
    ledger_id: str | None = None  # of the ledger that the directory belongs to

    @classmethod
    def of(cls, content: bytes | None) -> Journal:
        """Read a journal: a line for each run, with its ledger. Lines that are no such line are left out."""
        lines = [_LINE.fullmatch(line) for line in (content or b"").decode("ascii", "replace").splitlines()]
        found = [line for line in lines if line]
        return cls(run_ids=frozenset(line[1] for line in found) - {_NO_RUN}, ledger_id=found[-1][2] if found else None)


def journal_line(run_id: str | None, ledger_id: str) -> bytes:
    """Return the line of a run; without one, the line by which a directory belongs to another ledger from then on."""
    return f"{run_id or _NO_RUN} {ledger_id}\n".encode()
