"""Views are rendered once for all, one at a time, and with pauses in which a run has the interpreter."""

from __future__ import annotations

import asyncio
import gzip
import threading

import pytest

from collector.service.web.rendering import Rendering


class World:
    """What is seen, and how often it was rendered."""

    def __init__(self) -> None:
        self.state = 1
        self.rendered: list[str] = []
        self.rendering = Rendering()
        self._at_once = threading.Semaphore(1)

    async def get(self, view: str = "a") -> bytes:
        return (await self.rendering.get(view, lambda: self._begin(view), lambda: self.state)).plain

    def _begin(self, view: str):  # type: ignore[no-untyped-def]
        text = f"{view}{self.state}"

        def render() -> bytes:
            assert threading.current_thread() is not threading.main_thread()
            assert self._at_once.acquire(blocking=False), "two at once"
            self.rendered.append(text)
            self._at_once.release()
            return text.encode()

        return render


async def test_a_view_is_rendered_once_for_all_who_request_it() -> None:
    world = World()
    assert await asyncio.gather(*[world.get() for _ in range(50)]) == [b"a1"] * 50
    assert await world.get() == b"a1"
    assert world.rendered == ["a1"]


async def test_views_are_rendered_one_at_a_time() -> None:
    world = World()
    views = [str(number) for number in range(20)]
    assert await asyncio.gather(*map(world.get, views)) == [f"{view}1".encode() for view in views]


async def test_a_changed_state_is_rendered_anew_once() -> None:
    world = World()
    await world.get()
    world.state = 2
    assert await asyncio.gather(*[world.get() for _ in range(50)]) == [b"a2"] * 50
    assert world.rendered == ["a1", "a2"]


async def test_an_old_view_is_rendered_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.service.web.rendering._FRESH_S", 0.0)
    world = World()
    await world.get()
    await world.get()
    assert world.rendered == ["a1", "a1"]


async def test_in_a_long_pause_the_view_from_before_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.service.web.rendering._PAUSE", 1e9)
    world = World()
    await world.get()
    world.state = 2
    assert await world.get() == b"a1"


async def test_a_view_that_fails_is_rendered_again() -> None:
    world = World()

    def failing() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await world.rendering.get("a", lambda: failing)
    assert await world.get() == b"a1"


async def test_few_views_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.service.web.rendering._KEPT", 3)
    world = World()
    for view in "abcd":
        await world.get(view)
    for view in "bcd":
        await world.get(view)
    assert len(world.rendered) == 4
    await world.get("a")
    assert len(world.rendered) == 5


async def test_long_bodies_are_compressed_once_for_all() -> None:
    rendering = Rendering()
    bodies = [await rendering.get("a", lambda: lambda: b"long" * 1000, lambda: 1) for _ in range(2)]
    assert bodies[0] is bodies[1]
    assert bodies[0].zipped is not None
    assert gzip.decompress(bodies[0].zipped) == bodies[0].plain
