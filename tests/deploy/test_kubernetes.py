"""Every overlay against Kubernetes, and against the program that it runs."""

from __future__ import annotations

import functools
import ipaddress
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from collector import __version__
from collector.config import LoadedConfig, load
from collector.core.exit_codes import ExitCode
from collector.run.run import OUTPUT_GRACE_S
from tests.deploy.manifests import KUBERNETES, OVERLAYS, WORKLOADS, Built, Object, built_with, leaves
from tests.deploy.support import assert_taken
from tests.support.monitoring import PROMETHEUS

VERSIONS = ("1.33", "1.35", "1.37")
JOBS = ("backfill", "backfill-sharded", "cronjob", "reconcile")
SERVICES = ("service", "service-sharded")
SHARDED = ("backfill-sharded", "service-sharded")
SECRETS = "/run/secrets/usage-collector"
SEALING_S = 10  # to seal files and close the ledger, behind what is waited for on purpose


@functools.cache
def built(overlay: str) -> Built:
    return Built.of(KUBERNETES / "overlays" / overlay)


def config_of(one: Built, directory: Path) -> LoadedConfig:
    """The config that a pod loads, with made-up secrets in the files that it names."""
    file = one.write_config(directory)
    secrets = directory / SECRETS.lstrip("/")
    secrets.mkdir(parents=True)
    for part in file.parent.glob("*.yaml"):
        text = part.read_text()
        for name in re.findall(rf"{SECRETS}/([\w.-]+)", text):
            (secrets / name).write_text("made-up")
            (secrets / name).chmod(0o400)  # where they really are, the mode is Kubernetes'
        part.write_text(text.replace(SECRETS, str(secrets)))
    environ = {name: value.replace(SECRETS, str(secrets)) for name, value in one.environ.items()}
    for value in environ.values():
        if value.startswith(str(secrets)):
            Path(value).write_text("made-up")
            Path(value).chmod(0o400)
    return load(file, environ=environ)


