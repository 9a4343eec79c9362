"""The ports to the clock, the API and the writer's thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar

from collector.core.response import Reply
from collector.errors import Failure
from collector.model import ApiRequest, Org

T = TypeVar("T")


class Clock(Protocol):
    """The wall clock."""

    def now(self) -> datetime:
        """Return the current instant, in UTC."""
        ...


class Transport(Protocol):
    """The way to the API."""

    async def fetch(self, org: Org, request: ApiRequest, *, on_sent: Callable[[], None]) -> Reply | Failure:
        """Send one request and return what came back; never raises for what the network does.

        `on_sent` is called when the request has left: limits count from then, not from the
        moment a connection was requested.
        """
        ...


class Offload(Protocol):
    """The writer's thread: everything that may block is done there, one after the other."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Do the work there and return what it returns."""
        ...
