"""The simulated API against its own OpenAPI document, as schemathesis reads it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from collector.simulator.scenario import Scenario
from collector.simulator.server import Simulator, running_simulator

LAST = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001 -- a wall clock
CLOCK = "%Y-%m-%d %H:%M:%S"


@contextmanager
def simulator_in_a_thread(scenario: Scenario) -> Iterator[Simulator]:
    """Run a simulator in a thread, for a blocking client."""
    started: list[tuple[Simulator, asyncio.AbstractEventLoop, asyncio.Event]] = []
    ready = threading.Event()

    async def run() -> None:
        async with running_simulator(scenario) as simulator:
            stop = asyncio.Event()
            started.append((simulator, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(120)
    simulator, loop, stop = started[0]
    try:
        yield simulator
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(120)
        assert not thread.is_alive()


def put_in_order(_: object, case: Any) -> Any:
    """Swap the times if `to` is before `from`: the schema can't express that `to` must be later."""
    given = case.query
    try:
        start, end = (datetime.strptime(given[name], CLOCK) for name in ("from", "to"))  # noqa: DTZ007 -- wall clocks
    except (KeyError, TypeError, ValueError):
        return case
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    within = timedelta(seconds=1 + abs((end - start).total_seconds()) % (90 * 86_400 - 1))
    start = min(start, LAST - within)
    given["from"], given["to"] = (moment.isoformat(" ", "seconds") for moment in (start, start + within))
    return case


def test_schemathesis_finds_no_defect() -> None:
    with simulator_in_a_thread(Scenario(orgs=2)) as simulator:
        org = simulator.org("org-001")
        config = SchemathesisConfig.from_dict(
            {
                "seed": 20_261_123,
                "auth": {"basic": {"username": org.username, "password": org.access_key}},
                "generation": {"max-examples": 100, "database": "none", "mode": "all"},
                "cache": {"enabled": False},
            }
        )
        schema = schemathesis.openapi.from_url(f"{simulator.base_url}/openapi.json", config=config)
        schema.hooks.hook("map_case")(put_in_order)
        found: list[str] = []
        checks: Counter[str] = Counter()
        statuses: Counter[int] = Counter()
        for event in from_schema(schema).execute():
            if isinstance(event, events.NonFatalError | events.FatalError):
                found.append(repr(event))
            if isinstance(event, events.ScenarioFinished):
                for case_id, nodes in event.recorder.checks.items():
                    for node in nodes:
                        checks[node.name] += 1
                        if node.status != Status.SUCCESS:
                            request = event.recorder.interactions[case_id].request
                            found.append(f"{node.name}: {node.failure_info} {request.method} {request.uri}")
                for interaction in event.recorder.interactions.values():
                    if interaction.response is not None:
                        statuses[interaction.response.status_code] += 1
        assert found == []
        # Check that valid, invalid and unauthorized requests were sent.
        assert {"positive_data_acceptance", "negative_data_rejection", "ignored_auth"} <= set(checks)
        assert min(statuses[200], statuses[400]) >= 20
        assert statuses[405] > 0
