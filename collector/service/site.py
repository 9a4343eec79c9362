"""Gives the web side access to the service (implements `collector.service.web.site.Site`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from collector.app.scope import Scope
from collector.config.urls import contains_password
from collector.ports import Clock
from collector.service import health
from collector.service.loop import Loop
from collector.service.metrics import ServiceMetrics
from collector.service.view import Observed
from collector.service.web.reports import options_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSite:
    """Reads from the parts of the service. `hung_s` returns by thread how many seconds its present call has taken."""

    loop: Loop
    service_metrics: ServiceMetrics
    clock: Clock
    hung_s: Callable[[], dict[str, float]]
    scope: Scope

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

    def report_options(self) -> Sequence[str]:
        """Return the options that make `collector report` mean what the service collects.

        A URL with a password is not among them, since others could read it: it stands in the config, or in a variable,
        which the command reads as well.
        """
        config, scope = self.loop.config, self.scope
        state = config.settings.state.url.get_secret_value()
        costs = ["--costs"] if config.prices else []
        return costs + options_of(config.path, state=None if contains_password(state) else state, scope=scope.options)
