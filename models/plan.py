"""TensorRT plans for the GPU node, built where they run: a plan fits one kind of GPU and one version of TensorRT.

A plan is kept in a cache under what it depends on (GPU, TensorRT, the ONNX file, sizes), so that the node's init job
takes seconds when nothing changed. TensorRT itself is loaded only when something has to be built.
"""

import ctypes
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from models.digest import digest
from models.failure import Failure
from models.precision import mixed_precision
from models.repository import BATCH_MAX, CONTRACTS, config, versions

WORKSPACE_BYTES = 4 << 30
FORMAT = 1  # of the recipe below: part of the key, so that another recipe builds anew

# Operators that TensorRT's ONNX parser takes (docs/operators.md of onnx-tensorrt). Kept to what networks of our kinds
# use; an operator that is not here is looked up there first.
_NAMES = """
    Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose
    CumSum DepthToSpace Div Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements Gemm GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual HardSigmoid Identity InstanceNormalization LayerNormalization LeakyRelu Less
    LessOrEqual Log LogSoftmax MatMul Max MaxPool Min Mul Neg Not Or Pad Pow PRelu Range ReduceL2 ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ScatterND Shape Sigmoid Sign Size Slice Softmax
    Softplus Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Unsqueeze Where
"""
SUPPORTED = frozenset(_NAMES.split())
OPSET_MAX = 22


class NotBuilt(Failure):
    """No plan can be made here; the message says why."""


@dataclass(frozen=True)
class Profile:
    """Shapes of `image` (N, H, W, 3) that a plan takes; it is tuned for `opt`."""

    min: tuple[int, int, int, int]
    opt: tuple[int, int, int, int]
    max: tuple[int, int, int, int]


PROFILES = {
    "roomseg": Profile((1, 64, 64, 3), (1, 480, 640, 3), (BATCH_MAX, 640, 640, 3)),
    "fastsam": Profile((1, 32, 32, 3), (1, 768, 1024, 3), (BATCH_MAX, 1024, 1024, 3)),
}


def kind_of(model: onnx.ModelProto) -> str:
    """Which contract the model keeps, by the names of its outputs."""
    outputs = {v.name for v in model.graph.output}
    for kind, contract in CONTRACTS.items():
        if outputs == {t.name for t in contract.outputs}:
            return kind
    raise NotBuilt(
        f"a model with outputs {', '.join(sorted(outputs))} keeps none of the contracts {', '.join(CONTRACTS)}"
    )


def obstacles(model: onnx.ModelProto) -> list[str]:
    """What TensorRT would refuse, in words; empty where nothing is known."""
    graph = model.graph
    found = [f"operator {op}" for op in sorted({n.op_type for n in graph.node} - SUPPORTED)]
    found += [f"operators of the domain {d}" for d in sorted({n.domain for n in graph.node} - {"", "ai.onnx"})]
    found += [f"opset {o.version}" for o in model.opset_import if o.domain in ("", "ai.onnx") and o.version > OPSET_MAX]
    bytes_in = {v.name for v in graph.input if v.type.tensor_type.elem_type == TensorProto.UINT8}
    found += [f"{n.op_type} on uint8" for n in graph.node if n.op_type != "Cast" and bytes_in.intersection(n.input)]
    return found


def key(onnx_sha256: str, tensorrt_version: str, capability: str, profile: Profile) -> str:
    """What a plan depends on, as one word."""
    parts = (FORMAT, onnx_sha256, tensorrt_version, capability, profile.min, profile.opt, profile.max)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def capability() -> str:
    """Compute capability of the first GPU, such as "8.9", asked of the driver itself."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NotBuilt("there is no NVIDIA driver here: plans are built on the GPU node that serves them") from error
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    calls = (
        lambda: cuda.cuInit(0),
        lambda: cuda.cuDeviceGet(ctypes.byref(device), 0),
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device),  # COMPUTE_CAPABILITY_MAJOR
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device),  # COMPUTE_CAPABILITY_MINOR
    )
    for call in calls:
        status = call()
        if status:
            raise NotBuilt(f"the NVIDIA driver finds no GPU (error {status})")
    return f"{major.value}.{minor.value}"


def tensorrt() -> Any:
    try:
        import tensorrt as trt
    except ImportError as error:
        raise NotBuilt("TensorRT is not installed: pip install tensorrt, of the version that Triton has") from error
    return trt


def build_plans(model_dir: Path, repository: Path, cache: Path) -> list[Path]:
    """Make `<repository>/<model>` for a GPU: model.plan and card.json of each version, config.pbtxt; returns the plans.

    Raises:
        NotBuilt: no GPU, no TensorRT, or a model that it cannot take.
    """
    sources = versions(model_dir)
    if not sources:
        raise NotBuilt(f"there is no model.onnx in a version of {model_dir}")
    return [_build_plan(source, repository / model_dir.name, cache) for source in sources]


def _build_plan(source: Path, folder: Path, cache: Path) -> Path:
    model = mixed_precision(onnx.load(source))
    kind = kind_of(model)
    hard = obstacles(model)
    if hard:
        raise NotBuilt(f"TensorRT does not take {source}: {', '.join(hard)}")
    trt, gpu = tensorrt(), capability()
    name, profile = folder.name, PROFILES[kind]
    version = str(trt.__version__)
    cached = cache / f"{name}-{key(digest(source), version, gpu, profile)}.plan"
    if not cached.exists():
        cache.mkdir(parents=True, exist_ok=True)
        timing = cache / f"timing-{gpu}-{version}.cache"
        plan, timings = build(trt, model.SerializeToString(), profile, timing.read_bytes() if timing.exists() else b"")
        _write(timing, timings)
        _write(cached, plan)
    target = folder / source.parent.name / "model.plan"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(cached, target.with_suffix(".part"))
    target.with_suffix(".part").replace(target)
    (folder / "config.pbtxt").write_text(config(CONTRACTS[kind], name, "gpu"))
    beside = source.with_name("card.json")
    card = json.loads(beside.read_text()) if beside.exists() else {"name": name}
    card["plan"] = {
        "tensorrt": version,
        "compute_capability": gpu,
        "precision": "fp16 where weights are stored so, else fp32",
        "onnx_sha256": digest(source),
        "sha256": digest(target),
        "bytes": target.stat().st_size,
        "profile": {"min": profile.min, "opt": profile.opt, "max": profile.max},
    }
    target.with_name("card.json").write_text(json.dumps(card, indent=2) + "\n")
    return target


def build(trt: Any, model: bytes, profile: Profile, timings: bytes) -> tuple[bytes, bytes]:
    """The plan of a strongly typed ONNX model, and the timing cache as it is afterwards."""
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    # TensorRT 10 has to be told; 11 knows no other networks and takes the flag without effect.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise NotBuilt(f"TensorRT cannot read the model: {errors}")
    settings = builder.create_builder_config()
    settings.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    settings.set_timing_cache(settings.create_timing_cache(timings), ignore_mismatch=False)
    shapes = builder.create_optimization_profile()
    shapes.set_shape("image", profile.min, profile.opt, profile.max)
    settings.add_optimization_profile(shapes)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:
        raise NotBuilt("TensorRT could not build the plan; its messages are above")
    return bytes(plan), bytes(settings.get_timing_cache().serialize())


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: another init job may be reading."""
    partial = path.with_suffix(f".{os.getpid()}.part")
    partial.write_bytes(data)
    partial.replace(path)
