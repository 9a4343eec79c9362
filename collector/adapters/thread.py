"""A thread for what may block: the writer's, for output and ledger, or the service's reader's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class WorkerThread:
    """One thread; what is called on it is done in the order of the calls."""

    def __init__(self, name: str = "writer") -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: dict[object, float] = {}  # what was called and isn't done, by when
        self._done_at = float("-inf")  # when it last came to the end of something

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Do the work there and return what it returns."""
        loop, call = asyncio.get_running_loop(), object()
        self._waiting[call] = loop.time()
        try:
            return await loop.run_in_executor(self._executor, work)
        finally:
            del self._waiting[call]
            self._done_at = loop.time()

    def hung_s(self, now: float) -> float:
        """Return for how many seconds it has been at one thing; `now` is the event loop's time."""
        return now - max(min(self._waiting.values(), default=now), self._done_at)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
