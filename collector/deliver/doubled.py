"""Records that two directories have under the same id and revision, as the ledger didn't know those of one of them.

So it is after a restored ledger collected into a new directory. Nothing is changed: it is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import structlog

from collector.core.delivered import Listing
from collector.deliver.unsettled import Files, unreadable

log = structlog.get_logger("collector")

_NAMED = 20  # records, in a message
_RUN_FIELDS = ("collected_at", "run_id")
_Key = tuple[str, int]


def log_doubled(files: Files, directory: Path, names: Sequence[str], own: Path) -> None:
    """Log the records that files of a directory have in common with the output directory. Raises OutputError."""
    theirs = dict(_records(files, directory, names))
    if not theirs:
        return
    try:
        listing = Listing.of(files.names(own))
    except OSError as error:
        raise unreadable(own, error) from error
    doubled: dict[_Key, bool] = {}
    for key, record in _records(files, own, [name for of in listing.files.values() for name in of]):
        if (other := theirs.get(key)) is not None:
            doubled[key] = _content(record) != _content(other)
    if doubled:
        log.warning(
            "records.doubled",
            directory=str(directory),
            output=str(own),
            records=len(doubled),
            different=sum(doubled.values()),
            first=[f"{record_id} revision {revision}" for record_id, revision in sorted(doubled)[:_NAMED]],
            message=f"{len(doubled)} records are in both directories under the same record_id and revision: the ledger "
            f"didn't know those in {directory} when it emitted them again. {sum(doubled.values())} of them differ. A "
            "reader that takes both directories must take one of each: that with the newest collected_at. Later "
            "revisions follow both. Only files that are still in the two directories were compared",
        )


def _records(files: Files, directory: Path, names: Sequence[str]) -> Iterator[tuple[_Key, Mapping[str, Any]]]:
    """Yield the records of files by id and revision; lines that are no record are left out."""
    for name in names:
        try:
            content = files.records(directory / name) or b""
        except OSError as error:
            raise unreadable(directory, error) from error
        except ValueError:  # it is damaged
            continue
        for line in content.splitlines():
            try:
                record = orjson.loads(line)
                yield (record["record_id"], record["revision"]), record
            except (ValueError, TypeError, KeyError):
                continue


def _content(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _RUN_FIELDS}
