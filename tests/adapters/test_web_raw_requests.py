"""What comes in over a socket, well formed or not: each answer is ours, and so is each line of the log."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from datetime import UTC, datetime

import pytest

from collector.service.web.guard import HEADERS, Guarding
from collector.service.web.server import make_app, serving
from tests.support.sites import FakeSite
from tests.support.views import observed

NOW = datetime(2026, 6, 24, tzinfo=UTC)
TOKEN = "s3cr3t-t0ken"
BASIC = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
HOST = "Host: localhost\r\n"
AUTH = f"Authorization: Bearer {TOKEN}\r\n"
WRONG = f"Authorization: Bearer x{TOKEN}\r\n"
END = "Connection: close\r\n\r\n"
GET = "GET / HTTP/1.1\r\n"
LIBRARY, REFUSED = "library.warning", "page.token_refused"

# What is sent, the status of each answer, and the events that are logged. A "§" stands for the byte 0xff.
Case = tuple[str, list[int], list[str]]
WELL_FORMED: list[Case] = [
    (GET + HOST + AUTH + END, [200], []),
    (f"{GET}{HOST}Authorization: Basic {BASIC}\r\n{END}", [200], []),
    ("HEAD / HTTP/1.1\r\n" + HOST + AUTH + END, [200], []),
    ("GET / HTTP/1.0\r\n" + HOST + AUTH + "\r\n", [200], []),
    ("\r\n" + GET + HOST + AUTH + END, [200], []),
    (f"{GET}{HOST}{AUTH}Accept-Encoding: gzip;q=0, br\r\n{END}", [200], []),
    (f"{GET}{HOST}{AUTH}If-None-Match: *\r\n{END}", [304], []),
    (f"{GET}{HOST}{AUTH}If-None-Match: {TOKEN}\r\n{END}", [200], []),
    (f"{GET}{HOST}{AUTH}Expect: 100-continue\r\n{END}", [100, 200], []),
    (f"{GET}{HOST}{AUTH}Expect: the best\r\n{END}", [417], []),
    (f"{GET}{HOST}{AUTH}Upgrade: websocket\r\nConnection: upgrade\r\nConnection: close\r\n\r\n", [200], []),
    (f"{GET}{HOST}{AUTH}Content-Length: 3\r\n{END}abc", [200], []),
    (f"{GET}{HOST}{AUTH}Range: bytes=0-{TOKEN}\r\n{END}", [200], []),
    (f"{GET}{HOST}{AUTH}Cookie: {TOKEN}\r\n{END}", [200], []),
    (GET + HOST + AUTH + "\r\n" + GET + HOST + AUTH + END, [200, 200], []),
    (f"GET /?q={TOKEN} HTTP/1.1\r\n{HOST}{AUTH}{END}", [200], []),
    (f"GET /orgs/{TOKEN} HTTP/1.1\r\n{HOST}{AUTH}{END}", [404], []),
    (f"GET /{TOKEN} HTTP/1.1\r\n{HOST}{AUTH}{END}", [404], []),
    (f"GET /static/../../{TOKEN} HTTP/1.1\r\n{HOST}{AUTH}{END}", [404], []),
    ("GET /static/%2e%2e%2fetc%2fpasswd HTTP/1.1\r\n" + HOST + AUTH + END, [404], []),
    ("GET /%00%ff HTTP/1.1\r\n" + HOST + AUTH + END, [404], []),
    ("GET //evil.test/ HTTP/1.1\r\n" + HOST + AUTH + END, [404], []),
    ("GET /?%ff%00=%zz HTTP/1.1\r\n" + HOST + AUTH + END, [200], []),
    ("GET http://localhost/ HTTP/1.1\r\n" + HOST + AUTH + END, [200], []),
    ("GET /healthz HTTP/1.0\r\n" + END, [200], []),
    ("GET /readyz HTTP/1.1\r\nHost: evil.test\r\n" + END, [200], []),
    ("GET /metrics HTTP/1.1\r\nHost: evil.test\r\n" + AUTH + END, [200], []),
]
NOT_ALLOWED: list[Case] = [
    (GET + HOST + END, [401], []),
    (GET + HOST + WRONG + END, [401], [REFUSED]),
    (GET + HOST + WRONG + "\r\n" + GET + HOST + WRONG + END, [401, 401], [REFUSED]),
    (f"GET /{TOKEN} HTTP/1.1\r\n{HOST}{WRONG}{END}", [401], [REFUSED]),
    (f"GET /orgs/{TOKEN}?q={TOKEN} HTTP/1.1\r\n{HOST}{WRONG}{END}", [401], [REFUSED]),
    (f"{GET}{HOST}Authorization: {TOKEN}\r\n{END}", [401], [REFUSED]),
    (f"{GET}{HOST}Authorization: Basic {TOKEN}\r\n{END}", [401], [REFUSED]),
    (f"{GET}{HOST}Authorization: Digest {TOKEN}\r\n{END}", [401], [REFUSED]),
    (f"{GET}{HOST}Authorization: Bearer {TOKEN}§\r\n{END}", [401], [REFUSED]),
    (f"{GET}{HOST}Authorization:\r\n{END}", [401], [REFUSED]),
    (f"{GET}{HOST}Proxy-Authorization: Bearer {TOKEN}\r\n{END}", [401], []),
    (GET + AUTH + END, [400], [LIBRARY]),
    (f"{GET}Host:\r\n{AUTH}{END}", [421], []),
    (f"{GET}Host: {TOKEN}.test\r\n{AUTH}{END}", [421], []),
    (f"{GET}Host: localhost:{TOKEN}\r\n{AUTH}{END}", [421], []),
    (f"{GET}Host: §\r\n{AUTH}{END}", [421], []),
    ("POST / HTTP/1.1\r\n" + HOST + AUTH + "Content-Length: 3\r\n" + END + "abc", [405], []),
    (f"POST / HTTP/1.1\r\n{HOST}{AUTH}Transfer-Encoding: chunked\r\n{END}3\r\nabc\r\n0\r\n\r\n", [405], []),
    ("OPTIONS / HTTP/1.1\r\n" + HOST + AUTH + END, [405], []),
    ("TRACE / HTTP/1.1\r\n" + HOST + AUTH + END, [405], []),
    ("PRI / HTTP/1.1\r\n" + HOST + AUTH + END, [400], [LIBRARY]),
]
MALFORMED: list[Case] = [
    (f"{GET}{HOST}Authorization: Bearer {TOKEN}\0\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}Authorization: Bearer {TOKEN}\n{TOKEN}\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}Authorization : Bearer {TOKEN}\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}{AUTH} {TOKEN}\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}{TOKEN}\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}{AUTH}: {TOKEN}\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}{AUTH}X§{TOKEN}: 1\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}{HOST}{AUTH}{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}{AUTH}Content-Length: {TOKEN}\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}{AUTH}Content-Length: -1\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}{AUTH}Content-Length: 1\r\nContent-Length: 2\r\n{END}a", [400], [LIBRARY]),
    (f"{GET}{HOST}{AUTH}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n{END}a", [400], [LIBRARY]),
    (f"{GET}{HOST}{AUTH}Transfer-Encoding: {TOKEN}\r\n{END}", [400], [LIBRARY]),
    (f"{GET}{HOST}{AUTH}X: {TOKEN * 1000}\r\n{END}", [400], [LIBRARY]),
    (f"GET /{TOKEN * 1000} HTTP/1.1\r\n{HOST}{END}", [400], [LIBRARY]),
    (GET + HOST + "".join(f"X-{n}: {TOKEN}\r\n" for n in range(200)) + END, [400], [LIBRARY]),
    (f"GET /{TOKEN}\r\n\r\n", [421], []),
    (f"GET  /{TOKEN} HTTP/1.1\r\n{HOST}{END}", [401], []),
    (f"GET {TOKEN} HTTP/1.1\r\n{HOST}{END}", [400], [LIBRARY]),
    (f"GET /{TOKEN} HTTP/9.9\r\n{HOST}{END}", [400], [LIBRARY]),
    (f"GET /{TOKEN} {TOKEN}\r\n{HOST}{END}", [400], [LIBRARY]),
    (f"GET http://[{TOKEN}/ HTTP/1.1\r\n{HOST}{END}", [400], [LIBRARY]),
    (f"GET /\0{TOKEN} HTTP/1.1\r\n{HOST}{END}", [400], [LIBRARY]),
    (f"{TOKEN} / HTTP/1.1\r\n{HOST}{END}", [400], []),
    ("G§T / HTTP/1.1\r\n" + HOST + END, [400], []),
    (f"CONNECT {TOKEN}:443 HTTP/1.1\r\n{HOST}{END}", [405], []),
    ("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", [400], []),
    (GET + HOST + AUTH + f"\r\n{TOKEN}\r\n\r\n", [400], []),
]


pytestmark = pytest.mark.usefixtures("json_logs")


async def answers_to(sent: bytes) -> list[tuple[int, dict[str, str]]]:
    """Return status and headers of each answer that comes until the server closes the connection."""
    site = FakeSite(observed(version="0", started_at=NOW, config_path="c.yaml", config_loaded_at=NOW))
    guarding = Guarding(token=lambda: TOKEN)
    async with asyncio.timeout(20), serving(make_app(site, guarding), host="127.0.0.1", port=0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        text = (await reader.read()).decode()
        writer.close()
    heads = [part.partition("\r\n\r\n")[0].split("\r\n") for part in re.split(r"HTTP/\d\.\d ", text)[1:]]
    assert TOKEN not in text or heads[0][0] in {"200 OK", "404 Not Found"}  # a page shows what was searched
    return [(int(head[0][:3]), dict(line.split(": ", 1) for line in head[1:])) for head in heads]


@pytest.mark.parametrize(("sent", "statuses", "events"), [*WELL_FORMED, *NOT_ALLOWED, *MALFORMED])
async def test_each_answer_and_each_line_of_the_log_is_ours(
    sent: str, statuses: list[int], events: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    answers = await answers_to(sent.encode("latin-1").replace(b"\xa7", b"\xff"))
    said = capsys.readouterr()
    assert [status for status, _ in answers] == statuses
    for status, headers in answers:
        if status != 100:
            promised = HEADERS | {"Server": "usage-collector"}
            assert {name: headers.get(name) for name in promised} == promised
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert [line["event"] for line in lines] == events
    assert TOKEN not in said.err + said.out
    assert BASIC not in said.err + said.out
