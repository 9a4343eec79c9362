"""The names and labels that a record has beside its numbers: `relabel` restates the records that have others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson

from collector.model import Org

_BYTES = 6  # it fits a signed integer of 64 bits, and two namings of one org never collide by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An organization as its records name it."""

    org_id: str
    org_name: str


def naming(org: Org, org_name: str) -> int:
    """Return the fingerprint of what records say about an org: its name in the config, the API's, and the labels."""
    text = orjson.dumps([org.name, org_name, sorted(org.labels.items())])
    return int.from_bytes(hashlib.blake2b(text, digest_size=_BYTES).digest(), "big")
