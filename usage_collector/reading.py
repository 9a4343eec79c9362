"""`latest`: the newest record of each product and window, out of a ledger or a directory of sealed files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from collector.adapters.clock import SystemClock
from collector.adapters.sinks.directory_id import ID_FILE
from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.reading import SealedFiles
from collector.app.ledgers import open_ledger_to_read
from collector.app.present import PresentReader
from collector.app.scope import EVERYTHING
from collector.config import LoadedConfig, Settings, load
from collector.config.sections import State
from collector.core.layout import RecordsName
from collector.core.present import PresentRecord, records_of
from collector.errors import ConfigError, LedgerError, OutputError
from collector.ledger import LedgerReader

_LEDGERS = ("sqlite://", "postgresql://")
_CONFIGS = {".yaml", ".yml", ".json"}


class LatestRecord(NamedTuple):
    """The newest record of one product, population, org and window: plain values, the same from every source.

    A number that is None is unknown, or not one that the product has: never zero (docs/records.md).
    """

    record_id: str
    revision: int
    org: str
    org_id: str
    org_name: str
    labels: dict[str, str]
    population: str
    product: str
    granularity: str
    timezone: str
    window_date: date  # local: sum by it
    window_start: datetime  # in UTC, as the end
    window_end: datetime
    total_tests: int | None
    total_duration: int | None
    total_screenshots: int | None
    org_users: int | None  # the same on all of a window's records: never to be summed
    quality: str
    anomalies: list[str]
    extra: dict[str, object] | None


def latest(source: str | Path) -> Iterator[LatestRecord]:
    """Yield the newest record of each `record_id`.

    `source` is a directory of sealed files, of any format and partitions; or a ledger: its URL (`sqlite:///…`,
    `postgresql://…`) or the path of its file; or a config (`.yaml`), whose ledger is read. Only with a config the
    records of a ledger have labels, those that the config has now.

    A directory is read twice, and costs the memory of one number for each record; a ledger costs next to none.
    Raises ConfigError, LedgerError and OutputError for a source that can't be read.
    """
    text = str(source)
    if text.startswith(_LEDGERS):
        return _of_ledger(_without_orgs(text))
    path = Path(source)
    if path.is_dir():
        return _of_directory(path)
    if path.suffix in _CONFIGS:
        return _of_ledger(load(path, environ=os.environ, reads_secrets=False))
    if not path.exists():
        raise ConfigError(f"{path} doesn't exist: name a directory of files, a ledger, or a config (.yaml)")
    return _of_ledger(_without_orgs(f"sqlite:///{path.absolute()}"))


def _without_orgs(url: str) -> LoadedConfig:
    """Return a config of nothing but a ledger: all orgs in it count as orgs that the config has no more."""
    return LoadedConfig(settings=Settings(state=State(url=url)), orgs=(), path=Path(), files=(), warnings=())


def _of_ledger(config: LoadedConfig) -> Iterator[LatestRecord]:
    ledger = open_ledger_to_read(config)
    if not isinstance(ledger, LedgerReader):
        raise LedgerError("there is no ledger: check its URL or path, and the directory that a relative path begins in")
    try:
        for window in PresentReader(ledger, config, EVERYTHING, now=SystemClock().now()).windows():
            for record in records_of(window):
                yield _of_present(record)
    finally:
        ledger.close()


def _of_present(record: PresentRecord) -> LatestRecord:
    values = {name: getattr(record, name) for name in LatestRecord._fields}
    values |= {name: str(values[name]) for name in ("population", "granularity", "quality")}
    values |= {name: values[name].astimezone(UTC) for name in ("window_start", "window_end")}
    values |= {"labels": dict(record.labels), "anomalies": list(record.anomalies)}
    values["extra"] = None if record.extra is None else dict(record.extra)
    return LatestRecord(**values)


def _of_directory(directory: Path) -> Iterator[LatestRecord]:
    files = SealedFiles(OsFiles())
    try:
        names = sorted(name for name in files.names(directory) if RecordsName.of(name) and not name.startswith("."))
    except OSError as error:
        raise OutputError(f"{directory} can't be read: {error.strerror}") from error
    if not names and not (directory / ID_FILE).exists():
        raise ConfigError(f"{directory} has no files of records (usage-…), and no collector has written there")
    newest: dict[bytes, tuple[str, int]] = {}
    for record in _lines(files, directory, names):
        key, order = _order(record)
        if order > newest.get(key, ("", 0)):
            newest[key] = order
    for record in _lines(files, directory, names):
        key, order = _order(record)
        if newest.get(key) == order:
            del newest[key]
            yield _of_line(record)


def _lines(files: SealedFiles, directory: Path, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for name in names:
        try:
            content = files.records(directory / name)
        except (OSError, ValueError) as error:
            raise OutputError(f"{directory / name} can't be read: {error}") from error
        for line in (content or b"").splitlines():
            yield orjson.loads(line)


def _order(record: Mapping[str, Any]) -> tuple[bytes, tuple[str, int]]:
    """Return a record's id, and what rises with each that replaces it."""
    return bytes.fromhex(record["record_id"].replace("-", "")), (record["collected_at"], record["revision"])


def _of_line(record: Mapping[str, Any]) -> LatestRecord:
    values = {name: record.get(name) for name in LatestRecord._fields}
    values |= {name: datetime.fromisoformat(record[name]).astimezone(UTC) for name in ("window_start", "window_end")}
    # Records of versions before this field: the others have it (docs/records.md).
    values["window_date"] = date.fromisoformat(record.get("window_date") or record["window_start"][:10])
    values["anomalies"] = record.get("anomalies", [])
    return LatestRecord(**values)  # type: ignore[arg-type]
