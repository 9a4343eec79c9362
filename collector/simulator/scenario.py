"""What is to be simulated, as a value.

Owns the options and their defaults. Never starts anything: that is `server`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime

from collector.simulator.limits import Limit

DEFAULT_PORT = 8099
MAX_ORGS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A world to simulate. Raises ValueError for what can't be.

    `faults` are texts as on the command line; `now` fixes the simulator's idea of the time,
    after which nothing has happened yet; port 0 is any free one.
    """

    orgs: int = 12
    seed: int = 1
    faults: tuple[str, ...] = ()
    limit: Limit | None = None  # for each org
    limit_all: Limit | None = None
    enforce: bool = False  # answer 429 above the limits; they are counted in any case
    now: datetime | None = None
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.orgs <= MAX_ORGS:
            raise ValueError(f"orgs must be 1 to {MAX_ORGS}, not {self.orgs}")
        if self.now is not None and self.now.utcoffset() is None:
            raise ValueError("now must have a time zone")
        if self.enforce and not (self.limit or self.limit_all):
            raise ValueError("there is no limit to enforce")
        if not is_loopback(self.host):
            raise ValueError(f"{self.host!r} is no loopback address: the simulator only listens on this machine")


def is_loopback(host: str) -> bool:
    """Say whether the host can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
