"""The arrows between the layers, held in place by reading the imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SERVICES = sorted(p.name for p in (ROOT / "services").iterdir() if (p / "app.py").exists())
SERVERS = {"grpc", "nats", "asyncpg", "minio", "tritonclient", "sqlalchemy", "alembic", "google"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def python_files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*.py") if "roomviz/v1" not in str(p) and "roomviz/internal" not in str(p)]


def test_every_service_has_the_same_rooms():
    rooms = {"__main__.py", "app.py", "settings.py", "ports.py", "domain", "transport", "adapters", "migrations"}
    for name in SERVICES:
        have = {p.name for p in (ROOT / "services" / name).iterdir()}
        assert rooms <= have, f"{name} lacks {rooms - have}"
        assert {"usecases.py", "usecases"} & have


def test_the_shared_package_knows_no_service():
    for path in python_files(ROOT / "roomviz"):
        assert not any(m.startswith(("services", "deploy", "models")) for m in imports(path)), path


@pytest.mark.parametrize("service", SERVICES)
def test_services_meet_only_over_the_wire(service: str):
    others = tuple(f"services.{s}" for s in SERVICES if s != service)
    for path in python_files(ROOT / "services" / service):
        assert not any(m.startswith(others) for m in imports(path)), path


@pytest.mark.parametrize("service", SERVICES)
def test_domain_code_knows_no_server_and_no_wire(service: str):
    for path in python_files(ROOT / "services" / service / "domain"):
        for module in imports(path):
            assert module.split(".")[0] not in SERVERS, (path, module)
            assert not module.startswith(("roomviz.runtime", "roomviz.v1", "roomviz.internal")), (path, module)
            assert not any(f".{layer}" in module for layer in ("transport", "adapters", "usecases")), (path, module)


def test_imaging_knows_no_server():
    for path in python_files(ROOT / "roomviz" / "imaging"):
        assert not {m.split(".")[0] for m in imports(path)} & SERVERS, path


def test_nothing_that_serves_imports_training_code_or_torch():
    for folder in ("roomviz", "services", "deploy"):
        for path in python_files(ROOT / folder):
            assert not any(m.split(".")[0] in {"torch", "numba", "models", "ultralytics"} for m in imports(path)), path
