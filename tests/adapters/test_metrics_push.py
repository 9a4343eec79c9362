"""A push never takes longer than its timeout, whatever the gateway does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.adapters.metrics import new_registry, push, write_textfile
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


@contextmanager
def gateway(answer: Answer) -> Iterator[str]:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
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
    with gateway(answer) as url, pytest.raises(TimeoutError):  # the gateway itself would go on
        push(url, new_registry(), grouping={"command": "collect"}, timeout_s=0.3)


@pytest.mark.parametrize(("answer", "message"), [(refusing, "400"), (redirecting, "307")])
def test_a_gateway_that_refuses_the_push_raises(answer: Answer, message: str) -> None:
    with gateway(answer) as url, pytest.raises(OSError, match=message):
        push(url, new_registry(), grouping={"command": "collect"}, timeout_s=BOUND_S)


def test_a_textfile_is_replaced_and_no_other_file_is_left(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "collector.prom"
    for _ in range(2):
        write_textfile(file, new_registry(), labels={"command": "collect"})
    assert 'collector_build_info{command="collect",' in file.read_text()
    assert list(file.parent.iterdir()) == [file]
