"""The writer's thread: everything that touches the output or the ledger happens in it, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class WriterThread:
    """One thread; what is called on it is done in the order of the calls."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="writer")

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Do the work there and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
