"""A service sends its metrics again and again, whatever the receiver does, and as the config says now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from prometheus_client.core import GaugeMetricFamily, Metric
from structlog.testing import capture_logs

from collector.config.sections import Otlp
from collector.core.shards import Shard
from collector.service.otlp import keep_sending
from tests.support.fake_api import FakeClock
from tests.support.metrics import value
from tests.support.otlp import Answer, Receiver, receiving
from tests.support.waiting import BOUND_S


def otlp(endpoint: str | None) -> Otlp:
    return Otlp.model_construct(endpoint=endpoint, headers_file=None, every=timedelta(milliseconds=1))


async def sent(receiver: Receiver, requests: int, shard: Shard | None = None) -> None:
    """Send until so many requests arrived: each family is the number of the push."""
    enough = asyncio.Event()
    pushes = 0

    def families() -> Iterable[Metric]:
        nonlocal pushes
        pushes += 1
        if len(receiver.requests) >= requests:
            enough.set()
        return [GaugeMetricFamily("collector_pushes", "Pushes", value=pushes)]

    sending = asyncio.create_task(keep_sending(lambda: otlp(receiver.url), families, shard=shard, clock=FakeClock()))
    async with asyncio.timeout(BOUND_S):
        await enough.wait()
    sending.cancel()
    await asyncio.wait([sending])


async def test_every_so_often_the_metrics_of_that_moment_are_sent() -> None:
    with receiving() as receiver:
        await sent(receiver, 3, Shard(0, 4))
    assert value(receiver.samples, "pushes") >= 3
    assert receiver.resource()["service.instance.id"] == "shard-0-of-4"


async def test_a_receiver_that_refuses_is_logged_once_and_gets_the_next_push() -> None:
    with receiving(Answer(401), Answer(401), Answer()) as receiver, capture_logs() as logs:
        await sent(receiver, 4)
    assert [(line["event"], line["log_level"]) for line in logs] == [("metrics.not_pushed", "warning")]
