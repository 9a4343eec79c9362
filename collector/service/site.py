"""Gives the web side access to the service (implements `collector.service.web.site.Site`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from collector.ports import Clock
from collector.service import health
from collector.service.loop import Loop
from collector.service.metrics import ServiceMetrics
from collector.service.view import Observed


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSite:
    """Reads from the parts of the service. `hung_s` returns by thread how many seconds its present call has taken."""

    loop: Loop
    service_metrics: ServiceMetrics
    clock: Clock
    hung_s: Callable[[], dict[str, float]]

    def now(self) -> datetime:
        """Return the current instant, in UTC."""
        return self.clock.now()

    def observed(self) -> Observed:
        """Return the state of the service for operators."""
        return self.loop.observed

    def unhealthy(self) -> str | None:
        """Return in one line why the service hangs; None while it is alive."""
        return health.unhealthy(self.hung_s)

    def unready(self) -> str | None:
        """Return in one line why the service can't work; None while it can."""
        return health.unready(self.loop.observed)

    def metrics(self) -> bytes:
        """Return the metrics in the text format of Prometheus."""
        return self.service_metrics.text()
