"""The model repository's config.pbtxt files, for a CPU (OpenVINO) and for a GPU (a TensorRT plan).

Both offer the same names, types and shapes, so that a client does not know which one answers.
"""

from dataclasses import dataclass

BATCH_MAX = 8


@dataclass(frozen=True)
class Tensor:
    """type: as Triton writes it; dims: without the batch, -1 where any."""

    name: str
    type: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Contract:
    """inputs and outputs of a kind of model; warm: (height, width) that is run before the first caller comes."""

    outputs: tuple[Tensor, ...]
    warm: tuple[int, int]
    inputs: tuple[Tensor, ...] = (Tensor("image", "TYPE_UINT8", (-1, -1, 3)),)


ROOMSEG = Contract(
    (
        Tensor("surface_logits", "TYPE_FP32", (7, -1, -1)),
        Tensor("junction_logits", "TYPE_FP32", (3, -1, -1)),
        Tensor("normals", "TYPE_FP32", (3, -1, -1)),
        Tensor("grey_card", "TYPE_FP32", (3, -1, -1)),
    ),
    (384, 512),
)
FASTSAM = Contract(
    (Tensor("predictions", "TYPE_FP32", (37, -1)), Tensor("prototypes", "TYPE_FP32", (32, -1, -1))), (768, 1024)
)
CONTRACTS = {"roomseg": ROOMSEG, "fastsam": FASTSAM}


def config(contract: Contract, name: str, device: str) -> str:
    """The text of config.pbtxt; device: "cpu" or "gpu"."""

    def tensors(kind: str, many: tuple[Tensor, ...]) -> str:
        rows = ",\n".join(
            f'  {{ name: "{t.name}" data_type: {t.type} dims: [ {", ".join(map(str, t.dims))} ] }}' for t in many
        )
        return f"{kind} [\n{rows}\n]\n"

    cpu = device == "cpu"
    kind = 'backend: "openvino"' if cpu else 'platform: "tensorrt_plan"'
    served = f'{kind}\ndefault_model_filename: "model.{"onnx" if cpu else "plan"}"'
    where = "KIND_CPU" if cpu else "KIND_GPU"
    threads = 'parameters { key: "INFERENCE_NUM_THREADS" value { string_value: "2" } }\n' if cpu else ""
    height, width = contract.warm
    warm = f"data_type: TYPE_UINT8 dims: [ {height}, {width}, 3 ] zero_data: true"
    return (
        f'name: "{name}"\n{served}\nmax_batch_size: {BATCH_MAX}\n'
        + tensors("input", contract.inputs)
        + tensors("output", contract.outputs)
        + "# Requests of one shape that arrive together run together; alone, none waits more than 2 ms.\n"
        + "dynamic_batching { max_queue_delay_microseconds: 2000 }\n"
        + f"instance_group [ {{ kind: {where} count: 1 }} ]\n"
        + threads
        + 'model_warmup [\n  {\n    name: "landscape"\n    batch_size: 1\n'
        + f'    inputs {{ key: "image" value {{ {warm} }} }}\n  }}\n]\n'
        + "# Every version is served: a tenant can be pinned to one.\nversion_policy { all { } }\n"
    )
