"""The network policy opens the way to each server that the values name, wherever they name it, and to nothing else."""

from __future__ import annotations

import re
from typing import Any

from tests.deploy.helm import builds, built, refusals
from tests.deploy.manifests import Built
from tests.deploy.support import DEPLOY

TO = "{}.to[0].ipBlock.cidr=10.0.0.5/32"
PEER = [{"ipBlock": {"cidr": "10.0.0.5/32"}}]

# Values, and the ports that are open by which policy.
OPEN = {
    "postgresql.url=postgresql://u@db/c": ("postgresql", [5432]),
    "postgresql.url=postgresql://u@db:6432/c": ("postgresql", [6432]),
    "postgresql.url=postgresql://u@a:6432\\,b\\,[fd00::1]:6433/c": ("postgresql", [6432, 5432, 6433]),
    "postgresql.url=postgresql:///c?host=db&port=6434": ("postgresql", [6434]),
    "postgresql.url=postgresql://u@db:6432/c,postgresql.port=5432": ("postgresql", [5432]),
    "config.state.url=postgresql://u@db:6432/c": ("postgresql", [6432]),
    "env.COLLECTOR_STATE__URL=postgresql://u@db:6432/c": ("postgresql", [6432]),
    "secretEnv.COLLECTOR_STATE__URL.name=s,secretEnv.COLLECTOR_STATE__URL.key=k": ("postgresql", [5432]),
    "table.url=postgresql://u@db/w/t": ("table", [5432]),
    "config.output.path=postgresql://u@db:6432/w/t": ("table", [6432]),
    "env.COLLECTOR_OUTPUT__PATH=postgresql://u@db/w/s.t?sslmode=require": ("table", [5432]),
    "proxy.url=http://proxy:3128": ("proxy", [3128]),
    "proxy.url=http://proxy": ("proxy", [80]),
    "env.HTTPS_PROXY=http://proxy:8080": ("proxy", [8080]),
    "env.https_proxy=http://proxy:8080": ("proxy", [8080]),
    "secretEnv.HTTPS_PROXY.name=s,secretEnv.HTTPS_PROXY.key=k,proxy.port=3128": ("proxy", [3128]),
    "pushgateway.url=http://push:9092": ("pushgateway", [9092]),
    "config.push.gateway=http://push:9091/": ("pushgateway", [9091]),
    "env.COLLECTOR_PUSH__GATEWAY=http://push.example.com": ("pushgateway", [80]),
    "otlp.url=https://otlp.example.com/v1": ("otlp", [443]),
    "config.push.otlp.endpoint=http://otlp:4318": ("otlp", [4318]),
    "env.COLLECTOR_PUSH__OTLP__ENDPOINT=http://otlp:4318": ("otlp", [4318]),
}


def test_server_is_reached_on_the_port_of_its_url_wherever_that_stands() -> None:
    for (values, (name, ports)), one in zip(
        OPEN.items(), builds([v, TO.format(n)] for v, (n, _) in OPEN.items()), strict=True
    ):
        assert opened(one) == {name: (PEER, ports)}, values


def opened(one: Built) -> dict[str, tuple[list[Any], list[int]]]:
    """By each policy beside the first: where to, on which ports."""
    found = {}
    for policy in one.kind("NetworkPolicy"):
        name = policy["metadata"]["name"].removeprefix("usage-collector").removeprefix("-")
        (rule, *more) = policy["spec"]["egress"]
        if name:
            assert not more
            found[name] = (rule["to"], [port["port"] for port in rule["ports"]])
    return found


def test_table_may_be_where_the_ledger_is_or_elsewhere() -> None:
    """`table.to` is `postgresql.to`, unless it is set."""
    values = "config.output.path=postgresql://u@db/w/t,postgresql.to[0].ipBlock.cidr=10.0.0.5/32"
    assert opened(built(values)) == {"table": (PEER, [5432])}
    both = opened(built(values, "postgresql.url=postgresql://u@ledger:6432/c", "table.to[0].podSelector.a=b"))
    assert both == {"postgresql": (PEER, [6432]), "table": ([{"podSelector": {"a": "b"}}], [5432])}


