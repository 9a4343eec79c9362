"""What the tests promise of themselves (CONTRIBUTING.md)."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.support.commands import calm, renew_calm

TESTS = Path(__file__).parents[1]
# Waits for conditions; shows the progress of seeds that are run by hand.
MAY = {"support/waiting.py", "simulation/__main__.py"}
CLOCKS = re.compile(r"\btime\.(?:sleep|time|monotonic|perf_counter|process_time)(?:_ns)?\(|\bwait_for_timeout\(")


def test_only_one_helper_sleeps_and_no_test_looks_at_how_long_something_took() -> None:
    found = {str(file.relative_to(TESTS)) for file in TESTS.rglob("*.py") if CLOCKS.search(file.read_text())}
    assert found == MAY


@pytest.mark.parametrize("minute", range(60))
def test_while_it_is_calm_no_day_becomes_due_for_seven_minutes(minute: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day ends on a quarter of an hour in each zone, and is due a `settle` later."""
    with monkeypatch.context() as patched:
        patched.setattr(time, "gmtime", lambda: time.struct_time((2026, 6, 1, 12, minute, 59, 0, 152, 0)))
        renew_calm()
        calms = calm(), calm(days=1)
    assert calms == (calm(), calm(days=1)), "all commands of a file have the same"
    renew_calm()
    for settle in (int(one["COLLECTOR_SCHEDULE__SETTLE"].removesuffix("m")) for one in calms):
        assert settle >= 6 * 60
        assert all((minute + ahead - settle) % 15 for ahead in range(8))
