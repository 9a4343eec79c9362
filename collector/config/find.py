"""Find the config file when none is given.

Owns the order of the places. Reads none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from collector.errors import ConfigError

VARIABLE = "COLLECTOR_CONFIG"
PLACES = (Path("config/collector.yaml"), Path("/etc/collector/collector.yaml"))


def find_config(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the config's path: as given, else of COLLECTOR_CONFIG, else of the first usual place.

    Raises ConfigError that says where it looked and what to do next.
    """
    if explicit is not None:
        return explicit
    if named := environ.get(VARIABLE):
        if is_there(Path(named)):
            return Path(named)
        raise ConfigError(f"{VARIABLE} names {named}, but there is no such file")
    for place in PLACES:
        if is_there(place):
            return place
    looked = " and ".join(map(str, PLACES))
    raise ConfigError(
        f"no config: there is neither -c FILE nor {VARIABLE}, and no file at {looked}. "
        f"To begin, copy config/collector.minimal.yaml to {PLACES[0]} and put your org into it; "
        "or `collector demo` shows everything without a config"
    )


def is_there(place: Path) -> bool:
    """Whether a file may be there: one that may not be looked at counts, and reading it says what is wrong."""
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
