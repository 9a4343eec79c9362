"""The path of the config, if no option gives it.

Owns the order in which places are tried. Reads none of the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from collector.adapters.paths import named
from collector.disk import HomeError, at_home
from collector.errors import ConfigError

VARIABLE = "COLLECTOR_CONFIG"
PLACES = (Path("config/collector.yaml"), Path("/etc/collector/collector.yaml"))


def find_config(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the config's path: the given one, else COLLECTOR_CONFIG, else the first usual place with a file.

    Raises ConfigError with the places that were tried and what to do next.
    """
    if explicit is not None:
        return explicit
    if given := of_variable(environ):
        if may_exist(given):
            return given
        raise ConfigError(f"{VARIABLE}: the file {named(given)} doesn't exist")
    for place in PLACES:
        if may_exist(place):
            return place
    looked = " and ".join(map(str, PLACES))
    raise ConfigError(
        f"no config: there is neither -c FILE nor {VARIABLE}, and no file at {looked}. "
        f"To begin, `collector init` writes {PLACES[0]} with your first org; "
        "or `collector demo` shows everything without a config"
    )


def of_variable(environ: Mapping[str, str]) -> Path | None:
    """Return the path in COLLECTOR_CONFIG, if it is set. Raises ConfigError."""
    try:
        return Path(at_home(given)) if (given := environ.get(VARIABLE)) else None
    except HomeError as error:
        raise ConfigError(f"{VARIABLE}: the path {error}") from None


def may_exist(place: Path) -> bool:
    """Return whether a file may exist; without permission to look, it may, and reading it reports the reason."""
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
