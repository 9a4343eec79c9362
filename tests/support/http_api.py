"""The API as an HTTP server in this process, in threads of its own: each answer is what a function returns."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PRODUCTS: Mapping[str, Any] = {"automation": {"totalTests": 10, "totalDuration": 1000}}


@dataclass(frozen=True)
class Asked:
    """A request: who sent it (the user name of its credential), and its query."""

    user: str
    authorization: str
    query: Mapping[str, str]

    def body(self, *, name: str = "Acme Corp", org_id: str = "", products: Mapping[str, Any] = PRODUCTS) -> bytes:
        """Return the documented answer, with these texts in it."""
        metadata = {
            "totalUsers": 3,
            "organization": {"id": org_id or f"id-{self.user}", "name": name},
            **{key: self.query[key] for key in ("type", "from", "to", "timezone")},
        }
        return json.dumps({"status": "success", "data": {"metadata": metadata, "products": products}}).encode()


@dataclass
class HttpApi:
    """Where it listens, and what it was sent."""

    url: str = ""
    requests: list[Asked] = field(default_factory=list)


@contextmanager
def http_api(answer: Callable[[Asked], bytes | tuple[int, bytes]]) -> Iterator[HttpApi]:
    """Serve until the block ends: `answer` returns the body of a 200, or another status and its body."""
    api = HttpApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            credential = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
            asked = Asked(
                credential.partition(":")[0], self.headers["Authorization"], dict(parse_qsl(urlsplit(self.path).query))
            )
            api.requests.append(asked)
            answered = answer(asked)
            status, body = (200, answered) if isinstance(answered, bytes) else answered
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
