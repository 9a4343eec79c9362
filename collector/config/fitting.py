"""Checks that need more than one section, or another file.

Owns whether settings that are valid by themselves work together. Parses nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from collector.adapters.paths import named
from collector.config.budget_fitting import budget_problems, idle_budgets
from collector.config.layers import Layers
from collector.config.messages import duration_text
from collector.config.orgs import ReadOrg
from collector.config.secrets import exposed
from collector.config.settings import Settings
from collector.config.urls import split_table
from collector.core.windows import Calendar
from collector.errors import Problem
from collector.model import Credential, Granularity, UnreadCredential, Window, Zone

# Windows without a change of the zone's offset are at most this long.
USUAL_LENGTH = {
    Granularity.HOUR: timedelta(hours=1),
    Granularity.DAY: timedelta(days=1),
    Granularity.WEEK: timedelta(days=7),
    Granularity.MONTH: timedelta(days=31),
}
# No window of any zone is longer than this, so that a request of this span holds each of them.
SAFE_SPAN = {
    Granularity.HOUR: timedelta(hours=4),
    Granularity.DAY: timedelta(days=2),
    Granularity.WEEK: timedelta(days=9),
    Granularity.MONTH: timedelta(days=33),
}


def misfits(settings: Settings, layers: Layers, orgs: Iterable[ReadOrg], *, last_year: int) -> Iterator[Problem]:
    """Yield a problem for all settings that are valid by themselves but don't work together."""
    if file := settings.api.ca_file:
        yield from (layers.problem(("api", "ca_file"), text) for text in ca_flaws(file))
    if file := settings.state.password_file:
        flaws = password_flaws(settings.state.url.get_secret_value(), file)
        yield from (layers.problem(("state", "password_file"), text) for text in flaws)
    if file := settings.output.password_file:
        flaws = password_flaws(split_table(settings.output.path)[0], file)
        yield from (layers.problem(("output", "password_file"), text) for text in flaws)
    yield from span_problems(settings, orgs, last_year=last_year)
    yield from price_problems(settings, layers, orgs)
    yield from budget_problems(settings, layers)


def ca_flaws(file: Path) -> Iterator[str]:
    """Yield the reasons why a file of certificate authorities can't be used."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except FileNotFoundError:
        yield f"the file {named(file)} doesn't exist"
    except ssl.SSLError:
        yield f"the file {file} contains no certificates in PEM format"
    except OSError as error:
        yield f"the file {named(file)} can't be read: {error.strerror}"


def password_flaws(url: str, file: Path) -> Iterator[str]:
    """Yield the reasons why the ledger's password can't be read from a file."""
    if not url.startswith("postgresql://"):
        return  # an option replaced the config's URL
    from collector.ledger.postgresql.dsn import Dsn, UrlError, read_password  # noqa: PLC0415 - its driver

    try:
        read_password(file)
    except UrlError as error:
        yield f"the file {named(file)} {error}"
    try:
        Dsn.parse(url, password_file=file)
    except UrlError as error:
        yield f"the URL {error}"


def span_problems(settings: Settings, orgs: Iterable[ReadOrg], *, last_year: int) -> Iterator[Problem]:
    """Yield a problem for every org with windows that one request can't hold."""
    span = settings.api.max_span
    for read in orgs:
        org = read.to_org(settings)
        if span >= SAFE_SPAN[org.granularity]:
            continue
        longest = longest_window(org.zone, org.granularity, last_year)
        if longest > span:
            length, allowed = duration_text(longest), duration_text(span)
            finer = "" if org.granularity is Granularity.HOUR else ", or choose a finer granularity for this org"
            yield read.entry.problem(
                f"a window of one {org.granularity} in {org.zone.name} can be {length} long, more than api.max_span "
                f"({allowed}): set api.max_span to {length} or more{finer}"
            )


def price_problems(settings: Settings, layers: Layers, orgs: Iterable[ReadOrg]) -> Iterator[Problem]:
    """Yield a problem for each two prices of which neither counts for an org: they are equally good, and differ."""
    prices = settings.prices.price_list()
    found: dict[tuple[int, int], str] = {}
    for read in orgs if prices else ():
        for pair in prices.clashes(read.settings.name, read.settings.labels or {}):
            found.setdefault(pair, read.settings.name)
    for (first, second), name in found.items():
        other = layers.problem(("prices", "list", first), "")
        at = f"{other.file}:{other.line}" if other.line else str(other.path)
        yield layers.problem(
            ("prices", "list", second),
            f"for the org {name!r}, this price and the one at {at} are equally specific and valid from the same date, "
            "and differ: delete one, or name the org or the product in the one that counts",
        )


