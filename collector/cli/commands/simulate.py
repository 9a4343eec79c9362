"""How `collector simulate` is called."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from collector.cli.commands.options import PathType
from collector.simulator.fault_kinds import KINDS
from collector.simulator.limits import Limit
from collector.simulator.scenario import DEFAULT_PORT, MAX_ORGS

_HELP = """\
Serve a simulated usage report API on this machine, as the API's documents describe it.

It has any number of invented organizations. Their usage depends only on the seed, and the totals of
short windows add up to those of long ones. Add faults with --fault. Stop it with Ctrl-C.

\b
Examples:
  collector simulate --config-out simulated.yaml
  collector simulate --fault 'org-00[12]:refused' --fault 'org-01*:500=0.2'
  collector simulate --fault 'org-003:429=1,retry-after=2,first=3'
  collector simulate --fault '*:latency=200ms'
  collector simulate --limit 2/1s --limit-all 10/1s --enforce

\b
Faults: --fault 'PATTERN:KIND[=VALUE][,OPTION=VALUE...]'
PATTERN is a glob for names of orgs. For 429, 500, reset and similar kinds,
VALUE is a probability (default 1).
"""
_EPILOG_END = """\
\b
Options of every kind: first=N (only the first N requests of the org),
after=N (not the first N requests).
Options of statuses: body=json|html|empty, retry-after=SECONDS|date.
Option of partial: group=automation|realdevice|smartui.

\b
While it runs: GET /_simulator/stats, GET /_simulator/requests,
PUT /_simulator/faults. GET / shows all URLs.
"""


def _kinds() -> str:
    width = max(len(kind.example) for kind in KINDS.values())
    return "\n".join(f"  {kind.example:<{width}}  {kind.meaning}" for kind in KINDS.values())


def _limit(_: click.Context, __: click.Parameter, text: str | None) -> Limit | None:
    try:
        return None if text is None else Limit.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _instant(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    try:
        instant = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an instant such as 2026-06-23T12:00:00Z") from None
    return instant if instant is None or instant.tzinfo else instant.replace(tzinfo=UTC)


@click.command(
    help=_HELP, epilog=f"\b\nKinds of faults:\n{_kinds()}\n\n{_EPILOG_END}", short_help="Serve a simulated API."
)
@click.option("--orgs", type=click.IntRange(1, MAX_ORGS), default=12, show_default=True, help="How many organizations.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed gives the same organizations and usage."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 is any free port.",
)
@click.option("--fault", "faults", multiple=True, metavar="FAULT", help="Add a fault; repeatable. See above and below.")
@click.option(
    "--limit",
    metavar="N/PERIOD",
    callback=_limit,
    help="Rate limit of each org, such as 2/1s. Requests above it are counted; see --enforce.",
)
@click.option("--limit-all", metavar="N/PERIOD", callback=_limit, help="Rate limit of all orgs together.")
@click.option("--enforce/--no-enforce", default=False, help="Answer 429 above the limits.")
@click.option(
    "--now",
    metavar="INSTANT",
    callback=_instant,
    help="Stop the simulator's clock at this time, such as 2026-06-23T12:00:00Z. There is no usage after it: "
    "windows after it are answered with zeros.",
)
@click.option(
    "--config-out",
    type=PathType(dir_okay=False, path_type=Path),
    help="Write a collector config for this simulator, with mode 0600.",
)
@click.option("--until-eof", is_flag=True, help="Stop when stdin ends.")
@click.pass_context
def simulate(ctx: click.Context, /, **options: Any) -> None:
    """Serve a simulated API."""
    from collector.cli import simulate as act  # noqa: PLC0415

    act.simulate(ctx, **options)
