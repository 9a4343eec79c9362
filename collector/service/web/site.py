"""What the web side needs of the service: everything is there already, nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from collector.service.view import Observed


class Site(Protocol):
    """The service, as seen from a request. Called on the event loop; nothing here may block."""

    def now(self) -> datetime:
        """Return the current instant, in UTC."""
        ...

    def observed(self) -> Observed:
        """Return what operators see."""
        ...

    def unhealthy(self) -> str | None:
        """Return on one line why the service hangs; None while it is alive."""
        ...

    def unready(self) -> str | None:
        """Return on one line why the service can't do its work; None while it can."""
        ...

    def metrics(self) -> bytes:
        """Return the metrics in the text format of Prometheus."""
        ...

    def report_options(self) -> Sequence[str]:
        """Return the options that make `collector report` mean what the service collects."""
        ...
