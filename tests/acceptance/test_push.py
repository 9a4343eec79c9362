"""The metrics of commands that end: in a real Pushgateway, and as a textfile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import SimulatedApi, collector, simulated_api
from tests.support.metrics import parsed, total, value
from tests.support.raw_server import raw_server
from tests.support.servers import Pushgateway, free_port, need, pushgateway


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("push"), orgs=3) as api:
        yield api


@pytest.fixture(scope="module")
def gateway() -> Iterator[Pushgateway]:
    need("prometheus-pushgateway")
    with pushgateway() as gateway:
        yield gateway


