"""Resolves the host names of a DSN before the driver does: its lookups have no deadline, and hold up their thread.

Owns what libpq gets: each address as `hostaddr`, and the name beside it as `host`, by which certificates are verified
and passwords are found. Lookups run in daemon threads, each name in one at a time.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress

import psycopg

_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
_guard = threading.Lock()
_under_way: dict[str, Future[list[str]]] = {}


def with_addresses(params: Mapping[str, str], *, deadline_s: float) -> dict[str, str]:
    """Return the parameters with the address of each host name. Raises psycopg.OperationalError if none is found.

    A host name with several addresses is repeated: libpq tries them in their order. Left to libpq are sockets,
    addresses, and what comes from the files of a `service`.
    """
    names = (params.get("host") or os.environ.get("PGHOST", "")).split(",")
    literal = {"hostaddr", "service"} & params.keys() or {"PGHOSTADDR", "PGSERVICE"} & os.environ.keys()
    if literal or all(map(_is_clear, names)):
        return dict(params)
    ports = params.get("port", "").split(",")
    if len(ports) not in {1, len(names)}:
        return dict(params)  # libpq says what is wrong
    of_each = ports if len(ports) > 1 else [""] * len(names)
    found, why = [], ""
    for name, port in zip(names, of_each, strict=True):
        try:
            found += [(name, address, port) for address in _addresses(name, deadline_s)]
        except OSError as error:  # libpq would try the next host, too
            why = f"the host name {name} can't be resolved: {error.strerror}"
    if not found:
        raise psycopg.OperationalError(why)
    hosts, addresses, each_port = (",".join(values) for values in zip(*found, strict=True))
    return {**params, "host": hosts, "hostaddr": addresses, **({"port": each_port} if len(ports) > 1 else {})}


def _is_clear(name: str) -> bool:
    """Return whether libpq needs no lookup for a host: a socket, the default, or an address."""
    if not name or name.startswith(("/", "@")):
        return True
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False


def _addresses(name: str, deadline_s: float) -> list[str]:
    """Return the addresses of a host; "" for one that libpq needs no address of. Raises OSError."""
    if _is_clear(name):
        return [""]
    with _guard:
        lookup = _under_way.get(name)
        if lookup is None:
            lookup = _under_way[name] = Future()
            threading.Thread(target=_look_up, args=(name, lookup), name="ledger-resolver", daemon=True).start()
    try:
        return lookup.result(deadline_s)
    except TimeoutError:
        raise socket.gaierror(socket.EAI_AGAIN, "the name server doesn't answer") from None


def _look_up(name: str, lookup: Future[list[str]]) -> None:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        addresses = [socket.getnameinfo(address, _NUMERIC)[0] for *_, address in found]
    except Exception as error:  # noqa: BLE001 - raised again where it is awaited
        failure: Exception | None = error
    else:
        failure = None
    with _guard:
        del _under_way[name]
    if failure is None:
        lookup.set_result(list(dict.fromkeys(addresses)))
    else:
        lookup.set_exception(failure)
