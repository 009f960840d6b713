"""The model repository's config.pbtxt files, for a CPU (OpenVINO or ONNX Runtime) and for a GPU (a TensorRT plan).

Both offer the same names, types and shapes, so that a client does not know which one answers.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

BATCH_MAX = 8


@dataclass(frozen=True)
class Tensor:
    """type: as Triton writes it; dims: without the batch, -1 where any."""

    name: str
    type: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Contract:
    """inputs and outputs of a kind of model.

    warm: (height, width) that is run before the first caller comes, None where nothing is; batch: at most so many
    together; backend: on a CPU. OpenVINO may compute in bfloat16, ONNX Runtime computes in float32.
    """

    outputs: tuple[Tensor, ...]
    warm: tuple[int, int] | None
    inputs: tuple[Tensor, ...] = (Tensor("image", "TYPE_UINT8", (-1, -1, 3)),)
    batch: int = BATCH_MAX
    backend: Literal["openvino", "onnxruntime"] = "openvino"


ROOMSEG = Contract(
    (
        Tensor("surface_logits", "TYPE_FP32", (7, -1, -1)),
        Tensor("junction_logits", "TYPE_FP32", (3, -1, -1)),
        Tensor("normals", "TYPE_FP32", (3, -1, -1)),
        Tensor("grey_card", "TYPE_FP32", (3, -1, -1)),
    ),
    (480, 640),
)
FASTSAM = Contract(
    (Tensor("predictions", "TYPE_FP32", (37, -1)), Tensor("prototypes", "TYPE_FP32", (32, -1, -1))), (768, 1024)
)
# Boxes in pixels and the operators of a Mask R-CNN want float32; and a Mask R-CNN takes one picture.
FASTSAM_FLOAT = replace(FASTSAM, backend="onnxruntime")
FASTSAM_ONE = replace(FASTSAM_FLOAT, batch=1)
CONTRACTS = {"roomseg": ROOMSEG, "fastsam": FASTSAM}


def config(contract: Contract, name: str, device: str) -> str:
    """The text of config.pbtxt; device: "cpu" or "gpu"."""

    def tensors(kind: str, many: tuple[Tensor, ...]) -> str:
        rows = ",\n".join(
            f'  {{ name: "{t.name}" data_type: {t.type} dims: [ {", ".join(map(str, t.dims))} ] }}' for t in many
        )
        return f"{kind} [\n{rows}\n]\n"

    cpu = device == "cpu"
    kind = f'backend: "{contract.backend}"' if cpu else 'platform: "tensorrt_plan"'
    served = f'{kind}\ndefault_model_filename: "model.{"onnx" if cpu else "plan"}"'
    where = "KIND_CPU" if cpu else "KIND_GPU"
    key = {"openvino": "INFERENCE_NUM_THREADS", "onnxruntime": "intra_op_thread_count"}[contract.backend]
    threads = f'parameters {{ key: "{key}" value {{ string_value: "2" }} }}\n' if cpu else ""
    batching = (
        "# Requests of one shape that arrive together run together; alone, none waits more than 2 ms.\n"
        "dynamic_batching { max_queue_delay_microseconds: 2000 }\n"
    )
    warming = ""
    if contract.warm:
        height, width = contract.warm
        warm = f"data_type: TYPE_UINT8 dims: [ {height}, {width}, 3 ] zero_data: true"
        warming = (
            'model_warmup [\n  {\n    name: "landscape"\n    batch_size: 1\n'
            f'    inputs {{ key: "image" value {{ {warm} }} }}\n  }}\n]\n'
        )
    return (
        f'name: "{name}"\n{served}\nmax_batch_size: {contract.batch}\n'
        + tensors("input", contract.inputs)
        + tensors("output", contract.outputs)
        + (batching if contract.batch > 1 else "")
        + f"instance_group [ {{ kind: {where} count: 1 }} ]\n"
        + threads
        + warming
        + "# Every version is served: a tenant can be pinned to one.\nversion_policy { all { } }\n"
    )


def versions(model: Path) -> list[Path]:
    """The ONNX files of a model's folder, the newest last."""
    return sorted(model.glob("[0-9]*/model.onnx"), key=lambda path: int(path.parent.name))


def add_to_card(card: Path, **more: Any) -> None:
    """Write what was found out of a model into its card; what stands there under the same keys goes."""
    card.write_text(json.dumps(json.loads(card.read_text()) | more, indent=2) + "\n")
