"""The server of all contenders: Debian's nginx with `nginx.conf`, as a process and in a directory of its own."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CONFIG = Path(__file__).with_name("nginx.conf")
SBIN = "/usr/sbin"  # the PATH of a user has no such directory
MODULE = Path("/usr/lib/nginx/modules/ngx_http_set_misc_module.so")
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Counters:
    """What nginx has counted since its start, with each reading of its counters: one connection, one request."""

    connections: int
    requests: int

    def since(self, earlier: Counters) -> Counters:
        """Return what others did between two readings."""
        return Counters(self.connections - earlier.connections - 1, self.requests - earlier.requests - 1)


@dataclass(frozen=True)
class Server:
    base_url: str

    def counters(self) -> Counters:
        with _NO_PROXY.open(f"{self.base_url}/status", timeout=10) as response:
            accepted, _, requests = re.search(rb"(\d+) (\d+) (\d+) *\n", response.read()).groups()  # type: ignore[union-attr]
        return Counters(int(accepted), int(requests))


def missing() -> str | None:
    """Say which of Debian's packages are missing, or None."""
    packages = {
        "nginx": nginx() is None,
        "libnginx-mod-http-set-misc": not MODULE.exists(),
        "wrk": not shutil.which("wrk"),
    }
    absent = " ".join(name for name, is_absent in packages.items() if is_absent)
    return f"missing of Debian's packages: {absent}. Install them: apt-get install {absent}" if absent else None


def nginx() -> str | None:
    """Return the path of nginx, or None."""
    return shutil.which("nginx") or shutil.which("nginx", path=SBIN)


@contextmanager
def serving(directory: Path) -> Iterator[Server]:
    """Start nginx on a free port of loopback; it ends with the block."""
    program = nginx()
    assert program is not None, missing()
    prefix = directory / "nginx"
    prefix.mkdir()
    shutil.copy(_CONFIG, prefix)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (prefix / "listen.conf").write_text(f"listen 127.0.0.1:{port};\n")
    log = prefix / "error.log"
    with log.open("wb") as errors:
        process = subprocess.Popen([program, "-p", prefix, "-c", prefix / "nginx.conf"], stderr=errors)
    try:
        server = Server(f"http://127.0.0.1:{port}")
        _wait_for(server, process, log)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            break
        try:
            server.counters()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nginx doesn't answer:\n{log.read_text()}")
