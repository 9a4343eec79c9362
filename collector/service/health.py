"""Whether the service is alive, and whether it can do its work. Never calls the API."""

from __future__ import annotations

from collections.abc import Callable

from collector.core.exit_codes import ExitCode
from collector.errors import OUTPUT_ERRORS
from collector.service.view import Observed, Part

HUNG_AFTER_S = 120.0  # longer than any transaction, fsync or wait for another process's may take


def unhealthy(hung_s: Callable[[], dict[str, float]]) -> str | None:
    """Return on one line which thread hangs; None while all of them go on. A hanging event loop answers nothing."""
    for name, seconds in hung_s().items():
        if seconds > HUNG_AFTER_S:
            return f"the {name} has been at one thing for {seconds:.0f} s"
    return None


def is_starting(observed: Observed) -> bool:
    """Say whether the ledger is being read for the first time, and nothing is wrong."""
    return observed.snapshot_at is None and not observed.orgs and not observed.troubles


def failed(observed: Observed) -> bool:
    """Say whether the last run ended by an exception that is no fault of ledger or output, such as a wrong clock."""
    kind = observed.runs[0].exception if observed.runs else None
    return kind is not None and kind not in OUTPUT_ERRORS


def unready(observed: Observed) -> str | None:
    """Return on one line why no run can do its work; None while one can. Page, JSON and metric say the same."""
    for part in Part:
        if (trouble := observed.troubles.get(part)) is not None:
            return " ".join(trouble.split())
    if is_starting(observed):
        return "the ledger has not been read yet"
    last = observed.runs[0] if observed.runs else None
    if last is None or not (last.exit_code == ExitCode.OUTPUT or last.exception in OUTPUT_ERRORS):
        return None
    if observed.back_at is not None and last.ended_at <= observed.back_at:
        return None  # what failed came back since then, and the run is repeated
    return f"the last run failed: {' '.join(last.why.split())}"