# ---- Kubernetes


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid(overlay: str, version: str) -> None:
    for one in built(overlay).objects:
        assert kubernetes_validate.validate(one, version, strict=True) == version


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_objects_are_in_the_namespace_and_name_what_there_is(overlay: str) -> None:
    one = built(overlay)
    (namespace,) = one.kind("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for other in one.objects:
        assert other is namespace or other["metadata"]["namespace"] == namespace["metadata"]["name"]
        assert other["metadata"]["labels"]["app.kubernetes.io/name"] == "usage-collector"
    secrets = []
    for path, value in leaves(one.pod):
        match path[-2:]:
            case ("configMap" | "configMapRef" | "configMapKeyRef", "name"):
                one.named("ConfigMap", str(value))
            case ("persistentVolumeClaim", "claimName"):
                one.named("PersistentVolumeClaim", str(value))
            case ("secret", "secretName"):
                secrets.append(value)
            case (_, "serviceAccountName"):
                one.named("ServiceAccount", str(value))
            case _:
                pass
    assert secrets == ["usage-collector-credentials"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_meet_the_restricted_standard_and_more(overlay: str) -> None:
    one = built(overlay)
    pod, container = one.pod, one.container
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
    kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_files_that_only_the_collector_reads(overlay: str) -> None:
    one = built(overlay)
    mount = one.mounts[SECRETS]
    assert mount["readOnly"] is True
    assert mount["secret"]["defaultMode"] == 0o440  # root's, and through fsGroup the collector's
    assert not [path for path, _ in leaves(one.pod) if "secretKeyRef" in path or "secretRef" in path]
    assert not one.kind("Secret")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_policy_lets_out_only_names_and_https_beyond_private_ranges(overlay: str) -> None:
    policy = built(overlay).named("NetworkPolicy", "usage-collector")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["podSelector"]["matchLabels"].items() <= built(overlay).template["metadata"]["labels"].items()
    names, beyond = policy["egress"]
    assert {(port["protocol"], port["port"]) for port in names["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert beyond["ports"] == [{"protocol": "TCP", "port": 443}]
    blocks = [to["ipBlock"] for to in beyond["to"]]
    public = ["93.184.216.34", "2606:2800:220:1::1"]
    private = ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.169.254", "127.0.0.1"]
    private += ["fd00::1", "fe80::1", "::1", "64:ff9b::a00:1"]
    assert [address for address in (*public, *private) if allowed(address, blocks)] == public


def allowed(address: str, blocks: list[Object]) -> bool:
    ip = ipaddress.ip_address(address)
    return any(
        ip in ipaddress.ip_network(block["cidr"])
        and not any(ip in ipaddress.ip_network(but) for but in block.get("except", []))
        for block in blocks
    )


# ---- The program


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_arguments_are_ones_that_the_command_takes(overlay: str) -> None:
    one = built(overlay)
    assert "command" not in one.container  # the image's entry point
    assert_taken(one.args)
    assert one.args[0] == overlay.removesuffix("-sharded").replace("cronjob", "collect").replace("service", "serve")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_config_and_variables_are_valid_and_nothing_in_them_is_ignored(overlay: str, tmp_path: Path) -> None:
    config = config_of(built(overlay), tmp_path)
    assert [org.name for org in config.orgs] == ["acme"]
    assert config.warnings == ()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_it_writes_goes_to_a_volume_and_only_scratch_to_the_pod(overlay: str, tmp_path: Path) -> None:
    one = built(overlay)
    settings = config_of(one, tmp_path).settings
    writable = {path for path, mount in one.mounts.items() if not mount.get("readOnly")}
    assert writable == {"/data", "/tmp"}  # noqa: S108 - the pod's own
    assert "emptyDir" not in one.mounts["/data"]
    assert settings.output.path.startswith("/data/")
    url = settings.state.url.get_secret_value()
    assert url.startswith("postgresql://" if overlay in SHARDED else "sqlite:////data/")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_stop_leaves_time_to_drain_write_and_seal(overlay: str, tmp_path: Path) -> None:
    one = built(overlay)
    needed = config_of(one, tmp_path).settings.service.grace.total_seconds() + OUTPUT_GRACE_S + SEALING_S
    assert needed <= one.pod["terminationGracePeriodSeconds"] <= 2 * needed


@pytest.mark.parametrize("overlay", SERVICES)
def test_ports_and_paths_are_those_that_serve_answers_on(overlay: str, tmp_path: Path) -> None:
    one = built(overlay)
    service = config_of(one, tmp_path).settings.service
    assert service.host == "0.0.0.0"  # noqa: S104 - the pod's own, behind the network policy
    assert one.ports == {"http": service.port}
    probes = {name: one.container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {"http"}
    paths = {name: probe["path"] for name, probe in probes.items()}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    annotations = one.template["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(service.port)
    assert annotations["prometheus.io/path"] == "/metrics"
    policy = one.named("NetworkPolicy", "usage-collector")["spec"]["ingress"]
    assert [rule["ports"] for rule in policy] == [[{"protocol": "TCP", "port": service.port}]]
    (front,) = one.kind("Service")
    assert [port["targetPort"] for port in front["spec"]["ports"]] == ["http"]
    assert front["spec"]["selector"].items() <= one.template["metadata"]["labels"].items()


@pytest.mark.parametrize("overlay", JOBS)
def test_exit_codes_are_retried_where_that_can_help(overlay: str) -> None:
    job = built(overlay).job
    again = {ExitCode.DEFECT, ExitCode.OUTPUT, ExitCode.BUSY, ExitCode.INTERRUPTED, ExitCode.TERMINATED}
    person = {ExitCode.USAGE: "FailJob", ExitCode.REFUSED: "FailJob", ExitCode.INCOMPLETE: "Count"}
    if overlay == "cronjob":
        person[ExitCode.INCOMPLETE] = "FailJob"  # the next run repairs
    if overlay == "backfill-sharded":
        person[ExitCode.REFUSED] = "FailIndex"  # the other shards' orgs aren't refused
    wanted = {code: person.get(code, "Count") for code in ExitCode if code is not ExitCode.OK}
    assert {code: outcome(job, code) for code in wanted} == wanted
    assert again == {code for code, action in wanted.items() if action == "Count"} - {ExitCode.INCOMPLETE}
    assert 3 <= job["backoffLimitPerIndex" if overlay == "backfill-sharded" else "backoffLimit"] <= 6


@pytest.mark.parametrize("overlay", JOBS)
def test_disruption_never_counts_as_a_try_whatever_the_exit_code(overlay: str) -> None:
    first = built(overlay).job["podFailurePolicy"]["rules"][0]
    assert first == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert built(overlay).pod["restartPolicy"] == "Never"
    assert built(overlay).job["podReplacementPolicy"] == "Failed"


def outcome(job: Object, code: int) -> str:
    """What Kubernetes does about an exit code: the first rule that fits."""
    for rule in job["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes")
        if codes and (code in codes["values"]) == (codes["operator"] == "In"):
            assert codes["containerName"] == "collector"
            return str(rule["action"])
    return "Count"


def test_runs_of_the_cronjob_never_overlap_nor_hang_for_ever(tmp_path: Path) -> None:
    one = built("cronjob")
    spec = one.workload["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["schedule"] == config_of(one, tmp_path).settings.schedule.cron
    assert 60 < spec["startingDeadlineSeconds"] < 3600
    assert one.job["activeDeadlineSeconds"] + one.pod["terminationGracePeriodSeconds"] < 3600
    assert spec["successfulJobsHistoryLimit"] >= 1
    assert spec["failedJobsHistoryLimit"] >= 1


def test_reconcile_runs_when_the_service_would_and_over_the_same_time(tmp_path: Path) -> None:
    one = built("reconcile")
    spec, schedule = one.workload["spec"], config_of(one, tmp_path).settings.schedule
    assert (spec["concurrencyPolicy"], spec["schedule"]) == ("Forbid", schedule.reconcile.cron)
    assert one.args[one.args.index("--last") + 1] == f"{schedule.reconcile.last.days}d"
    assert spec["startingDeadlineSeconds"] >= 3600
    assert one.workload["metadata"]["name"] != built("cronjob").workload["metadata"]["name"]


def test_there_is_one_service_and_while_it_is_replaced_none() -> None:
    spec = built("service").workload["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("overlay", ["backfill", "cronjob", "reconcile", "service"])
def test_pods_that_share_a_ledger_file_share_a_node(overlay: str) -> None:
    one = built(overlay)
    (term,) = one.pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= one.template["metadata"]["labels"].items()
    assert one.mounts["/data"]["persistentVolumeClaim"]["claimName"] == "usage-collector-data"


@pytest.mark.parametrize("overlay", SHARDED)
def test_number_of_shards_is_that_of_the_pods(overlay: str) -> None:
    one = built(overlay)
    spec = one.workload["spec"]
    shards = one.environ["COLLECTOR_SHARDS"]
    if overlay == "service-sharded":
        assert str(spec["replicas"]) == shards
        assert spec["serviceName"] == one.kind("Service")[0]["metadata"]["name"]
        assert one.kind("Service")[0]["spec"]["clusterIP"] == "None"
    else:
        assert str(spec["completions"]) == shards
        assert spec["completionMode"] == "Indexed"
        assert "backoffLimitPerIndex" in spec
        claim = one.named("PersistentVolumeClaim", "usage-collector-shards")
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize("overlay", SHARDED)
def test_shards_may_reach_the_database_and_nothing_else_besides(overlay: str) -> None:
    (rule,) = built(overlay).named("NetworkPolicy", "usage-collector-postgresql")["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 5432}]
    assert "sslmode=verify-full" in built(overlay).environ["COLLECTOR_STATE__URL"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_image_is_the_released_version_by_its_digest(overlay: str) -> None:
    image = built(overlay).container["image"]
    assert re.fullmatch(rf"[\w.-]+/usage-collector:{re.escape(__version__)}@sha256:[0-9a-f]{{64}}", image)
    assert built(overlay).container["imagePullPolicy"] == "IfNotPresent"  # the digest is always the same image


def test_pods_differ_in_nothing_but_what_their_way_of_running_needs() -> None:
    own = ("args", "env", "ports", "startupProbe", "livenessProbe", "readinessProbe")
    containers = [{k: v for k, v in built(o).container.items() if k not in own} for o in OVERLAYS]
    pods = []
    for overlay in OVERLAYS:
        pod = dict(built(overlay).pod)
        for key in ("containers", "restartPolicy", "affinity", "topologySpreadConstraints"):
            pod.pop(key, None)
        pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != "data"]
        pods.append(pod)
    assert all(one == pods[0] for one in pods)
    for container in containers:
        container.pop("envFrom")
    assert all(one == containers[0] for one in containers)


# ---- Components


def test_pod_monitor_replaces_the_annotations(tmp_path: Path) -> None:
    one = built_with("podmonitor", "service", tmp_path)
    (monitor,) = one.kind("PodMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= one.template["metadata"]["labels"].items()
    assert [end["port"] for end in monitor["spec"]["podMetricsEndpoints"]] == [*one.ports]
    assert "annotations" not in one.template["metadata"]
    (rule,) = one.named("NetworkPolicy", "usage-collector")["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [
        one.ports[end["port"]] for end in monitor["spec"]["podMetricsEndpoints"]
    ]


def test_each_discovery_gives_the_job_and_the_same_lasting_instance(tmp_path: Path) -> None:
    """The relabelling itself: tests/acceptance/test_prometheus."""
    (monitor,) = built_with("podmonitor", "service", tmp_path).kind("PodMonitor")
    (end,) = monitor["spec"]["podMetricsEndpoints"]
    shipped = yaml.safe_load((PROMETHEUS / "prometheus.kubernetes.yml").read_text())
    (scrape,) = shipped["scrape_configs"]
    assert scrape["job_name"] == "collector"
    assert {"targetLabel": "job", "replacement": "collector"} in end["relabelings"]
    (ours,) = [one for one in scrape["relabel_configs"] if one.get("target_label") == "instance"]
    (theirs,) = [one for one in end["relabelings"] if one.get("targetLabel") == "instance"]
    assert list(ours.values()) == [theirs[key] for key in ("sourceLabels", "regex", "targetLabel", "replacement")]
    (discovery,) = scrape["kubernetes_sd_configs"]
    assert discovery["namespaces"]["names"] == [monitor["metadata"]["namespace"]]


def test_proxy_has_its_place_in_variables_and_policy(tmp_path: Path) -> None:
    one = built_with("proxy", "cronjob", tmp_path)
    proxy: str = one.environ["HTTPS_PROXY"]
    (rule,) = one.named("NetworkPolicy", "usage-collector-proxy")["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": int(proxy.rpartition(":")[2])}]
    value: dict[str, Any] = one.named("NetworkPolicy", "usage-collector-proxy")
    assert value["metadata"]["namespace"] == "usage-collector"


@pytest.mark.parametrize("overlay", JOBS)
def test_pushgateway_has_its_place_in_variables_and_policy(overlay: str, tmp_path: Path) -> None:
    one = built_with("pushgateway", overlay, tmp_path)
    gateway = urlsplit(config_of(one, tmp_path / "pod").settings.push.gateway or "")
    (rule,) = one.named("NetworkPolicy", "usage-collector-pushgateway")["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": gateway.port}]
    (peer,) = rule["to"]
    namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert (gateway.hostname or "").split(".")[1] == namespace
    (shipped,) = yaml.safe_load((PROMETHEUS / "prometheus.pushgateway.yml").read_text())["scrape_configs"]
    assert shipped["honor_labels"] is True
    assert shipped["static_configs"] == [{"targets": [f"{(gateway.hostname or '').split('.')[0]}:{gateway.port}"]}]


@pytest.mark.parametrize(
    "component", ["cloud-metadata", "podmonitor", "proxy", "pushgateway", "secret-variables", "table"]
)
def test_every_object_of_a_component_is_valid(component: str, tmp_path: Path) -> None:
    one = built_with(component, "service" if component == "podmonitor" else "cronjob", tmp_path)
    for policy in one.kind("NetworkPolicy", *WORKLOADS):
        assert kubernetes_validate.validate(policy, VERSIONS[-1], strict=True) == VERSIONS[-1]
        if policy["kind"] == "NetworkPolicy":
            labels = one.template["metadata"]["labels"]
            assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def test_table_gets_the_records_and_the_ledger_stays_a_file(tmp_path: Path) -> None:
    settings = config_of(built_with("table", "cronjob", tmp_path), tmp_path / "pod").settings
    assert settings.output.path.startswith("postgresql://collector@")
    assert settings.output.password_file == tmp_path / "pod" / SECRETS.lstrip("/") / "table-password"
    assert settings.state.url.get_secret_value().startswith("sqlite:////data/")


def test_cloud_s_metadata_is_reached_on_its_addresses_alone(tmp_path: Path) -> None:
    policy = built_with("cloud-metadata", "service", tmp_path).named("NetworkPolicy", "usage-collector-cloud-metadata")
    blocks = [to["ipBlock"] for rule in policy["spec"]["egress"] for to in rule["to"]]
    text = (KUBERNETES.parents[1] / "docs" / "outputs.md").read_text()
    documented = re.findall(r"\b169\.254\.\d+\.\d+", text)
    assert {address for address in documented if allowed(address, blocks)} == set(documented)
    assert not [one for one in ("169.254.169.253", "10.0.0.1", "93.184.216.34") if allowed(one, blocks)]


def test_runbook_names_objects_that_there_are() -> None:
    text = (KUBERNETES.parents[1] / "docs" / "runbook.md").read_text()
    commands = re.findall(r"kubectl [^`\n]+", text)
    assert commands
    for command in commands:
        assert "-n usage-collector " in command
        for name in re.findall(r"deploy/(\S+)", command):
            built("service").named("Deployment", name)
