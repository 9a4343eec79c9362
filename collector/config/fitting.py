"""What takes more than one section, or another file, to judge.

Owns whether settings that are valid by themselves fit together. Parses nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from collector.config.layers import Layers
from collector.config.messages import duration_text, shown
from collector.config.orgs import ReadOrg
from collector.config.settings import Settings
from collector.errors import Problem
from collector.model import Granularity

LONGEST_WINDOW = {
    Granularity.HOUR: timedelta(hours=1),
    Granularity.DAY: timedelta(hours=25),
    Granularity.WEEK: timedelta(days=7, hours=1),
    Granularity.MONTH: timedelta(days=31, hours=1),
}


def ca_flaws(file: Path) -> Iterator[str]:
    """Yield why a file of authorities can't be used, if it can't."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except FileNotFoundError:
        yield f"there is no such file: {file}"
    except ssl.SSLError:
        yield f"{file} holds no certificates in PEM format"
    except OSError as error:
        yield f"{file} can't be read: {error.strerror}"


def password_flaws(url: str, file: Path) -> Iterator[str]:
    """Yield why a ledger's password can't be in that file, if it can't."""
    if not url.startswith("postgresql://"):
        return  # the config's ledger, which an option has replaced
    from collector.ledger.postgresql.dsn import Dsn, UrlError, read_password  # noqa: PLC0415 - its driver

    try:
        read_password(file)
    except UrlError as error:
        yield str(error)
    try:
        Dsn.parse(url, password_file=file)
    except UrlError as error:
        yield f"the URL {error}"


def span_flaws(settings: Settings, orgs: list[ReadOrg]) -> Iterator[str]:
    """Yield every granularity in use whose windows one request can't hold."""
    users: dict[Granularity, list[str]] = {}
    for org in orgs:
        granularity = org.settings.granularity or settings.defaults.granularity
        users.setdefault(granularity, []).append(org.settings.name)
    for granularity, names in users.items():
        needed = LONGEST_WINDOW[granularity]
        if settings.api.max_span < needed:
            who = shown(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            span, hours = duration_text(settings.api.max_span), needed // timedelta(hours=1)
            longest = f"{hours // 24}d and 1h" if hours > 25 else f"{hours}h"
            yield f"{span} can't hold a window of one {granularity} (up to {longest}), as needed by org {who}"


def doubts(settings: Settings, layers: Layers) -> Iterator[Problem]:
    """Yield a warning for what is valid, yet hardly meant."""
    api = settings.api
    if api.org_concurrency > api.concurrency:
        text = f"{api.org_concurrency} is more than api.concurrency, so {api.concurrency} is what an org gets"
        place = "org_concurrency" if layers.gives(("api", "org_concurrency")) else "concurrency"
        yield layers.problem(("api", place), text)
