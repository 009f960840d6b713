"""Turn trained roomseg weights into the served ONNX model, checked against PyTorch, with its card.

python -m models.export --run .local/train/roomseg --repository model_repository
"""

import argparse
import hashlib
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from models.roomseg.network import INPUT, OUTPUTS, RoomSeg

OPSET = 17
PARITY_MAX = 1e-3


def load(weights: Path) -> RoomSeg:
    """The network in evaluation mode, its weights rounded to half precision as they are shipped."""
    net = RoomSeg()
    state = torch.load(weights, map_location="cpu", weights_only=True)
    net.load_state_dict(state)
    return rounded(net)


def rounded(net: RoomSeg) -> RoomSeg:
    net = fuse(net.eval())
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim > 1:
                p.copy_(p.half().float())
    return net


def fuse(net: RoomSeg) -> RoomSeg:
    """Fold each batch normalisation into the convolution before it."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    from models.roomseg.network import Conv

    for module in net.modules():
        if isinstance(module, Conv):
            module[0] = fuse_conv_bn_eval(module[0], module[1])
            module[1] = torch.nn.Identity()
    return net


def export(net: RoomSeg, path: Path) -> None:
    """Write the ONNX file: dynamic batch, height and width; large weights stored as half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = {INPUT: {0: "batch", 1: "height", 2: "width"}} | {
        name: {0: "batch", 2: f"height{stride}", 3: f"width{stride}"}
        for name, stride in zip(OUTPUTS, (2, 4, 4), strict=True)
    }
    with torch.no_grad(), warnings.catch_warnings():
        # The TorchScript exporter writes a plain graph with dynamic height and width, and needs no further package.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net,
            (torch.zeros(1, 256, 320, 3, dtype=torch.uint8),),
            str(path),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(path)
    _halve(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _halve(model: onnx.ModelProto) -> None:
    """Store big weights as float16 with a cast after each; the runtime folds the cast when it loads."""
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) > 1024:
            values = numpy_helper.to_array(tensor)
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_f16"))
            casts.append(helper.make_node("Cast", [name + "_f16"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)


def parity(net: RoomSeg, path: Path) -> float:
    """Largest difference between PyTorch and ONNX Runtime over several shapes and batches."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng, worst = np.random.default_rng(0), 0.0
    for shape in ((1, 256, 320, 3), (2, 320, 224, 3), (1, 384, 512, 3)):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        with torch.no_grad():
            ours = net(torch.from_numpy(image))
        theirs = session.run(list(OUTPUTS), {INPUT: image})
        worst = max([worst] + [float(np.abs(a.numpy() - b).max()) for a, b in zip(ours, theirs, strict=True)])
    return worst


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--repository", type=Path, default=Path("model_repository"))
    a = p.parse_args()
    folder = a.repository / "roomseg"
    path = folder / "1" / "model.onnx"
    net = load(a.run / "weights.pt")
    export(net, path)
    worst = parity(net, path)
    if worst > PARITY_MAX:
        raise SystemExit(f"PyTorch and ONNX Runtime differ by {worst:.2e}")
    card = {
        "name": "roomseg",
        "version": "1",
        "licence": "Apache-2.0",
        "data": "rooms rendered by models/rooms; no photograph was used",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "parity_torch_onnx": worst,
        "training": json.loads((a.run / "training.json").read_text()),
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    for name in ("curve.csv", "curve.png"):
        shutil.copy(a.run / name, folder / name)
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
