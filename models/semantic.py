"""A user's own semantic segmentation model, served under roomseg's contract.

Graph surgery: in front of the model, what turns an uint8 picture of any size into its input; behind it, what folds its
classes into our seven and brings them to stride 4. Junctions and normals, which such models do not know, are filled
with what says nothing: logits of -10, and vectors of length 0.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper

from models import graph
from models.graph import Picture, Refused, Rights, Written
from models.repository import ROOMSEG, config
from models.rooms.labels import NAMES

PROBE = np.random.default_rng(0).integers(0, 256, (2, 256, 320, 3), np.uint8)


@dataclass(frozen=True)
class Queries:
    """Outputs of a model that answers with queries.

    classes: (N, Q, C + 1) logits, the last of "no object"; masks: (N, Q, h, w) logits.
    """

    classes: str
    masks: str

    @classmethod
    def read(cls, found: dict[str, Any]) -> "Queries | None":
        named = found.get("queries")
        return cls(str(named["classes"]), str(named["masks"])) if named is not None else None


@dataclass(frozen=True)
class Map:
    """labels.json: how the model takes a picture and what its classes are (docs/model-contract.md).

    corners: how its output lies over its input, "aligned" or "half_pixel"; folded: the numbers of its classes for each
    of our labels, all others are "other"; queries: None where the output is (N, classes, h, w) logits.
    """

    picture: Picture
    corners: Literal["aligned", "half_pixel"]
    folded: dict[str, tuple[int, ...]]
    rights: Rights
    output: str = ""
    queries: Queries | None = None

    @classmethod
    def read(cls, path: Path) -> "Map":
        made = graph.read_map(path, "map of labels", cls._of)
        unknown = set(made.folded) - set(NAMES)
        if unknown:
            raise Refused(f"{path}: there are no labels {', '.join(sorted(unknown))}; ours are {', '.join(NAMES)}")
        if made.corners not in ("aligned", "half_pixel"):
            raise Refused(f"{path}: corners is aligned or half_pixel")
        every = [i for many in made.folded.values() for i in many]
        if len(every) != len(set(every)):
            raise Refused(f"{path}: a class belongs to one label only")
        return made

    @classmethod
    def _of(cls, found: dict[str, Any]) -> "Map":
        return cls(
            Picture.read(found),
            found.get("corners", "half_pixel"),
            {str(k): tuple(int(i) for i in v) for k, v in found["classes"].items()},
            Rights.read(found),
            str(found.get("output", "")),
            Queries.read(found),
        )

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


DENSE = """
scores (float[batch, c, oh, ow] logits) => (float[batch, c, oh, ow] score) {
    score = Softmax <axis: int = 1> (logits)
}
"""
# A class has at a pixel the sum over the queries of its probability times the mask's there (Cheng et al., "Per-Pixel
# Classification is Not All You Need for Semantic Segmentation", 2021, sec. 3.4). "No object" belongs to no pixel.
QUERIES = """
scores (float[batch, q, c1] classes, float[batch, q, oh, ow] masks) => (float[batch, c, oh, ow] score) {
    class_each = Softmax <axis: int = -1> (classes)
    class_known = Slice (class_each, zero, last, last)
    class_turned = Transpose <perm: ints = [0, 2, 1]> (class_known)
    mask_each = Sigmoid (masks)
    mask_shape = Shape (masks)
    mask_head = Slice (mask_shape, zero, two, zero)
    mask_sides = Slice (mask_shape, two, four, zero)
    flat_shape = Concat <axis: int = 0> (mask_head, last)
    mask_flat = Reshape (mask_each, flat_shape)
    score_flat = MatMul (class_turned, mask_flat)
    score_head = Slice (mask_shape, zero, first, zero)
    score_shape = Concat <axis: int = 0> (score_head, class_count, mask_sides)
    score = Reshape (score_flat, score_shape)
}
"""
# Scores are summed over the classes of a label, brought to the model's input size, cut to the picture, and brought to
# stride 4; the logarithm makes logits of them whose softmax is their share of the sum.
AFTER = """
after (float[batch, c, oh, ow] score) => (float[batch, 7, height4, width4] surface_logits) {{
    folded = Conv (score, fold)
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
    """The model under roomseg's contract.

    Its input is (N, 3, H, W) float, its output (N, classes, h, w) logits or class queries and mask queries.
    """
    name, dims = graph.picture_input(model, labels.picture.given)
    if labels.queries is not None:
        named = (labels.queries.classes, labels.queries.masks)
        found, masks = (v.shape for v in graph.tried(model, name, dims, labels.picture.given, named))
        if len(found) != 3 or len(masks) != 4 or found[:2] != masks[:2] or found[2] < 2:
            raise Refused(f"the model's outputs are not (N, Q, classes + 1) and (N, Q, h, w), but {found} and {masks}")
        classes = found[2] - 1
        scores = graph.part(QUERIES, classes=graph.PREFIX + named[0], masks=graph.PREFIX + named[1])
    else:
        outputs = {v.name: graph.dims_of(v) for v in model.graph.output}
        output = next((v for v in outputs if not labels.output or v == labels.output), None)
        if output is None:
            raise Refused(f"the model has no output {labels.output}")
        if len(outputs[output]) != 4 or not outputs[output][1]:
            raise Refused("the model's output is not (N, classes, h, w)")
        classes = outputs[output][1]
        scores = graph.part(DENSE, logits=graph.PREFIX + output)
    inner = graph.prefixed(graph.any_batch(model) if dims[0] else model)
    before, constants = graph.letterbox(labels.picture, graph.sides_of(dims), graph.PREFIX + name)
    fed, given = graph.fixed_inputs(model, labels.picture.given)
    corners = "align_corners" if labels.corners == "aligned" else "half_pixel"
    constants |= given | {
        "first": np.array([1]),
        "last": np.array([-1]),
        "class_count": np.array([classes]),
        "fold": labels.matrix(classes),
        "seven": np.array([len(NAMES)]),
        "corner": np.zeros(2, np.int64),
        "plane": np.array([2, 3]),
        "by_three": np.array([3]),
        "epsilon": np.array([1e-6], np.float32),
        "unlikely": np.full((1, 1, 1, 1), -10, np.float32),
        "unknown": np.zeros((1, 1, 1, 1), np.float32),
    }
    value = helper.make_tensor_value_info
    return graph.joined(
        inner,
        [*before, *fed],
        [*scores, *graph.part(AFTER.format(corners=corners))],
        constants,
        [value("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [value(t.name, TensorProto.FLOAT, ["batch", t.dims[0], "height4", "width4"]) for t in ROOMSEG.outputs],
    )


def check(path: Path) -> float:
    """Run the wrapped model as the service would: shapes, and a picture alone and in a batch; their difference."""
    session = graph.session(path)
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
    model = wrap(graph.opened(source), folded)

    def checked(paths: list[Path]) -> dict[str, Any]:
        return {"batch_difference": check(paths[0]), "classes": {k: list(v) for k, v in folded.folded.items()}}

    written = Written(name, model, source, config(ROOMSEG, name, "cpu"))
    return graph.publish(repository, [written], folded.rights, checked)[0]
