"""As much of kustomize as deploy/k8s uses, so that what comes out of it can be looked at where kustomize is not installed.

`test_kustomize.py` compares it with kustomize itself where there is one.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.local.settings import ROOT

K8S = ROOT / "deploy" / "k8s"
Manifest = dict[str, Any]

# What an item of a list is known by when two of them are merged; other lists are replaced.
KEYS = {"containers": "name", "initContainers": "name", "volumes": "name", "env": "name", "volumeMounts": "mountPath"}
CLUSTER_WIDE = ("Namespace",)


def load(path: Path) -> list[Manifest]:
    return [m for m in yaml.safe_load_all(path.read_text()) if m]


def render(folder: Path) -> list[Manifest]:
    return rendered(load(folder / "kustomization.yaml")[0], folder)


def rendered(kustomization: Manifest, folder: Path) -> list[Manifest]:
    """What a kustomization that lies in a folder makes; generated ConfigMaps without the digest behind their names."""
    made: list[Manifest] = []
    for name in kustomization.get("resources", []):
        made += render(folder / name) if (folder / name).is_dir() else load(folder / name)
    return _applied(kustomization, folder, made)


def _applied(kustomization: Manifest, folder: Path, made: list[Manifest]) -> list[Manifest]:
    for name in kustomization.get("components", []):
        inner = load(folder / name / "kustomization.yaml")[0]
        more = [m for resource in inner.get("resources", []) for m in load(folder / name / resource)]
        made = _applied(inner, folder / name, made + more)
    for stated in kustomization.get("configMapGenerator", []):
        made = _generated(stated, folder, made)
    for patch in kustomization.get("patches", []):
        for change in load(folder / patch["path"]) if "path" in patch else [yaml.safe_load(patch["patch"])]:
            made = list(_patched(made, change, patch.get("target")))
    for image in kustomization.get("images", []):
        _retagged(made, image)
    if namespace := kustomization.get("namespace"):
        for m in made:
            if m["kind"] not in CLUSTER_WIDE:
                m["metadata"]["namespace"] = namespace
    return made


def _generated(stated: Manifest, folder: Path, made: list[Manifest]) -> list[Manifest]:
    data = {Path(file).name: (folder / file).read_text() for file in stated.get("files", [])}
    data |= dict(literal.split("=", 1) for literal in stated.get("literals", []))
    there = [m for m in made if (m["kind"], m["metadata"]["name"]) == ("ConfigMap", stated["name"])]
    if stated.get("behavior") == "merge":
        there[0]["data"] |= data
        return made
    assert not there, f"two ConfigMaps {stated['name']}"
    return [*made, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": stated["name"]}, "data": data}]


def _patched(made: list[Manifest], change: Manifest, target: dict[str, str] | None) -> Iterator[Manifest]:
    change = dict(change)
    delete = change.pop("$patch", "") == "delete"
    wanted = target or {"kind": change["kind"], "name": change["metadata"]["name"]}
    change["metadata"] = {k: v for k, v in change["metadata"].items() if k != "name"}
    hits = 0
    for m in made:
        hit = m["kind"] == wanted["kind"] and re.fullmatch(wanted.get("name", ".*"), m["metadata"]["name"])
        hits += bool(hit)
        if not hit:
            yield m
        elif not delete:
            yield merged(m, change)
    assert hits, f"nothing is changed by the patch of {wanted}"


def merged(base: Any, change: Any, key: str = "") -> Any:
    """A strategic merge: maps are merged, and lists whose items are known by a name; what is changed comes first in these."""
    if isinstance(base, dict) and isinstance(change, dict):
        return base | {k: merged(base[k], v, k) if k in base else v for k, v in change.items()}
    if isinstance(base, list) and key in KEYS:
        by = KEYS[key]
        there, changed = {item[by]: item for item in base}, {item[by] for item in change}
        return [
            *(merged(there.get(item[by], {}), item) for item in change),
            *(item for item in base if item[by] not in changed),
        ]
    return change


def _retagged(made: list[Manifest], image: dict[str, str]) -> None:
    for pod in map(pod_of, made):
        for container in containers(pod) if pod else []:
            name, _, tag = container["image"].partition(":")
            if name == image["name"]:
                container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod template of what makes pods, else None."""
    template: Manifest | None = manifest.get("spec", {}).get("template")
    return template if template and "spec" in template else None


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
