"""Surgery on the ONNX models that users bring: parts written as text, before a model and behind it.

A part is a graph in ONNX's own text form. Parts and the model are joined by the names of their tensors; the model's own
names carry a prefix, so that they cannot meet those of a part.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper, parser, version_converter

from models import onnx_file
from models.failure import Failure

OPSET_MIN = 13
PREFIX = "model_"
TRIED = (256, 320)  # sides of the picture that a model of any size is tried on

Made = TypeVar("Made")
Three = tuple[float, float, float]


class Refused(Failure):
    """The model or the map is not what it should be; the message says how."""


# --- maps -------------------------------------------------------------------------------------------


def read_map(path: Path, what: str, make: Callable[[dict[str, Any]], Made]) -> Made:
    """A map file, as `make` understands it."""
    try:
        return make(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{path} is no {what}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Picture:
    """How a model takes a picture.

    mean, std: of R, G, B (or B, G, R) in 0..255, subtracted and divided by; fit: into an input of fixed sides, "pad"
    keeps the picture's ratio and fills the rest, "stretch" does not; given: what its other inputs always get.
    """

    mean: Three
    std: Three
    order: Literal["RGB", "BGR"]
    fit: Literal["pad", "stretch"] = "pad"
    given: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, found: dict[str, Any]) -> "Picture":
        order, fit = found.get("order", "RGB"), found.get("fit", "pad")
        made = cls(_three(found["mean"]), _three(found["std"]), order, fit, dict(found.get("given", {})))
        if fit not in ("pad", "stretch"):
            raise Refused("fit is pad or stretch")
        if order not in ("RGB", "BGR") or not all(made.std):
            raise Refused("order is RGB or BGR, and std is not 0")
        return made

    def constants(self) -> dict[str, np.ndarray]:
        """What the parts in front of a model refer to."""
        return {
            "order": np.array([0, 1, 2] if self.order == "RGB" else [2, 1, 0]),
            "mean": np.array(self.mean, np.float32).reshape(1, 3, 1, 1),
            "std": np.array(self.std, np.float32).reshape(1, 3, 1, 1),
        }


@dataclass(frozen=True)
class Rights:
    """licence of the weights, and the data that they were trained on."""

    licence: str
    data: str

    @classmethod
    def read(cls, found: dict[str, Any]) -> "Rights":
        made = cls(found["licence"], found["data"])
        if not all(isinstance(v, str) and v.strip() for v in (made.licence, made.data)):
            raise Refused("licence and data are words: whose the weights are, and what they were trained on")
        return made


def _three(values: Any) -> Three:
    a, b, c = (float(v) for v in values)
    return a, b, c


# --- models -----------------------------------------------------------------------------------------


def opened(source: Path) -> onnx.ModelProto:
    """A user's model, checked, of an opset that the parts are written in."""
    try:
        model = onnx.load(source)
        onnx.checker.check_model(model)
    except Exception as error:
        raise Refused(f"{source} is no ONNX model: {error}") from error
    if opset_of(model) >= OPSET_MIN:
        return model
    try:
        return version_converter.convert_version(model, OPSET_MIN)
    except Exception as error:
        raise Refused(f"{source} has opset {opset_of(model)}; export it with {OPSET_MIN} or newer") from error


def opset_of(model: onnx.ModelProto) -> int:
    return max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))


