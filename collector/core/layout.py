"""How sealed files look: their format, compression, partitions and columns of labels; and what their names say of it.

Until a file is sealed, it is JSON Lines under a name of its own, the *working name*: `usage-RUN-0001.csv.gz`, or
`usage-RUN-0001.by-month-org.csv.gz` if it will be partitioned. So whoever finds it knows what is to become of it. The
sealed files have the name without that, in directories as Hive names them: `month=2026-06/org=acme/usage-….csv.gz`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class RecordFormat(StrEnum):
    """A format of records."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Compression(StrEnum):
    """How a file is compressed as a whole."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class PartitionKey(StrEnum):
    """What records can be divided by into directories. The first three are of `window_date`."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    ORG = "org"
    ORG_ID = "org_id"
    POPULATION = "population"
    PRODUCT = "product"
    GRANULARITY = "granularity"


_DATE_LENGTHS = {PartitionKey.YEAR: 4, PartitionKey.MONTH: 7, PartitionKey.DAY: 10}
_ENDINGS = {Compression.NONE: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}
_COMPRESSIONS = {ending: compression for compression, ending in _ENDINGS.items()}
_DIRECTORIES = rf"(?:(?:{'|'.join(PartitionKey)})=[^/]+/)*"
_NAME = re.compile(
    rf"{_DIRECTORIES}(?P<stem>usage-(?P<run>[\w-]{{1,64}})-(?P<number>\d{{4,}}))"
    rf"(?P<by>\.by(?:-(?:{'|'.join(PartitionKey)}))+)?\.(?P<format>{'|'.join(RecordFormat)})(?P<ending>\.gz|\.zst)?"
)
_PARTITION = re.compile(rf"(?:{'|'.join(PartitionKey)})=.+", re.DOTALL)
_HIVE_ESCAPES = frozenset("\"#%'*/:=?\\{[]^\x7f")  # of Hive's FileUtils.escapePathName, besides control characters
_MOST_BYTES, _KEPT_BYTES = 255, 180  # of a directory's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How sealed files look."""

    format: RecordFormat = RecordFormat.JSONL
    compression: Compression = Compression.NONE  # of Parquet: none, since it compresses itself
    partition_by: tuple[PartitionKey, ...] = ()
    labels: tuple[str, ...] = ()  # keys that have columns of their own, in CSV and Parquet

    @property
    def is_plain(self) -> bool:
        """Whether a sealed file is what was appended to it: nothing is converted."""
        return self.format is RecordFormat.JSONL and self.compression is Compression.NONE and not self.partition_by

    @property
    def ending(self) -> str:
        """The end of a sealed file's name."""
        return f".{self.format}{_ENDINGS[self.compression]}"

    def working_name(self, run_id: str, number: int) -> str:
        """Return the name of one of a run's files until it is sealed."""
        by = f".by-{'-'.join(self.partition_by)}" if self.partition_by else ""
        return f"usage-{run_id}-{number:04}{by}{self.ending}"

    def directory_of(self, record: Mapping[str, Any]) -> str:
        """Return the directory that a record belongs to, such as `month=2026-06/org=acme`."""
        return "/".join(f"{key}={_escaped(_value(key, record))}" for key in self.partition_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsName:
    """What the name of a file of records says: a working name, or that of a sealed file with its directories."""

    run_id: str
    number: int
    sealed: str  # the last part of the sealed name
    layout: Layout  # without labels: names don't have them

    @classmethod
    def of(cls, name: str) -> RecordsName | None:
        """Read a name; return None if it isn't one of a file of records."""
        if (found := _NAME.fullmatch(name)) is None:
            return None
        form, ending = RecordFormat(found["format"]), found["ending"] or ""
        keys = tuple(map(PartitionKey, found["by"].split("-")[1:])) if found["by"] else ()
        return cls(
            run_id=found["run"],
            number=int(found["number"]),
            sealed=f"{found['stem']}.{form}{ending}",
            layout=Layout(format=form, compression=_COMPRESSIONS[ending], partition_by=keys),
        )


def sealed_as(name: str, names: Iterable[str]) -> list[str]:
    """Return those of the names that a file with this working name has where it is sealed."""
    wanted = RecordsName.of(name)
    sealed = wanted.sealed if wanted else name
    return [one for one in names if one.rpartition("/")[2] == sealed]


def is_partition(name: str) -> bool:
    """Return whether a directory's name is one that partitions have."""
    return _PARTITION.fullmatch(name) is not None


def _value(key: PartitionKey, record: Mapping[str, Any]) -> str:
    length = _DATE_LENGTHS.get(key)
    return str(record[key]) if length is None else str(record["window_date"])[:length]


def _escaped(value: str) -> str:
    """Return a value as Hive writes it into a directory's name.

    A value that is too long for a name is cut, and its hash makes the name unique: the records have it whole.
    """
    text = "".join(map(_escape, value)) or "__HIVE_DEFAULT_PARTITION__"
    if len(text.encode()) <= _MOST_BYTES - max(map(len, PartitionKey)) - 1:
        return text
    kept = ""
    for one in map(_escape, value):
        if len((kept + one).encode()) > _KEPT_BYTES:
            break
        kept += one
    return f"{kept}~{hashlib.sha256(value.encode()).hexdigest()[:16]}"


def _escape(character: str) -> str:
    if character in _HIVE_ESCAPES or not character.isprintable():
        return "".join(f"%{byte:02X}" for byte in character.encode())
    return character
