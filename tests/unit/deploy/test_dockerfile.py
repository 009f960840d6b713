"""The recipe for images, as far as it can be known without building one."""

import re

import pytest

from deploy.local.settings import ROOT
from deploy.permissions import SERVICES

RECIPE = re.sub(r"\s*\\\n\s*", " ", (ROOT / "deploy" / "Dockerfile").read_text())
MAKEFILE = re.sub(r"\s*\\\n\s*", " ", (ROOT / "Makefile").read_text())
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()


def stage(name: str) -> str:
    return re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", RECIPE, re.MULTILINE | re.DOTALL)[1]  # type: ignore[index]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_one_service_and_starts_it(name: str):
    assert f"COPY services/{name} services/{name}\n" in stage(name)
    assert f'CMD ["services.{name}"]' in stage(name)
    assert not any(f"services/{other} " in stage(name) for other in SERVICES if other != name)


def test_the_provision_image_starts_the_command():
    assert 'CMD ["deploy.provision"]' in stage("provision")


def test_native_code_is_compiled_as_make_does():
    def flags(text: str, compiler: str) -> list[str]:
        return re.search(rf"zig {compiler} (-target .*? -s) ", text)[1].split()  # type: ignore[index]

    for compiler in ("cc", r"c\+\+"):
        assert flags(RECIPE, compiler) == flags(MAKEFILE, compiler)


def test_versions_are_those_of_the_locks():
    pinned = set((ROOT / "requirements" / "servers.in").read_text().splitlines())

    servers = set(re.findall(r"[a-z-]+==[\d.]+", stage("compiler") + stage("servers")))
    assert servers <= pinned
    assert re.search(r"uv==([\d.]+)", RECIPE)[1] == re.search(r"UV_VERSION := ([\d.]+)", MAKEFILE)[1]  # type: ignore[index]


@pytest.mark.parametrize("name", ["packages", "protos", "compiler", "servers"])
def test_packages_are_proved_by_the_locks(name: str):
    for command in re.findall(r"uv pip install (.*?)(?:&&|$)", stage(name), re.MULTILINE):
        assert "--require-hashes" in command or "--build-constraints requirements/app.lock" in command, command
        assert re.search(r"requirements/(app|servers)\.lock", command)
        assert "--extra dev" not in command


def test_no_image_runs_as_root():
    for name in (*SERVICES, "provision"):
        assert "USER" not in stage(name)
    for name in ("runtime", "triton", "plans"):
        assert "USER 10001:10001\n" in stage(name)


def test_nothing_goes_into_images_but_what_is_named():
    assert IGNORED[1] == "*"
    copied = {p for line in re.findall(r"^COPY (?!--from)(.*) \S+$", RECIPE, re.MULTILINE) for p in line.split()}
    named = {line[1:] for line in IGNORED if line.startswith("!")}
    for path in copied:
        assert (ROOT / path).exists(), path
        assert path.split("/")[0] in named or path in named or "deploy/*.py" in named, path
    assert {"roomviz/v1", "roomviz/internal"} <= set(IGNORED)  # what is generated there
