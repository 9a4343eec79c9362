"""Send metrics within a time, and say why it failed without the text of a library."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from collections.abc import Callable
from urllib.error import HTTPError, URLError

from collector.adapters.proxies import ProxyError
from collector.errors import CollectorError, kind_of, place_of

_TUNNEL = re.compile("Tunnel connection failed: ([0-9]{3}) ")  # of http.client, which has no other sign of it


class PushError(CollectorError):
    """A push failed. The message is ours."""


def within(timeout_s: float, work: Callable[[], None], *, peer: str) -> None:
    """Do `work` in a thread, which is abandoned after `timeout_s`. Raises PushError; `peer` is who gets the metrics.

    A client's own timeout limits each step, not their sum, and name resolution has none.
    """
    failure: list[str] = []

    def run() -> None:
        try:
            work()
        except PushError as error:
            failure.append(str(error))
        except Exception as error:  # noqa: BLE001 - raised again in the calling thread, as what it means
            failure.append(reason_of(error, peer))

    thread = threading.Thread(target=run, name="push", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise PushError(f"the {peer} gave no answer within {timeout_s:g} s")
    if failure:
        raise PushError(failure[0])


def reason_of(error: BaseException, peer: str) -> str:
    """Return why a push failed, without the text of a library: that may quote a URL with a credential."""
    match error:
        case HTTPError():
            error.close()  # an HTTPError is also an open response
            return answered(error.code, peer)
        case ProxyError():
            return str(error)
        case URLError(reason=Exception() as reason):
            return reason_of(reason, peer)
        case socket.gaierror():
            return f"the host name of the {peer}, or of a proxy before it, could not be resolved"
        case ssl.SSLCertVerificationError():
            return f"the {peer}'s certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():
            return f"the TLS handshake with the {peer}, or with a proxy before it, failed"
        case TimeoutError(errno=None):
            return f"the {peer}, or a proxy before it, gave no answer in time"
        case OSError(errno=int(number)):
            return f"the {peer}, or a proxy before it, is not reached: {os.strerror(number)}"
        case OSError() if found := _TUNNEL.match(str(error)):
            return f"the proxy answered {found[1]} to CONNECT: it refuses to reach the {peer}"
    return f"{kind_of(error)} at {place_of(error)}"


def answered(status: int, peer: str) -> str:
    """Return the message about a status that isn't 2xx."""
    return f"the {peer}, or a proxy before it, answered {status}"
