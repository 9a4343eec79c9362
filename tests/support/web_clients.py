"""A client of the page over a real socket, and the site that it visits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from collector.service.view import Observed
from collector.service.web.guard import Guarding
from collector.service.web.server import make_app, serving
from tests.support.sites import FakeSite


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Client:
    """Sends requests, with other headers if wanted."""

    session: aiohttp.ClientSession
    url: str
    site: FakeSite
    headers: dict[str, str] = field(default_factory=dict)

    async def __call__(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, self.url + path, headers=sent, allow_redirects=False) as response:
            return Answer(response.status, response.headers.copy(), await response.read())


@asynccontextmanager
async def running_site(
    seen: Observed, guarding: Guarding | Callable[[], Guarding] | None = None
) -> AsyncIterator[Client]:
    site = FakeSite(seen)
    app = make_app(site, guarding or Guarding())
    async with serving(app, host="127.0.0.1", port=0) as port, aiohttp.ClientSession() as session:
        yield Client(session, f"http://127.0.0.1:{port}", site)
