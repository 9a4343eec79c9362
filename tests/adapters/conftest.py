"""What tests of several adapters begin with."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from collector.adapters.logs import configure_logs


@pytest.fixture
def json_logs() -> Iterator[None]:
    """Log as commands do, in JSON, until the test ends."""
    handlers = list(logging.getLogger().handlers)
    configure_logs(level="info", format_="json")
    yield
    logging.basicConfig(handlers=handlers, force=True)
    structlog.reset_defaults()
