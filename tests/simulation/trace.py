"""What happened, in order: one line for each thing that anyone did, and a digest that tells two runs apart."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

TAIL = 60


class Broken(BaseException):  # not an Exception: the collector makes those the failure of a slice
    """An invariant does not hold."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


class Trace:
    """Keeps the tail; the digest is of all of it."""

    def __init__(self, now: Callable[[], float], *, echo: Callable[[str], None] | None = None) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._now = now
        self._echo = echo
        self._digest = hashlib.blake2b(digest_size=16)

    def __call__(self, who: str, what: str) -> None:
        line = f"{self._now():14.6f} {who:<12} {what}"
        self.tail.append(line)
        self._digest.update(line.encode())
        if self._echo is not None:
            self._echo(line)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()
