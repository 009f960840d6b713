"""How little a pod may do, and what it holds."""

import re
from collections.abc import Iterator

from deploy.local.settings import ROOT
from deploy.permissions import SERVICES
from tests.unit.deploy.conftest import Cluster
from tests.unit.deploy.kustomize import Manifest, containers

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def beyond(pod: Manifest) -> Iterator[str]:
    """What the level `restricted` does not allow. Source: Kubernetes, "Pod Security Standards"."""
    spec = pod["spec"]
    whole = spec.get("securityContext", {})
    if any(spec.get(k) for k in ("hostNetwork", "hostPID", "hostIPC")):
        yield "the host's namespaces"
    if not whole.get("runAsNonRoot") or not whole.get("runAsUser"):
        yield "root"
    if whole.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "all system calls"
    if {k for v in spec["volumes"] for k in v} - {"name"} - VOLUMES:
        yield "volumes of the host"
    for container in containers(pod):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield "privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield "capabilities"
        if own.get("runAsUser") == 0 or own.get("runAsNonRoot") is False:
            yield "root"
        if any("hostPort" in p for p in container.get("ports", [])):
            yield "ports of the host"


def secrets_of(pod: Manifest) -> dict[str, list[str]]:
    """Each Secret that a pod mounts, with the files of it; none named: all."""
    sources = [s for v in pod["spec"]["volumes"] for s in v.get("projected", {}).get("sources", [v])]
    held = [s["secret"] for s in sources if "secret" in s]
    return {h.get("secretName") or h["name"]: [i["key"] for i in h.get("items", [])] for h in held}


def test_pods_keep_to_what_is_restricted(cluster: Cluster):
    labels = cluster.all("Namespace")["roomviz"]["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {name: list(beyond(pod)) for name, pod in cluster.pods().items() if list(beyond(pod))} == {}


def test_pods_write_nowhere_but_to_volumes_and_know_nothing_of_the_cluster(cluster: Cluster):
    accounts = cluster.all("ServiceAccount")
    for name, pod in cluster.pods().items():
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        assert accounts[pod["spec"]["serviceAccountName"]]["automountServiceAccountToken"] is False, name
        # Else a Service named gateway is the variable GATEWAY_PORT of every pod.
        assert pod["spec"]["enableServiceLinks"] is False, name
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name


def test_pods_say_what_they_need_and_how_much_memory_they_may_take(cluster: Cluster):
    for name, pod in cluster.pods().items():
        for container in containers(pod):
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name
            assert "cpu" not in container["resources"]["limits"], name
    for name in (*SERVICES, "triton", "nats"):
        assert cluster.all("PodDisruptionBudget")[name]["spec"]["maxUnavailable"] == 1  # one alone can be moved too


def test_nobody_mounts_anothers_secrets(cluster: Cluster):
    held = {name: secrets_of(pod) for name, pod in cluster.pods().items()}

    whole: list[str] = []
    assert held == {
        "catalog": {"catalog": whole, "catalog-tls": whole},
        "segmentation": {"segmentation": whole, "segmentation-tls": whole},
        "compositor": {"compositor": whole, "compositor-tls": whole},
        "gateway": dict.fromkeys(("gateway", "gateway-tls", "gateway-public", "gateway-token-keys"), whole),
        "nats": {"nats-users": whole, "nats-tls": whole},
        "triton": {},
        "provision": {"administrator": whole, "nats-tls": ["ca.crt"]} | {n: ["postgres_password"] for n in SERVICES},
    }


def test_secrets_are_files_that_others_cannot_read(cluster: Cluster):
    for name, pod in cluster.pods().items():
        for container in containers(pod):
            assert not re.search("secretKeyRef|secretRef", str(container)), name
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume or "projected" in volume:
                assert (volume.get("secret") or volume["projected"])["defaultMode"] == 0o440, name


def test_volumes_are_mounted_and_mounts_are_volumes(cluster: Cluster):
    claims = {
        name: {c["metadata"]["name"] for c in s["spec"].get("volumeClaimTemplates", [])}
        for name, s in cluster.all("StatefulSet").items()
    }
    for name, pod in cluster.pods().items():
        volumes = {v["name"] for v in pod["spec"]["volumes"]} | claims.get(name, set())
        assert {m["name"] for c in containers(pod) for m in c["volumeMounts"]} == volumes, name


def test_selectors_find_their_pods(cluster: Cluster):
    labels = {name: pod["metadata"]["labels"] for name, pod in cluster.pods().items()}
    for kind in ("Service", "PodDisruptionBudget", "Deployment", "StatefulSet"):
        for name, manifest in cluster.all(kind).items():
            selector = manifest["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            found = [n for n, have in labels.items() if wanted.items() <= have.items()]
            assert found == [name.removesuffix("-peers")], (kind, name)


def test_what_a_pod_runs_is_ours_or_has_a_version(cluster: Cluster):
    made = set(re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE))
    for pod in cluster.pods().values():
        for container in containers(pod):
            image, _, tag = container["image"].partition(":")
            assert tag not in ("", "latest")
            assert not image.startswith("roomviz/") or image.removeprefix("roomviz/") in made, image


def test_gpus_are_asked_for_by_whoever_uses_them(cluster: Cluster):
    asked = {
        (name, container["name"])
        for name, pod in cluster.pods().items()
        for container in containers(pod)
        if "nvidia.com/gpu" in container["resources"]["limits"]
    }

    assert asked == ({("triton", "plans"), ("triton", "triton")} if cluster.name in ("gpu", "all") else set())
