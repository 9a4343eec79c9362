"""Ledger and output are taken from the real service and given back: `/readyz`, metric, page, JSON and log agree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.test_serve import Service, copied, serving
from tests.support.commands import SimulatedApi, simulated_api
from tests.support.postgresql import Server, running_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # waits for many looks; some need PostgreSQL


def is_ready(service: Service) -> bool | None:
    """What all places say; None while they differ, as they are not read at one instant."""
    code, said = service.get("/readyz")
    unready = service.status["unready"]
    places = {
        code == 200,
        unready is None,
        "collector_ready 1.0" in service.get("/metrics")[1],
        "No run can do its work" not in service.get("/")[1],
        said.strip() in {"ok", unready},
    }
    if unready is None:
        return True if places == {True} else None
    return False if places == {False, True} and said.strip() == unready else None


def events(service: Service, *names: str) -> list[str]:
    return [line["event"] for line in service.log if line["event"] in names]


def has_logged(service: Service, name: str, times: int) -> bool:
    return len(events(service, name)) == times


def done(service: Service) -> None:
    """The first run is over, and no other one is due for months."""
    wait_until(lambda: service.status["runs"] and not service.status["current_run"])
    wait_until(lambda: is_ready(service))


@pytest.mark.parametrize(
    ("part", "name", "why"),
    [("ledger", "state", "was removed while this process used it"), ("output", "out", "is gone: move it back")],
)
def test_a_directory_that_is_moved_away_and_back_with_no_run_due_is_seen_everywhere(
    part: str, name: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    with simulated_api(tmp_path, orgs=1) as api, serving(api.config, tmp_path) as service:
        done(service)
        for times in (1, 2):
            (tmp_path / name).rename(tmp_path / "aside")
            wait_until(partial(has_logged, service, f"{part}.down", times))
            wait_until(lambda: is_ready(service) is False)
            assert f"the {part} " in service.get("/readyz")[1]
            assert why in service.get("/readyz")[1]
            assert service.get("/healthz")[0] == 200
            assert not (tmp_path / name).exists()
            (tmp_path / "aside").rename(tmp_path / name)
            wait_until(lambda: is_ready(service))
        assert events(service, f"{part}.down", f"{part}.up", "status.not_read") == [f"{part}.down", f"{part}.up"] * 2
        assert len(service.status["runs"]) == 1


def test_a_run_that_becomes_due_while_the_ledger_is_gone_begins_no_empty_one_and_is_repeated_once_it_is_back(
    tmp_path: Path,
) -> None:
    with simulated_api(tmp_path, orgs=2) as api:
        config = copied(api, tmp_path)
        whole = config.read_text()
        config.write_text(whole.replace("org-002", "org-003"))
        with serving(config, tmp_path) as service:
            done(service)
            (tmp_path / "state").rename(tmp_path / "aside")
            wait_until(lambda: is_ready(service) is False)
            config.write_text(whole)  # a new org, which is fetched at once
            wait_until(lambda: len(events(service, "run.failed", "config.not_loaded")))
            assert not (tmp_path / "state").exists()
            (tmp_path / "aside").rename(tmp_path / "state")
            wait_until(lambda: is_ready(service))
            wait_until(lambda: service.lacking("org-002") == 0)
            wait_until(lambda: is_ready(service))


# A mount that hangs, and a name server that is silent, while a file is there.
HANGING = """
import os, socket, threading
from pathlib import Path
access, getaddrinfo = os.access, socket.getaddrinfo
def wait():
    while Path("hanging").exists():
        threading.Event().wait(0.02)
def hanging_access(path, *args, **more):
    if str(path).endswith("/out"):
        wait()
    return access(path, *args, **more)
def silent(host, *args, **more):
    if host != "ledger.test":
        return getaddrinfo(host, *args, **more)
    wait()
    return getaddrinfo("127.0.0.1", *args, **more)