def test_a_url_that_does_not_count_opens_nothing() -> None:
    """The environment overrides the config, and the config of another ConfigMap isn't known."""
    one, other = builds(
        [
            ["config.state.url=postgresql://u@db/c", "env.COLLECTOR_STATE__URL=none"],
            ["orgs: []\nexistingConfigMap: mine\nconfig: {state: {url: postgresql://u@db/c}}\n"],
        ]
    )
    assert opened(one) == opened(other) == {}


def test_rules_of_the_user_are_added() -> None:
    values = "networkPolicy: {egress: [{to: [{ipBlock: {cidr: 10.0.0.9/32}}], ports: [{port: 9000}]}]}\n"
    policy = built(values).named("NetworkPolicy", "usage-collector")["spec"]["egress"]
    assert policy[-1] == {"to": [{"ipBlock": {"cidr": "10.0.0.9/32"}}], "ports": [{"port": 9000}]}
    assert len(policy) == 3


def test_documented_values_of_an_output_elsewhere_are_taken() -> None:
    text = (DEPLOY.parent / "docs" / "outputs.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (values,) = [block for block in blocks if "envFrom" in block]
    one = built(values)
    assert one.container["envFrom"][-1] == {"secretRef": {"name": "cloud-credentials"}}
    assert opened(one) == {}


def test_server_without_a_place_or_a_port_is_refused() -> None:
    wanted = {
        "proxy.url=http://p:3128": r"Set proxy.to: where it is.*\(proxy.url uses it\.\)",
        "env.HTTPS_PROXY=http://p:3128": r"Set proxy.to: where it is.*\(env.HTTPS_PROXY uses it\.\)",
        f"secretEnv.HTTPS_PROXY.name=s,secretEnv.HTTPS_PROXY.key=k,{TO.format('proxy')}": "Set proxy.port: the URL is",
        "postgresql.url=postgresql://u@db:70000/c": "postgresql.url has a port that isn't between 1 and 65535",
        "mode=sharded,env.COLLECTOR_STATE__URL=none": "mode: sharded needs postgresql.url",
    }
    found = refusals(wanted)
    assert not {value: found[value] for value, message in wanted.items() if not re.search(message, found[value])}


def test_server_s_place_is_not_needed_if_another_rule_opens_the_way_or_nothing_closes_it() -> None:
    builds(
        [
            ["proxy.url=http://p:3128", "networkPolicy.egress[0].to[0].ipBlock.cidr=10.0.0.5/32"],
            ["proxy.url=http://p:3128", "networkPolicy.enabled=false"],
            ["mode=sharded", "config.state.url=postgresql://u@db/c"],
        ]
    )


def test_variables_come_from_secrets_of_the_user() -> None:
    """For a table with PGPASSWORD, or keys of an object store. A shard keeps its own variable."""
    values = """
      mode: sharded
      postgresql: {url: postgresql://u@db/c, passwordFile: ""}
      secretEnv: {PGPASSWORD: {name: "123", key: "0042"}}
      envFrom: [{secretRef: {name: cloud, optional: true}}]
    """
    one = built(values)
    assert one.container["envFrom"] == [
        {"configMapRef": {"name": "usage-collector-env"}},
        {"secretRef": {"name": "cloud", "optional": True}},
    ]
    assert one.container["env"] == [
        {"name": "COLLECTOR_SHARDS", "value": "4"},
        {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": "123", "key": "0042"}}},
    ]
    assert one.named("ConfigMap", "usage-collector-env")["data"] == {"COLLECTOR_STATE__URL": "postgresql://u@db/c"}
    (check,) = one.kind("Pod")
    assert check["spec"]["containers"][0]["envFrom"] == one.container["envFrom"]
