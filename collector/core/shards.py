"""Which shard an org belongs to, by rendezvous hashing: another number of shards moves few orgs.

Each shard has a hash for each org, the same at any time and on any machine. The org belongs to the
shard with the highest hash. From N to N + 1 shards, only the new shard gains orgs: one in N + 1.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from collector.core.echo import echo
from collector.model import Org

MAX_SHARDS = 10_000
_EXPECTED = "expected I/N, such as 0/4 (I from 0), or auto/N"
_NEARLY = re.compile(r"(?:-?[0-9]{1,6}|[a-z]{1,6})?(?:/(?:-?[0-9]{1,6})?){0,3}")
_SHARD = re.compile(r"([0-9]{1,6}|auto)/([0-9]{1,6})")
_ORDINAL = re.compile(r"-([0-9]{1,6})\Z")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` processes that share the orgs of a config; `index` counts from 0."""

    index: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.of <= MAX_SHARDS:
            raise ValueError(f"the number of shards is 1 to {MAX_SHARDS}, not {self.of}")
        if not 0 <= self.index < self.of:
            raise ValueError(f"there is no shard {self}: the last one is {self.of - 1}/{self.of}")

    @classmethod
    def parse(cls, text: str, environ: Mapping[str, str]) -> Self:
        """Return the shard that a text names; for `auto/N` Kubernetes gives the index. Raises ValueError."""
        found = _SHARD.fullmatch(text)
        if found is None:
            raise ValueError(f"{_EXPECTED}; got {echo(text, _NEARLY)}")
        if found[1] != "auto":
            return cls(int(found[1]), int(found[2]))
        source, index = _index(environ)
        try:
            return cls(index, int(found[2]))
        except ValueError as error:
            raise ValueError(f"{error} (the index is from {source})") from None

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def has(self, org: Org) -> bool:
        """Say whether an org belongs to this shard."""
        return shard_of(key_of(org), self.of) == self.index


def key_of(org: Org) -> str:
    """Return the key that is hashed: the organization's id if the config pins it, else the org's name."""
    return f"id\0{org.org_id}" if org.org_id is not None else f"name\0{org.name}"


def shard_of(key: str, shards: int) -> int:
    """Return the index of the shard that a key belongs to."""
    return max(range(shards), key=lambda index: hashlib.sha256(f"{index}\0{key}".encode()).digest())


def _index(environ: Mapping[str, str]) -> tuple[str, int]:
    """Return the source of the index, and the index: from an Indexed Job, else from a StatefulSet's pod."""
    given = environ.get("JOB_COMPLETION_INDEX", "")
    if given.isascii() and given.isdigit():
        return "JOB_COMPLETION_INDEX", int(given)
    if given:
        raise ValueError(f"JOB_COMPLETION_INDEX is not an index: {given!r}")
    host = environ.get("HOSTNAME", "")
    if ordinal := _ORDINAL.search(host):
        return f"HOSTNAME={host}", int(ordinal[1])
    raise ValueError(
        "no index found: an Indexed Job sets JOB_COMPLETION_INDEX, and the HOSTNAME of a StatefulSet's pod ends "
        f"in -I, but HOSTNAME is {host!r}; or give --shard I/N"
    )
