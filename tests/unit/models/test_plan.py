"""The GPU's side of the model repository, as far as it can be known without a GPU. Needs `make setup-models`."""

import json
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="training packages are not installed: make setup-models")
torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

import onnxruntime
from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc.model_config_pb2 import ModelConfig
from typer.testing import CliRunner

from models import plan
from models.cli import app
from models.fastsam.export import export
from models.fastsam.network import FastSam, initialize
from models.plan import PROFILES, NotBuilt, build_plans, key, kind_of, obstacles
from models.precision import mixed_precision
from models.repository import BATCH_MAX, CONTRACTS, config

ROOT = Path(__file__).resolve().parents[3]
ROOMSEG = ROOT / "model_repository" / "roomseg"


def newest(folder: Path) -> Path:
    return max(folder.glob("*/model.onnx"), key=lambda path: int(path.parent.name))


@pytest.fixture(scope="module")
def fastsam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with fresh weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("repository") / "fastsam"
    export(initialize(FastSam("n")), folder / "1" / "model.onnx")
    (folder / "1" / "card.json").write_text(json.dumps({"name": "fastsam", "licence": "Apache-2.0"}))
    return folder


@pytest.fixture
def both(fastsam: Path) -> dict[str, Path]:
    return {"fastsam": fastsam, "roomseg": ROOMSEG}


def parsed(text: str) -> Any:
    return text_format.Parse(text, ModelConfig())


def io(found: Any) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(t.name, t.data_type, tuple(t.dims)) for t in (*found.input, *found.output)]


@pytest.mark.parametrize("kind", CONTRACTS)
def test_a_client_cannot_tell_the_gpu_from_the_cpu(kind):
    cpu, gpu = (parsed(config(CONTRACTS[kind], kind, device)) for device in ("cpu", "gpu"))

    assert io(cpu) == io(gpu)
    assert cpu.max_batch_size == gpu.max_batch_size == BATCH_MAX
    assert cpu.dynamic_batching == gpu.dynamic_batching
    assert (cpu.backend, gpu.platform) == ("openvino", "tensorrt_plan")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "model_repository").glob("*/config.pbtxt")), ids=lambda p: p.parent.name
)
def test_the_models_in_the_repository_keep_their_contract(path):
    served = parsed(path.read_text())
    kind = kind_of(onnx.load(newest(path.parent), load_external_data=False))

    assert io(served) == io(parsed(config(CONTRACTS[kind], "any", "gpu")))


@pytest.mark.parametrize("kind", CONTRACTS)
def test_the_models_outputs_have_the_types_and_ranks_of_the_configuration(both, kind):
    graph = onnx.load(newest(both[kind])).graph
    types = {TensorProto.UINT8: "TYPE_UINT8", TensorProto.FLOAT: "TYPE_FP32"}

    for value, tensor in zip(
        (*graph.input, *graph.output), (*CONTRACTS[kind].inputs, *CONTRACTS[kind].outputs), strict=True
    ):
        dims = [d.dim_value if d.HasField("dim_value") else -1 for d in value.type.tensor_type.shape.dim]
        assert (value.name, types[value.type.tensor_type.elem_type]) == (tensor.name, tensor.type)
        assert dims == [-1, *tensor.dims]


@pytest.mark.parametrize("kind", CONTRACTS)
def test_tensorrt_takes_every_operator(both, kind):
    model = mixed_precision(onnx.load(newest(both[kind])))

    assert obstacles(model) == []
    assert kind_of(model) == kind


def test_what_tensorrt_does_not_take_is_named():
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("NonZero", ["image"], ["a"]), helper.make_node("Foo", ["a"], ["b"], domain="my.own")]
    graph = helper.make_graph(
        nodes, "g", [value("image", TensorProto.UINT8, [1])], [value("b", TensorProto.INT64, [1, 1])]
    )

    found = obstacles(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 99)]))

    assert found == [
        "operator Foo",
        "operator NonZero",
        "operators of the domain my.own",
        "opset 99",
        "NonZero on uint8",
    ]


