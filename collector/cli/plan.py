"""`collector plan`: what a run would ask, without asking."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
import orjson
from rich.table import Table
from rich.text import Text

from collector.adapters.clock import SystemClock
from collector.adapters.words import duration, printable
from collector.app import limits_of
from collector.cli.options import config_options, open_context, range_options, read_range, shard_option
from collector.cli.streams import stdout_console
from collector.core.estimate import Estimate, estimate
from collector.core.plan import LanePlan
from collector.core.ranges import Moment
from collector.planning import Plans, lookback, make_plans


@click.command(
    epilog="""\b
Examples:
  collector plan -c collector.yaml                        the next collect
  collector plan --from 2026-01-01 --to 2026-03-31        a backfill
  collector plan --from 2026-01-01 --json | jq .seconds   for scripts
"""
)
@config_options
@range_options
@shard_option
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def plan(from_: Moment | None, to: Moment | None, last: timedelta | None, as_json: bool, **options: Any) -> None:
    """Say what `collect`, or `backfill` with a range, would ask: slices, requests, time. Sends nothing.

    Requests and time are the least: retries and partial answers add to them.
    """
    context = open_context(**options, sharded=True)
    range_ = read_range(from_, to, last) or lookback(context.config)
    plans = make_plans(context.config, range_=range_, scope=context.scope, clock=SystemClock())
    limits = limits_of(context.config.settings)
    whole = estimate(
        [lane.total for lane in plans.lanes],
        rate=(limits.rate.requests, limits.rate.period_s),
        org_rate=(limits.org_rate.requests, limits.org_rate.period_s),
    )
    if as_json:
        click.echo(orjson.dumps(_as_json(plans, whole), option=orjson.OPT_INDENT_2))
        return
    console = stdout_console()
    console.print(_table(plans, whole))
    for note in plans.notes:
        console.print(Text(f"note: {printable(note, 400)}"), soft_wrap=True)


def _as_json(plans: Plans, whole: Estimate) -> dict[str, Any]:
    orgs = [
        {
            "org": lane.org.name,
            "first": lane.span and lane.span.start.astimezone(lane.org.zone.tz).isoformat(),
            "end": lane.span and lane.span.end.astimezone(lane.org.zone.tz).isoformat(),
            "granularity": lane.org.granularity.value,
            "windows": lane.windows,
            "populations": [p.value for p in lane.org.populations],
            "slices": lane.total,
            "requests": lane.total,
            "seconds": round(seconds, 1),
        }
        for lane, seconds in zip(plans.lanes, whole.org_seconds, strict=True)
    ]
    return {
        "slices": plans.total,
        "requests": plans.total,
        "seconds": round(whole.seconds, 1),
        "orgs": orgs,
        "notes": plans.notes,
    }


def _table(plans: Plans, whole: Estimate) -> Table:
    table = Table(title="What would be asked", title_justify="left", header_style="bold")
    table.add_column("org", overflow="fold", max_width=30)
    table.add_column("zone", overflow="fold")
    table.add_column("from", no_wrap=True)
    table.add_column("to", no_wrap=True)
    table.add_column("windows", justify="right")
    table.add_column("requests", justify="right")
    table.add_column("at least", justify="right", no_wrap=True)
    for lane, seconds in zip(plans.lanes, whole.org_seconds, strict=True):
        table.add_row(
            Text(printable(lane.org.name)),
            lane.org.zone.name,
            *_ends(lane),
            f"{lane.windows} {lane.org.granularity.value}{'s' * (lane.windows != 1)}",
            str(lane.total),
            duration(seconds),
        )
    table.add_section()
    table.add_row("all", "", "", "", "", str(plans.total), duration(whole.seconds))
    return table


def _ends(lane: LanePlan) -> tuple[str, str]:
    if lane.span is None:
        return "nothing due", ""
    form = "%Y-%m-%d %H:%M" if lane.org.granularity == "hour" else "%Y-%m-%d"
    last = lane.span.end - timedelta(seconds=1)
    return tuple(f"{at.astimezone(lane.org.zone.tz):{form}}" for at in (lane.span.start, last))  # type: ignore[return-value]
