"""Which proxy the environment names for a host, and which hosts it excepts (`NO_PROXY`)."""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote
from urllib.request import getproxies

from collector.core.urls import ESCAPING, UnclearUrlError, Url

UNUSABLE = (
    "the proxy variables (HTTPS_PROXY and the like) name no http:// or https:// proxy that can be read: write "
    f"http://user:password@host:port, and {ESCAPING}"
)


class ProxyError(ValueError):
    """The environment names no usable proxy. The message shows no part of it."""

    def __init__(self) -> None:
        super().__init__(UNUSABLE)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: its URL without the credential, and the value of `Proxy-Authorization`, if it has one."""

    url: str
    authorization: str | None = field(repr=False, default=None)
    credential: str = field(repr=False, default="")  # as it stands in a URL, escaped

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Return the proxy of a variable; as in curl, its scheme may be missing. Raises ProxyError."""
        try:
            parts = Url.parse(text if "://" in text else f"http://{text}")
        except UnclearUrlError:
            raise ProxyError from None
        one_host = parts.hosts.strip(":") and "," not in parts.hosts and not parts.hosts.startswith(":")
        port = parts.hosts.rpartition(":")[2]
        too_high = port.isdigit() and int(port) > 65535
        if parts.scheme not in ("http", "https") or not one_host or too_high or parts.path.strip("/") or parts.query:
            raise ProxyError
        url = f"{parts.scheme}://{parts.hosts}"
        if not parts.user and not parts.password:
            return cls(url)
        user, password = parts.user or "", parts.password or ""
        basic = b64encode(f"{user}:{password}".encode()).decode()
        return cls(url, f"Basic {basic}", f"{quote(user, safe='')}:{quote(password, safe='')}@")

    @property
    def whole_url(self) -> str:
        """The URL with the credential, every reserved character of it escaped."""
        scheme, _, host = self.url.partition("://")
        return f"{scheme}://{self.credential}{host}"


def proxy_for(scheme: str, host: str, port: int | None) -> Proxy | None:
    """Return the proxy that the environment names for a host; None for loopback and exceptions. Raises ProxyError."""
    if is_loopback(host):
        return None
    proxies = getproxies()
    named = None if is_excepted(host, port, proxies) else proxies.get(scheme) or proxies.get("all")
    return Proxy.parse(named) if named else None


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
