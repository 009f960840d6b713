import pytest

from tests.unit.deploy.kustomize import K8S, Manifest, pod_of, rendered

# What platform teams begin with, and that with every component.
KUSTOMIZATIONS = {
    "base": {"resources": ["base"]},
    "gpu": {"resources": ["overlays/gpu"]},
    "dev": {"resources": ["overlays/dev"]},
    "all": {"resources": ["overlays/gpu"], "components": ["components/metrics", "components/keda"]},
}


class Cluster:
    """What a kustomization makes, looked up by kind and name."""

    def __init__(self, name: str):
        self.name = name
        self.manifests = rendered(KUSTOMIZATIONS[name], K8S)

    def all(self, kind: str) -> dict[str, Manifest]:
        return {m["metadata"]["name"]: m for m in self.manifests if m["kind"] == kind}

    def pods(self) -> dict[str, Manifest]:
        """Pod templates by the name of what makes them."""
        return {m["metadata"]["name"]: pod for m in self.manifests if (pod := pod_of(m))}


@pytest.fixture(scope="module", params=KUSTOMIZATIONS)
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return Cluster(request.param)
