"""Weights of the fastsam network: mapping them by name and shape, and keeping them as safetensors."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.fastsam import checkpoint
from models.fastsam.checkpoint import Refused
from models.fastsam.network import SIZES, FastSam
from models.onnx_file import digest

LICENCE = "AGPL-3.0 weights, brought by the user; not part of roomviz and not to be passed on under its licence"
LISTED_MAX = 12


def fitted(state: dict[str, Tensor]) -> FastSam:
    """The network of the size that the tensors have, with them in it, in evaluation mode.

    Raises:
        Refused: a tensor is missing, left over or of another shape; all of them are named.
    """
    size, classes = size_of(state)
    with torch.device("meta"):
        net = FastSam(size, classes)
    wanted = net.state_dict()
    wrong = [f"missing: {name}" for name in wanted if name not in state]
    wrong += [f"left over: {name}" for name in state if name not in wanted]
    wrong += [
        f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if wrong:
        rest = f"\n  and {len(wrong) - LISTED_MAX} more" if len(wrong) > LISTED_MAX else ""
        listed = "\n  ".join(wrong[:LISTED_MAX])
        raise Refused(f"the tensors are not those of a network of size {size}:\n  {listed}{rest}")
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise Refused(f"{broken[0]} holds numbers that are none")
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False)


def size_of(state: dict[str, Tensor]) -> tuple[str, int]:
    """Size and number of classes, from the first convolution and the score branch."""
    first, score = state.get("model.0.conv.weight"), state.get("model.22.cv3.0.2.weight")
    widths = {s.channels(64): name for name, s in SIZES.items()}
    if first is None or score is None or first.ndim != 4 or first.shape[0] not in widths or score.ndim != 4:
        raise Refused(f"the tensors are not those of a network of size {', '.join(SIZES)}")
    return widths[first.shape[0]], score.shape[0]


def load(path: Path) -> FastSam:
    """From what `import-fastsam` wrote (.safetensors), or training did (.pt)."""
    if path.suffix == ".pt":
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not (isinstance(state, dict) and all(isinstance(v, Tensor) for v in state.values())):
            raise Refused(f"{path} holds no weights; a published checkpoint goes through import-fastsam first")
        return fitted({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    try:
        with safe_open(path, framework="pt") as file:
            return fitted({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118, it is no mapping
    except SafetensorError as error:
        raise Refused(f"{path} is no safetensors file ({error})") from error


def import_checkpoint(path: Path, out: Path) -> Path:
    """Read a published checkpoint and write `<name>.safetensors` and `card.json` into `out`.

    Raises:
        Refused: the file is not what it should be; nothing was run, and nothing written.
    """
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    try:
        net = fitted(checkpoint.state_of(checkpoint.read(path)))
    except Refused as refused:
        message = str(refused)
        raise Refused(message if message.startswith(str(path)) else f"{path}: {message}") from None
    source = {"file": path.name, "sha256": digest(path), "bytes": path.stat().st_size}
    out.mkdir(parents=True, exist_ok=True)
    written = out / f"{path.stem}.safetensors"
    save_file(
        {k: v.contiguous() for k, v in net.state_dict().items()},
        written,
        metadata={"size": net.size, "classes": str(net.classes), "source_sha256": str(source["sha256"])},
    )
    about = {
        "name": path.stem,
        "architecture": f"fastsam-{net.size}",
        "classes": net.classes,
        "parameters": sum(p.numel() for p in net.parameters()),
        "licence": LICENCE,
        "source": source,
        "sha256": digest(written),
        "bytes": written.stat().st_size,
    }
    (out / "card.json").write_text(json.dumps(about, indent=2) + "\n")
    return written
