"""Whether the service is alive, and whether it can do its work. Never calls the API."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from collector.config import LoadedConfig
from collector.core.exit_codes import ExitCode
from collector.errors import OUTPUT_ERRORS
from collector.service.view import Observed

HUNG_AFTER_S = 120.0  # longer than any transaction, fsync or wait for another process's may take


def unhealthy(hung_s: Callable[[], dict[str, float]]) -> str | None:
    """Return on one line which thread hangs; None while all of them go on. A hanging event loop answers nothing."""
    for name, seconds in hung_s().items():
        if seconds > HUNG_AFTER_S:
            return f"the {name} has been at one thing for {seconds:.0f} s"
    return None


def unready(observed: Observed, config: LoadedConfig, *, trouble: str | None) -> str | None:
    """Return on one line why no run can do its work; None while one can."""
    if trouble is not None:
        return " ".join(trouble.split())
    if observed.snapshot_at is None and not observed.orgs:
        return "the ledger has not been read yet"
    last = observed.runs[0] if observed.runs else None
    if last is not None and (last.exit_code == ExitCode.OUTPUT or last.exception in OUTPUT_ERRORS):
        return f"the last run failed: {' '.join(last.why.split())}"
    return _unwritable(config.settings.output.path)


def _unwritable(output: str) -> str | None:
    if output == "-":
        return None
    directory = Path(output).absolute()
    there = next(path for path in (directory, *directory.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return f"the output directory {output} can't be written"
    return None
