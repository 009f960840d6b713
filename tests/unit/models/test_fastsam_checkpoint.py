"""Reading checkpoints that users bring: what is read, and that nothing in them runs. Needs `make setup-models`."""

import json
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")
pytest.importorskip("safetensors", reason="training packages are not installed: make setup-models")

from typer.testing import CliRunner

from models.cli import app
from models.fastsam import checkpoint, network
from models.fastsam.checkpoint import Held, Refused
from models.fastsam.network import FastSam, initialize
from models.fastsam.weights import fitted, import_checkpoint, load, size_of


@pytest.fixture(scope="module")
def net() -> FastSam:
    torch.manual_seed(0)
    made = initialize(FastSam("n")).eval()
    for name, buffer in made.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.1, 0.1)
    return made


@pytest.fixture
def publishers(monkeypatch: pytest.MonkeyPatch) -> dict[str, types.ModuleType]:
    """The package of the publishers, as far as a checkpoint knows it; gone again before anything is read."""
    made = {name: types.ModuleType(name) for name in ("ultralytics", "ultralytics.nn", "ultralytics.nn.tasks")}
    made |= {name: types.ModuleType(name) for name in ("ultralytics.nn.modules", "ultralytics.utils")}
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def foreign(place: types.ModuleType, name: str, base: type) -> type:
    made = type(name, (base,), {"__module__": place.__name__, "__qualname__": name})
    setattr(place, name, made)
    return made


def published(net: FastSam, publishers: dict[str, types.ModuleType], path: Path, **more: object) -> Path:
    """Save `net` as its publishers would: the whole object, half precision, classes by reference."""
    import copy

    layers = copy.deepcopy(net.model).half()
    ours = {c.__name__ for c in vars(network).values() if isinstance(c, type) and issubclass(c, torch.nn.Module)}
    classes = {n: foreign(publishers["ultralytics.nn.modules"], n, torch.nn.Module) for n in ours}
    for module in layers.modules():
        if type(module).__name__ in classes:
            module.__class__ = classes[type(module).__name__]
    root = foreign(publishers["ultralytics.nn.tasks"], "SegmentationModel", torch.nn.Module)()
    root.model, root.names, root.stride = layers, {0: "object"}, torch.tensor([8.0, 16.0, 32.0])
    space = foreign(publishers["ultralytics.utils"], "IterableSimpleNamespace", types.SimpleNamespace)
    root.args = space(project=Path("/somewhere"), imgsz=1024)
    found = {"epoch": -1, "best_fitness": np.float64(0.5), "ema": None, "model": root, "optimizer": None}
    torch.save(found | {"train_args": {"save_dir": Path("runs")}} | more, path)
    for name in publishers:
        del sys.modules[name]
    return path


def archive(path: Path, program: bytes, records: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("archive/data.pkl", program)
        for key, data in (records or {}).items():
            made.writestr(f"archive/data/{key}", data)
    return path


def test_a_published_checkpoint_gives_the_same_network(net, publishers, tmp_path: Path):
    path = published(net, publishers, tmp_path / "FastSAM-n.pt")
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8))

    written = import_checkpoint(path, tmp_path / "out")

    assert not any(name.startswith("ultralytics") for name in sys.modules)
    got, state = load(written), net.state_dict()
    for name, tensor in got.state_dict().items():
        expected = state[name].half().float() if state[name].is_floating_point() else state[name]
        assert torch.equal(tensor, expected), name
    with torch.no_grad():
        assert (got(image)[0] - net(image)[0]).abs().max() < 0.5
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert (card["architecture"], card["classes"], card["source"]["file"]) == ("fastsam-n", 1, "FastSAM-n.pt")
    assert card["licence"].startswith("AGPL-3.0")
    assert len(card["source"]["sha256"]) == 64


def test_the_average_is_preferred_to_the_model(net, publishers, tmp_path: Path):
    path = published(net, publishers, tmp_path / "a.pt")
    read = checkpoint.read(path)
    read["ema"], read["model"] = read["model"], Held.__new__(Held)

    assert checkpoint.state_of(read).keys() == net.state_dict().keys()


@pytest.mark.parametrize(("size", "classes"), [("n", 80), ("s", 1), ("x", 1)])
def test_the_size_is_found_from_the_shapes(size, classes):
    with torch.device("meta"):
        state = FastSam(size, classes).state_dict()

    assert size_of(state) == (size, classes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("model.4.cv1.conv.weight"), "missing: model.4.cv1.conv.weight"),
        (lambda s: s.update({"model.23.weight": torch.zeros(3)}), "left over: model.23.weight"),
        (lambda s: s.update({"model.4.cv1.bn.bias": torch.zeros(7)}), r"model.4.cv1.bn.bias is \(7,\), not \(64,\)"),
        (lambda s: s.update({"model.4.cv1.bn.bias": torch.full((64,), torch.nan)}), "numbers that are none"),
        (lambda s: s.pop("model.0.conv.weight"), "not those of a network of size"),
        (lambda s: s.clear(), "not those of a network of size"),
    ],
)
def test_tensors_that_do_not_map_one_to_one_fail_by_name(net, change, says):
    state = dict(net.state_dict())
    change(state)

    with pytest.raises(Refused, match=says):
        fitted(state)


