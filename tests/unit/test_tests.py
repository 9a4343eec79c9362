"""What the tests promise of themselves (CONTRIBUTING.md)."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
# Waits for conditions; shows the progress of seeds that are run by hand.
MAY = {"support/waiting.py", "simulation/__main__.py"}
CLOCKS = re.compile(r"\btime\.(?:sleep|time|monotonic|perf_counter|process_time)(?:_ns)?\(|\bwait_for_timeout\(")


def test_only_one_helper_sleeps_and_no_test_looks_at_how_long_something_took() -> None:
    found = {str(file.relative_to(TESTS)) for file in TESTS.rglob("*.py") if CLOCKS.search(file.read_text())}
    assert found == MAY
