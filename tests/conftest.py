"""What is started once for many tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgresql import Server, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A real PostgreSQL server."""
    with running_server() as started:
        yield started
