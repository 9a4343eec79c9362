"""`collector healthcheck` against servers that are alive, ill, silent, or not there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from collector.config.address import service_address
from collector.errors import ConfigError
from tests.support.commands import Done, collector


@contextmanager
def answering(status: int) -> Iterator[tuple[int, list[str]]]:
    """A server that answers every GET with that status; yields its port and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Host']} {self.headers['Authorization']}")
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


def healthcheck(directory: Path, text: str, **env: str) -> Done:
    (directory / "c.yaml").write_text(text)
    return collector("healthcheck", "-c", "c.yaml", cwd=directory, env=env)


def test_healthy_service_ends_with_0_and_is_asked_without_credential_or_proxy(tmp_path: Path) -> None:
    with answering(200) as (port, asked):
        done = healthcheck(tmp_path, f"service: {{port: {port}}}\n", http_proxy="http://127.0.0.1:1")
    assert (done.code, done.stderr) == (0, "")
    assert asked == [f"/healthz 127.0.0.1:{port} None"]


def test_service_that_says_it_is_ill_ends_with_1(tmp_path: Path) -> None:
    with answering(503) as (port, _):
        done = healthcheck(tmp_path, "orgs: []\n", COLLECTOR_SERVICE__PORT=str(port))
    assert (done.code, done.stderr) == (1, f"/healthz at 127.0.0.1:{port} answered 503\n")


def test_no_service_ends_with_1_and_says_where_it_was_asked(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # kept, so that nobody else listens on it
        done = healthcheck(tmp_path, f"service: {{port: {port}}}\n")
    assert (done.code, done.stderr) == (1, f"no healthy service at 127.0.0.1:{port}: Connection refused\n")


def test_service_that_hangs_ends_with_1_in_a_few_seconds(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        done = healthcheck(tmp_path, f"service: {{port: {silent.getsockname()[1]}}}\n")
    assert done.code == 1
    assert "timed out" in done.stderr


@pytest.mark.parametrize(
    ("service", "address"),
    [
        ("{}", ("127.0.0.1", 8080)),
        ("{host: 0.0.0.0, port: 9000}", ("127.0.0.1", 9000)),
        ("{host: '::'}", ("::1", 8080)),
        ("{host: 10.1.2.3}", ("10.1.2.3", 8080)),
        ("{port: 9000, cron: wrong, token_file: gone}", ("127.0.0.1", 9000)),
    ],
)
def test_address_is_known_whatever_else_is_wrong_with_the_config(
    service: str, address: tuple[str, int], tmp_path: Path
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"service: {service}\norgs:\n  - name: acme\n    token_env: NOT_SET\n")
    assert service_address(config, {}) == address


@pytest.mark.parametrize("text", ["service: [", "- no mapping", "service: 5", ""])
def test_file_that_says_nothing_leaves_it_to_variables_and_defaults(text: str, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    assert service_address(config, {"COLLECTOR_SERVICE__PORT": "9000"}) == ("127.0.0.1", 9000)


@pytest.mark.parametrize("port", ["0", "none", "70000"])
def test_port_that_cannot_be_asked_is_a_config_error(port: str, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"service: {{port: {port}}}\n")
    with pytest.raises(ConfigError, match=r"service\.port"):
        service_address(config, {})
