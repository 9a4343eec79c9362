"""`collector healthcheck`: whether the `serve` of this machine or container is alive.

Sends one request to the service's own address. Never uses a proxy, and sends no credential.
"""

from __future__ import annotations

import http.client
import os
from pathlib import Path

import click

from collector.config.address import service_address
from collector.config.find import find_config
from collector.errors import kind_of

TIMEOUT_S = 3.0


def healthcheck(config_path: Path | None) -> int:
    """Do what `collector healthcheck` is called for; return the exit code."""
    host, port = service_address(find_config(config_path, os.environ), os.environ)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        # Not the text of the exception: it may quote what answered.
        known = "timed out" if isinstance(error, TimeoutError) else getattr(error, "strerror", None)
        click.echo(f"no healthy service at {host}:{port}: {known or kind_of(error)}", err=True)
        return 1
    finally:
        connection.close()
    if status != http.client.OK:
        click.echo(f"/healthz at {host}:{port} answered {status}", err=True)
        return 1
    return 0
