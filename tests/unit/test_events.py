"""How listeners of a run's events are put together."""

from __future__ import annotations

from collector.events import ApiUp, Event, all_of

UP = ApiUp(host="api.example.test", down_s=3.0)


def test_all_listeners_receive_each_event_in_order() -> None:
    seen: list[tuple[str, Event]] = []
    listener = all_of(lambda event: seen.append(("first", event)), lambda event: seen.append(("second", event)))
    listener(UP)
    assert seen == [("first", UP), ("second", UP)]


def test_no_listeners_are_one_that_does_nothing() -> None:
    all_of()(UP)