@lru_cache(maxsize=4096)  # orgs share zones, and `serve` loads the config again and again
def longest_window(zone: Zone, granularity: Granularity, last_year: int) -> timedelta:
    """Return the length of the zone's longest window from 2010 to the end of that year.

    Only a window in which the zone changes its offset can be longer than the usual one, so only those are measured.
    """
    calendar = Calendar(zone, granularity)
    longest = USUAL_LENGTH[granularity]
    day = datetime(2010, 1, 1, tzinfo=UTC)
    offset = day.astimezone(zone.tz).utcoffset()
    while day.year <= last_year:
        next_day = day + timedelta(days=1)
        next_offset = next_day.astimezone(zone.tz).utcoffset()
        if next_offset != offset:
            windows = calendar.split(calendar.widen(Window(day, next_day)))
            longest = max(longest, *(window.elapsed for window in windows))
        day, offset = next_day, next_offset
    return longest


def exposed_files(settings: Settings, layers: Layers) -> Iterator[Problem]:
    """Yield a warning for each file of a secret of ours that others on this machine can read."""
    files = {
        ("state", "password_file"): settings.state.password_file,
        ("output", "password_file"): settings.output.password_file,
        ("service", "token_file"): settings.service.token_file,
        ("push", "otlp", "headers_file"): settings.push.otlp.headers_file,
    }
    for path, file in files.items():
        with suppress(OSError):  # what can't be read is reported where it is used
            if file is not None and exposed(file, file.stat().st_mode):
                yield layers.problem(path, f"others on this machine can read {file}: chmod 600 {file}")


def same_credentials(settings: Settings, orgs: Iterable[ReadOrg]) -> Iterator[Problem]:
    """Yield a warning for every org with the credential of another: both would be one organization."""
    first: dict[tuple[str, Credential], ReadOrg] = {}
    known = [read for read in orgs if not isinstance(read.credential, UnreadCredential)]
    for read in known if settings.same_organization == "refuse" else ():
        org = read.to_org(settings)
        other = first.setdefault((org.base_url, org.credential), read)
        if other is not read:
            place = other.entry.problem("", "name")
            yield read.entry.problem(
                f"has the same credential as the org at {place.file}:{place.line}: both are one organization, and runs "
                "refuse the second"
            )


def unlikely_settings(settings: Settings, layers: Layers, orgs: Collection[ReadOrg]) -> Iterator[Problem]:
    """Yield a warning for settings that are valid but probably a mistake."""
    api = settings.api
    if api.org_concurrency > api.concurrency:
        text = f"{api.org_concurrency} is more than api.concurrency ({api.concurrency}), which limits all orgs together"
        place = "org_concurrency" if layers.is_set(("api", "org_concurrency")) else "concurrency"
        yield layers.problem(("api", place), text)
    orgs = list(orgs)
    yield from idle_prices(settings, layers, orgs)
    yield from idle_budgets(settings, layers, orgs)
    yield from empty_columns(settings, layers, orgs)


def empty_columns(settings: Settings, layers: Layers, orgs: Iterable[ReadOrg]) -> Iterator[Problem]:
    """Yield a warning for each label with a column of its own that no org of the config has."""
    known = {label for read in orgs for label in read.settings.labels or {}}
    for index, label in enumerate(settings.output.labels):
        if label not in known:
            text = "no org in the config has a label of that key: its column is empty"
            yield layers.problem(("output", "labels", index), text)


def idle_prices(settings: Settings, layers: Layers, orgs: Iterable[ReadOrg]) -> Iterator[Problem]:
    """Yield a warning for each price that is for no org of the config."""
    known = [(read.settings.name, read.settings.labels or {}) for read in orgs]
    for index, price in enumerate(settings.prices.price_list().prices):
        if not any(price.is_for(name, labels) for name, labels in known):
            key = "org" if price.org is not None else "label"
            yield layers.problem(("prices", "list", index, key), "no org in the config is meant: the price is not used")
