"""The commands that fetch ranges which no `collect` fetches any more: complete, to be copied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from collector.adapters.text import shell_word
from collector.app.command import ages_of
from collector.app.coverage import CoverageReader
from collector.app.invocation import invocation_of
from collector.config import LoadedConfig
from collector.core.delivered import OrgRange, merged
from collector.core.org_coverage import OrgCoverage
from collector.core.outputs import KnownOutputs
from collector.core.wanted import BackfillWanted, Wanted
from collector.ledger import Readable
from collector.model import Window, Zone

log = structlog.get_logger("collector")

_COMMANDS = 20  # in a log line
_ORGS_AT_ONCE = 50


def backfill_commands(config: LoadedConfig, ranges: Iterable[OrgRange], known: KnownOutputs | None = None) -> list[str]:
    """Return a command for each range, for all orgs that have it; orgs that the config doesn't have are left out.

    `known` are the outputs of the ledger, for a config that has none.
    """
    head = invocation_of(config, known).backfill
    names = {org.name for org in config.orgs}
    by_range: Mapping[tuple[str, str], list[str]] = defaultdict(list)
    for one in ranges:
        if one.org in names:
            by_range[_moments(one)].append(one.org)
    return [
        f"{head} {' '.join(f'--org {shell_word(org)}' for org in some)} --from {first} --to {last}"
        for (first, last), orgs in sorted(by_range.items())
        for some in _batches(orgs)
    ]


def zoned(org: OrgCoverage, gap: Window) -> OrgRange:
    """Return a gap of an org as a range in the org's zone."""
    tz = Zone.parse(org.timezone).tz
    return OrgRange(org=org.name, start=gap.start.astimezone(tz), end=gap.end.astimezone(tz))


def old_gaps(config: LoadedConfig, ledger: Readable, now: datetime) -> list[OrgRange]:
    """Return the gaps of all orgs that no `collect` fetches, as `status` shows them. Raises LedgerError."""
    coverage = CoverageReader(config, days=None).read_all(ledger, now)
    return [zoned(org, gap) for org in coverage.values() for gap in org.old_gaps]


def older_than_catch_up(config: LoadedConfig, ranges: Iterable[OrgRange], now: datetime) -> list[OrgRange]:
    """Return the parts of ranges that are too old for a `collect`."""
    until = now - ages_of(config.settings.schedule).catch_up
    return [replace(one, end=min(one.end, until.astimezone(one.end.tzinfo))) for one in ranges if one.start < until]


def log_backfills(config: LoadedConfig, ranges: Iterable[OrgRange], wanted_: Wanted | None = None) -> None:
    """Log the commands for ranges that neither a run that wants `wanted_` nor a later `collect` fetches."""
    rest = list(ranges)
    if isinstance(wanted_, BackfillWanted):
        own = {org.name: span for org in config.orgs if org.name in wanted_.since and (span := wanted_.span(org))}
        rest = [
            one for one in rest if not ((span := own.get(one.org)) and span.start <= one.start and one.end <= span.end)
        ]
    if commands := backfill_commands(config, merged(rest)):
        log.warning(
            "ledger.backfill_needed",
            commands=commands[:_COMMANDS],
            commands_left_out=max(0, len(commands) - _COMMANDS),
            message="these ranges are wanted and not complete, and too old for a `collect` (`schedule.catch_up`, "
            "`schedule.repair_for`): run the commands. `collector status` shows them, too, until they are done",
        )


def _moments(one: OrgRange) -> tuple[str, str]:
    """Return a range as `--from` and `--to`: as dates if it is one of whole days."""
    if _is_midnight(one.start) and _is_midnight(one.end):
        return f"{one.start:%Y-%m-%d}", f"{one.end - timedelta(days=1):%Y-%m-%d}"
    return one.start.isoformat(timespec="seconds"), one.end.isoformat(timespec="seconds")


def _is_midnight(at: datetime) -> bool:
    return (at.hour, at.minute, at.second) == (0, 0, 0)


def _batches(orgs: Sequence[str]) -> Iterable[Sequence[str]]:
    return (orgs[place : place + _ORGS_AT_ONCE] for place in range(0, len(orgs), _ORGS_AT_ONCE))
