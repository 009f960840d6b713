"""Who can reach whom through the NetworkPolicies: what docs/security.md tells, and nothing else."""

import ipaddress
import re
from ipaddress import ip_address, ip_network

import pytest

from deploy.local.settings import ROOT
from tests.unit.deploy.conftest import Cluster
from tests.unit.deploy.kustomize import Manifest

Edge = tuple[str, str, int]
LABEL = "app.kubernetes.io/name"

PORTS = {
    "gateway": (8443, 8080, 8543),
    "catalog": (8453, 8553),
    "segmentation": (8451, 8551),
    "compositor": (8452, 8552),
    "nats": (4222, 6222, 8222),
    "triton": (8000, 8001, 8002),
    "provision": (),
    "postgresql": (5432,),
    "object-store": (443, 8333),
    "internet": (443, 80),
    "metadata service": (80, 443),
}
# What is not of the namespace: the labels of theirs, or an address.
NAMESPACES = {
    "postgresql": {"roomviz.dev/engine": "postgresql"},
    "object-store": {"roomviz.dev/engine": "object-store"},
    "prometheus": {"roomviz.dev/metrics": "true"},
    "keda": {"roomviz.dev/keda": "true"},
    "somebody": {"kubernetes.io/metadata.name": "elsewhere"},
}
ADDRESSES = {"internet": "192.0.2.7", "metadata service": "169.254.169.254"}


def told() -> set[Edge]:
    """The table of docs/security.md, in names and ports."""
    ports = {"NATS": ("nats", 4222), "PostgreSQL": ("postgresql", 5432), "S3": ("object-store", 443)}
    ports |= {"Triton": ("triton", 8001)} | {n: (n, PORTS[n][0]) for n in ("catalog", "segmentation", "compositor")}
    found: set[Edge] = set()
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| [^|]* \| [^|]* \|$", (ROOT / "docs" / "security.md").read_text(), re.M
    )
    for caller, called in rows:
        source = "provision" if caller.startswith("the stack") else caller.strip()
        if source in PORTS:
            found |= {(source, *ports[name]) for name in re.split(", ", called) if name in ports}
    return found


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    for e in selector.get("matchExpressions", []):
        if (labels.get(e["key"]) in e["values"]) != (e["operator"] == "In"):
            return False
    return bool(wanted.items() <= labels.items())


def is_peer(peer: Manifest, name: str) -> bool:
    """Whether a rule's peer means who has this name."""
    if "ipBlock" in peer:
        address = ADDRESSES.get(name)
        if address is None:
            return False
        inside = [ip_network(n) for n in (peer["ipBlock"]["cidr"], *peer["ipBlock"]["except"])]
        return ip_address(address) in inside[0] and not any(ip_address(address) in n for n in inside[1:])
    if "namespaceSelector" in peer:
        assert "podSelector" not in peer
        return name in NAMESPACES and matches(peer["namespaceSelector"], NAMESPACES[name])
    return name not in NAMESPACES and name not in ADDRESSES and matches(peer["podSelector"], {LABEL: name})


def let(cluster: Cluster, direction: str, name: str, other: str, port: int) -> bool:
    """Whether the policies of who has this name let it reach, or be reached by, another."""
    side = "to" if direction == "Egress" else "from"
    mine = [
        p["spec"]
        for p in cluster.all("NetworkPolicy").values()
        if direction in p["spec"]["policyTypes"] and matches(p["spec"]["podSelector"], {LABEL: name})
    ]
    assert mine, f"nothing closes {name}"
    rules = [rule for policy in mine for rule in policy.get(direction.lower(), [])]
    return any(
        (side not in rule or any(is_peer(peer, other) for peer in rule[side]))
        and ("ports" not in rule or any(p["port"] == port and p.get("protocol", "TCP") == "TCP" for p in rule["ports"]))
        for rule in rules
    )


def open_edges(cluster: Cluster) -> set[Edge]:
    pods = set(cluster.pods())
    found = set()
    for source in pods | NAMESPACES.keys():
        for target in pods | {"postgresql", "object-store"} | ADDRESSES.keys():
            for port in PORTS[target]:
                goes = source not in pods or let(cluster, "Egress", source, target, port)
                comes = target not in pods or let(cluster, "Ingress", target, source, port)
                if goes and comes and (source in pods or target in pods):
                    found.add((source, target, port))
    return found


def test_the_table_in_the_documentation_is_understood():
    edges = told()

    assert ("segmentation", "triton", 8001) in edges
    assert ("gateway", "compositor", 8452) in edges
    assert ("provision", "object-store", 443) in edges
    assert len(edges) == 18


def test_what_is_open_is_what_the_documentation_tells(cluster: Cluster):
    expected = told() | {("gateway", "internet", 443), ("nats", "nats", 6222)}
    # Whoever reaches the public ports is asked for credentials there.
    expected |= {(source, "gateway", port) for source in NAMESPACES for port in (8443, 8080)}
    expected |= {(source, store, 8333) for source, store, _ in expected if store == "object-store"}
    if cluster.name == "all":
        expected |= {("keda", "nats", 8222)}
        metrics = {"gateway": 8543, "catalog": 8553, "segmentation": 8551, "compositor": 8552, "triton": 8002}
        expected |= {("prometheus", name, port) for name, port in metrics.items()}

    assert open_edges(cluster) == expected


def test_the_ports_here_are_those_of_the_pods(cluster: Cluster):
    for name, pod in cluster.pods().items():
        ports = [p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports", [])]
        assert sorted(ports) == sorted(PORTS[name])


@pytest.mark.parametrize("name", ["gateway", "catalog", "segmentation", "compositor", "nats", "provision"])
def test_names_can_be_looked_up(cluster: Cluster, name: str):
    policy = cluster.all("NetworkPolicy")["names"]["spec"]

    assert matches(policy["podSelector"], {LABEL: name})
    assert {(p["port"], p["protocol"]) for p in policy["egress"][0]["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert not matches(policy["podSelector"], {LABEL: "triton"})


def test_addresses_are_such_as_kubernetes_takes(cluster: Cluster):
    """Exceptions lie within their block, and none is an IPv4 address in IPv6: those are looked at as IPv4."""
    blocks = [
        peer["ipBlock"]
        for policy in cluster.all("NetworkPolicy").values()
        for rule in policy["spec"].get("egress", []) + policy["spec"].get("ingress", [])
        for peer in rule.get("to", []) + rule.get("from", [])
        if "ipBlock" in peer
    ]

    assert blocks
    for block in blocks:
        within = ipaddress.ip_network(block["cidr"])
        for exception in map(ipaddress.ip_network, block.get("except", [])):
            assert exception.version == within.version
            assert exception != within
            assert exception.subnet_of(within)  # type: ignore[arg-type]
            assert getattr(exception.network_address, "ipv4_mapped", None) is None
