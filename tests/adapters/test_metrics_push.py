"""A push never takes longer than its timeout, whatever the gateway does."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.adapters.metrics import PushError, new_registry, push, write_textfile
from tests.support.secrets import pieces_in
from tests.support.waiting import BOUND_S

Answer = Callable[[socket.socket, threading.Event], None]


def silent(_: socket.socket, over: threading.Event) -> None:
    over.wait(BOUND_S)


def dripping(connection: socket.socket, over: threading.Event) -> None:
    """Send a byte at a time, each well within the client's timeout."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    while not over.wait(0.05):
        connection.sendall(b"a")


def refusing(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def redirecting(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n")


def accepting(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")


@contextmanager
def gateway(answer: Answer, heads: list[bytes] | None = None) -> Iterator[str]:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    head = connection.recv(65536)
                    if heads is not None:
                        heads.append(head)
                    answer(connection, over)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join(BOUND_S)


@pytest.mark.parametrize("answer", [silent, dripping])
def test_a_push_to_a_gateway_that_never_finishes_times_out(answer: Answer) -> None:
    # The gateway itself would go on. Two clocks run, that of the push and that of its socket: either may be the first.
    with gateway(answer) as url, pytest.raises(PushError, match=r"no answer (within|in time)"):
        push(url, new_registry(), grouping={"command": "collect"}, timeout_s=0.3)


@pytest.mark.parametrize(("answer", "message"), [(refusing, "400"), (redirecting, "307")])
def test_a_gateway_that_refuses_the_push_raises(answer: Answer, message: str) -> None:
    with gateway(answer) as url, pytest.raises(PushError, match=f"answered {message}"):
        push(url, new_registry(), grouping={"command": "collect"}, timeout_s=BOUND_S)


def test_a_proxy_that_refuses_the_gateway_is_named_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidding(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 407 S3cr3t\r\ncontent-length: 0\r\n\r\n")

    with gateway(forbidding) as url:
        monkeypatch.setenv("https_proxy", url)
        with pytest.raises(PushError, match="the proxy answered 407 to CONNECT") as caught:
            push("https://gateway.invalid", new_registry(), grouping={"command": "collect"}, timeout_s=BOUND_S)
    assert "S3cr3t" not in str(caught.value)


@pytest.mark.parametrize("no_proxy", ["", "10.0.0.0/8", "*.example.test"])
def test_a_push_uses_the_proxy_with_its_credential_in_utf_8(no_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []
    with gateway(accepting, heads) as url:
        monkeypatch.setenv("http_proxy", url.replace("//", "//bob:S3cr%C3%A9t@"))
        monkeypatch.setenv("no_proxy", no_proxy)
        push("http://gateway.invalid:9091", new_registry(), grouping={"command": "collect"}, timeout_s=BOUND_S)
    assert heads[0].startswith(b"PUT http://gateway.invalid:9091/metrics/job/collector/command/collect ")
    assert b"proxy-authorization: basic " + b64encode("bob:S3crét".encode()).lower() in heads[0].lower()


@pytest.mark.parametrize("no_proxy", ["127.0.0.0/8", "*.0.0.1", ""])
def test_a_push_to_loopback_or_an_exception_of_no_proxy_goes_directly(
    no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []
    with gateway(accepting, heads) as url:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", no_proxy)
        push(url, new_registry(), grouping={"command": "collect"}, timeout_s=BOUND_S)
    assert heads[0].startswith(b"PUT /metrics/job/collector/command/collect ")


@pytest.mark.parametrize(("host", "no_proxy"), [("10.1.2.3", "10.0.0.0/8"), ("a.example.test", "*.example.test")])
def test_no_proxy_with_a_network_or_a_suffix_holds_for_pushes(
    host: str, no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is unreachable for the test: what matters is that no proxy is asked for it."""
    asked: list[str] = []

    def unreachable(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        asked.append(address[0])
        raise OSError(errno.ENETUNREACH, "unreachable")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", no_proxy)
    with pytest.raises(PushError, match="Network is unreachable"):
        push(f"http://{host}:9091", new_registry(), grouping={"command": "collect"}, timeout_s=BOUND_S)
    assert asked == [host]


@pytest.mark.parametrize("proxy", ["http://bob:S3cr/et@127.0.0.1:1", "http://bob:S3cr%2Fet9x@127.0.0.1:1", "S3cr:et"])
def test_a_push_that_fails_shows_no_part_of_a_proxy(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(PushError) as caught:
        push("http://gateway.invalid:9091", new_registry(), grouping={"command": "collect"}, timeout_s=BOUND_S)
    assert not pieces_in(str(caught.value), "S3cr/et9x")


def test_a_textfile_is_replaced_and_no_other_file_is_left(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "collector.prom"
    for _ in range(2):
        write_textfile(file, new_registry(), labels={"command": "collect"})
    assert 'collector_build_info{command="collect",' in file.read_text()
    assert list(file.parent.iterdir()) == [file]