def inputs_of(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Inputs that a caller has to give, by name."""
    stored = {t.name for t in model.graph.initializer}
    return {v.name: v for v in model.graph.input if v.name not in stored}


def dims_of(value: onnx.ValueInfoProto) -> list[int]:
    """0 where an axis may have any length."""
    return [d.dim_value for d in value.type.tensor_type.shape.dim]


def picture_input(model: onnx.ModelProto, given: Iterable[str], ranks: Sequence[int] = (4,)) -> tuple[str, list[int]]:
    """Name and dims of the input that takes the picture: float32, (N, 3, H, W) or, where rank 3 will do, (3, H, W)."""
    left = {k: v for k, v in inputs_of(model).items() if k not in set(given)}
    if len(left) != 1 or next(iter(left.values())).type.tensor_type.elem_type != TensorProto.FLOAT:
        raise Refused(
            f"the model takes more than one input, or none of float32: {', '.join(left) or 'none'}; "
            "what the others always get stands under `given` in the map"
        )
    ((name, value),) = left.items()
    dims = dims_of(value)
    if len(dims) not in ranks or dims[-3] != 3:
        raise Refused(f"the model's input is {dims}, not (N, 3, H, W)")
    return name, dims


def sides_of(dims: Sequence[int]) -> tuple[int, int] | None:
    """Height and width of the input; None where it takes any."""
    return (dims[-2], dims[-1]) if dims[-2] and dims[-1] else None


def any_batch(model: onnx.ModelProto) -> onnx.ModelProto:
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


def tried(
    model: onnx.ModelProto, name: str, dims: Sequence[int], given: Mapping[str, Any], outputs: Sequence[str]
) -> list[np.ndarray]:
    """Run a model as it came, on one picture of noise: what its outputs look like is known for sure only then."""
    have = [v.name for v in model.graph.output]
    for output in outputs:
        if output not in have:
            raise Refused(f"the model has no output {output}; it has {', '.join(have)}")
    height, width = sides_of(dims) or TRIED
    picture = np.random.default_rng(0).uniform(-1, 1, (3, height, width)).astype(np.float32)
    inputs = inputs_of(model)
    feed = {name: picture if len(dims) == 3 else picture[None]}
    feed |= {k: constant_input(inputs[k], v) for k, v in given.items() if k in inputs}
    try:
        return list(session(model).run(list(outputs), feed))
    except Exception as error:
        raise Refused(f"the model does not run on a picture of {height} x {width}: {error}") from error


def constant_input(value: onnx.ValueInfoProto, what: Any, defaults: Sequence[int] = ()) -> np.ndarray:
    """What an input always gets, in its type. A single number fills it; axes of any length are then `defaults`, or 1.

    Raises Refused where the numbers do not fit.
    """
    kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    dims = dims_of(value)
    try:
        array = np.array(what, kind)
    except (ValueError, TypeError) as error:
        raise Refused(f"{value.name} takes numbers of {kind}: {error}") from error
    if array.ndim == 0:
        anyhow = [*defaults, *[1] * len(dims)][: len(dims)]
        array = np.full([d or a for d, a in zip(dims, anyhow, strict=True)], array, kind)
    if array.ndim != len(dims) or any(d not in (0, n) for d, n in zip(dims[1:], array.shape[1:], strict=True)):
        raise Refused(f"{value.name} takes {dims} (0: any length), but is given {list(array.shape)}")
    return array


# --- parts ------------------------------------------------------------------------------------------


def part(text: str, **names: str) -> list[onnx.NodeProto]:
    """The nodes of a part, with tensors renamed."""
    nodes = list(parser.parse_graph(text).node)
    rename(nodes, {"nothing": ""} | names)  # an input that is left out; the parser has no word for it
    return nodes


def rename(nodes: Iterable[onnx.NodeProto], names: Mapping[str, str]) -> None:
    for node in nodes:
        for many in (node.input, node.output):
            for i, name in enumerate(many):
                if name in names:
                    many[i] = names[name]


def prefixed(model: onnx.ModelProto) -> onnx.ModelProto:
    return compose.add_prefix(model, PREFIX)


def joined(
    inner: onnx.ModelProto,
    before: Sequence[onnx.NodeProto],
    after: Sequence[onnx.NodeProto],
    constants: Mapping[str, np.ndarray],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """One model of a prefixed model and the parts around it; of the constants, those that are referred to."""
    nodes = [*before, *inner.graph.node, *after]
    used = {name for n in nodes for name in n.input}
    initializers = [numpy_helper.from_array(v, k) for k, v in constants.items() if k in used]
    graph = helper.make_graph(nodes, "wrapped", inputs, outputs, [*inner.graph.initializer, *initializers])
    others = [o for o in inner.opset_import if o.domain not in ("", "ai.onnx")]
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset_of(inner)), *others], functions=inner.functions
    )
    model.ir_version = max(8, inner.ir_version)
    return model


# What both ways into a model begin with.
_PLANES = """
before (uint8[batch, height, width, 3] image) => (float[batch, 3, h, w] ready) {
    as_float = Cast <to: int = 1> (image)
    planes = Transpose <perm: ints = [0, 3, 1, 2]> (as_float)
    colours = Gather <axis: int = 1> (planes, order)
    shape = Shape (planes)
    sides = Slice (shape, two, four, zero)
    sides_float = Cast <to: int = 1> (sides)
"""
# The picture as large as fits into the model's input, its sides' ratio kept, at the top left; see `fitted`.
INTO_FIXED = (
    _PLANES
    + """    ratios = Div (size_float, sides_float)
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
)
INTO_ANY = (
    _PLANES
    + """    inner = Identity (sides)
    inner_whole = Identity (sides_float)
    size = Identity (sides)
    size_float = Identity (sides_float)
    count = Slice (shape, zero, two, zero)
    centred = Sub (colours, mean)
    ready = Div (centred, std)
}
"""
)
# Planes (N, K, h, w), each laid over its frame (N, K, 4: x0, y0, x1, y1 in pixels of the model's input), as they are at
# the middles of the picture's cells of 4 x 4 pixels. Bilinear: a row of weights for each cell's row and column, 1 at the
# middle of a pixel and 0 at its neighbours'. Where a plane ends, it falls to zero or its last value goes on (`BORDER`).
AT_FOUR = """
at_four (float[n, k, h, w] planes_of, float[n, k, 4] frame) => (float[n, k, height4, width4] sampled) {
    quarter = Div (sides, by_four)
    scale = Div (inner_whole, sides_float)
    cell = Mul (scale, four_float)
    scale_y, scale_x = Split <axis: int = 0> (cell, one_each)
    height4 = Gather <axis: int = 0> (quarter, index_0)
    width4 = Gather <axis: int = 0> (quarter, index_1)
    rows_count = Range (index_0, height4, index_1)
    columns_count = Range (index_0, width4, index_1)
    rows_float = Cast <to: int = 1> (rows_count)
    columns_float = Cast <to: int = 1> (columns_count)
    rows_middle = Add (rows_float, half)
    columns_middle = Add (columns_float, half)
    y_at = Mul (rows_middle, scale_y)
    x_at = Mul (columns_middle, scale_x)
    x0, y0, x1, y1 = Split <axis: int = -1> (frame, one_of_four)
    planes_shape = Shape (planes_of)
    h = Gather <axis: int = 0> (planes_shape, index_2)
    w = Gather <axis: int = 0> (planes_shape, index_3)
    h_float = Cast <to: int = 1> (h)
    w_float = Cast <to: int = 1> (w)
    y_beside = Sub (y_at, y0)
    x_beside = Sub (x_at, x0)
    y_side = Sub (y1, y0)
    x_side = Sub (x1, x0)
    y_side_safe = Max (y_side, small_side)
    x_side_safe = Max (x_side, small_side)
    y_part = Div (y_beside, y_side_safe)
    x_part = Div (x_beside, x_side_safe)
    y_scaled = Mul (y_part, h_float)
    x_scaled = Mul (x_part, w_float)
    v = Sub (y_scaled, half)
    u = Sub (x_scaled, half)
    BORDER
    v_long = Unsqueeze (v_end, last_axis)
    u_long = Unsqueeze (u_end, last_axis)
    pixel_rows = Range (index_0, h, index_1)
    pixel_columns = Range (index_0, w, index_1)
    pixel_rows_float = Cast <to: int = 1> (pixel_rows)
    pixel_columns_float = Cast <to: int = 1> (pixel_columns)
    v_off = Sub (v_long, pixel_rows_float)
    u_off = Sub (u_long, pixel_columns_float)
    v_far = Abs (v_off)
    u_far = Abs (u_off)
    v_near = Sub (one_float, v_far)
    u_near = Sub (one_float, u_far)
    v_weight = Relu (v_near)
    u_weight = Relu (u_near)
    u_turned = Transpose <perm: ints = [0, 1, 3, 2]> (u_weight)
    wide = MatMul (v_weight, planes_of)
    sampled = MatMul (wide, u_turned)
}
"""
_FALLS_TO_ZERO = """
    v_end = Identity (v)
    u_end = Identity (u)
"""
_GOES_ON = """
    v_last = Sub (h_float, one_float)
    u_last = Sub (w_float, one_float)
    v_most = Min (v, v_last)
    u_most = Min (u, u_last)
    v_end = Max (v_most, no_float)
    u_end = Max (u_most, no_float)
"""
CONSTANTS: dict[str, np.ndarray] = {
    "zero": np.array([0]),
    "two": np.array([2]),
    "four": np.array([4]),
    "half": np.array([0.5], np.float32),
    "no_pads": np.zeros(6, np.int64),
    "by_four": np.array([4, 4]),
    "four_float": np.array([4], np.float32),
    "one_float": np.array([1], np.float32),
    "no_float": np.array([0], np.float32),
    "small_side": np.array([1e-3], np.float32),
    "one_each": np.array([1, 1]),
    "one_of_four": np.array([1, 1, 1, 1]),
    "last_axis": np.array([-1]),
    **{f"index_{i}": np.array(i) for i in range(4)},
}


def sampling(planes: str, frame: str, out: str, goes_on: bool) -> list[onnx.NodeProto]:
    """AT_FOUR between tensors of these names. It takes sides, sides_float and inner_whole from the part in front."""
    text = AT_FOUR.replace("BORDER", _GOES_ON if goes_on else _FALLS_TO_ZERO)
    return part(text, planes_of=planes, frame=frame, sampled=out)


def letterbox(
    picture: Picture, sides: tuple[int, int] | None, ready: str
) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """The part in front of a model whose input `ready` is (N, 3, H, W), and its constants."""
    constants = CONSTANTS | picture.constants()
    if sides:
        constants |= {"size": np.array(sides), "size_float": np.array(sides, np.float32)}
    return part(fitted(INTO_FIXED, picture) if sides else INTO_ANY, ready=ready), constants


def fitted(text: str, picture: Picture) -> str:
    """A part that keeps the picture's ratio, or, where it is to be stretched, each side's own."""
    if picture.fit == "pad":
        return text
    return text.replace("ratio = ReduceMin <keepdims: int = 1> (ratios)", "ratio = Identity (ratios)")


def fixed_inputs(
    model: onnx.ModelProto, given: Mapping[str, Any]
) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """What feeds a model's other inputs, repeated for each picture of a batch."""
    nodes, constants, inputs = [], dict[str, np.ndarray](), inputs_of(model)
    for name, what in given.items():
        if name not in inputs:
            raise Refused(f"the model has no input {name}; it has {', '.join(inputs)}")
        value = inputs[name]
        if any(d == 0 for d in dims_of(value)[1:]) and np.ndim(what) == 0:
            raise Refused(f"{name} takes {dims_of(value)} (0: any length); give it all its numbers")
        array = constant_input(value, what)
        constants[f"{name}_given"] = array
        if array.ndim == 0 or len(array) != 1:
            nodes.append(helper.make_node("Identity", [f"{name}_given"], [PREFIX + name]))
            continue
        constants[f"{name}_rest"] = np.array(array.shape[1:], np.int64)
        nodes += [
            helper.make_node("Slice", ["shape", "zero", "one_end", "zero"], [f"{name}_count"]),
            helper.make_node("Concat", [f"{name}_count", f"{name}_rest"], [f"{name}_shape"], axis=0),
            helper.make_node("Expand", [f"{name}_given", f"{name}_shape"], [PREFIX + name]),
        ]
    return nodes, constants | {"one_end": np.array([1])}


# --- files ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """A wrapped model that waits for its check; source: the file that the user brought."""

    name: str
    model: onnx.ModelProto
    source: Path
    config: str


def publish(
    repository: Path,
    written: Sequence[Written],
    rights: Rights,
    check: Callable[[list[Path]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Run the models and then make `<repository>/<name>`: 1/model.onnx, 1/card.json, config.pbtxt; returns the cards.

    Args:
        check: takes the files in order and returns what goes into the cards; whatever it raises refuses them all.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{w.name}.onnx" for w in written]
        try:
            for w, path in zip(written, paths, strict=True):
                onnx.checker.check_model(w.model, full_check=True)
                onnx.save(w.model, path)
            told = check(paths)
        except Exception as error:
            raise Refused(f"the wrapped model does not run: {error}") from error
        cards = []
        for w, path in zip(written, paths, strict=True):
            target = repository / w.name / "1" / "model.onnx"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target.with_suffix(".part"))
            target.with_suffix(".part").replace(target)
            source = {"file": w.source.name, "sha256": onnx_file.digest(w.source), "bytes": w.source.stat().st_size}
            card = onnx_file.card(target, w.name, rights.licence, rights.data, None, source=source, **told)
            target.with_name("card.json").write_text(json.dumps(card, indent=2) + "\n")
            (repository / w.name / "config.pbtxt").write_text(w.config)
            cards.append(card)
    return cards


def session(model: Path | onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    what = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(what, options, providers=["CPUExecutionProvider"])
