"""What the commands' exit codes mean (contract.md, "Commands"): scripts and manifests hold on to them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit code of every command; 128 + a signal's number besides."""

    OK = 0
    DEFECT = 1
    USAGE = 2
    INCOMPLETE = 3
    REFUSED = 4
    OUTPUT = 5
    BUSY = 6
    INTERRUPTED = 130
    TERMINATED = 143


# Runs that did all that they could; the others were cut short, and are made up for.
CAME_TO_ITS_END = frozenset({ExitCode.OK, ExitCode.INCOMPLETE, ExitCode.REFUSED, ExitCode.BUSY})
