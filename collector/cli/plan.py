"""`collector plan`: what a run would fetch. Sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click
import orjson
import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.adapters.clock import SystemClock
from collector.adapters.text import count, duration, printable
from collector.app.command import has_ledger, sparse_of
from collector.app.ledgers import open_ledger_to_read, warn_of_missing_ledger
from collector.app.preview import OrgPreview, preview
from collector.app.range_notes import RangeNote, range_notes, shared
from collector.app.wiring import limits_of
from collector.cli.colours import COLOURS
from collector.cli.consoles import stdout_console
from collector.cli.context import Context, open_context, read_range
from collector.cli.tables import add_name, new_table
from collector.core.estimate import Estimate, estimate
from collector.core.ranges import Last, Moment, Range
from collector.core.search_cost import Bounds, Requests
from collector.core.visible import visible
from collector.ledger import NoLedger

log = structlog.get_logger("collector")

_ROWS = 60
_WIDE = 90  # columns


def plan(
    from_: Moment | None, to: Moment | None, last: timedelta | None, sparse: bool, as_json: bool, **options: Any
) -> None:
    """Do what `collector plan` is called for."""
    context = open_context(**options, sharded=True, sends=False)
    range_ = read_range(from_, to, last)
    if sparse and range_ is None:
        raise click.UsageError("--sparse is about a backfill, which needs a range: --from 2026-01-01, or --last 90d")
    previews, notes = _preview(context, range_, sparse=sparse)
    limits = limits_of(context.config.settings)
    requests = Requests.of([one.costs for one in previews])
    notes += shared(requests)
    whole = estimate(
        [one.least for one in requests.orgs],
        rate=(limits.rate.requests, limits.rate.period_s),
        org_rate=(limits.org_rate.requests, limits.org_rate.period_s),
    )
    if as_json:
        for note in notes:
            if note.warns:  # else only who reads the JSON would see it
                log.warning("range.note", message=note.text)
        click.echo(visible(orjson.dumps(_as_json(previews, notes, whole, requests), option=orjson.OPT_INDENT_2)))
        return
    console = stdout_console()
    console.print(_table(console, previews, whole, requests))
    for one in previews:
        if one.refused:
            text = f"refused: {printable(one.org.name)}: {printable(one.refused.message, 1000)}"
            console.print(Text(text, style=COLOURS["refused"]))
    for note in notes:
        console.print(Text(f"{'warning' if note.warns else 'note'}: {printable(note.text, 400)}"))


def _preview(context: Context, range_: Range | None, *, sparse: bool) -> tuple[list[OrgPreview], list[RangeNote]]:
    config, clock = context.config, SystemClock()
    orgs, now = context.scope.of(config.orgs), clock.now()
    searched = sparse_of(config.settings) if sparse else None
    if not has_ledger(config):
        range_ = range_ or Last(config.settings.schedule.lookback)
        notes = range_notes(config, orgs, range_, now=now, sparse=searched)
        return preview(NoLedger(), config, orgs, range_=range_, now=now, sparse=sparse), notes
    notes = range_notes(config, orgs, range_, now=now, sparse=searched) if range_ else []
    ledger = open_ledger_to_read(config)
    if isinstance(ledger, NoLedger):
        warn_of_missing_ledger(config, "all windows are planned as new")
    try:
        previews = preview(ledger, config, orgs, range_=range_, now=now, sparse=sparse)
    finally:
        ledger.close()
    if range_:
        whole = preview(NoLedger(), config, orgs, range_=range_, now=now)
        pairs = zip(whole, previews, strict=True)
        if known := sum(all_.slices - one.slices for all_, one in pairs if not one.refused):
            notes.append(RangeNote(f"{known} slice{'s are' if known != 1 else ' is'} complete already, by the ledger"))
    return previews, notes


def _as_json(
    previews: Sequence[OrgPreview], notes: Sequence[RangeNote], whole: Estimate, requests: Requests
) -> dict[str, Any]:
    orgs = [
        {
            "org": one.org.name,
            "first": one.first and one.first.astimezone(one.org.zone.tz).isoformat(),
            "end": one.end and one.end.astimezone(one.org.zone.tz).isoformat(),
            "granularity": one.org.granularity.value,
            "windows": one.windows,
            "populations": [p.value for p in one.org.populations],
            "slices": one.slices,
            "requests": of_org.least,
            "requests_at_most": of_org.most,
            "seconds": round(seconds, 1),
            "refused": one.refused and one.refused.message,
        }
        for one, of_org, seconds in zip(previews, requests.orgs, whole.org_seconds, strict=True)
    ]
    return {
        "slices": sum(one.slices for one in previews),
        "requests": requests.all.least,
        "requests_at_most": requests.all.most,
        "seconds": round(whole.seconds, 1),
        "orgs": orgs,
        "notes": [note.text for note in notes],
    }


def _table(console: Console, previews: Sequence[OrgPreview], whole: Estimate, requests: Requests) -> Table:
    """Return one row per org that has anything to fetch, those with most requests first."""
    table = new_table(console, "What would be fetched")
    add_name(table, "org")
    table.add_column("zone", overflow="fold")
    for name in ("from", "to"):
        table.add_column(name, no_wrap=True)
    for name in ("windows", "requests", "min. time")[0 if console.width >= _WIDE else 1 :]:
        table.add_column(name, justify="right", no_wrap=True)
    blank = [""] * (len(table.columns) - 3)
    rows = sorted(zip(previews, requests.orgs, whole.org_seconds, strict=True), key=lambda row: -row[0].slices)
    shown = [row for row in rows if row[0].slices][:_ROWS]
    for one, of_org, seconds in shown:
        windows = [count(one.windows, one.org.granularity.value)] * (len(blank) - 3)
        table.add_row(
            Text(printable(one.org.name)),
            one.org.zone.name,
            *_ends(one),
            *windows,
            str(of_org),
            _time(of_org.least, seconds),
        )
    if rest := rows[len(shown) :]:
        slices = sum(one.slices for one, _, _ in rest)
        least, most = (sum(getattr(of_org, name) for _, of_org, _ in rest) for name in ("least", "most"))
        what = f"{count(len(rest), 'more org' if shown else 'org')}{'' if slices else ': nothing to fetch'}"
        table.add_row(Text(what, style="dim"), *blank, str(Bounds(least=least, most=min(most, requests.all.most))), "")
    table.add_section()
    table.add_row("all", *blank, str(requests.all), _time(requests.all.least, whole.seconds))
    return table


def _time(slices: int, seconds: float) -> str:
    """Return the shortest time that requests can take; limits allow the first ones at once."""
    return "" if not slices else duration(seconds) if seconds >= 1 else "< 1 s"


def _ends(one: OrgPreview) -> tuple[str, str]:
    if one.first is None or one.end is None:
        return "", ""
    form = "%Y-%m-%d %H:%M" if one.org.granularity == "hour" else "%Y-%m-%d"
    last = one.end - timedelta(seconds=1)
    return tuple(f"{at.astimezone(one.org.zone.tz):{form}}" for at in (one.first, last))  # type: ignore[return-value]
