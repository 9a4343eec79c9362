"""`collector simulate`: serve the simulated API on loopback.

Parses and checks the options, and prints where the simulator listens.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from collector.simulator.config_file import ForeignFileError
from collector.simulator.fault_kinds import FaultError
from collector.simulator.limits import Limit
from collector.simulator.scenario import Scenario
from collector.simulator.server import Options, Simulator, serve


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
    """Do what `collector simulate` is called for."""
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
