"""Each service as Kubernetes would start it, held to the service's own settings."""

import base64
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trustme

from deploy import provision
from deploy.permissions import SERVICES
from deploy.secrets import manifests, prepare
from roomviz.runtime.process import DRAIN_SLACK_S
from roomviz.runtime.settings import ServiceSettings
from services.gateway.app import BEHIND
from tests.unit.deploy.conftest import Cluster
from tests.unit.deploy.kustomize import Manifest

SETTINGS: dict[str, Any] = {n: import_module(f"services.{n}.settings").Settings for n in SERVICES}
SETTINGS["provision"] = provision.Settings


def container(cluster: Cluster, name: str) -> Manifest:
    found: Manifest = cluster.pods()[name]["spec"]["containers"][0]
    return found


def environment(cluster: Cluster, name: str) -> dict[str, str]:
    """What the container of a pod finds in its environment, references resolved as the kubelet does: from top to bottom."""
    pod, found = cluster.pods()[name], dict[str, str]()
    given = container(cluster, name)
    told = cluster.all("ConfigMap")
    for source in given.get("envFrom", []):
        found |= told[source["configMapRef"]["name"]]["data"]
    before: dict[str, str] = {}
    for item in given["env"]:
        if "value" in item:
            value = re.sub(r"\$\((\w+)\)", lambda m: before[m[1]], item["value"])
        elif "fieldRef" in item["valueFrom"]:
            path = item["valueFrom"]["fieldRef"]["fieldPath"]
            value = pod["metadata"]["labels"][re.fullmatch(r"metadata\.labels\['(.*)'\]", path)[1]]  # type: ignore[index]
        else:
            key = item["valueFrom"]["configMapKeyRef"]
            value = told[key["name"]]["data"][key["key"]]
        before[item["name"]] = value
    return found | before


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Files by the Secret or ConfigMap that holds them: what `deploy.secrets` makes, and what cert-manager would."""
    folder = tmp_path_factory.mktemp("secrets")
    prepare(folder)
    made = {
        item["metadata"]["name"]: {file: base64.b64decode(content) for file, content in item["data"].items()}
        for item in manifests(folder)["items"]
    }
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    for name in [*(f"{n}-tls" for n in (*SERVICES, "nats")), "gateway-public"]:
        certificate = authority.issue_cert("any")
        made[name] = {
            "tls.crt": certificate.cert_chain_pems[0].bytes(),
            "tls.key": certificate.private_key_pem.bytes(),
            "ca.crt": authority.cert_pem.bytes(),
        }
    return made | {"postgresql-authority": {"ca.crt": authority.cert_pem.bytes()}}


def mounted(pod: Manifest, secrets: dict[str, dict[str, bytes]], root: Path) -> None:
    """Write below a folder what a pod finds in its file system, as far as it is mounted."""
    volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
    for mount in pod["spec"]["containers"][0]["volumeMounts"]:
        volume, at = volumes[mount["name"]], root / mount["mountPath"].lstrip("/")
        at.mkdir(parents=True, exist_ok=True)
        for source in volume.get("projected", {}).get("sources", [volume]):
            held = source.get("secret") or source.get("configMap")
            if held is None:
                continue
            files = secrets[held.get("secretName") or held["name"]]
            for item in held.get("items") or [{"key": key, "path": key} for key in files]:
                (at / item["path"]).parent.mkdir(parents=True, exist_ok=True)
                (at / item["path"]).write_bytes(files[item["key"]])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: Cluster, secrets: dict[str, dict[str, bytes]]):
    """The settings that a service reads in its pod; paths that are mounted lie below a folder of the test's."""

    def start(name: str) -> Any:
        root = tmp_path / name
        pod = cluster.pods()[name]
        mounted(pod, secrets, root)
        for key, value in environment(cluster, name).items():
            monkeypatch.setenv(key, re.sub(r"/(etc|var|tmp)\b", rf"{root}/\1", value))
        settings = SETTINGS[name]()
        monkeypatch.undo()
        return settings

    return start


@pytest.mark.parametrize("name", [*SERVICES, "provision"])
def test_every_setting_is_one_of_the_service(cluster: Cluster, name: str):
    known = {f"ROOMVIZ_{field.upper()}" for field in SETTINGS[name].model_fields}

    assert {key for key in environment(cluster, name) if key.startswith("ROOMVIZ_")} - known == set()


@pytest.mark.parametrize("name", [*SERVICES, "provision"])
def test_it_starts_with_these_settings_and_finds_every_file(started: Any, name: str):
    settings = started(name)

    for field in type(settings).model_fields:
        value = getattr(settings, field)
        if isinstance(value, Path) and field != "model_repository":
            assert value.exists(), f"{field}: {value}"
    assert "sslmode=verify-full" in settings.postgres_dsn
    assert Path(settings.postgres_dsn.rpartition("sslrootcert=")[2]).exists()
    assert settings.s3_secure
    if name != "catalog":
        assert (settings.nats_url, settings.nats_ca_file.name) == ("tls://nats:4222", "ca.crt")


def test_roles_get_the_passwords_that_services_show(started: Any, secrets: dict[str, dict[str, bytes]]):
    folder = started("provision").service_passwords_dir

    for name in SERVICES:
        assert (folder / name / "postgres_password").read_bytes() == secrets[name]["postgres_password"]
        assert started(name).postgres_password_file.read_bytes() == secrets[name]["postgres_password"]


