"""Metrics over OTLP: a receiver of the protocol gets what Prometheus sees, and failures are bounded and explained."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily

from collector import __version__
from collector.adapters.metrics import Labelled, PushError, new_registry
from collector.adapters.metrics.otlp import Receiver as To
from collector.adapters.metrics.otlp import metrics_url, push_otlp
from tests.support.certificates import Authority
from tests.support.metrics import samples_of
from tests.support.needs import free_port
from tests.support.otlp import Answer, receiving
from tests.support.secrets import pieces_in
from tests.support.waiting import BOUND_S

NOW = datetime(2026, 6, 24, 10, tzinfo=UTC)
BRIEFLY_S = 3.0  # where the exporter would try until the end of the time
TOO_BUSY = Answer(503, {"retry-after": "0"})


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADERS", "COMPRESSION", "CERTIFICATE", "METRICS_HEADERS"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)


def registry() -> CollectorRegistry:
    made = new_registry()
    requests = Counter("collector_requests", "Requests", ["result"], registry=made)
    requests.labels("ok").inc(3)
    requests.labels("timeout").inc(0)
    Counter("process_cpu_seconds", "CPU", registry=made).inc(1.5)
    Gauge("collector_orgs", "Orgs of the config", registry=made).set(2)
    Gauge("collector_lag_seconds", "Lag", ["org"], registry=made).labels('a"\n\u009b').set(0.25)
    waits = Histogram("collector_wait_seconds", "Waits", ["kind"], buckets=(0.1, 1, 60), registry=made)
    for wait in (0.05, 0.5, 0.6, 1, 59, 61):
        waits.labels("a").observe(wait)
    waits.labels("b")
    return made


def push(
    url: str, *, timeout_s: float = BOUND_S, made: Any = None, instance: str | None = None, **headers: str
) -> None:
    to = To(endpoint=url, headers=headers, instance=instance)
    families = (made or registry()).collect()
    push_otlp(to, families, started_at=NOW - timedelta(hours=1), now=NOW, timeout_s=timeout_s)


def test_the_receiver_gets_the_series_that_prometheus_sees() -> None:
    made = registry()
    with receiving() as receiver:
        push(receiver.url, made=Labelled(made, {"command": "collect"}))
    assert receiver.samples == samples_of(Labelled(made, {"command": "collect"}))
    assert receiver.paths == ["/v1/metrics"]
    assert receiver.heads[0]["content-encoding"] == "gzip"


def test_units_start_and_descriptions_are_there() -> None:
    with receiving() as receiver:
        push(receiver.url)
    metrics = {metric.name: metric for metric in receiver.metrics}
    assert {name: metric.unit for name, metric in metrics.items() if metric.unit} == {
        "process_cpu_seconds_total": "s",
        "collector_lag_seconds": "s",
        "collector_wait_seconds": "s",
    }
    assert metrics["collector_orgs"].description == "Orgs of the config"
    (point,) = metrics["process_cpu_seconds_total"].sum.data_points
    begin, end = (int(at.timestamp()) * 10**9 for at in (NOW - timedelta(hours=1), NOW))
    assert (point.start_time_unix_nano, point.time_unix_nano) == (begin, end)


def test_the_resource_names_the_service_and_official_variables_override_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        push(receiver.url)
        push(receiver.url, instance="shard-0-of-2")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=a%20b,deployment.environment=test")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "usage")
        push(receiver.url, instance="shard-0-of-2")
    ours = {"service.name": "collector", "service.version": __version__}
    assert receiver.resource(0) == ours
    assert receiver.resource(1) == ours | {"service.instance.id": "shard-0-of-2"}
    assert receiver.resource(2) == ours | {
        "service.name": "usage",
        "service.instance.id": "a b",
        "deployment.environment": "test",
    }


def test_headers_come_from_official_variables_and_ours_override_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-scope-orgid=tenant,authorization=Bearer%20old")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    with receiving() as receiver:
        push(receiver.url, Authorization="Bearer new")
    head = receiver.heads[0]
    assert (head["x-scope-orgid"], head["authorization"]) == ("tenant", "Bearer new")
    assert "content-encoding" not in head


def test_many_series_are_sent_in_requests_of_a_bounded_size() -> None:
    made = CollectorRegistry()
    lag = Gauge("collector_org_lag_seconds", "Lag", ["org"], registry=made)
    for number in range(45_000):
        lag.labels(str(number)).set(number)
    with receiving() as receiver:
        push(receiver.url, made=made)
    assert len(receiver.requests) == 3
    assert receiver.samples == samples_of(made)


def test_a_busy_receiver_is_tried_again_when_it_says() -> None:
    with receiving(TOO_BUSY, TOO_BUSY, Answer()) as receiver:
        push(receiver.url)
    assert len(receiver.requests) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(400), "answered 400"),
        (Answer(401), "answered 401"),
        (Answer(500), "answered 500"),
        (Answer(307, {"location": "http://127.0.0.1:9/"}), "answered 307"),
        (Answer(429, {"retry-after": "3600"}), "answered 429"),
        (Answer(rejected=7), "refused 7 of the values"),
    ],
)
def test_what_the_receiver_does_not_take_is_an_error(answer: Answer, message: str) -> None:
    with receiving(answer) as receiver, pytest.raises(PushError, match=message):
        push(receiver.url)
    assert len(receiver.requests) == 1


def test_a_receiver_that_never_answers_times_out() -> None:
    with receiving(Answer(silent=True)) as receiver, pytest.raises(PushError, match=r"no answer (within|in time)"):
        push(receiver.url, timeout_s=0.3)


def test_a_receiver_that_is_not_there_is_named_as_the_reason() -> None:
    with pytest.raises(PushError, match=r"OTLP receiver.* is not reached: Connection refused"):
        push(f"http://127.0.0.1:{free_port()}", timeout_s=BRIEFLY_S)


def test_the_authorities_of_the_system_are_trusted_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    with receiving(certificate=authority.issue()) as receiver:
        with pytest.raises(PushError, match="certificate is not trusted"):
            push(receiver.url, timeout_s=BRIEFLY_S)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        push(receiver.url)
        monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(authority.ca_file))
        push(receiver.url)
    assert len(receiver.requests) == 2


def test_a_push_goes_through_the_proxy_and_no_proxy_excepts(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//bob:S3cr%C3%A9t@"))
        push("http://receiver.invalid:4318")
        assert proxy.paths == ["http://receiver.invalid:4318/v1/metrics"]
        assert proxy.heads[0]["proxy-authorization"].startswith("Basic ")
        monkeypatch.setenv("no_proxy", ".invalid")
        with pytest.raises(PushError, match="could not be resolved"):
            push("http://receiver.invalid:4318", timeout_s=BRIEFLY_S)


@pytest.mark.parametrize("proxy", ["http://bob:S3cr/et@127.0.0.1:1", "http://bob:S3cr%2Fet9x@127.0.0.1:1", "S3cr:et"])
def test_a_push_that_fails_shows_no_secret(
    proxy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(PushError) as caught:
        push("http://receiver.invalid:4318", timeout_s=BRIEFLY_S, authorization="S3cr/et9x")
    assert not pieces_in(f"{caught.value} {caplog.text}", "S3cr/et9x")


def test_a_secret_of_a_wrong_variable_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "S3cr/et9x")
    with receiving(Answer(401)) as receiver, pytest.raises(PushError):
        push(receiver.url)
    assert not caplog.records


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/metrics"),
        ("http://collector:4318/v1/metrics", "http://collector:4318/v1/metrics"),
        ("https://prometheus/api/v1/otlp", "https://prometheus/api/v1/otlp/v1/metrics"),
    ],
)
def test_the_path_is_added_to_the_endpoint(endpoint: str, url: str) -> None:
    assert metrics_url(endpoint) == url


def test_values_are_numbers_of_one_kind() -> None:
    """Families that are made at each scrape have whole numbers and truth values, too."""
    family = GaugeMetricFamily("collector_org_refused", "Refused", labels=["org"])
    for org, refused in (("a", True), ("b", 0), ("c", 1.0)):
        family.add_metric([org], refused)
    with receiving() as receiver:
        to = To(endpoint=receiver.url, headers={})
        push_otlp(to, [family], started_at=NOW, now=NOW, timeout_s=BOUND_S)
    (metric,) = receiver.metrics
    assert [(point.WhichOneof("value"), point.as_double) for point in metric.gauge.data_points] == [
        ("as_double", 1),
        ("as_double", 0),
        ("as_double", 1),
    ]


@pytest.mark.parametrize("name", ["CERTIFICATE", "METRICS_CLIENT_KEY"])
def test_a_variable_of_a_file_that_is_not_there_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", "/nowhere/ca.pem")
    with pytest.raises(PushError, match=f"OTEL_EXPORTER_OTLP_{name} names a file that doesn't exist"):
        push("https://127.0.0.1:1")
