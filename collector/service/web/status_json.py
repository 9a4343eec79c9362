"""What is observed as JSON: the page's data for scripts. `collector schema status` describes it.

Keys are only ever added. Instants are in UTC, days and windows on the org's calendar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import orjson

from collector.model import ProductUsage, Window, Zone
from collector.service.view import (
    CredentialView,
    CurrentRun,
    DayState,
    Observed,
    OrgView,
    PopulationView,
    RunView,
    Standing,
)
from collector.service.web.verdict import headline

COUNTED = (DayState.COMPLETE, DayState.PARTIAL, DayState.FAILED, DayState.REFUSED, DayState.MISSING)


def status_bytes(seen: Observed, *, now: datetime) -> bytes:
    """Return the document as it is sent."""
    return orjson.dumps(status_document(seen, now=now), option=orjson.OPT_APPEND_NEWLINE)


def status_document(seen: Observed, *, now: datetime) -> dict[str, Any]:
    """Return what is observed, ready for JSON."""
    orgs = list(seen.orgs.values())
    return {
        "version": seen.version,
        "now": _at(now),
        "started_at": _at(seen.started_at),
        "headline": headline(seen, orgs)[1],
        "stopping": seen.stopping,
        "config": {
            "path": seen.config_path,
            "loaded_at": _at(seen.config_loaded_at),
            "refused_at": _at(seen.config_refused_at),
            "problems": [
                {"message": one.message, "file": one.file, "line": one.line, "path": one.path}
                for one in seen.config_problems
            ],
            "warnings": list(seen.warnings),
        },
        "schedule": {"cron": seen.cron, "timezone": seen.timezone, "next_run": _at(seen.next_run)},
        "current_run": seen.current and _current(seen.current),
        "runs": [_run(run) for run in seen.runs],
        "ledger_read_at": _at(seen.snapshot_at),
        "orgs_total": len(orgs),
        "orgs_lacking": sum(org.lacking > 0 for org in orgs),
        "credentials_refused": sum(org.credential.standing is Standing.REFUSED for org in orgs),
        "orgs": [_org(org) for org in orgs],
    }


def _org(org: OrgView) -> dict[str, Any]:
    return {
        "org": org.name,
        "org_id": org.org_id,
        "org_name": org.org_name,
        "labels": dict(org.labels),
        "timezone": org.timezone,
        "granularity": org.granularity.value,
        "credential": _credential(org.credential),
        "lacking": org.lacking,
        "lag_s": org.lag_s,
        "last_success": _at(org.last_success),
        "beyond_catch_up": org.stranded and _window(org.stranded, org.timezone),
        "populations": [_population(org, population) for population in org.populations],
    }


def _population(org: OrgView, population: PopulationView) -> dict[str, Any]:
    first = org.last_day - timedelta(days=len(population.days) - 1)
    return {
        "population": population.population.value,
        "windows": sum(population.counts.values()),
        **{state.value: population.counts.get(state.value, 0) for state in COUNTED},
        "lacking": population.lacking,
        "lag_s": population.lag_s,
        "last_success": _at(population.last_success),
        "newest_complete": _at(population.newest_complete),
        "newest_due": _at(population.newest_due),
        "oldest_usage": _at(population.oldest_usage),
        "gaps": [{"state": gap.state.value, **_window(gap.window, org.timezone)} for gap in population.gaps],
        "gaps_left_out": population.gaps_left_out,
        "reasons": dict(population.reasons),
        "days": {"first": first.isoformat(), "runs": _runs(population.days)},
        "tests": list(population.tests),
        "newest_usage": _usage(population.newest_usage),
        "newest_users": population.newest_users,
    }


def _runs(days: Sequence[DayState]) -> list[list[object]]:
    return [[state.value, sum(1 for _ in run)] for state, run in groupby(days)]


def _usage(usage: Mapping[str, ProductUsage]) -> dict[str, Any]:
    return {
        product: {
            "total_tests": one.total_tests,
            "total_duration": one.total_duration,
            "total_screenshots": one.total_screenshots,
        }
        for product, one in usage.items()
    }


def _credential(credential: CredentialView) -> dict[str, Any]:
    return {
        "standing": credential.standing.value,
        "reason": credential.reason and credential.reason.value,
        "message": credential.message,
        "since": _at(credential.since),
        "tried_again_at": _at(credential.tried_again_at),
    }


def _current(run: CurrentRun) -> dict[str, Any]:
    progress = run.progress
    return {
        "run_id": run.run_id,
        "started_at": _at(run.started_at),
        "planned": progress.total,
        "done": progress.done,
        "orgs": progress.orgs,
        "orgs_done": progress.orgs_done,
        "partial": progress.partial,
        "failed": progress.failed,
        "refused": progress.refused,
        "retries": progress.retries,
        "api_down": progress.api_down,
    }


def _run(run: RunView) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "command": run.command,
        "started_at": _at(run.started_at),
        "ended_at": _at(run.ended_at),
        "exit_code": run.exit_code,
        "why": run.why,
        "planned": run.planned,
        "states": {state.value: count for state, count in run.states.items()},
        "records": run.records,
        "requests": run.requests,
    }


def _window(window: Window, zone: str) -> dict[str, str]:
    tz = Zone.parse(zone).tz
    return {"start": window.start.astimezone(tz).isoformat(), "end": window.end.astimezone(tz).isoformat()}


def _at(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
