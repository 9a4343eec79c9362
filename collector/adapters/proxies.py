"""Which proxy the environment names for a host, and which hosts it excepts (`NO_PROXY`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.request import getproxies


def proxy_for(scheme: str, host: str, port: int | None) -> str | None:
    """Return the proxy that the environment names for a host, as it is written; None for loopback and exceptions."""
    if is_loopback(host):
        return None
    proxies = getproxies()
    return None if is_excepted(host, port, proxies) else proxies.get(scheme) or proxies.get("all") or None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_excepted(host: str, port: int | None, proxies: Mapping[str, str]) -> bool:
    """Return whether `NO_PROXY` excepts a host.

    An entry is `*`, a name that its subdomains share (`example.com`, `.example.com`, `*.example.com`), an
    address, or a network (`10.0.0.0/8`); a name or an address may have a port.
    """
    return any(
        _fits(entry.strip().lower(), host.lower(), port) for entry in proxies.get("no", "").split(",") if entry.strip()
    )


def _fits(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        address = None
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass  # a name, or an address with a port
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit():
        return int(number) == port and _fits(name, host, port)
    suffix = entry.removeprefix("*").lstrip(".")
    return host == suffix or host.endswith("." + suffix)
