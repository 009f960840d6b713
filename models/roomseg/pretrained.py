"""The encoder's first weights: those of the object detector that MediaPipe Objectron ships under Apache-2.0.

    python -m models.roomseg.pretrained mediapipe-objectron-0.4.1675468480.tgz .local/train/encoder.safetensors

The detector is SSD on MobileNetV2, trained by Google on Open Images V4 (photographs under CC BY 2.0). Of it only the
MobileNetV2 is taken. docs/decisions/0013-a-pretrained-encoder.md says why, and what a customer is told of it.
"""

import argparse
import hashlib
import tarfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.failure import Failure
from models.roomseg.encoder import Encoder

ARCHIVE = "mediapipe-objectron-0.4.1675468480.tgz"
MEMBER = "package/objectron_solution_packed_assets.data"
START = 184  # the detector lies behind its list of labels
SHA256 = "d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6"  # of the detector
LICENCE = "Apache-2.0"
ABOUT = "the MobileNetV2 of MediaPipe Objectron's detector (Apache-2.0), trained by Google on Open Images V4"


def detector(archive: Path) -> bytes:
    """The detector's flatbuffer out of the published archive. Raises Failure: it is another file."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile(MEMBER)
            assert member is not None
            data = member.read()[START:]
    except (OSError, KeyError, tarfile.TarError) as error:
        raise Failure(f"{archive}: not {ARCHIVE} ({error})") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise Failure(f"{archive}: its detector is not the one of {ARCHIVE}")
    return data


def convolutions(data: bytes) -> list[tuple[Tensor, Tensor]]:
    """Weights (O, I, kH, kW) and biases of the convolutions of a graph in its order, float32."""
    import tflite

    model = tflite.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    codes = [model.OperatorCodes(o.OpcodeIndex()) for o in operators]
    kinds = [max(c.BuiltinCode(), c.DeprecatedBuiltinCode()) for c in codes]
    # Constants are kept in half precision, each behind an operator that widens it.
    widened = {
        int(o.Outputs(0)): int(o.Inputs(0))
        for o, kind in zip(operators, kinds, strict=True)
        if kind == tflite.BuiltinOperator.DEQUANTIZE
    }

    def constant(index: int) -> Tensor:
        tensor = graph.Tensors(widened.get(index, index))
        kind = np.float16 if tensor.Type() == tflite.TensorType.FLOAT16 else np.float32
        values = np.frombuffer(model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes(), kind)
        return torch.from_numpy(values.reshape(tensor.ShapeAsNumpy()).astype(np.float32))

    # The axes in the file: O, kH, kW, I; of a depthwise one: 1, kH, kW, O.
    order = {
        tflite.BuiltinOperator.CONV_2D: (0, 3, 1, 2),
        tflite.BuiltinOperator.DEPTHWISE_CONV_2D: (3, 0, 1, 2),
    }
    return [
        (constant(o.Inputs(1)).permute(order[kind]).contiguous(), constant(o.Inputs(2)))
        for o, kind in zip(operators, kinds, strict=True)
        if kind in order
    ]


def without_heads(found: list[tuple[Tensor, Tensor]], encoder: Encoder) -> list[tuple[Tensor, Tensor]]:
    """What is the encoder's among all convolutions of a detector: those of its shapes, in its order."""
    rest = iter(found)
    return [next((pair for pair in rest if pair[0].shape == c.weight.shape), found[-1]) for c in encoder.convolutions()]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("archive", type=Path)
    p.add_argument("out", type=Path)
    a = p.parse_args()
    encoder = Encoder()
    encoder.load(without_heads(convolutions(detector(a.archive)), encoder))
    a.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(encoder.state_dict(), a.out, metadata={"licence": LICENCE, "source": ARCHIVE})
    print(f"{a.out}: MobileNetV2, {sum(p.numel() for p in encoder.parameters()) / 1e6:.1f} million numbers")


if __name__ == "__main__":
    main()
