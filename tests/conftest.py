"""What many tests begin with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.support.commands import Here, renew_calm
from tests.support.postgresql import Server, running_server

# jsonschema parses a grammar of IRIs when it is imported, a second in each worker. No schema of ours has an IRI.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# Examples follow from each test's own text: a commit passes or fails, whoever runs it, and a failure comes again in the
# next run without a database of what failed. EXPLORE=1 draws others, and keeps those that fail in .hypothesis/.
settings.register_profile("ours", deadline=None, print_blob=True, derandomize="EXPLORE" not in os.environ)
settings.load_profile("ours")


# The tests of a file are run by one worker, since they share servers; these share nothing, and each may run anywhere.
_APART = (
    *("simulation/test_simulation", "simulation/test_mutations", "flow/test_service", "flow/test_sharing"),
    *(
        "acceptance/test_kill",  # and test_kill_places
        "acceptance/test_readiness",
        "acceptance/test_replaced_ledger",
        "acceptance/test_rules",
        "acceptance/test_shards",
    ),
)
# What takes longest begins first: then no core waits for another in the end.
_FIRST = (
    *("flow/test_service_soak", "flow/test_service.py::test_a_year", "acceptance/test_kill", "acceptance/test_rules"),
    *(
        "acceptance/test_prometheus",
        "acceptance/test_push_alerts",
        "acceptance/test_readiness",
        "acceptance/test_shards",
    ),
    *("acceptance/test_sharing", "acceptance/test_many_orgs", "acceptance/test_package", "acceptance/test_readme"),
)
# Left out of coverage: long, and all that they run is run by others too.
_UNTRACED = (
    *("flow/test_aliases", "flow/test_an_ordinary_summer", "flow/test_calendar_edits", "flow/test_sharing"),
    *("flow/test_waiting", "adapters/ledger/test_model", "adapters/test_web_connections", "simulation/"),
    *("unit/test_comparing", "unit/test_search", "unit/test_windows"),
)


def _is_of(nodeid: str, names: tuple[str, ...]) -> bool:
    return nodeid.removeprefix("tests/").startswith(names)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by how long tests take, roughly."""

    def takes_long(item: pytest.Item) -> tuple[bool, bool]:
        scaled = item.get_closest_marker("scaled") is not None or "untraced" in getattr(item, "fixturenames", ())
        return _is_of(item.nodeid, _FIRST), scaled

    items.sort(key=takes_long, reverse=True)


class _ByFile(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return nodeid if _is_of(nodeid, _APART) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Say which tests stay together."""
    return _ByFile(config, log)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A real PostgreSQL server."""
    with running_server() as started:
        yield started


@pytest.fixture(autouse=True, scope="module")
def _calm() -> None:
    """Let the commands of a file's tests agree on what is due, whatever the time is."""
    renew_calm()


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    """Runs commands in this process, in the test's directory."""
    return Here(capfd, monkeypatch, tmp_path)


@pytest.fixture(autouse=True)
def _untraced_file(request: pytest.FixtureRequest) -> None:
    """Leave out of coverage all tests of some files."""
    if _is_of(request.node.nodeid, _UNTRACED):
        request.getfixturevalue("untraced")


@pytest.fixture
def untraced() -> Iterator[None]:
    """Leave out of coverage what takes long and runs nothing that other tests don't: coverage would triple its time."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