@pytest.mark.parametrize("kind", CONTRACTS)
def test_in_mixed_precision_the_answer_stays_close(both, kind, tmp_path: Path):
    source = onnx.load(newest(both[kind]))
    mixed = mixed_precision(source)
    image = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), np.uint8)

    def run(model: Any) -> dict[str, np.ndarray]:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [v.name for v in session.get_outputs()]
        return dict(zip(names, session.run(names, {"image": image}), strict=True))

    exact, close = run(source), run(mixed)

    types = {n.op_type: n for n in mixed.graph.node}
    assert "Cast" in types
    for name, values in exact.items():
        assert close[name].dtype == np.float32
        limit = 0.02 * max(1.0, float(np.abs(values).max()))
        if name == "predictions":
            assert np.abs(close[name][:, :4] - values[:, :4]).max() < 0.25  # pixels
            assert np.abs(close[name][:, 4] - values[:, 4]).max() < 0.005
        np.testing.assert_allclose(close[name], values, atol=limit)


def test_weights_are_used_as_they_are_stored_and_boxes_stay_exact(fastsam):
    mixed = mixed_precision(onnx.load(fastsam / "1" / "model.onnx"))
    stored = {t.name: t.data_type for t in mixed.graph.initializer}
    graph = onnx.shape_inference.infer_shapes(mixed).graph
    types = {v.name: v.type.tensor_type.elem_type for v in graph.value_info}

    weights = [stored[n.input[1]] for n in mixed.graph.node if n.op_type == "Conv"]
    assert weights.count(TensorProto.FLOAT16) > 0.85 * len(weights)
    softmax = next(n for n in mixed.graph.node if n.op_type == "Softmax")
    assert types[softmax.output[0]] == TensorProto.FLOAT


def test_the_key_changes_with_everything_that_a_plan_depends_on():
    profile, other = PROFILES["fastsam"], PROFILES["roomseg"]
    same = key("a" * 64, "11.4.0", "9.0", profile)

    assert same == key("a" * 64, "11.4.0", "9.0", profile)
    changed = {
        key("b" * 64, "11.4.0", "9.0", profile),
        key("a" * 64, "11.4.1", "9.0", profile),
        key("a" * 64, "11.4.0", "8.9", profile),
        key("a" * 64, "11.4.0", "9.0", other),
    }
    assert len(changed | {same}) == 5


@pytest.mark.parametrize("kind", CONTRACTS)
def test_profiles_take_what_the_service_sends(kind):
    from services.segmentation.domain import labels, proposals

    profile = PROFILES[kind]
    height, width = CONTRACTS[kind].warm
    small = np.zeros((40, 3000, 3), np.uint8)
    sent = {
        "roomseg": [
            image.shape
            for photo in (np.zeros((700, 900, 3), np.uint8), small)
            for image in labels.network_inputs(photo)
        ],
        "fastsam": [proposals.network_input(np.zeros((700, 900, 3), np.uint8))[0].shape, (1, 32, 1024, 3)],
    }[kind]

    for shape in [*sent, profile.opt, (1, height, width, 3), (BATCH_MAX, height, width, 3)]:
        assert all(a <= b <= c for a, b, c in zip(profile.min, shape, profile.max, strict=True)), shape
        assert shape[1] % 32 == shape[2] % 32 == 0


class FakeTensorRT(types.ModuleType):
    """As much of tensorrt as building uses, by the names that its 11.4 bindings have; keeps what it was told."""

    def __init__(self, parses: bool = True, builds: bool = True):
        super().__init__("tensorrt")
        self.__version__, self.built, self.said = "11.4.0.106", 0, dict[str, Any]()
        outer = self

        class Logger:
            WARNING = 1

            def __init__(self, level: int): ...

        class Parser:
            num_errors = 1

            def __init__(self, network: Any, logger: Logger): ...

            def parse(self, model: bytes) -> bool:
                outer.said["model"] = model
                return parses

            def get_error(self, index: int) -> str:
                return "node 7 is odd"

        class Cache:
            def __init__(self, data: bytes):
                self.data = data

            def serialize(self) -> bytes:
                return self.data + b"+"

        class Config:
            def set_memory_pool_limit(self, pool: str, size: int) -> None:
                outer.said[pool] = size

            def create_timing_cache(self, data: bytes) -> Cache:
                outer.said["timings"] = data
                return Cache(data)

            def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> None:
                self.cache = cache

            def get_timing_cache(self) -> Cache:
                return self.cache

            def add_optimization_profile(self, profile: Any) -> None:
                outer.said["profile"] = profile.shapes

        class Builder:
            def __init__(self, logger: Logger): ...

            def create_network(self, flags: int) -> str:
                outer.said["flags"] = flags
                return "network"

            def create_builder_config(self) -> Config:
                return Config()

            def create_optimization_profile(self) -> Any:
                made = types.SimpleNamespace(shapes={})
                made.set_shape = lambda name, *shapes: made.shapes.update({name: shapes})
                return made

            def build_serialized_network(self, network: Any, config: Config) -> bytes | None:
                outer.built += 1
                return b"plan" if builds else None

        self.Logger, self.OnnxParser, self.Builder = Logger, Parser, Builder
        self.NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)
        self.MemoryPoolType = types.SimpleNamespace(WORKSPACE="workspace")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    made = FakeTensorRT()
    monkeypatch.setitem(sys.modules, "tensorrt", made)
    monkeypatch.setattr(plan, "capability", lambda: "9.0")
    return made


