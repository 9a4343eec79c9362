"""Metrics by OpenTelemetry's protocol (`push.otlp`): when a run ends, and again and again from a service.

A push that fails is logged, and changes nothing else. The exporter is imported only where an endpoint is configured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog
from prometheus_client.core import Metric

from collector.adapters.metrics.header_file import read_headers
from collector.adapters.repeats import Repeats
from collector.config import Settings
from collector.config.sections import Otlp
from collector.core.shards import Shard
from collector.errors import CollectorError, kind_of, place_of
from collector.ports import Clock

log = structlog.get_logger("collector")

_LOOKS_AGAIN_S = 10.0  # at the config, which may be another one now
_LOGGED_AGAIN_S = 3600.0
TIMEOUT_S = 5.0  # of each request: a stopped run has used some of its grace already


def check_otlp(settings: Settings) -> None:
    """Raise ConfigError if metrics are to be pushed, and a package or a header is not to be had."""
    wanted = settings.push.otlp
    if wanted.endpoint is not None:
        import collector.adapters.metrics.otlp  # noqa: F401, PLC0415 - an extra, and large

        _headers(wanted)


def send_otlp(
    wanted: Otlp, families: Iterable[Metric], *, shard: Shard | None, started_at: datetime, now: datetime
) -> None:
    """Send metrics, if an endpoint is configured. Raises PushError, and ConfigError for its headers."""
    if wanted.endpoint is None:
        return
    from collector.adapters.metrics.otlp import Receiver, push_otlp  # noqa: PLC0415 - an extra, and large

    instance = None if shard is None else f"shard-{shard.index}-of-{shard.of}"
    to = Receiver(endpoint=wanted.endpoint, headers=_headers(wanted), instance=instance)
    push_otlp(to, families, started_at=started_at, now=now, timeout_s=TIMEOUT_S)


def _headers(wanted: Otlp) -> dict[str, str]:
    return {} if wanted.headers_file is None else read_headers(wanted.headers_file)


async def keep_sending(
    wanted: Callable[[], Otlp], families: Callable[[], Iterable[Metric]], *, shard: Shard | None, clock: Clock
) -> None:
    """Send a service's metrics every so often, for as long as an endpoint is configured.

    `families` is called on the event loop; what it returns is read in a thread.
    """
    started_at, repeats = clock.now(), Repeats(_LOGGED_AGAIN_S)
    time_s = asyncio.get_running_loop().time
    due_s = time_s()
    while True:
        if wanted().endpoint is None:
            due_s = time_s() + _LOOKS_AGAIN_S
        elif time_s() >= due_s:
            due_s = time_s() + wanted().every.total_seconds()
            with warned("pushing the metrics of the service", repeats):
                now, metrics = clock.now(), families()
                first = min(started_at, now)  # the clock may have been set back
                await asyncio.to_thread(send_otlp, wanted(), metrics, shard=shard, started_at=first, now=now)
        await asyncio.sleep(min(_LOOKS_AGAIN_S, max(due_s - time_s(), 0.0)))


@contextmanager
def warned(what: str, repeats: Repeats | None = None) -> Iterator[None]:
    """Log what goes wrong within this, as often as `repeats` allows: metrics never decide how a run ends."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - metrics never decide how a run ends
        if repeats is None or repeats.due((type(error), str(error))) is not None:
            log.warning("metrics.not_pushed", what=what, **_why(error))


def _why(error: Exception) -> dict[str, str]:
    if isinstance(error, CollectorError):
        return {"message": str(error)}
    reason = (isinstance(error, OSError) and error.strerror) or "a defect of the collector: please report it"
    return {"message": reason, "exception": kind_of(error), "where": place_of(error)}
