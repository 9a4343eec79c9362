"""Values that can't be right are refused by `helm template`, with what to write instead."""

from __future__ import annotations

import json
import re

import pytest

from scripts import chart_schema
from tests.deploy.helm import builds, refusals

QUANTITIES = ["1.2.3Gi", "10", "10GB", "10gi", "Gi", "-1Gi", "0Gi", "10m", "5 Gi", "10ki"]
DATES = ["2026-13-45", "2026-02-29", "2026-00-10", "26-01-01", "2026-1-1", "01.02.2026", "2014-12-31", "yesterday"]
SCHEDULES = [
    "bad", "20 * * *", "20 * * * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * * 7",
    "*/0 * * * *", "5-1 * * * *", "a * * * *", "1, * * * *", "0 0 * foo *", "@dayly", "TZ=UTC 0 0 * * *", "1.5 * * * *",
    "",
]  # fmt: skip
RIGHT_SCHEDULES = [
    "20 * * * *", "*/15 0-23/2 1,15 jan-MAR mon", "0 0 ? * SUN", "@hourly", "@every 1h30m", " 5  4 * * 0 ",
    "0/15 * 31 12 6",
]  # fmt: skip


def test_wrong_quantity_is_refused() -> None:
    wanted = {
        f"persistence: {{size: '{text}'}}\n": r"persistence\.size is .*Write a quantity|such as 10Gi"
        for text in QUANTITIES
    }
    del wanted["persistence: {size: '10'}\n"]  # ten bytes are a quantity
    for path, text in (
        ("requests: {cpu", "1 core"),
        ("limits: {memory", "1GB"),
        ("requests: {ephemeral-storage", "1..5Gi"),
    ):
        name = path.replace(": {", ".")
        wanted[f"resources: {{{path}: '{text}'}}}}\n"] = (
            rf"resources\.{name} is \"{re.escape(text)}\", which is no quantity"
        )
    wanted["resources: {limits: {memory: 448m}}\n"] = "that is less than a byte. Write a quantity such as 768Mi"
    wanted["resources: {limits: {memory: 256Mi}}\n"] = (
        r"resources.requests.memory \(320Mi\) is more than resources.limits.memory \(256Mi\)\. Set both"
    )
    wanted["resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}\n"] = r"resources.requests.cpu \(2\) is more than"
    check(wanted)


def test_right_quantity_is_taken() -> None:
    builds(
        [f"persistence: {{size: '{text}'}}\n"]
        for text in ("10Gi", "1.5Ti", "1e12", "10737418240", "512Mi", "20G", "1024Ki")
    )
    builds(
        [f"resources: {{requests: {{cpu: {cpu}}}, limits: {{cpu: {cpu}, memory: {memory}}}}}\n"]
        for cpu, memory in (("2", "1Gi"), ("0.5", "512Mi"), ("500m", "1e9"), ("1500m", "null"))
    )


def test_wrong_date_is_refused() -> None:
    wanted = {}
    for text in DATES:
        wanted[f"backfill: {{from: '{text}', to: '2026-12-31'}}\n"] = (
            "backfill.from is .*which is no date. Write one such as"
        )
    wanted["backfill: {from: '2026-01-01', to: '2026-02-30'}\n"] = "backfill.to is .*which is no date"
    wanted["orgs: [{name: a, since: '2026-02-30'}]\n"] = r"orgs\[0\].since is .*which is no date"
    wanted["config: {orgs: [{name: a, since: 'soon'}]}\n"] = r"config.orgs\[0\].since is .*which is no date"
    wanted["config: {defaults: {since: '2026-13-01'}}\n"] = r"/config/defaults/since|config.defaults.since"
    check(wanted)


def test_right_date_is_taken_also_without_quotes() -> None:
    builds([["backfill: {from: 2024-02-29, to: 2026-03-29}\n"], ["config: {defaults: {since: 2026-01-01}}\n"]])


@pytest.mark.parametrize("place", ["cronjob", "reconcile"])
def test_wrong_schedule_or_time_zone_is_refused(place: str) -> None:
    wanted = {
        f"{place}: {{schedule: {json.dumps(text)}}}\n": rf"{place}\.schedule is .*Write minute, hour, day, month and"
        for text in SCHEDULES
    }
    for zone in ("no", "", "+02:00", "Europe Berlin", "/etc"):
        wanted[f"{place}: {{timeZone: '{zone}'}}\n"] = rf"{place}\.timeZone is .*write the name of a time zone"
    check(wanted)


def test_right_schedule_is_taken() -> None:
    made = builds(
        [f"cronjob: {{schedule: '{text}', timeZone: America/Argentina/Buenos_Aires}}\n"] for text in RIGHT_SCHEDULES
    )
    assert [one.workload["spec"]["schedule"] for one in made] == RIGHT_SCHEDULES