class Runs:
    """Pickles as a call of `function`."""

    def __init__(self, function: object, *arguments: object):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def mark(path: str) -> None:
    Path(path).touch()


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (os.system, "touch {}"),
        (eval, "open({!r}, 'w')"),
        (exec, "open({!r}, 'w')"),
        (open, "{}"),
        (mark, "{}"),
        (__import__, "antigravity"),
        (getattr, "x"),
        (torch.hub.load, "{}"),
        (torch.load, "{}"),
        (torch.nn.Linear, "{}"),
        (torch.nn.functional.relu, "{}"),
        (bytearray, "{}"),
        (OrderedDict.fromkeys, "{}"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_anything_is_refused_and_nothing_runs(tmp_path: Path, function, argument, protocol):
    proof = tmp_path / "ran"
    program = pickle.dumps({"model": Runs(function, argument.format(str(proof)))}, protocol)
    path = archive(tmp_path / "evil.pt", program)

    with pytest.raises(Refused):
        import_checkpoint(path, tmp_path / "out")

    assert not proof.exists()
    assert not (tmp_path / "out").exists()
    assert "antigravity" not in sys.modules


def test_a_class_of_the_publishers_may_hold_state_but_not_be_called(tmp_path: Path):
    named = b"cultralytics.nn.tasks\nSegmentationModel\n"

    held = checkpoint.read(archive(tmp_path / "a.pt", b"\x80\x02" + named + b")\x81}X\x01\x00\x00\x00aK\x07sb."))
    assert isinstance(held, Held)
    assert held.state == {"a": 7}
    for program in (named + b")R.", named + b"(K\x01tR.", b"\x80\x02" + named + b"}X\x01\x00\x00\x00aK\x07sb."):
        with pytest.raises(Refused):
            checkpoint.read(archive(tmp_path / "b.pt", program))


@pytest.mark.parametrize(
    "place", [b"collections\nOrderedDict\n", b"torch._utils\n_rebuild_tensor_v2\n", b"torch\nSize\n"]
)
@pytest.mark.parametrize("state", [b"}X\x01\x00\x00\x00aK\x07s", b"N}X\x01\x00\x00\x00aK\x07s\x86"])
def test_nothing_can_be_set_on_what_builds(tmp_path: Path, place, state):
    with pytest.raises(Refused):
        checkpoint.read(archive(tmp_path / "a.pt", b"\x80\x02c" + place + state + b"b."))


def tensor_program(storage: bytes, count: int, offset: int, size: int) -> bytes:
    """A float tensor of `size` numbers from `offset` on of a storage that says it has `count`."""
    number = lambda v: b"J" + struct.pack("<i", v)  # noqa: E731
    pid = b"(X\x07\x00\x00\x00storagectorch\n" + storage + b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + number(count)
    rest = number(offset) + b"(" + number(size) + b"t(K\x01t\x89ccollections\nOrderedDict\n)R"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"tQ" + rest + b"tR."


@pytest.mark.parametrize(
    ("storage", "count", "offset", "size"),
    [(b"FloatStorage", 4, 2, 3), (b"FloatStorage", 4, -1, 2), (b"FloatStorage", 400, 0, 4), (b"HalfStorage", 4, 0, 4)],
)
def test_a_tensor_cannot_reach_past_its_storage(tmp_path: Path, storage, count, offset, size):
    good = tensor_program(b"FloatStorage", 4, 1, 3)
    data = {"0": np.arange(4, dtype=np.float32).tobytes()}

    assert checkpoint.read(archive(tmp_path / "good.pt", good, data)).tolist() == [1, 2, 3]
    with pytest.raises(Refused):
        checkpoint.read(archive(tmp_path / "bad.pt", tensor_program(storage, count, offset, size), data))


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_is_a_clear_error(net, publishers, tmp_path: Path, part):
    data = published(net, publishers, tmp_path / "whole.pt").read_bytes()
    path = tmp_path / "cut.pt"
    path.write_bytes(data[: int(len(data) * part)])

    answer = CliRunner().invoke(app, ["import-fastsam", str(path), "--out", str(tmp_path / "out")])

    assert answer.exit_code == 1
    assert "cut short" in answer.output
    assert "Traceback" not in answer.output


def test_files_that_are_no_checkpoints_are_clear_errors(tmp_path: Path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "state.pt")
    (tmp_path / "text.pt").write_text("hello")
    archive(tmp_path / "empty.pt", pickle.dumps(None))
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as made:
        made.writestr("readme.txt", "hello")

    for name in ("state", "text", "empty", "other", "missing"):
        answer = CliRunner().invoke(app, ["import-fastsam", str(tmp_path / f"{name}.pt")])

        assert answer.exit_code == 1, name
        assert f"{name}.pt" in answer.output
        assert not isinstance(answer.exception, Refused)
