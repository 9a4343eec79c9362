"""The first use of the ledger by the service: while its server is away, the service waits, and is not ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from collector.errors import LedgerAwayError
from collector.service.view import Observed, Part

log = structlog.get_logger("collector")

AGAIN_S = 5.0

T = TypeVar("T")


async def first_contact(use: Callable[[], Awaitable[T]], *, observed: Observed, stopped: asyncio.Event) -> T | None:
    """Return what `use` returns, as soon as the ledger's server answers; None if the service is stopped before.

    Later `Readiness` looks. Raises what else is wrong with the ledger or the config.
    """
    began = asyncio.get_running_loop().time()
    down = False
    while not observed.stopping:
        try:
            result = await use()
        except LedgerAwayError as error:
            if not down:
                log.error("ledger.down", message=str(error), next_try_s=AGAIN_S)
            down = True
            observed.note_trouble(Part.LEDGER, str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await stopped.wait()
        else:
            if down:
                observed.note_trouble(Part.LEDGER, None)
                log.info("ledger.up", down_s=round(asyncio.get_running_loop().time() - began, 1))
            return result
    return None