def test_wrong_duration_or_number_is_refused() -> None:
    check(
        {
            f"reconcile: {{last: '{text}'}}\n": "reconcile.last is .*write a duration"
            for text in ("90", "0d", "d", "-1d", "3 d")
        }
        | {
            "config.api.timeout=30 seconds": "at '/config/api/timeout'",
            "config.schedule.lookback=7x": "at '/config/schedule/lookback'",
            "config.schedule.lookback=7": "at '/config/schedule/lookback'",
            "config.schedule.cron=bad": "at '/config/schedule/cron'",
            "config.schedule.reconcile.cron=bad": "at '/config/schedule/reconcile/cron'",
            "config.output.seal_at=12XB": "at '/config/output/seal_at'",
            "config.output.format=xml": "at '/config/output/format': value must be one of",
            "config.api.concurrency=0": "at '/config/api/concurrency'",
            "config.log.level=loud": "at '/config/log/level'",
        }
    )


def test_wrong_url_is_refused() -> None:
    urls = ["proxy:3128", "ftp://h", "http://", "http://h:port", "http://h/?a=b", "http://h h", "socks5://h:1080"]
    wanted = {
        f"{place}: {{{key}: '{url}'}}{'}' * place.count('{')}\n": r"is no URL of a server\. Write one such as"
        for place, key in (("proxy", "url"), ("pushgateway", "url"), ("otlp", "url"), ("config: {api", "base_url"))
        for url in urls
    }
    wanted["orgs: [{name: a, base_url: api.example.com}]\n"] = r"orgs\[0\]\.base_url is no URL of a server"
    wanted["env.COLLECTOR_PUSH__GATEWAY=push:9091"] = r"env\.COLLECTOR_PUSH__GATEWAY is no URL of a server"
    for url in ("postgres://db/c", "db:5432/c", "sqlite:///x"):
        wanted[f"postgresql: {{url: '{url}'}}\n"] = r"postgresql\.url is no URL of a ledger"
    for url in ("postgres://db/c", "sqlite://x", "memory"):
        wanted[f"config: {{state: {{url: '{url}'}}}}\n"] = r"config\.state\.url is no URL of a ledger"
    for url in ("postgresql://db/w", "s3://bucket", "/data"):
        wanted[f"table: {{url: '{url}'}}\n"] = r"table\.url is no URL of an output"
    for url in ("postgresql://db/w", "s3:///p", "gcs://b/p", "https://h/p"):
        wanted[f"config: {{output: {{path: '{url}'}}}}\n"] = r"config\.output\.path is no URL of an output"
    check(wanted)


def test_wrong_name_of_an_object_is_refused() -> None:
    places = [
        "existingSecret",
        "fullnameOverride",
        "nameOverride",
        "persistence.storageClass",
        "persistence.existingClaim",
    ]
    places += ["serviceAccount.name", "networkPolicy.monitoringNamespace"]
    check({f"{place}={name}": rf"{place} is no name" for place in places for name in ("My_Secret", "a b", "a-")})


def test_values_that_do_not_fit_together_are_refused() -> None:
    page = "config.service.token_file=/run/secrets/usage-collector/token"
    check(
        {
            "secretEnv.A.name=s,secretEnv.A.key=k,env.A=b": "secretEnv.A is also set by env.A",
            "secretEnv.COLLECTOR_SHARDS.name=s,secretEnv.COLLECTOR_SHARDS.key=k": "is also set by sharded.shards",
            "extraVolumes[0].name=data": "extraVolumes has data, which is a volume of the chart",
            "extraVolumeMounts[0].name=a,extraVolumeMounts[0].mountPath=/a": "names a, which is none of extraVolumes",
            "extraVolumeMounts[0].name=tmp,extraVolumeMounts[0].mountPath=/data/": "has the path /data/, where the",
            "ingress.host=u.example.com": "ingress is for mode: service",
            "mode=service,ingress.host=u.example.com": "Set ingress.tlsSecret: the token",
            "mode=service,ingress.host=u.example.com,ingress.tlsSecret=t": "Set config.service.token_file to a file",
            f"mode=service,ingress.host=u.example.com,ingress.tlsSecret=t,{page}": "Add u.example.com to config",
        }
    )


def check(wanted: dict[str, str]) -> None:
    found = refusals(wanted)
    assert not {value: found[value] for value, message in wanted.items() if not re.search(message, found[value])}


# ---- The schema


def test_schema_of_the_config_is_the_collector_s() -> None:
    assert chart_schema.FILE.read_text() == chart_schema.written(), "run `make reference`"


def test_schema_has_no_pattern_for_what_may_be_a_secret() -> None:
    """Helm shows a value that doesn't match."""
    found = re.findall(r'"(\w+)": \{[^{}]*(?:\{[^{}]*\}[^{}]*)*"pattern"', chart_schema.written())
    assert not [name for name in found if re.search(r"url|file|gateway|endpoint|path|token|key|env$", name)]
