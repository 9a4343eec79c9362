"""The part of Google's XML API that is used, on top of an emulator of its JSON API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener
from xml.sax.saxutils import escape

_OPEN = build_opener(ProxyHandler({})).open


@contextmanager
def bridge_to(emulator: str) -> Iterator[str]:
    """The address of a bridge to an emulator."""
    kind = type("Handler", (_Handler,), {"emulator": emulator, "guard": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    emulator: str
    guard: threading.Lock

    def do_PUT(self) -> None:
        bucket, name = self._target()
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.guard:
            if self.headers.get("x-goog-if-generation-match") == "0" and self._there(bucket, name):
                self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            query = urlencode({"uploadType": "media", "name": name})
            status, _ = self._json(f"/upload/storage/v1/b/{bucket}/o?{query}", "POST", content)
        self._answer(status, b"", **self._headers_of(content))

    def do_GET(self) -> None:
        bucket, name = self._target()
        if not name:
            self._list(bucket)
            return
        status, content = self._json(f"{self._object(bucket, name)}?alt=media")
        if status == 200:
            self._answer(status, content, **self._headers_of(content))
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET  # noqa: N815

    def do_DELETE(self) -> None:
        status, _ = self._json(self._object(*self._target()), "DELETE")
        self._answer(204 if status < 300 else status, b"")

    def _list(self, bucket: str) -> None:
        given: dict[str, str] = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        query = urlencode([(name, given[name]) for name in ("prefix", "delimiter") if name in given])
        _, answer = self._json(f"/storage/v1/b/{bucket}/o?{query}")
        found = json.loads(answer)
        parts = [
            f"<Contents><Key>{escape(one['name'])}</Key><LastModified>{one['updated']}</LastModified>"
            f"<Size>{one['size']}</Size><ETag>&quot;x&quot;</ETag></Contents>"
            for one in found.get("items", ())
        ]
        parts += [
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in found.get("prefixes", ())
        ]
        self._answer(200, f"<ListBucketResult>{''.join(parts)}</ListBucketResult>".encode())

    def _target(self) -> tuple[str, str]:
        bucket, _, name = unquote(urlsplit(self.path).path).strip("/").partition("/")
        return bucket, name

    def _there(self, bucket: str, name: str) -> bool:
        return self._json(self._object(bucket, name))[0] == 200

    def _object(self, bucket: str, name: str) -> str:
        return f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"

    def _json(self, path: str, method: str = "GET", content: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/octet-stream"}
        try:
            with _OPEN(Request(f"{self.emulator}{path}", data=content, method=method, headers=headers)) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    def _headers_of(self, content: bytes) -> dict[str, str]:
        return {"ETag": f'"{hash(content):x}"', "Last-Modified": formatdate(usegmt=True)}

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response_only(status)
        for name, text in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
