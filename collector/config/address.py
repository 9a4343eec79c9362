"""The address at which `serve` listens, read without the rest of the config.

Owns only those two keys. They are needed even if the config has an error elsewhere, lacks a secret or
isn't YAML at the moment: the service still runs with the config that it loaded before.
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

EVERY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to connect to, not to listen on


def service_address(path: Path, environ: Mapping[str, str]) -> tuple[str, int]:
    """Return the address and port at which this machine's `serve` answers. Raises ConfigError.

    If the file can't be read, the variables and the defaults decide.
    """
    given = {**section_of(path), **variables_tree(Settings, environ).get("service", {})}
    try:
        service = Service.model_validate({key: given[key] for key in ("host", "port") if key in given})
    except ValidationError:
        raise ConfigError("service.host or service.port isn't valid: run `collector check` to see why") from None
    if service.port == 0:
        raise ConfigError("service.port is 0, so the port isn't known: set a fixed port")
    return EVERY_ADDRESS.get(service.host, service.host), service.port


def section_of(path: Path) -> Mapping[str, object]:
    """Return the file's section `service`; it is empty if the file can't be read."""
    try:
        data = read_document(path).data
    except ConfigError:
        return {}
    section = data.get("service") if isinstance(data, dict) else None
    return section if isinstance(section, dict) else {}
