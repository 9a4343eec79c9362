"""The history of an org in the ledger: its slices as few spans, the recent ones also day by day.

A slice in doubt (`core.org_coverage`) says only that, and when it was answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from collector.core.anomalies import Anomalies
from collector.core.emission import Emission
from collector.core.org_coverage import CoverageState
from collector.errors import RefusalReason
from collector.model import Population, SliceState, Window

Piece = tuple[CoverageState, Window]  # slices that follow each other in one state


@dataclass(frozen=True, slots=True)
class LastFetch:
    """The slice of an org that was fetched last, and what came of it."""

    at: datetime
    state: SliceState
    code: str | None
    complete_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """That an org has been refused since its last answer."""

    reason: RefusalReason
    message: str | None  # None: not known, since an older version saw it
    fingerprint: str | None  # of the credential's user at the last refusal; None for a token
    first_at: datetime
    last_at: datetime


@dataclass(slots=True)
class PopulationHistory:
    """One population: its slices as spans, oldest first, and what its recent slices say."""

    spans: list[Piece] = field(default_factory=list)
    tests: dict[datetime, int | None] = field(default_factory=dict)  # of recent, complete windows, by their start
    reasons: Counter[str] = field(default_factory=Counter)  # why recent slices are not complete
    anomalies: list[tuple[Window, Anomalies]] = field(default_factory=list)  # recent slices, oldest first
    last_answer: datetime | None = None  # when a complete answer last came
    last_success: datetime | None = None  # the same, without answers in doubt
    oldest_usage: Window | None = None
    newest: tuple[Window, Emission] | None = None  # the newest recent window of which anything was emitted


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The history of one org."""

    ranges: Sequence[Window] = ()  # of backfills
    populations: Mapping[Population, PopulationHistory] = field(default_factory=dict)
    last_fetch: LastFetch | None = None
    refusal: Refusal | None = None
