"""The slices of one org that wait for another request, by when it is due."""

from __future__ import annotations

from heapq import heappop, heappush

from collector.fetch.slice_fetch import SliceFetch


class RetryQueue:
    """Slices that wait hold no permit and no worker. All times are the loop's, in seconds."""

    __slots__ = ("_heap", "_tickets")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, SliceFetch]] = []
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_at(self) -> float | None:
        """When the first of them is due; None if none waits."""
        return self._heap[0][0] if self._heap else None

    def put(self, fetch: SliceFetch, due_at: float) -> None:
        """Let a slice wait until an instant."""
        self._tickets += 1
        heappush(self._heap, (due_at, self._tickets, fetch))

    def take_due(self, now: float) -> tuple[SliceFetch, float] | None:
        """Take the slice that is due first, and when it was due; None if none is due yet."""
        if not self._heap or self._heap[0][0] > now:
            return None
        due_at, _, fetch = heappop(self._heap)
        return fetch, due_at

    def take_all(self) -> list[SliceFetch]:
        """Take all slices, those that are due first at the front."""
        fetches = [fetch for _, _, fetch in sorted(self._heap)]
        self._heap.clear()
        return fetches