os.access, socket.getaddrinfo = hanging_access, silent
"""


def hanging(directory: Path) -> dict[str, str]:
    """The environment of a process in which these calls hang while the directory has a file `hanging`."""
    (directory / "patched").mkdir()
    (directory / "patched" / "sitecustomize.py").write_text(HANGING)
    return {"PYTHONPATH": os.pathsep.join([str(directory / "patched"), os.environ.get("PYTHONPATH", "")])}


def test_a_mount_of_the_output_that_hangs_is_seen_and_holds_up_neither_the_page_nor_the_end(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with simulated_api(tmp_path, orgs=1) as api, serving(api.config, tmp_path, **hanging(tmp_path)) as service:
        done(service)
        for _ in range(2):
            (tmp_path / "hanging").touch()
            wait_until(lambda: is_ready(service) is False)
            assert "the output has not answered for 4 seconds" in service.get("/readyz")[1]
            assert service.get("/healthz")[0] == 200
            (tmp_path / "hanging").unlink()
            wait_until(lambda: is_ready(service))
        assert events(service, "output.down", "output.up") == ["output.down", "output.up"] * 2
        (tmp_path / "hanging").touch()
        wait_until(lambda: is_ready(service) is False)  # and SIGTERM ends it


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One of our own: it is stopped and started."""
    with running_server() as started_server:
        yield started_server


@contextmanager
def with_postgresql(api: SimulatedApi, directory: Path, server: Server) -> Iterator[Service]:
    with serving(api.config, directory, COLLECTOR_STATE__URL=server.fresh()) as service:
        done(service)
        yield service


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_postgresql_that_is_stopped_and_started_with_no_run_due_is_seen_everywhere(
    mode: str, server: Server, tmp_path: Path
) -> None:
    with simulated_api(tmp_path, orgs=1) as api, with_postgresql(api, tmp_path, server) as service:
        server.stop(mode)
        try:
            wait_until(lambda: is_ready(service) is False)
            assert "the ledger postgresql://127.0.0.1" in service.get("/readyz")[1]
        finally:
            server.start()
        wait_until(lambda: is_ready(service))
        assert events(service, "ledger.down", "ledger.up") == ["ledger.down", "ledger.up"]
        assert len(service.status["runs"]) == 1


def test_a_postgresql_that_is_away_when_the_service_starts_is_waited_for(server: Server, tmp_path: Path) -> None:
    url = server.fresh()
    server.stop("fast")
    try:
        with simulated_api(tmp_path, orgs=1) as api, serving(api.config, tmp_path, COLLECTOR_STATE__URL=url) as service:
            wait_until(lambda: is_ready(service) is False)
            assert "the server doesn't answer" in service.get("/readyz")[1]
            assert service.get("/healthz")[0] == 200
            server.start()
            done(service)
            assert events(service, "ledger.down", "ledger.up") == ["ledger.down", "ledger.up"]
    finally:
        server.restart("fast")


def test_a_name_server_that_is_silent_when_the_ledger_s_connections_break_is_seen_until_it_answers(
    server: Server, tmp_path: Path
) -> None:
    url = server.fresh().replace("@127.0.0.1:", "@ledger.test:")
    with (
        simulated_api(tmp_path, orgs=1) as api,
        serving(api.config, tmp_path, COLLECTOR_STATE__URL=url, **hanging(tmp_path)) as service,
    ):
        done(service)
        (tmp_path / "hanging").touch()
        server.restart("immediate")
        wait_until(lambda: is_ready(service) is False)
        wait_until(lambda: "ledger.test" in service.get("/readyz")[1])
        assert service.get("/healthz")[0] == 200
        (tmp_path / "hanging").unlink()
        wait_until(lambda: is_ready(service))
        assert events(service, "ledger.down", "ledger.up") == ["ledger.down", "ledger.up"]


def test_tables_that_are_dropped_or_may_not_be_written_are_seen(server: Server, tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=1) as api, with_postgresql(api, tmp_path, server) as service:
        ((schema,),) = server.sql(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 't%' ORDER BY oid DESC LIMIT 1", "usage"
        )
        server.sql(f"REVOKE INSERT ON {schema}.slice FROM collector", "usage")
        wait_until(lambda: is_ready(service) is False)
        assert "has no permission" in service.get("/readyz")[1]
        server.sql(f"GRANT INSERT ON {schema}.slice TO collector", "usage")
        wait_until(lambda: is_ready(service))
        server.sql(f"ALTER SCHEMA {schema} RENAME TO away_{schema}", "usage")
        wait_until(lambda: is_ready(service) is False)
        assert "is gone" in service.get("/readyz")[1]
        server.sql(f"ALTER SCHEMA away_{schema} RENAME TO {schema}", "usage")
        wait_until(lambda: is_ready(service))
