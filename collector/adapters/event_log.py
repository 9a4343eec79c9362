"""Log the events of a run. Every line about a slice names its org, population and window."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import structlog

from collector.adapters.repeats import Repeats
from collector.adapters.text import count, duration, some
from collector.core.anomalies import LARGER_STAY, MEANING, Anomaly
from collector.errors import Rejected
from collector.events import (
    ApiDown,
    ApiUp,
    Event,
    LaneEnded,
    LeaseAwaited,
    LeaseWaitEnded,
    NotAdditive,
    OrgPlanned,
    RequestEnded,
    RetryScheduled,
    SliceCommitted,
    SliceDefect,
    SliceOutcome,
)
from collector.model import Slice, SliceState

log = structlog.get_logger("collector")

_RETRIES_EVERY_S = 60.0
_RETRY_KINDS = 50_000  # orgs and reasons


class EventLog:
    """Logs the events of runs. `retries`: at most one line per org, reason and minute at level info; else at debug."""

    def __init__(self, *, retries: bool = True, time_s: Callable[[], float] = time.monotonic) -> None:
        self._retries = retries
        self._debugs = log.is_enabled_for(logging.DEBUG)
        self._repeats = Repeats(_RETRIES_EVERY_S, kinds=_RETRY_KINDS, time_s=time_s)

    def __call__(self, event: Event) -> None:
        """Log one event."""
        match event:
            case RetryScheduled():
                self._log_retry(event)
            case RequestEnded() | SliceOutcome(state=SliceState.COMPLETE) | OrgPlanned() if not self._debugs:
                pass  # most events of a run: nobody reads their lines, so they are not even begun
            case _:
                _log(event)

    def _log_retry(self, retry: RetryScheduled) -> None:
        reason = retry.reason.code
        repeated = self._repeats.due((retry.slice.org.name, reason)) if self._retries else None
        (log.debug if repeated is None else log.info)(
            "slice.retry_scheduled",
            reason=reason,
            asked=retry.requests,
            delay_s=round(retry.delay_s, 2),
            **({"repeated": repeated} if repeated else {}),
            **_names(retry.slice),
        )


def _log(event: Event) -> None:
    match event:
        case RequestEnded():
            log.debug("request.ended", result=event.result, latency_s=round(event.latency_s, 3), **_names(event.slice))
        case SliceOutcome():
            _log_outcome(event)
        case SliceCommitted():
            _log_anomalies(event)
        case SliceDefect():
            log.error("slice.defect", exception=event.kind, where=event.place, **_names(event.slice))
        case LaneEnded() | NotAdditive():
            _log_about_org(event)
        case ApiDown() | ApiUp():
            _log_host(event)
        case LeaseAwaited() | LeaseWaitEnded():
            _log_wait(event)
        case OrgPlanned():
            log.debug("org.planned", org=event.org.name, slices=event.slices)
        case RetryScheduled():
            pass  # `EventLog` counts them


def _log_host(event: ApiDown | ApiUp) -> None:
    match event:
        case ApiDown(host=host, failures=failures, last=last):
            log.error("api.down", host=host, failures=failures, last=last.code, message=last.message)
        case ApiUp():
            log.info("api.up", host=event.host, down_s=round(event.down_s, 1))


def _log_wait(event: LeaseAwaited | LeaseWaitEnded) -> None:
    match event:
        case LeaseAwaited():
            log.info(
                "lease.awaited",
                orgs=len(event.orgs),
                message=f"waiting up to {duration(event.wait_s)} for {_orgs(event.orgs)}, "
                f"on which another process works: {event.holder.text}",
            )
        case LeaseWaitEnded() if event.busy:
            holders = some(list(dict.fromkeys(holder.text for holder in event.busy.values())))
            log.error(
                "lease.wait_ended",
                waited_s=round(event.waited_s, 1),
                busy=len(event.busy),
                message=f"{_orgs(list(event.busy))} given up, as another process still works there: {holders}. "
                "Run the command again later, or with a longer --wait",
            )
        case LeaseWaitEnded():
            log.info(
                "lease.wait_ended",
                waited_s=round(event.waited_s, 1),
                busy=0,
                message="the other process has released the orgs",
            )


def _orgs(names: Sequence[str]) -> str:
    return f"{count(len(names), 'org')} ({some(names)})"


def _log_outcome(outcome: SliceOutcome) -> None:
    match outcome:
        case SliceOutcome(state=SliceState.COMPLETE):
            log.debug("slice.complete", asked=outcome.requests, **_names(outcome.slice))
        case SliceOutcome(as_before=True):  # what the run came to is said once, for all of them
            log.debug("slice.not_compared", reason=outcome.failure and outcome.failure.code, **_names(outcome.slice))
        case SliceOutcome(failure=Rejected(code="stopped")):  # LaneEnded logs one line for all of them
            log.debug("slice.stopped", asked=outcome.requests, **_names(outcome.slice))
        case _:
            reason = outcome.failure.code if outcome.failure else "partial"
            log.warning(f"slice.{outcome.state}", reason=reason, asked=outcome.requests, **_names(outcome.slice))


def _log_anomalies(committed: SliceCommitted) -> None:
    for flag, products in committed.flags.items():
        about = {"products": list(products)} if products else {}
        message = MEANING[flag]
        if flag is Anomaly.SHRUNK and committed.kept:
            about["kept"] = list(committed.kept)
            message = f"totals of {some(products)} are smaller than before. {LARGER_STAY}"
        log.warning("answer.suspicious", flag=flag.value, message=message, **about, **_names(committed.outcome.slice))


def _log_about_org(event: LaneEnded | NotAdditive) -> None:
    match event:
        case LaneEnded():
            _log_end(event)
        case NotAdditive():
            log.warning(
                "totals.not_additive",
                message="the total of a span isn't the difference of those around it: no window is inferred to be "
                "empty by a difference any more, so the run sends more requests",
                **_names(Slice(event.org, event.population, event.span)),
            )


def _log_end(ended: LaneEnded) -> None:
    match ended.failure:
        case Rejected(code="stopped"):
            log.debug("org.stopped", org=ended.org.name, slices_not_asked=ended.remaining)
        case Rejected(code="busy"):  # LeaseWaitEnded logs one line for all of them
            log.debug("org.busy", org=ended.org.name, slices_not_asked=ended.remaining)
        case failure:
            log.error(
                "org.refused" if ended.refused else "org.given_up",
                org=ended.org.name,
                reason=failure.code,
                message=failure.message,
                slices_not_asked=ended.remaining,
            )


def _names(slice_: Slice) -> dict[str, str]:
    zone = slice_.org.zone.tz
    start, end = (at.astimezone(zone).isoformat() for at in (slice_.window.start, slice_.window.end))
    return {"org": slice_.org.name, "population": slice_.population.value, "window": f"{start}/{end}"}
