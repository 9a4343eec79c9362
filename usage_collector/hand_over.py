"""An output whose reader is a program: it gets each batch of records, and the run waits until it has taken it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import CancelledError

from collector.adapters.sinks.without_files import WithoutFiles
from collector.errors import ReaderGoneError
from collector.model import Record


class HandOver(WithoutFiles):
    """Hands records over to the event loop that it was made in (`collector.ports.Sink`).

    A batch counts as written when its reader asks for what comes after it: what it was handed and has not finished
    is not committed to a ledger, and comes again.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._batches: asyncio.Queue[tuple[Sequence[Record], asyncio.Event] | None] = asyncio.Queue(1)
        self._gone = False
        self._waiting: asyncio.Task[None] | None = None

    async def records(self) -> AsyncGenerator[Record, None]:
        """Yield the records until `end` is called."""
        while (batch := await self._batches.get()) is not None:
            records, done = batch
            for record in records:
                yield record
            done.set()

    async def end(self) -> None:
        """Say that no record comes any more."""
        if not self._gone:
            await self._batches.put(None)

    def leave(self) -> None:
        """Say that the reader takes no more. Called in the event loop."""
        self._gone = True
        if self._waiting is not None:
            self._waiting.cancel()

    def append(self, records: Sequence[Record]) -> None:
        """Hand records over; return when their reader has finished them. Called on the writer's thread."""
        try:
            asyncio.run_coroutine_threadsafe(self._hand_over(records), self._loop).result()
        except CancelledError:
            raise ReaderGoneError("the reader of the records ended before the run did") from None

    async def _hand_over(self, records: Sequence[Record]) -> None:
        if self._gone:
            raise ReaderGoneError("the reader of the records ended before the run did")
        self._waiting = asyncio.current_task()
        done = asyncio.Event()
        await self._batches.put((records, done))
        await done.wait()

    def abandon(self) -> None:
        """Stop waiting for the reader."""
        self._loop.call_soon_threadsafe(self.leave)
