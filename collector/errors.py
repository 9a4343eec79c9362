"""What can go wrong, grouped by what recovers from it.

Exceptions end a command. What the API does wrong is no exception but a value, a
`Failure`: it is an expected outcome of one slice and never ends the run (an org's
failure must not hurt another's). No message here ever holds a secret or a body.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class CollectorError(Exception):
    """The base of all errors that end a command with a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with the config: where, what, and what would be right."""

    message: str
    file: str | None = None
    line: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ConfigError(CollectorError):
    """Bad config or options: a person has to edit something; nothing was fetched. Exit 2."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems = (Problem(message=problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class OutputError(CollectorError):
    """The output can't be written, or its reader went away. Exit 5."""


class ReaderGoneError(OutputError):
    """The reader of stdout ended before the run did."""


class NotRenamedError(OutputError):
    """A file could not be sealed, and is known to have kept its hidden name or to be gone."""


class OutputGoneError(NotRenamedError):
    """The output directory, or the unsealed file in it, was removed or moved away. Exit 5."""


class LedgerError(CollectorError):
    """The ledger can't be read or written: damaged, newer than we are, on a full disk. Exit 5."""


class OlderLedgerError(LedgerError):
    """The ledger has an older version, and the command migrates nothing. Exit 5."""


class LedgerAwayError(LedgerError):
    """The server of the ledger doesn't answer now; it may be back soon. Exit 5; `serve` waits for it."""


class RowsMergedError(LedgerError):
    """The rows of some orgs were merged into others: another process found out that they are renamed orgs."""


OUTPUT_ERRORS = frozenset(
    error.__name__
    for error in (OutputError, ReaderGoneError, NotRenamedError, OutputGoneError, LedgerError, LedgerAwayError)
)


class ClockError(CollectorError):
    """Our clock and the API's differ so much that what is due can't be known. Exit 5."""


class RefusalReason(StrEnum):
    """Why a person is needed before an org can be collected."""

    CREDENTIAL = "credential"  # 401
    NOT_ADMIN = "not_admin"  # 403, admin access required
    PERMISSION = "permission"  # 403, the role lacks analytics:admin
    FORBIDDEN = "forbidden"  # any other 401 or 403, again and again
    IDENTITY = "identity"  # another organization answers than the config says
    CALENDAR = "calendar"  # it was collected by another calendar: days would count twice
    DUPLICATE = "duplicate"  # the organization is collected by another org of the config


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The org as a whole won't be answered until a person acts. Exit 4."""

    reason: RefusalReason
    message: str

    @property
    def code(self) -> str:
        """The reason in one word, for logs and summaries."""
        return f"refused_{self.reason}"


REFUSED_CODES = frozenset(f"refused_{reason}" for reason in RefusalReason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retriable:
    """It may work later: 408, 429, 5xx, time-outs, connections that broke, a 401 or 403 that is not documented."""

    code: str
    message: str
    rate_limited: bool = False
    retry_after_s: float | None = None
    reused_connection: bool = False  # it broke unused: the server had closed a connection that was kept open
    if_it_lasts: Refused | None = None  # what it means if all attempts for a slice end so


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A 200 that isn't the documented answer to the request: never a record."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The API or the way to it says no for good: 400, redirects, bad certificates, anything unknown."""

    code: str
    message: str


Failure = Refused | Retriable | Broken | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """No failure: the answer is dropped, and its slice is planned again when its org is leased the next time."""

    code: ClassVar[str] = "busy"


_PACKAGE = __file__.removesuffix("errors.py")  # whatever the folder is called that this was cloned into


def kind_of(error: BaseException) -> str:
    """Return the kind of an exception, or of the first one in a group."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return type(error).__name__


def place_of(error: BaseException) -> str:
    """Return the innermost place of ours that an exception came through; its text may hold a secret, its place none."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(_PACKAGE)] or list(frames)
    if not ours:
        return "nowhere"
    last = ours[-1]
    return f"{last.filename.removeprefix(_PACKAGE)}:{last.lineno} in {last.name}"


def defect(error: BaseException) -> Rejected:
    """Return the failure of a slice that a defect of ours kept from being fetched or written."""
    return Rejected(code="defect", message=f"a defect of the collector ({kind_of(error)}): please report it")
