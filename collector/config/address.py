"""Where `serve` listens, told from the config without the rest of it.

Owns nothing but those two keys: a config with an error elsewhere, one without its secrets, or one that is
no YAML at all just now, still has a service that goes on with the config before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from collector.config.document import read_document
from collector.config.layers import variables_tree
from collector.config.sections import Service
from collector.config.settings import Settings
from collector.errors import ConfigError

EVERY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to ask, not to listen on


def service_address(path: Path, environ: Mapping[str, str]) -> tuple[str, int]:
    """Return the address and port at which this machine's `serve` can be asked. Raises ConfigError.

    A file that can't be read leaves it to the variables and the defaults.
    """
    given = {**section_of(path), **variables_tree(Settings, environ).get("service", {})}
    try:
        service = Service.model_validate({key: given[key] for key in ("host", "port") if key in given})
    except ValidationError:
        raise ConfigError("service.host or service.port isn't valid: `collector check` says why") from None
    if service.port == 0:
        raise ConfigError("service.port is 0, so the port is any: only a fixed one can be asked")
    return EVERY_ADDRESS.get(service.host, service.host), service.port


def section_of(path: Path) -> Mapping[str, object]:
    """Return what the file says of the service, if it can be read."""
    try:
        data = read_document(path).data
    except ConfigError:
        return {}
    section = data.get("service") if isinstance(data, dict) else None
    return section if isinstance(section, dict) else {}
