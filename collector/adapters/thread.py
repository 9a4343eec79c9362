"""Threads for blocking calls: the writer's (output, ledger), the service's reader's, and for calls that may hang."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class WorkerThread:
    """One thread. It runs the calls in their order."""

    def __init__(self, name: str = "writer") -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: dict[object, float] = {}  # start times of the calls that aren't done
        self._done_at = float("-inf")  # when the last call was done

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Run the work in the thread and return its result."""
        loop, call = asyncio.get_running_loop(), object()
        self._waiting[call] = loop.time()
        try:
            return await loop.run_in_executor(self._executor, work)
        finally:
            del self._waiting[call]
            self._done_at = loop.time()

    def hung_s(self, now: float) -> float:
        """Return for how many seconds the current call has been running; `now` is the event loop's time."""
        return now - max(min(self._waiting.values(), default=now), self._done_at)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def in_daemon_thread(work: Callable[[], T], *, name: str) -> asyncio.Future[T]:
    """Begin a call that may hang, in a thread of its own: neither other calls nor the process's end wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(set_result: Callable[[], None]) -> None:
        if not future.done():
            set_result()

    def run() -> None:
        try:
            found = work()
        except Exception as error:  # noqa: BLE001 - raised again where the future is awaited
            failure = error
            set_result = lambda: future.set_exception(failure)  # noqa: E731
        else:
            set_result = lambda: future.set_result(found)  # noqa: E731
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, set_result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
