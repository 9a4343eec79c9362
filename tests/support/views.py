"""What operators see, made up: views to render."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from collector.core.org_coverage import CredentialStanding, CredentialStatus, OrgCoverage, PopulationCoverage
from collector.model import Granularity, Population, ProductUsage, Window
from collector.service.view import Observed

NOW = datetime(2026, 6, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def population_view(population: Population = Population.ACCOUNT_USER, **changes: Any) -> PopulationCoverage:
    values: dict[str, Any] = {
        "population": population,
        "counts": {"complete": 30},
        "first_gap": None,
        "last_success": NOW - timedelta(hours=2),
        "newest_complete": NOW - timedelta(hours=12),
        "newest_due": NOW - timedelta(hours=12),
        "oldest_usage": Window(NOW - 30 * DAY, NOW - 29 * DAY),
        "newest_usage": {"automation": ProductUsage(total_tests=10, total_duration=1000)},
        "newest_users": 3,
    }
    return PopulationCoverage(**(values | changes))


def org_view(name: str = "acme", **changes: Any) -> OrgCoverage:
    values: dict[str, Any] = {
        "name": name,
        "org_id": "1",
        "org_name": name.title(),
        "labels": {},
        "timezone": "UTC",
        "granularity": Granularity.DAY,
        "credential": CredentialStatus(standing=CredentialStanding.ACCEPTED),
        "populations": [population_view(population) for population in Population],
        "last_day": date(2026, 6, 23),
    }
    return OrgCoverage(**(values | changes))


def observed(*orgs: OrgCoverage, **changes: Any) -> Observed:
    values: dict[str, Any] = {
        "version": "0",
        "started_at": NOW - DAY,
        "config_path": "collector.yaml",
        "config_loaded_at": NOW - DAY,
        "cron": "20 * * * *",
        "next_run": NOW + timedelta(minutes=20),
        "next_reconcile": NOW + timedelta(days=3),
        "orgs": {org.name: org for org in orgs},
        "snapshot_at": NOW,
    }
    return Observed(**(values | changes))