def test_a_plan_is_built_once_and_then_taken_from_the_cache(fastsam, gpu, tmp_path: Path):
    [first] = build_plans(fastsam, tmp_path / "gpu", tmp_path / "cache")
    first.unlink()
    [second] = build_plans(fastsam, tmp_path / "gpu", tmp_path / "cache")

    assert gpu.built == 1
    assert second == tmp_path / "gpu" / "fastsam" / "1" / "model.plan"
    assert second.read_bytes() == b"plan"
    assert gpu.said["profile"] == {"image": tuple(vars(PROFILES["fastsam"]).values())}
    assert gpu.said["flags"] == 2
    assert onnx.load_from_string(gpu.said["model"]).graph.input[0].name == "image"
    assert parsed((tmp_path / "gpu" / "fastsam" / "config.pbtxt").read_text()).platform == "tensorrt_plan"
    card = json.loads((tmp_path / "gpu" / "fastsam" / "1" / "card.json").read_text())
    assert (card["licence"], card["plan"]["compute_capability"]) == ("Apache-2.0", "9.0")


def test_every_version_gets_a_plan_and_its_card(gpu, tmp_path: Path):
    built = build_plans(ROOMSEG, tmp_path / "gpu", tmp_path / "cache")

    versions = sorted(path.parent.name for path in ROOMSEG.glob("*/model.onnx"))
    assert built == [tmp_path / "gpu" / "roomseg" / version / "model.plan" for version in versions]
    assert all(json.loads(p.with_name("card.json").read_text())["plan"]["sha256"] for p in built)


def test_another_version_of_tensorrt_builds_anew_and_timings_are_kept(fastsam, gpu, tmp_path: Path):
    build_plans(fastsam, tmp_path / "gpu", tmp_path / "cache")
    again = shutil.copytree(fastsam, tmp_path / "again")
    build_plans(again, tmp_path / "gpu", tmp_path / "cache")
    assert gpu.said["timings"] == b"+"

    gpu.__version__ = "11.5.0"
    build_plans(fastsam, tmp_path / "gpu", tmp_path / "cache")

    assert gpu.built == 3
    assert gpu.said["timings"] == b""


@pytest.mark.parametrize(
    ("parses", "builds", "says"), [(False, True, "node 7 is odd"), (True, False, "could not build")]
)
def test_a_failed_build_leaves_nothing_behind(fastsam, gpu, monkeypatch, tmp_path: Path, parses, builds, says):
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRT(parses, builds))

    with pytest.raises(NotBuilt, match=says):
        build_plans(fastsam, tmp_path / "gpu", tmp_path / "cache")

    assert not list(tmp_path.rglob("*.plan"))


def test_without_tensorrt_or_a_gpu_the_command_says_so(fastsam, monkeypatch, tmp_path: Path):
    command = ["build-plan", str(fastsam), "--repository", str(tmp_path / "gpu"), "--cache", str(tmp_path / "cache")]
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    without = CliRunner().invoke(app, command)
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRT())
    monkeypatch.setattr(plan.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    no_gpu = CliRunner().invoke(app, command)
    missing = CliRunner().invoke(app, ["build-plan", str(tmp_path / "nowhere")])

    assert [a.exit_code for a in (without, no_gpu, missing)] == [1, 1, 1]
    assert "TensorRT is not installed" in without.output
    assert "no NVIDIA driver" in no_gpu.output
    assert "there is no" in missing.output
    assert not (tmp_path / "gpu").exists()
