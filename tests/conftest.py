"""What many tests begin with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.commands import Here
from tests.support.postgresql import Server, running_server

# Examples follow from each test's own text: a commit passes or fails, whoever runs it, and a failure comes again in the
# next run without a database of what failed. EXPLORE=1 draws others, and keeps those that fail in .hypothesis/.
settings.register_profile("ours", deadline=None, print_blob=True, derandomize="EXPLORE" not in os.environ)
settings.load_profile("ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: then no core waits for another in the end."""

    def takes_long(item: pytest.Item) -> bool:
        return item.get_closest_marker("scaled") is not None or "untraced" in getattr(item, "fixturenames", ())

    items.sort(key=takes_long, reverse=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A real PostgreSQL server."""
    with running_server() as started:
        yield started


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    """Runs commands in this process, in the test's directory."""
    return Here(capfd, monkeypatch, tmp_path)


@pytest.fixture
def untraced() -> Iterator[None]:
    """Leave out of coverage what takes long and runs nothing that other tests don't: coverage would triple its time."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
