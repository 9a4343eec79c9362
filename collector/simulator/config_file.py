"""Write a collector config for a simulator, once the simulator listens.

The file is readable by its owner only. Never replaces a file that the simulator didn't write.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from collector.simulator.limits import Limit
from collector.simulator.orgs import Org
from collector.simulator.scenario import Scenario

_MARK = "# A config for the simulated API"
_HEADER = f"""\
{_MARK}, written by `collector simulate`: {{count}} invented organizations
# (seed {{seed}}). The credentials work only with the simulator. Every start of the simulator
# overwrites this file: to change something, copy it first.
"""
_ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "-03:30",
)
_COST_CENTERS = ("qa-platform", "mobile", "web", "payments", "research")
_TEAMS = ("atlas", "borealis", "cobalt")
_TIERS = ("gold", "silver")
# High limits: a simulator on this machine needs no protection.
_ORG_LIMIT = Limit(requests=20, period_s=1)
_ALL_LIMIT = Limit(requests=200, period_s=1)


class ForeignFileError(ValueError):
    """The file exists, but the simulator didn't write it."""


def write(path: Path, *, base_url: str, scenario: Scenario, orgs: tuple[Org, ...]) -> None:
    """Write the config atomically, with mode 0600. Raises ForeignFileError and OSError."""
    check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp creates the file with mode 0600.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(_lines(base_url, scenario, orgs))
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def check(path: Path) -> None:
    """Raise ForeignFileError if the file exists and the simulator didn't write it."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            ours = file.read(len(_MARK)) in (_MARK, "")
    except FileNotFoundError:
        return
    if not ours:
        raise ForeignFileError(f"{path} was not written by the simulator: remove it, or name another file")


def _lines(base_url: str, scenario: Scenario, orgs: tuple[Org, ...]) -> Iterator[str]:
    org_limit, all_limit = scenario.limit or _ORG_LIMIT, scenario.limit_all or _ALL_LIMIT
    yield _HEADER.format(count=len(orgs), seed=scenario.seed)
    yield "service:\n"
    yield "  allowed_hosts: [collector]  # the name that Prometheus scrapes in compose.yaml\n"
    yield "api:\n"
    yield f"  base_url: {json.dumps(base_url)}\n"
    yield "  concurrency: 32\n"
    yield f"  rate_limit: {_rate(all_limit)}\n"
    yield "  org_concurrency: 4\n"
    yield f"  org_rate_limit: {_rate(org_limit)}\n"
    yield "orgs:\n"
    for index, org in enumerate(orgs):
        yield f"  - name: {org.name}\n"
        yield f"    username: {json.dumps(org.username)}\n"
        yield f"    access_key: {json.dumps(org.access_key)}\n"
        yield f"    timezone: {json.dumps(_ZONES[index % len(_ZONES)])}\n"
        yield f"    labels: {{cost_center: {_COST_CENTERS[index % len(_COST_CENTERS)]}, "
        yield f"team: {_TEAMS[index % len(_TEAMS)]}, tier: {_TIERS[index % len(_TIERS)]}}}\n"


def _rate(limit: Limit) -> str:
    return f"{{requests: {limit.requests}, period: {limit.period_s:g}s}}"