@pytest.mark.parametrize("name", SERVICES)
def test_services_show_each_other_certificates_and_admit_the_gateway_alone(started: Any, cluster: Cluster, name: str):
    settings: ServiceSettings = started(name)

    files = (settings.tls_certificate_file, settings.tls_key_file, settings.tls_ca_file)
    assert [f and f.name for f in files] == ["tls.crt", "tls.key", "ca.crt"]
    assert settings.tls_callers == (() if name == "gateway" else ("gateway",))
    [certificate] = [c for c in cluster.all("Certificate").values() if c["spec"]["secretName"] == f"{name}-tls"]
    assert certificate["spec"]["dnsNames"] == [name]  # what rpc.channel looks for, and check_caller
    assert {"server auth", "client auth"} <= set(certificate["spec"]["usages"])
    assert certificate["spec"]["issuerRef"] == {"name": "authority", "kind": "Issuer"}


def test_the_gateway_shows_a_certificate_to_its_callers(started: Any, cluster: Cluster):
    settings = started("gateway")

    assert settings.public_tls_certificate_file.parts[-2:] == ("public", "tls.crt")
    public = cluster.all("Certificate")["gateway-public"]["spec"]
    assert public["secretName"] == "gateway-public"
    assert "client auth" not in public["usages"]  # it is no good for calling services


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_those_that_the_service_listens_on(started: Any, cluster: Cluster, name: str):
    settings = started(name)

    listens = {"grpc": getattr(settings, f"{name}_port"), "metrics": settings.metrics_port}
    if name == "gateway":
        listens["http"] = settings.http_port
    ports = {p["name"]: p["containerPort"] for p in container(cluster, name)["ports"]}
    assert ports == listens
    assert {SETTINGS[name].model_fields[f].default for f in (f"{name}_port", "metrics_port")} <= set(ports.values())
    offered = {p["targetPort"]: p["port"] for p in cluster.all("Service")[name]["spec"]["ports"]}
    assert offered == {k: v for k, v in listens.items() if k != "metrics"}
    assert (settings.host, settings.metrics_host) == ("0.0.0.0", "0.0.0.0")


def test_services_are_called_where_they_are(started: Any, cluster: Cluster):
    gateway = started("gateway")

    services = cluster.all("Service")
    for name in BEHIND:
        assert gateway.address(name) == f"dns:///{name}:{services[name]['spec']['ports'][0]['port']}"
    assert started("segmentation").triton_address == f"dns:///triton:{services['triton']['spec']['ports'][0]['port']}"
    for name in (*BEHIND, "triton"):
        assert services[name]["spec"]["clusterIP"] == "None"  # or calls go to one pod alone


@pytest.mark.parametrize("name", BEHIND)
def test_probes_run_inside_with_the_certificate(started: Any, cluster: Cluster, name: str):
    port = str(getattr(started(name), f"{name}_port"))
    probes = {k: v["exec"]["command"] for k, v in container(cluster, name).items() if k.endswith("Probe")}

    ask = ["python", "-m", "roomviz.runtime.probe", name, port]
    assert probes == {
        "readinessProbe": ask,
        "startupProbe": [*ask, "--alive"],
        "livenessProbe": [*ask, "--alive"],  # one that lacks its database is not helped by a restart
    }


def test_the_gateway_is_probed_as_it_is_called(cluster: Cluster):
    probes = {k: v for k, v in container(cluster, "gateway").items() if k.endswith("Probe")}

    assert probes.pop("livenessProbe")["tcpSocket"] == {"port": "grpc"}
    asked = [p["httpGet"] for p in probes.values()]
    assert [(p["port"], p["scheme"]) for p in asked] == [("http", "HTTPS")] * 2


@pytest.mark.parametrize("name", SERVICES)
def test_there_is_time_to_drain(started: Any, cluster: Cluster, name: str):
    waits = float(container(cluster, name)["lifecycle"]["preStop"]["exec"]["command"][1])
    drains = started(name).shutdown_grace_s + DRAIN_SLACK_S

    assert cluster.pods()[name]["spec"]["terminationGracePeriodSeconds"] >= waits + drains


def test_quotas_are_shared_out_among_as_many_gateways_as_there_are(started: Any, cluster: Cluster):
    assert started("gateway").gateways == cluster.all("Deployment")["gateway"]["spec"]["replicas"]
    assert "gateway" not in cluster.all("HorizontalPodAutoscaler")


def test_streams_are_kept_on_every_server_of_nats(started: Any, cluster: Cluster):
    servers = cluster.all("StatefulSet")["nats"]["spec"]
    names = [f"nats-{i}.{servers['serviceName']}" for i in range(servers["replicas"])]
    conf = cluster.all("ConfigMap")["nats"]["data"]["cluster.conf"]

    assert started("provision").nats_replicas == servers["replicas"]
    assert re.findall(r"tls://([\w.-]+):6222", conf) == (names if len(names) > 1 else [])
    assert set(names) | {"nats"} <= set(cluster.all("Certificate")["nats"]["spec"]["dnsNames"])


def test_what_is_scaled_is_there_and_what_it_waits_for_is_consumed(cluster: Cluster):
    deployments = cluster.all("Deployment")
    scaled = [s["spec"]["scaleTargetRef"]["name"] for s in cluster.all("HorizontalPodAutoscaler").values()]
    for target in cluster.all("ScaledObject").values():
        scaled.append(target["spec"]["scaleTargetRef"]["name"])
        for trigger in (t["metadata"] for t in target["spec"]["triggers"] if t["type"] == "nats-jetstream"):
            consumers = {(stream, durable) for stream, durable, _ in SERVICES[scaled[-1]].consumers}
            assert (trigger["stream"], trigger["consumer"]) in consumers

    assert len(scaled) == len(set(scaled))
    assert all("replicas" not in deployments[name]["spec"] for name in scaled)
    assert cluster.name == "dev" or set(scaled) == set(BEHIND)
