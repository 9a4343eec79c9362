"""The exit codes of the commands, each with its meaning (contract.md, "Commands"). Scripts and manifests use them."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """The exit code of every command. `meaning` is the one text for help, summaries and the status page."""

    meaning: str

    def __new__(cls, code: int, meaning: str = "") -> Self:  # mypy takes ExitCode(3) for a call of this
        """Return the member of that number and meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    OK = 0, "every planned slice is complete"
    DEFECT = 1, "a defect of the collector: please report it"
    USAGE = 2, "bad usage or config: no request was sent"
    INCOMPLETE = 3, "some slices are partial, failed or in doubt: later runs repair what can be repaired"
    REFUSED = 4, "an org was refused: a person is needed"
    OUTPUT = 5, "the output or the ledger failed, stdout's reader went away, or the clock is wrong: fix it, run again"
    BUSY = 6, "another process worked on an org for longer than --wait: run again"
    INTERRUPTED = 130, "stopped by SIGINT, after draining: run again to continue"
    TERMINATED = 143, "stopped by SIGTERM, after draining: run again to continue"


# Runs that did all that they could. A run with another code was cut short, and a later run makes up for it.
CAME_TO_ITS_END = frozenset({ExitCode.OK, ExitCode.INCOMPLETE, ExitCode.REFUSED, ExitCode.BUSY})
