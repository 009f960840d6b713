"""deploy/k8s as a whole: each file is used, what comes out is what Kubernetes takes."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.conftest import KUSTOMIZATIONS, Cluster
from tests.unit.deploy.kustomize import K8S, load

# Kinds that are not Kubernetes' own, whose schemas nobody ships.
FOREIGN = ("cert-manager.io/", "monitoring.coreos.com/", "keda.sh/")
VERSIONS = ("1.29", "1.37")  # the oldest that the README speaks of, and a new one


def test_every_file_is_in_a_kustomization_and_there():
    used = set()
    for path in K8S.rglob("kustomization.yaml"):
        stated = load(path)[0]
        names = [*stated.get("resources", []), *(p["path"] for p in stated.get("patches", []) if "path" in p)]
        names += [file for made in stated.get("configMapGenerator", []) for file in made.get("files", [])]
        for name in names:
            assert (path.parent / name).exists(), f"{path} names {name}"
            used.add((path.parent / name).resolve())

    files = {p for p in K8S.rglob("*") if p.is_file() and p.name not in ("kustomization.yaml", "README.md")}
    assert files - used == set()


def test_no_two_manifests_have_one_name(cluster: Cluster):
    names = [(m["kind"], m["metadata"]["name"]) for m in cluster.manifests]

    assert len(names) == len(set(names))
    assert {m["metadata"].get("namespace") for m in cluster.manifests if m["kind"] != "Namespace"} == {"roomviz"}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_keep_the_schema_of_kubernetes(cluster: Cluster, version: str):
    kubernetes = pytest.importorskip("kubernetes_validate")

    for manifest in cluster.manifests:
        if not manifest["apiVersion"].startswith(FOREIGN):
            kubernetes.validate(manifest, version, strict=True)


def command() -> list[str] | None:
    if found := shutil.which("kustomize"):
        return [found, "build"]
    return [found, "kustomize"] if (found := shutil.which("kubectl")) else None


def plain(manifests: list[dict[str, Any]]) -> list[Any]:
    """Without digests behind the names of ConfigMaps, and in one order."""
    names = "|".join(m["metadata"]["name"].rpartition("-")[0] for m in manifests if m["kind"] == "ConfigMap")
    text = re.sub(rf'"({names})-[a-z0-9]{{10}}"', r'"\1"', json.dumps(manifests)) if names else json.dumps(manifests)
    return sorted(json.loads(text), key=lambda m: (m["kind"], m["metadata"]["name"]))


@pytest.mark.skipif(command() is None, reason="kustomize is not installed")
@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_kustomize_makes_what_these_tests_look_at(name: str, tmp_path: Path):
    lists = {k: [os.path.relpath(K8S / f, tmp_path) for f in v] for k, v in KUSTOMIZATIONS[name].items()}
    (tmp_path / "kustomization.yaml").write_text(yaml.dump(lists))

    run = subprocess.run([*(command() or []), tmp_path], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    ours = sorted(Cluster(name).manifests, key=lambda m: (m["kind"], m["metadata"]["name"]))
    assert plain(list(yaml.safe_load_all(run.stdout))) == ours
