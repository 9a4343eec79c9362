"""Send metrics to a receiver of OTLP (OpenTelemetry's protocol, http/protobuf) with the official exporter.

The exporter retries what the protocol says, within the time of the request, and obeys `Retry-After`. The session does
the rest: the proxy that all our requests use, no redirects (the exporter takes one for a success), why a push failed.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.core import Metric as Family

from collector import __version__
from collector.adapters.metrics.bounded import PushError, answered, reason_of, within
from collector.adapters.metrics.otlp_data import Translation
from collector.adapters.metrics.push import JOB
from collector.adapters.proxies import ProxyError, proxy_for
from collector.adapters.tabular.extras import extra

with extra("otlp", "push.otlp"):
    import requests
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
    from opentelemetry.sdk.metrics.export import Metric, MetricExportResult, MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

_PATH = "/v1/metrics"
_PEER = "OTLP receiver"
_POINTS = 20_000  # values in one request: some megabytes, where receivers usually take 20
_EARLIER = 0.8  # the exporter gives up before its thread is abandoned, so that the reason is known
_VARIABLE = "OTEL_EXPORTER_OTLP_{}"
_VARIABLE_OF_METRICS = "OTEL_EXPORTER_OTLP_METRICS_{}"

# What it logs may quote an answer, a header or a proxy. Why a push failed is logged by us.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where metrics are sent, and which instance sends them; None: the only one."""

    endpoint: str
    headers: Mapping[str, str] = field(repr=False)
    instance: str | None = None


def push_otlp(
    to: Receiver, families: Iterable[Family], *, started_at: datetime, now: datetime, timeout_s: float
) -> None:
    """Send the metrics as they are `now`; counters began at `started_at`.

    Raises PushError for the first request that fails, or isn't answered within `timeout_s`.
    """
    try:
        session = _Session(to.endpoint)
    except ProxyError as error:
        raise PushError(str(error)) from None
    _check_files()
    exporter = _exporter(to, session, timeout_s)
    resource = _resource(to.instance)

    def send(metrics: Sequence[Metric]) -> None:
        sent = exporter.export(MetricsData([_of_resource(resource, metrics)]))
        session.check(sent is MetricExportResult.SUCCESS)

    try:
        for metrics in _requests(Translation(started_at=started_at, now=now).metrics(families)):
            within(timeout_s, partial(send, metrics), peer=_PEER)
    finally:
        exporter.shutdown()


def metrics_url(endpoint: str) -> str:
    """Return the URL that metrics are sent to: as with OTEL_EXPORTER_OTLP_ENDPOINT, the path is added."""
    return endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH


class _Session(requests.Session):
    """Uses the proxy that every other request of ours uses, follows no redirect, and keeps what came of a request."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._failure: BaseException | None = None
        self._answer: requests.Response | None = None
        parts = urlsplit(endpoint)
        proxy = proxy_for(parts.scheme, parts.hostname or "", parts.port)
        self.trust_env = False
        self.proxies = {parts.scheme: proxy.whole_url} if proxy else {}

    def request(self, *args: Any, **more: Any) -> requests.Response:
        self._failure, self._answer = None, None
        try:
            self._answer = super().request(*args, **more | {"allow_redirects": False})
        except Exception as error:
            self._failure = error
            raise
        return self._answer

    def check(self, succeeded: bool) -> None:
        """Raise PushError for what the receiver did not take."""
        if self._answer is not None and not 200 <= self._answer.status_code < 300:
            raise PushError(answered(self._answer.status_code, _PEER))
        if self._failure is not None:
            raise PushError(reason_of(_first_cause(self._failure), _PEER))
        if not succeeded or self._answer is None:
            raise PushError("the metrics could not be sent: a defect of the collector, please report it")
        refused = _refused(self._answer.content)
        if refused:
            raise PushError(f"the {_PEER} refused {refused} of the values")


def _first_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _refused(body: bytes) -> int:
    """Return how many values a receiver refused, although it accepted the request."""
    try:
        return int(ExportMetricsServiceResponse.FromString(body).partial_success.rejected_data_points)
    except Exception:  # noqa: BLE001 - some receivers answer with JSON or a text
        return 0


def _check_files() -> None:
    """Raise PushError for a file that a variable names and that isn't there."""
    for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"):
        for variable in (_VARIABLE.format(name), _VARIABLE_OF_METRICS.format(name)):
            if (file := os.environ.get(variable)) and not Path(file).exists():
                raise PushError(f"{variable} names a file that doesn't exist")


def _exporter(to: Receiver, session: requests.Session, timeout_s: float) -> OTLPMetricExporter:
    paths = ssl.get_default_verify_paths()  # as the rest: the system's authorities, not those of a package
    trusted = None if _is_set("CERTIFICATE") else paths.cafile or paths.capath
    return OTLPMetricExporter(
        endpoint=metrics_url(to.endpoint),
        certificate_file=trusted,
        headers=dict(to.headers),
        timeout=timeout_s * _EARLIER,
        compression=None if _is_set("COMPRESSION") else Compression.Gzip,
        session=session,
    )


def _is_set(name: str) -> bool:
    return any(os.environ.get(variable.format(name)) for variable in (_VARIABLE, _VARIABLE_OF_METRICS))


def _resource(instance: str | None) -> Resource:
    ours = {"service.name": JOB, "service.version": __version__}
    if instance is not None:
        ours["service.instance.id"] = instance
    return Resource(ours).merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES


def _of_resource(resource: Resource, metrics: Sequence[Metric]) -> ResourceMetrics:
    scope = InstrumentationScope("usage-collector", __version__)
    return ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")


def _requests(metrics: Iterable[Metric]) -> Iterator[list[Metric]]:
    """Yield metrics in groups of a size that receivers take."""
    group: list[Metric] = []
    room = _POINTS
    for metric in metrics:
        points: Sequence[Any] = metric.data.data_points
        begin = 0
        while begin < len(points):
            piece = points[begin : begin + room]
            data: Any = metric.data
            group.append(replace(metric, data=replace(data, data_points=piece)))
            begin, room = begin + len(piece), room - len(piece)
            if not room:
                yield group
                group, room = [], _POINTS
    if group:
        yield group
