"""A user's own semantic segmentation model, served under roomseg's contract.

Graph surgery: in front of the model, what turns an uint8 picture of any size into its input; behind it, what folds its
classes into our seven and brings them to stride 4. Junctions and normals, which such models do not know, are filled
with what says nothing: logits of -10, and vectors of length 0.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper, parser, version_converter

from models import onnx_file
from models.failure import Failure
from models.repository import ROOMSEG, config
from models.rooms.labels import NAMES

OPSET_MIN = 13
PROBE = np.random.default_rng(0).integers(0, 256, (2, 256, 320, 3), np.uint8)


class Refused(Failure):
    """The model or the map is not what it should be; the message says how."""


@dataclass(frozen=True)
class Map:
    """labels.json: how the model takes a picture and what its classes are (docs/model-contract.md).

    mean, std: of R, G, B (or B, G, R) in 0..255, subtracted and divided by; corners: how its output lies over its
    input, "aligned" or "half_pixel"; folded: the numbers of its classes for each of our labels, all others are "other".
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    order: Literal["RGB", "BGR"]
    corners: Literal["aligned", "half_pixel"]
    folded: dict[str, tuple[int, ...]]
    licence: str
    data: str
    output: str = ""

    @classmethod
    def read(cls, path: Path) -> "Map":
        try:
            found = json.loads(path.read_text())
            made = cls(
                _three(found["mean"]),
                _three(found["std"]),
                found.get("order", "RGB"),
                found.get("corners", "half_pixel"),
                {str(k): tuple(int(i) for i in v) for k, v in found["classes"].items()},
                str(found["licence"]),
                str(found["data"]),
                str(found.get("output", "")),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(f"{path} is no map of labels: {type(error).__name__}: {error}") from error
        unknown = set(made.folded) - set(NAMES)
        if unknown:
            raise Refused(f"{path}: there are no labels {', '.join(sorted(unknown))}; ours are {', '.join(NAMES)}")
        if made.order not in ("RGB", "BGR") or made.corners not in ("aligned", "half_pixel") or not all(made.std):
            raise Refused(f"{path}: order is RGB or BGR, corners is aligned or half_pixel, and std is not 0")
        every = [i for many in made.folded.values() for i in many]
        if len(every) != len(set(every)):
            raise Refused(f"{path}: a class belongs to one label only")
        return made

    def matrix(self, classes: int) -> np.ndarray:
        """(7, classes, 1, 1) float32 of 0 and 1."""
        out = np.zeros((len(NAMES), classes, 1, 1), np.float32)
        for place, name in enumerate(NAMES):
            for index in self.folded.get(name, ()):
                if not 0 <= index < classes:
                    raise Refused(f"class {index} of {name} is none of the model's {classes}")
                out[place, index] = 1
        out[NAMES.index("other"), out.sum((0, 2, 3)) == 0] = 1
        return out


def _three(values: Any) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c


# The picture as large as fits into the model's input, its sides' ratio kept, at the top left.
INTO_FIXED = """
before (uint8[batch, height, width, 3] image) => (float[batch, 3, h, w] ready) {
    as_float = Cast <to: int = 1> (image)
    planes = Transpose <perm: ints = [0, 3, 1, 2]> (as_float)
    colours = Gather <axis: int = 1> (planes, order)
    shape = Shape (planes)
    sides = Slice (shape, two, four, zero)
    sides_float = Cast <to: int = 1> (sides)
    ratios = Div (size_float, sides_float)
    ratio = ReduceMin <keepdims: int = 1> (ratios)
    inner_float = Mul (sides_float, ratio)
    inner_nearest = Add (inner_float, half)
    inner_whole = Floor (inner_nearest)
    inner = Cast <to: int = 7> (inner_whole)
    count = Slice (shape, zero, two, zero)
    inner_shape = Concat <axis: int = 0> (count, inner)
    small = Resize <mode: string = "linear", coordinate_transformation_mode: string = "half_pixel"> (colours, nothing, nothing, inner_shape)
    centred = Sub (small, mean)
    normal = Div (centred, std)
    rest = Sub (size, inner)
    pads = Concat <axis: int = 0> (no_pads, rest)
    ready = Pad <mode: string = "constant"> (normal, pads)
}
"""
INTO_ANY = """
before (uint8[batch, height, width, 3] image) => (float[batch, 3, h, w] ready) {
    as_float = Cast <to: int = 1> (image)
    planes = Transpose <perm: ints = [0, 3, 1, 2]> (as_float)
    colours = Gather <axis: int = 1> (planes, order)
    shape = Shape (planes)
    sides = Slice (shape, two, four, zero)
    inner = Identity (sides)
    size = Identity (sides)
    count = Slice (shape, zero, two, zero)
    centred = Sub (colours, mean)
    ready = Div (centred, std)
}
"""
# Probabilities are summed over the classes of a label, brought to the model's input size, cut to the picture, and
# brought to stride 4; the logarithm makes logits of them whose softmax is the probabilities again.
AFTER = """
after (float[batch, c, oh, ow] logits) => (float[batch, 7, height4, width4] surface_logits) {{
    probability = Softmax <axis: int = 1> (logits)
    folded = Conv (probability, fold)
    one = Slice (shape, zero, first, zero)
    labels = Concat <axis: int = 0> (one, seven)
    large_shape = Concat <axis: int = 0> (labels, size)
    large = Resize <mode: string = "linear", coordinate_transformation_mode: string = "{corners}"> (folded, nothing, nothing, large_shape)
    cut = Slice (large, corner, inner, plane)
    quarter = Div (sides, by_four)
    small_shape = Concat <axis: int = 0> (labels, quarter)
    at_four = Resize <mode: string = "linear", coordinate_transformation_mode: string = "half_pixel"> (cut, nothing, nothing, small_shape)
    sure = Add (at_four, epsilon)
    surface_logits = Log (sure)
    three = Concat <axis: int = 0> (one, by_three)
    others_shape = Concat <axis: int = 0> (three, quarter)
    junction_logits = Expand (unlikely, others_shape)
    normals = Expand (unknown, others_shape)
    grey_card = Expand (unknown, others_shape)
}}
"""


def wrap(model: onnx.ModelProto, labels: Map) -> onnx.ModelProto:
    """The model under roomseg's contract. Its input is (N, 3, H, W) float, its output (N, classes, h, w) logits."""
    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset < OPSET_MIN:
        model = version_converter.convert_version(model, OPSET_MIN)
    inner = compose.add_prefix(_any_batch(model), "model_").graph
    given = [v for v in inner.input if v.name not in {t.name for t in inner.initializer}]
    if len(given) != 1 or given[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise Refused("the model takes more than one input, or none of float32")
    dims = [d.dim_value for d in given[0].type.tensor_type.shape.dim]
    if len(dims) != 4 or dims[1] != 3:
        raise Refused(f"the model's input is {dims}, not (N, 3, H, W)")
    outputs = [v for v in inner.output if not labels.output or v.name == f"model_{labels.output}"]
    if not outputs:
        raise Refused(f"the model has no output {labels.output}")
    classes = outputs[0].type.tensor_type.shape.dim
    if len(classes) != 4 or not classes[1].dim_value:
        raise Refused("the model's output is not (N, classes, h, w)")
    fixed = bool(dims[2] and dims[3])
    before = parser.parse_graph(INTO_FIXED if fixed else INTO_ANY)
    corners = "align_corners" if labels.corners == "aligned" else "half_pixel"
    after = parser.parse_graph(AFTER.format(corners=corners))
    _rename(before.node, "ready", given[0].name)
    _rename(after.node, "logits", outputs[0].name)

    for nodes in (before.node, after.node):
        _rename(nodes, "nothing", "")  # an input that is left out; the parser has no word for it

    constants: dict[str, Any] = {
        "order": np.array([0, 1, 2] if labels.order == "RGB" else [2, 1, 0]),
        "zero": np.array([0]),
        "first": np.array([1]),
        "two": np.array([2]),
        "four": np.array([4]),
        "half": np.array([0.5], np.float32),
        "mean": np.array(labels.mean, np.float32).reshape(1, 3, 1, 1),
        "std": np.array(labels.std, np.float32).reshape(1, 3, 1, 1),
        "no_pads": np.zeros(6, np.int64),
        "fold": labels.matrix(classes[1].dim_value),
        "seven": np.array([len(NAMES)]),
        "corner": np.zeros(2, np.int64),
        "plane": np.array([2, 3]),
        "by_four": np.array([4, 4]),
        "by_three": np.array([3]),
        "epsilon": np.array([1e-6], np.float32),
        "unlikely": np.full((1, 1, 1, 1), -10, np.float32),
        "unknown": np.zeros((1, 1, 1, 1), np.float32),
    }
    if fixed:
        constants |= {"size": np.array(dims[2:]), "size_float": np.array(dims[2:], np.float32)}
    nodes = [*before.node, *inner.node, *after.node]
    used = {name for n in nodes for name in n.input}
    initializers = [numpy_helper.from_array(v, k) for k, v in constants.items() if k in used]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "wrapped",
        [value("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [value(t.name, TensorProto.FLOAT, ["batch", t.dims[0], "height4", "width4"]) for t in ROOMSEG.outputs],
        [*inner.initializer, *initializers],
    )
    imports = [o for o in model.opset_import if o.domain not in ("", "ai.onnx")]
    wrapped = helper.make_model(graph, opset_imports=[helper.make_opsetid("", max(opset, OPSET_MIN)), *imports])
    wrapped.ir_version = max(8, model.ir_version)
    return wrapped


def _any_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that takes any batch: `Reshape` to a batch of 1 keeps what it is given instead."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    tensors = {t.name: t for t in out.graph.initializer}
    for node in out.graph.node:
        shape = tensors.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is not None:
            wanted = numpy_helper.to_array(shape).copy()
            if wanted[0] == 1:
                wanted[0] = 0
                shape.CopyFrom(numpy_helper.from_array(wanted, shape.name))
    for v in (*out.graph.input, *out.graph.output):
        if v.type.tensor_type.shape.dim:
            v.type.tensor_type.shape.dim[0].dim_param = "batch"
    del out.graph.value_info[:]
    return out


def _rename(nodes: Any, old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new


def check(path: Path) -> float:
    """Run the wrapped model as the service would: shapes, and a picture alone and in a batch; their difference."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [t.name for t in ROOMSEG.outputs]
    together = session.run(names, {"image": PROBE})
    alone = session.run(names, {"image": PROBE[1:]})
    n, h, w, _ = PROBE.shape
    for tensor, found in zip(ROOMSEG.outputs, together, strict=True):
        if found.shape != (n, tensor.dims[0], h // 4, w // 4) or not np.isfinite(found).all():
            raise Refused(f"{tensor.name} comes out as {found.shape}, or with numbers that are none")
    difference = max(float(np.abs(a - b[1:]).max()) for a, b in zip(alone, together, strict=True))
    if difference > 1e-2:
        raise Refused(f"a picture gets another answer in a batch than alone (by {difference:.2g})")
    return difference


def wrap_model(source: Path, labels: Path, repository: Path, name: str) -> dict[str, Any]:
    """Make `<repository>/<name>`: 1/model.onnx, 1/card.json, config.pbtxt; returns the card."""
    folded = Map.read(labels)
    try:
        model = onnx.load(source)
        onnx.checker.check_model(model)
    except Exception as error:
        raise Refused(f"{source} is no ONNX model: {error}") from error
    folder = repository / name
    path = folder / "1" / "model.onnx"
    wrapped = wrap(model, folded)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.checker.check_model(wrapped, full_check=True)
    partial = path.with_suffix(".part")
    onnx.save(wrapped, partial)
    try:
        difference = check(partial)
    except Exception as error:
        partial.unlink()
        raise Refused(f"the wrapped model does not run: {error}") from error
    partial.replace(path)
    card = onnx_file.card(
        path,
        name,
        folded.licence,
        folded.data,
        None,
        batch_difference=difference,
        source={"file": source.name, "sha256": onnx_file.digest(source), "bytes": source.stat().st_size},
        classes={k: list(v) for k, v in folded.folded.items()},
    )
    (path.parent / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    (folder / "config.pbtxt").write_text(config(ROOMSEG, name, "cpu"))
    return card
