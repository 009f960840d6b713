"""Writing a network as the ONNX file that is served, and proving that both answer alike."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from models.digest import digest

OPSET = 17
PARITY_MAX = 1e-3
SHAPES = ((1, 256, 320, 3), (2, 320, 224, 3), (1, 384, 512, 3))  # that parity is measured on
HALVED_MIN = 1024  # numbers; smaller tensors stay float32

Axes = dict[str, dict[int, str]]


def round_weights(net: nn.Module) -> None:
    """Round what is stored as half precision, so that the network in memory is the one in the file."""
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim > 1:
                p.copy_(p.half().float())


def write(net: nn.Module, path: Path, inputs: Sequence[str], outputs: Sequence[str], axes: Axes) -> None:
    """Write `net`, which takes an `image` (N, H, W, 3) uint8: checked, large weights stored as half precision.

    Args:
        axes: of each input and output, the place and name of its axes that may have any length.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), warnings.catch_warnings():
        # The TorchScript exporter writes a plain graph with dynamic height and width, and needs no further package.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", "Constant folding")  # what it leaves, the slimmer folds
        torch.onnx.export(
            net,
            (torch.zeros(SHAPES[0], dtype=torch.uint8),),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    import onnxslim

    save(onnxslim.slim(onnx.load(path)), path)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Halve, check and write."""
    halve(model)
    # What the exporter noted of tensors, most of them gone since: anybody can infer it, and it has no place in the file.
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def halve(model: onnx.ModelProto) -> None:
    """Store big weights as float16 with a cast after each; the runtime folds the cast when it loads."""
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) > HALVED_MIN:
            values = numpy_helper.to_array(tensor)
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_f16"))
            casts.append(helper.make_node("Cast", [name + "_f16"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)


def parity(net: nn.Module, path: Path, outputs: Sequence[str]) -> dict[str, float]:
    """Largest difference between PyTorch and ONNX Runtime, of each output, over several shapes and batches."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng, worst = np.random.default_rng(0), dict.fromkeys(outputs, 0.0)
    for shape in SHAPES:
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        with torch.no_grad():
            ours = net(torch.from_numpy(image))
        theirs = session.run(list(outputs), {"image": image})
        for name, a, b in zip(outputs, ours, theirs, strict=True):
            worst[name] = max(worst[name], float(np.abs(a.numpy() - b).max()))
    return worst


def card(path: Path, name: str, licence: str, data: str, parity_max: float | None, **more: Any) -> dict[str, Any]:
    """The model card of an ONNX file; docs/model-contract.md has its schema."""
    return {
        "name": name,
        "version": path.parent.name,
        "licence": licence,
        "data": data,
        "sha256": digest(path),
        "bytes": path.stat().st_size,
        "parity_torch_onnx": parity_max,
        **more,
    }
