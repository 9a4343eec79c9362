"""The options of a simulation, as a value with defaults and checks."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime

from collector.simulator.limits import Limit

DEFAULT_PORT = 8099
MAX_ORGS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The options of a simulation. Raises ValueError if one is invalid.

    `faults` are written as on the command line. `now` stops the simulator's clock: there is no usage after it.
    Port 0 is any free port.
    """

    orgs: int = 12
    seed: int = 1
    faults: tuple[str, ...] = ()
    limit: Limit | None = None  # for each org
    limit_all: Limit | None = None
    enforce: bool = False  # answer 429 above the limits; requests above them are counted in any case
    now: datetime | None = None
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.orgs <= MAX_ORGS:
            raise ValueError(f"orgs must be 1 to {MAX_ORGS}, not {self.orgs}")
        if self.now is not None and self.now.utcoffset() is None:
            raise ValueError("now must have a time zone")
        if self.enforce and not (self.limit or self.limit_all):
            raise ValueError("there is no limit to enforce: set --limit or --limit-all")
        if not is_loopback(self.host):
            raise ValueError(f"{self.host!r} is not a loopback address: the simulator is for this machine only")


def is_loopback(host: str) -> bool:
    """Return whether the host is a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
