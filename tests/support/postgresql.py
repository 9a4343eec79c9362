"""A real PostgreSQL server, from Debian's packages: started for the tests, and stopped, killed and filled by them."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support.certificates import Authority, Certificate
from tests.support.needs import free_port, left_out

USER = "collector"
PASSWORD = "s3cret-of-the-ledger"
DATABASE = "usage"
_CONF = """
listen_addresses = '127.0.0.1'
unix_socket_directories = '{run}'
port = {port}
fsync = off
max_connections = 100
log_min_messages = warning
"""
_HBA = "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
_HBA_TLS = "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"


class Server:
    """One cluster, in a directory that its user may use."""

    def __init__(self, bin_: Path, directory: Path) -> None:
        self._bin = bin_
        self._data = directory / "data"
        self._run = directory
        self.port = free_port()

    def init(self) -> None:
        self._as_user(
            "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"
        )
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write(_CONF.format(run=self._run, port=self.port))
        (self._data / "pg_hba.conf").write_text(_HBA)
        self.start()
        self.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        self.sql(f"CREATE DATABASE {DATABASE} OWNER {USER}")

    def url(
        self, schema: str | None = None, *, password: str | None = PASSWORD, database: str = DATABASE, **more: str
    ) -> str:
        query = "&".join(f"{name}={value}" for name, value in ({"schema": schema} | more).items() if value)
        user = USER if password is None else f"{USER}:{password}"
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}?{query}"

    def fresh(self) -> str:
        """The URL of a schema that isn't there yet."""
        return self.url(f"t{secrets.token_hex(6)}")

    def sql(self, text: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What a superuser does."""
        where: dict[str, Any] = {"host": str(self._run), "port": self.port, "user": "postgres", "dbname": database}
        with psycopg.connect(**where, autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return list(cursor) if cursor.description else []

    def start(self) -> None:
        self._ctl("start", "-l", self._run / "log")

    def stop(self, mode: str = "fast") -> None:
        self._ctl("stop", "-m", mode)

    def restart(self, mode: str = "immediate") -> None:
        self._ctl("restart", "-m", mode, "-l", self._run / "log")

    def speak_tls(self, certificate: Certificate) -> None:
        """And nothing else."""
        for source, name in ((certificate.cert, "server.crt"), (certificate.key, "server.key")):
            target = self._data / name
            shutil.copy(source, target)
            self.own(target)
            target.chmod(0o600)
        (self._data / "pg_hba.conf").write_text(_HBA_TLS)
        self.sql("ALTER SYSTEM SET ssl = on")
        self._ctl("reload")

    def speak_plainly(self) -> None:
        (self._data / "pg_hba.conf").write_text(_HBA)
        self.sql("ALTER SYSTEM RESET ssl")
        self._ctl("reload")

    @property
    def public(self) -> Path:
        """A directory that the server's user may use."""
        return self._run

    def as_server_user(self, *command: str | Path) -> list[str]:
        """The command line that runs a command as the server's user."""
        # Not runuser: it stays as a parent that ends only two seconds after its child is told to.
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        return [*become, *map(str, command)]

    def own(self, path: Path) -> None:
        """Give something to the server's user."""
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")
        path.chmod(0o700)

    @property
    def log(self) -> str:
        return (self._run / "log").read_text()

    def _ctl(self, action: str, *more: str | Path) -> None:
        self._as_user("pg_ctl", action, "-D", self._data, "-w", "-t", "60", "-s", *more)

    def _as_user(self, command: str, *arguments: str | Path) -> None:
        call = self.as_server_user(self._bin / command, *arguments)
        # Not through pipes: the server would keep them.
        with (self._run / f"{command}.out").open("wb") as out:
            done = subprocess.run(
                call, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", timeout=120, check=False
            )
        assert done.returncode == 0, (self._run / f"{command}.out").read_text()


@contextmanager
def running_server() -> Iterator[Server]:
    """A new cluster; it is stopped and removed, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="collector-pg-") as name:
        directory = Path(name)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(directory, user.pw_uid, user.pw_gid)
        server = Server(binaries(), directory)
        server.init()
        try:
            yield server
        finally:
            server.stop("immediate")


def binaries() -> Path:
    """Where the server's commands are; without them the test is left out."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        left_out("PostgreSQL isn't installed (Debian's package postgresql)")
    return found[-1].parent


__all__ = ["DATABASE", "PASSWORD", "USER", "Authority", "Server", "running_server"]
