"""A receiver of OTLP over HTTP: it decodes what the protocol says, and answers as a test wants."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from tests.support.certificates import Certificate
from tests.support.metrics import Samples
from tests.support.waiting import BOUND_S


@dataclass(frozen=True)
class Answer:
    """`rejected`: values that are refused although the request is accepted."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    rejected: int = 0
    silent: bool = False  # until the receiver ends


@dataclass
class Receiver:
    """`answers` are given one after the other, the last one again and again."""

    url: str
    answers: list[Answer]
    requests: list[ExportMetricsServiceRequest] = field(default_factory=list)
    heads: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def metrics(self) -> list[Metric]:
        return [
            metric
            for request in self.requests
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def resource(self, number: int = -1) -> dict[str, str]:
        (one,) = self.requests[number].resource_metrics
        return labels_of(one.resource.attributes)

    @property
    def samples(self) -> Samples:
        """The newest values, as Prometheus has them: buckets count all that is below them, too."""
        found: Samples = {}
        for metric in self.metrics:
            for name, labels, value in _values(metric):
                found[name, frozenset(labels.items())] = value
        return found

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def labels_of(pairs: Sequence[KeyValue]) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in pairs}


def _values(metric: Metric) -> Iterator[tuple[str, dict[str, str], float]]:
    match metric.WhichOneof("data"):
        case "sum":
            assert metric.sum.is_monotonic
            assert metric.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
            for point in metric.sum.data_points:
                assert 0 < point.start_time_unix_nano <= point.time_unix_nano
                yield metric.name, labels_of(point.attributes), point.as_double
        case "gauge":
            for point in metric.gauge.data_points:
                yield metric.name, labels_of(point.attributes), point.as_double
        case "histogram":
            assert metric.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
            for place in metric.histogram.data_points:
                assert 0 < place.start_time_unix_nano <= place.time_unix_nano
                assert not place.HasField("min")
                labels = labels_of(place.attributes)
                reached = 0
                for bound, count in zip([*place.explicit_bounds, float("inf")], place.bucket_counts, strict=True):
                    reached += count
                    yield (
                        f"{metric.name}_bucket",
                        labels | {"le": "+Inf" if bound == float("inf") else str(bound)},
                        reached,
                    )
                assert reached == place.count
                yield f"{metric.name}_count", labels, place.count
                yield f"{metric.name}_sum", labels, place.sum
        case other:
            raise AssertionError(other)


@contextmanager
def receiving(*answers: Answer, certificate: Certificate | None = None) -> Iterator[Receiver]:
    """A receiver on loopback, with TLS if it has a certificate, until the block ends."""
    receiver: Receiver

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            assert self.headers["content-type"] == "application/x-protobuf"
            receiver.paths.append(self.path)
            receiver.heads.append({name.lower(): value for name, value in self.headers.items()})
            receiver.requests.append(ExportMetricsServiceRequest.FromString(body))
            answer = receiver.next_answer()
            if answer.silent:
                receiver.over.wait(BOUND_S)
                self.close_connection = True
                return
            response = ExportMetricsServiceResponse()
            response.partial_success.rejected_data_points = answer.rejected
            content = response.SerializeToString()
            self.send_response(answer.status)
            for name, value in {"content-length": str(len(content)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            server.socket = certificate.server_context().wrap_socket(server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        receiver = Receiver(f"{scheme}://127.0.0.1:{server.server_address[1]}", list(answers) or [Answer()])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.over.set()
            server.shutdown()
            thread.join(BOUND_S)
