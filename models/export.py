"""Turn trained roomseg weights into the served ONNX model, checked against PyTorch, with its card.

python -m models.export --run .local/train/roomseg --level .local/train/level
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from models import onnx_file
from models.failure import Failure, told
from models.fold import Net, fold
from models.onnx_file import PARITY_MAX
from models.repository import ROOMSEG, config, versions
from models.roomseg import pretrained, served
from models.roomseg.level import Level
from models.roomseg.network import INPUT, OUTPUTS, RoomSeg
from models.roomseg.residual import Beside, Residual


def load(weights: Path, net: Net) -> Net:
    """The network as training wrote it, its weights rounded to half precision as they are shipped."""
    net = fold(net.eval())
    net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return rounded(net)


def rounded(net: Net) -> Net:
    net = fold(net.eval())
    onnx_file.round_weights(net)
    return net


def with_level(net: RoomSeg, fitted: Path) -> RoomSeg:
    """The network with what moves its grey card, as `models.level` has written it."""
    level = Level(channels=net.head.in_channels)
    level.load_state_dict(load_file(fitted))
    net.level = level.eval()
    onnx_file.round_weights(level)
    return net


def export(net: torch.nn.Module, path: Path) -> None:
    """Write the ONNX file: dynamic batch, height and width; large weights stored as half precision."""
    axes = {INPUT: {0: "batch", 1: "height", 2: "width"}} | {
        name: {0: "batch", 2: f"height{stride}", 3: f"width{stride}"}
        for name, stride in zip(OUTPUTS, (2, 4, 4, 4), strict=True)
    }
    onnx_file.write(net, path, [INPUT], OUTPUTS, axes)


def parity(net: torch.nn.Module, path: Path) -> float:
    """Largest difference between PyTorch and ONNX Runtime over several shapes and batches."""
    return max(onnx_file.parity(net, path, OUTPUTS).values())


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--repository", type=Path, default=Path("model_repository"))
    p.add_argument(
        "--beside", type=Path, help="model.onnx of a version that has roomseg 2's network beside its own: it stays"
    )
    p.add_argument("--level", type=Path, help="folder of models.level")
    p.add_argument("--version", type=int, help="default: the next; older ones stay for tenants that are pinned to them")
    a = p.parse_args()
    folder = a.repository / "roomseg"
    version = a.version or 1 + max((int(file.parent.name) for file in versions(folder)), default=0)
    path = folder / str(version) / "model.onnx"
    first = load(a.run / "weights.pt", RoomSeg())
    members, more = [a.run / "weights.pt"], {}
    if a.level:
        members.append(a.level / "level.safetensors")
        more["level"] = json.loads((a.level / "level.json").read_text())
        with_level(first, members[-1])
    net = first
    if a.beside:
        members.append(a.beside)
        net = Beside(first, [served.read(a.beside, Residual(), member=1)]).eval()
    export(net, path)
    worst = parity(net, path)
    if worst > PARITY_MAX:
        raise Failure(f"PyTorch and ONNX Runtime differ by {worst:.2e}")
    card = onnx_file.card(
        path,
        "roomseg",
        "Apache-2.0",
        f"rooms rendered by models/rooms; the encoder began with {pretrained.ABOUT}",
        worst,
        members=[onnx_file.digest(w) for w in members],
        training=json.loads((a.run / "training.json").read_text()),
        **more,
    )
    (path.parent / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    (folder / "config.pbtxt").write_text(config(ROOMSEG, "roomseg", "cpu"))
    for name in ("curve.csv", "curve.png"):
        shutil.copy(a.run / name, path.parent / name)
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    with told():
        main()
