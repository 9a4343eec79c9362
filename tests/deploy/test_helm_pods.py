"""What values add to the pods and to the objects around them, as other charts have it."""

from __future__ import annotations

from tests.deploy.helm import builds, built
from tests.deploy.support import assert_taken

PAGE = """
mode: service
ingress:
  host: usage.example.com
  className: nginx
  tlsSecret: usage-tls
  annotations: {cert-manager.io/cluster-issuer: letsencrypt}
config:
  service: {token_file: /run/secrets/usage-collector/token, allowed_hosts: [usage.example.com]}
"""


def test_every_pod_has_the_annotations_volumes_and_mounts_of_the_user() -> None:
    one = built(
        """
        podAnnotations: {sidecar.istio.io/inject: "false"}
        extraVolumes: [{name: authorities, configMap: {name: company-ca}}]
        extraVolumeMounts: [{name: authorities, mountPath: /etc/authorities, readOnly: true}]
        reconcile: {enabled: true}
        backfill: {from: "2026-01-01", to: "2026-01-31"}
        """
    )
    (check,) = one.kind("Pod")
    assert len(one.pods) == 3
    for pod in [*one.pods, check["spec"]]:
        assert {"name": "authorities", "configMap": {"name": "company-ca"}} in pod["volumes"]
        mounts = pod["containers"][0]["volumeMounts"]
        assert {"name": "authorities", "mountPath": "/etc/authorities", "readOnly": True} in mounts
    job = one.kind("Job")[0]["spec"]["template"]["metadata"]
    assert job["annotations"]["sidecar.istio.io/inject"] == "false"


def test_affinity_of_the_user_is_added_and_pods_of_one_ledger_stay_together() -> None:
    values = """
      affinity:
        nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}
        podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone, labelSelector: {}}]}
    """
    alone, sharded, plain = builds(
        [
            [values],
            [values, "mode: sharded\npostgresql: {url: 'postgresql://u@db/c'}\n"],
            ["mode: sharded\npostgresql: {url: 'postgresql://u@db/c'}\n"],
        ]
    )
    theirs = {"topologyKey": "zone", "labelSelector": {}}
    first, ours = alone.pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert (first, ours["topologyKey"]) == (theirs, "kubernetes.io/hostname")
    assert ours["labelSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "usage-collector"
    assert alone.pod["affinity"]["nodeAffinity"] == sharded.pod["affinity"]["nodeAffinity"]
    assert sharded.pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == [theirs]
    assert "affinity" not in plain.pod


def test_name_override_is_in_names_labels_and_selectors() -> None:
    one = built("nameOverride: usage\nmode: service\n")
    deployment = one.named("Deployment", "usage-collector")  # the release's name has it already
    assert deployment["metadata"]["labels"]["app.kubernetes.io/name"] == "usage"
    assert deployment["spec"]["selector"]["matchLabels"].items() <= one.template["metadata"]["labels"].items()
    assert one.kind("Service")[0]["spec"]["selector"]["app.kubernetes.io/name"] == "usage"
    built("nameOverride: metering\n").named("CronJob", "usage-collector-metering")


def test_runs_are_suspended_as_the_values_say() -> None:
    running, stopped = builds(
        [["reconcile.enabled=true"], ["reconcile.enabled=true,cronjob.suspend=true,reconcile.suspend=true"]]
    )
    assert [job["spec"].get("suspend", False) for job in running.kind("CronJob")] == [False, False]
    assert [job["spec"].get("suspend", False) for job in stopped.kind("CronJob")] == [True, True]


def test_backfill_may_be_sparse() -> None:
    (job,) = built("backfill: {from: 2024-01-01, to: 2026-01-31, sparse: true}\n").kind("Job")
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert_taken(args)
    assert args[-1] == "--sparse"


def test_service_account_is_made_named_or_the_user_s_own() -> None:
    named, own, default = builds(
        [
            ["serviceAccount.name=mine"],
            ["serviceAccount.create=false,serviceAccount.name=theirs"],
            ["serviceAccount.create=false"],
        ]
    )
    assert [account["metadata"]["name"] for account in named.kind("ServiceAccount")] == ["mine"]
    assert not own.kind("ServiceAccount")
    assert [one.pod["serviceAccountName"] for one in (named, own, default)] == ["mine", "theirs", "default"]
    assert all(one.pod["automountServiceAccountToken"] is False for one in (named, own, default))


def test_status_page_has_a_host_name_with_tls_and_the_controller_may_reach_it() -> None:
    one = built(PAGE)
    (ingress,) = one.kind("Ingress")
    assert ingress["spec"]["tls"] == [{"hosts": ["usage.example.com"], "secretName": "usage-tls"}]
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = path["backend"]["service"]
    (front,) = one.kind("Service")
    assert (rule["host"], service["name"]) == ("usage.example.com", front["metadata"]["name"])
    assert service["port"]["name"] in [port["name"] for port in front["spec"]["ports"]]
    monitoring, controller = one.named("NetworkPolicy", "usage-collector")["spec"]["ingress"]
    assert monitoring["ports"] == controller["ports"]
    (source,) = controller["from"]
    assert source["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "ingress-nginx"}


def test_there_is_no_ingress_unless_it_has_a_host() -> None:
    assert not built("mode=service").kind("Ingress")
