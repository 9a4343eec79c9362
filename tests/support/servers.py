"""Prometheus, its Pushgateway and node_exporter, the real ones, on loopback."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.needs import free_port
from tests.support.waiting import wait_until

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, **query: str) -> bytes:
    """The body of an answer. Raises OSError for anything but a 200."""
    if query:
        url = f"{url}?{urllib.parse.urlencode(query)}"
    with _DIRECT.open(url, timeout=120) as response:
        body: bytes = response.read()
        return body


@contextmanager
def server(*command: str | Path, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that runs until the block ends; `ready` is a URL that answers 200 once it is."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: _answers(ready, process), f"{command[0]} answers {ready}")
        yield process
    finally:
        process.kill()
        process.communicate(timeout=120)


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        assert process.stderr is not None
        raise AssertionError(process.stderr.read().decode())
    try:
        get(url)
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Pushgateway:
    """A Pushgateway; `url` is what `push.gateway` says."""

    url: str

    @property
    def text(self) -> str:
        return get(f"{self.url}/metrics").decode()

    def delete(self, command: str) -> None:
        """Forget the group of a command, as a gateway without persistence does when it restarts."""
        request = urllib.request.Request(f"{self.url}/metrics/job/collector/command/{command}", method="DELETE")
        _DIRECT.open(request, timeout=120).close()

    @property
    def groups(self) -> list[dict[str, str]]:
        data = json.loads(get(f"{self.url}/api/v1/metrics"))["data"]
        return [group["labels"] for group in data]


@contextmanager
def pushgateway() -> Iterator[Pushgateway]:
    """Debian's prometheus-pushgateway."""
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}"
    command = ("prometheus-pushgateway", f"--web.listen-address={address}", "--log.level=error")
    with server(*command, ready=f"{url}/-/ready"):
        yield Pushgateway(url)


@contextmanager
def node_exporter(textfiles: Path) -> Iterator[str]:
    """Debian's prometheus-node-exporter, with the files of a directory and nothing else; yields its URL."""
    address = f"127.0.0.1:{free_port()}"
    command = (
        "prometheus-node-exporter",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={textfiles}",
        f"--web.listen-address={address}",
        "--log.level=error",
    )
    with server(*command, ready=f"http://{address}/metrics"):
        yield f"http://{address}"


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that scrapes and evaluates."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query. Raises AssertionError with Prometheus' words where it is none."""
        try:
            answer = json.loads(get(f"{self.url}/api/v1/query", query=expression))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def value(self, expression: str) -> float | None:
        """The value of a query with at most one result."""
        result = self.query(expression)
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None

    @property
    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = json.loads(get(f"{self.url}/api/v1/alerts"))["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    @property
    def broken_rules(self) -> dict[str, str]:
        """The rules that can't be evaluated, with why."""
        groups = json.loads(get(f"{self.url}/api/v1/rules"))["data"]["groups"]
        return {rule["name"]: rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")}


@contextmanager
def prometheus(config: Path, data: Path) -> Iterator[Prometheus]:
    """Debian's prometheus."""
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}"
    command = (
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}",
        "--log.level=error",
    )
    with server(*command, ready=f"{url}/-/ready"):
        yield Prometheus(url)
