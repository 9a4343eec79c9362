"""The benchmark whose table stands in docs/deploy.md runs to its end, on a small job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # it repeats what the tests of `collect` and `serve` show
ROOT = Path(__file__).parents[2]


def test_it_prints_a_row_for_each_command() -> None:
    command = [sys.executable, "-m", "benchmarks.bill", "--orgs", "3", "--history", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| `")]
    assert [(row[1].strip(), row[2].strip()) for row in rows] == [("`collect`", "3"), ("`serve`", "3")]
    assert all(12 <= int(row[3]) <= 18 for row in rows)  # three days of each org and population, if all are due
