"""A real PgBouncer before the server, from Debian's package."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.support.needs import free_port, need
from tests.support.postgresql import PASSWORD, USER, Server
from tests.support.waiting import wait_until

PROGRAM = "/usr/sbin/pgbouncer"


@contextmanager
def pooled(server: Server, *, mode: str, sessions: int = 5, more: str = "") -> Iterator[str]:
    """Start PgBouncer in that mode with so many sessions; yield the URL of a new schema through it."""
    need(PROGRAM, package="pgbouncer")
    port = free_port()
    directory = server.public / f"pgbouncer-{port}"
    directory.mkdir()
    server.own(directory)
    users, settings = directory / "users.txt", directory / "pgbouncer.ini"
    users.write_text(f'"{USER}" "{PASSWORD}"\n')
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {users}\npool_mode = {mode}\n"
        f"default_pool_size = {sessions}\nquery_wait_timeout = 10\nlogfile = {directory}/log\n{more}\n"
    )
    url = server.fresh().replace(f":{server.port}/", f":{port}/")
    with subprocess.Popen(
        server.as_server_user(PROGRAM, "-q", settings), stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(lambda: _answers(url), "PgBouncer answers")
            yield url
        finally:
            process.terminate()
            process.wait(120)


def _answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(url.partition("?")[0]):
        return True
    return False
