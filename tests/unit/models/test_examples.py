"""The maps that the documentation gives are maps. Needs `make setup-models`."""

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="training packages are not installed: make setup-models")
pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

from models import instances, sam, semantic

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"
KINDS = {"labels": semantic.Map, "instances": instances.Map}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda p: p.stem)
def test_an_example_is_read_by_the_command_that_it_is_for(path: Path):
    kind = KINDS.get(path.stem.rpartition("-")[2], sam.Map)

    made = kind.read(path)

    assert made.rights.licence
    assert f"examples/{path.name}" in (EXAMPLES.parent / "model-contract.md").read_text()
