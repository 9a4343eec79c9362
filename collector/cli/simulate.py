"""`collector simulate`: serve the simulated API on loopback.

Parses and checks the options, and prints where the simulator listens.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from collector.simulator.config_file import ForeignFileError
from collector.simulator.fault_kinds import KINDS, FaultError
from collector.simulator.limits import Limit
from collector.simulator.scenario import DEFAULT_PORT, MAX_ORGS, Scenario
from collector.simulator.server import Options, Simulator, serve

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
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a collector config for this simulator, with mode 0600.",
)
@click.option("--until-eof", is_flag=True, help="Stop when stdin ends.")
@click.pass_context
def simulate(
    ctx: click.Context,
    *,
    orgs: int,
    seed: int,
    host: str,
    port: int,
    faults: tuple[str, ...],
    limit: Limit | None,
    limit_all: Limit | None,
    enforce: bool,
    now: datetime | None,
    config_out: Path | None,
    until_eof: bool,
) -> None:
    """Serve a simulated API."""
    try:
        scenario = Scenario(
            orgs=orgs,
            seed=seed,
            host=host,
            port=port,
            faults=faults,
            limit=limit,
            limit_all=limit_all,
            enforce=enforce,
            now=now,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        options = Options(scenario=scenario, config=config_out, until_eof=until_eof)
        ctx.exit(serve(options, announce=lambda simulator: _announce(simulator, config_out)))
    except ForeignFileError as error:
        raise click.BadParameter(str(error), param_hint="'--config-out'") from None
    except FaultError as error:
        raise click.BadParameter(str(error), param_hint="'--fault'") from None
    except OSError as error:
        raise click.UsageError(f"{error.strerror or error} ({error.filename or f'{host}:{port}'})") from None


def _announce(simulator: Simulator, config: Path | None) -> None:
    """Print on stderr for people, and as JSON on stdout for programs, that the simulator accepts connections."""
    orgs = simulator.orgs
    click.echo(
        f"Simulated API at {simulator.base_url}: {len(orgs)} organizations, {orgs[0].name} to {orgs[-1].name}",
        err=True,
    )
    if config is None:
        click.echo("To get a config for it, add --config-out FILE.", err=True)
    else:
        click.echo(f"Config written to {config}. Next, try:", err=True)
        for command, output in (("check", ""), ("collect", " -o usage/")):
            click.echo(f"  collector {command} -c {config}{output}", err=True)
    click.echo(
        f"Overview: {simulator.base_url}/  Counters of requests: {simulator.base_url}/_simulator/stats", err=True
    )
    facts = {
        "base_url": simulator.base_url,
        "orgs": len(orgs),
        "seed": simulator.scenario.seed,
        "config": None if config is None else str(config),
    }
    click.echo(json.dumps(facts))  # click flushes this line, which programs wait for
