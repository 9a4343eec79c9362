"""A proxy before an object store whose requests fail, stall, are throttled or lose their answers, as a test says."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

_SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
)
_DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'


class Fault(Enum):
    """What becomes of a request."""

    SLOW_DOWN = auto()  # 503, and the store doesn't see it
    DENIED = auto()  # 403
    RESET = auto()  # the connection ends, and the store doesn't see it
    LOST = auto()  # the store does it, and the connection ends without its answer
    STALL = auto()  # nothing comes until the test ends


@dataclass
class FaultyProxy:
    """Forwards to a store. `faults` are those of the next uploads whose path contains `part`, one each."""

    target: str
    part: str = "usage-2"  # files of records
    faults: list[Fault] = field(default_factory=list)
    always: Fault | None = None
    away: bool = False  # the store denies every request
    seen: list[tuple[str, str]] = field(default_factory=list)  # methods and paths
    ended: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)
    address: str = ""

    def uploads(self) -> list[str]:
        return [path for method, path in self.seen if method == "PUT" and self.part in path]

    def fault_of(self, method: str, path: str) -> Fault | None:
        with self.guard:
            self.seen.append((method, path))
            if self.away:
                return Fault.DENIED
            if method != "PUT" or self.part not in path:
                return None
            return self.faults.pop(0) if self.faults else self.always


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """A proxy before the store at an address."""
    proxy = FaultyProxy(target)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        proxy.ended.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.fault_of(self.command, unquote(self.path))
        self.close_connection = fault is not None
        match fault:
            case Fault.SLOW_DOWN:
                self._answer(503, _SLOW_DOWN)
            case Fault.DENIED:
                self._answer(403, _DENIED)
            case Fault.STALL:
                self.proxy.ended.wait()
            case Fault.LOST:
                self._forward(body)
            case Fault.RESET:
                pass
            case None:
                self._answer(*self._forward(body))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - names of the standard library

    def _forward(self, body: bytes) -> tuple[int, bytes, list[tuple[str, str]]]:
        there = http.client.HTTPConnection(urlsplit(self.proxy.target).netloc)
        there.request(self.command, self.path, body, dict(self.headers.items()))
        answer = there.getresponse()
        content, headers = answer.read(), answer.getheaders()
        there.close()
        return answer.status, content, headers

    def _answer(self, status: int, content: bytes, headers: list[tuple[str, str]] | None = None) -> None:
        self.send_response_only(status)
        kept = [(name, text) for name, text in headers or () if name.lower() not in _HOP_BY_HOP]
        is_head = self.command == "HEAD"
        if not is_head or not any(name.lower() == "content-length" for name, _ in headers or ()):
            kept = [
                *((n, t) for n, t in kept if n.lower() != "content-length"),
                ("Content-Length", str(len(content))),
            ]
        for name, text in kept:
            self.send_header(name, text)
        self.end_headers()
        if not is_head:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}
