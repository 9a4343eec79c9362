"""Renders each view once for all clients, and leaves the interpreter to the runs.

One view is rendered at a time, on a thread. Then there is a pause, so that rendering takes a tenth of the interpreter's
time, whoever requests what. A rendered view is good until its state changes, and for at most `_FRESH_S`, since the time
is in it. During a long pause (with thousands of orgs) clients get the view as it was before.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

_FRESH_S = 10.0
_PAUSE = 9  # times as long as rendering took
_SHORT_S = 0.25  # clients wait for the end of a pause that is not longer
_LONGEST_S = 10.0  # a pause
_STALE_S = 20.0  # in which an older view is still shown
_KEPT_BYTES = 32 * 1024 * 1024
_KEPT = 64  # views
_WORTH_COMPRESSING = 2048  # bytes
_LEVEL = 4

Render = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Body:
    """The body of an answer, shared by all who get it. `zipped` is the same compressed; None if that isn't worth it."""

    plain: bytes
    zipped: bytes | None
    tag: str  # of the ETag

    @classmethod
    def of(cls, plain: bytes) -> Body:
        """Return the body of these bytes. Many of them take a while: call it on a thread."""
        digest = hashlib.blake2b(plain, digest_size=12).hexdigest()
        zipped = gzip.compress(plain, _LEVEL, mtime=0) if len(plain) >= _WORTH_COMPRESSING else None
        return cls(plain, zipped, digest)

    @property
    def size(self) -> int:
        """Return the number of bytes that are kept."""
        return len(self.plain) + len(self.zipped or b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    body: Body
    state: object
    began_s: float


class Rendering:
    """The rendered views. Used on the event loop alone."""

    def __init__(self) -> None:
        self._views: dict[Hashable, _Rendered] = {}  # the newest is the last
        self._one_at_a_time = asyncio.Lock()
        self._pause_ends_s = 0.0

    async def get(self, view: Hashable, begin: Callable[[], Render], state: Callable[[], object] = object) -> Body:
        """Return a view. `begin` is called on the event loop, what it returns on a thread.

        The view is good while `state` returns an equal value. By default it never does. Raises what they raise.
        """
        asked_s = _now_s()
        if (known := self._good(view, state, asked_s)) is not None:
            return known
        async with self._one_at_a_time:
            await asyncio.sleep(max(0.0, self._pause_ends_s - _now_s()))
            return self._good(view, state, asked_s) or await self._render(view, begin, state())

    def _good(self, view: Hashable, state: Callable[[], object], asked_s: float) -> Body | None:
        known = self._views.get(view)
        if known is None:
            return None
        age_s = _now_s() - known.began_s
        is_paused = self._pause_ends_s - _now_s() > _SHORT_S and age_s < _STALE_S
        is_good = known.began_s >= asked_s or is_paused or (age_s < _FRESH_S and known.state == state())
        return known.body if is_good else None

    async def _render(self, view: Hashable, begin: Callable[[], Render], state: object) -> Body:
        began_s, took_s = _now_s(), 0.0
        try:
            on_loop_s = time.thread_time()
            render = begin()
            took_s = time.thread_time() - on_loop_s
            body, on_thread_s = await asyncio.to_thread(_timed, render)
            took_s += on_thread_s
        finally:
            self._pause_ends_s = _now_s() + min(_LONGEST_S, _PAUSE * took_s)
        self._views.pop(view, None)
        self._views[view] = _Rendered(body=body, state=state, began_s=began_s)
        self._forget()
        return body

    def _forget(self) -> None:
        """Forget views that are not good any more, and the oldest of too many."""
        now_s, size = _now_s(), 0
        for place, (view, known) in enumerate(reversed(list(self._views.items()))):
            size += known.body.size
            too_many = place and (size > _KEPT_BYTES or place >= _KEPT)
            if too_many or now_s - known.began_s > _STALE_S:
                del self._views[view]


def _timed(render: Render) -> tuple[Body, float]:
    """Return a body, and for how long it kept this thread busy."""
    began_s = time.thread_time()
    body = Body.of(render())
    return body, time.thread_time() - began_s


def _now_s() -> float:
    return asyncio.get_running_loop().time()
