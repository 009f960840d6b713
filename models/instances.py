"""A user's own instance segmentation model, served under fastsam's contract.

Behind the model, graph surgery keeps its best 32 instances: prototype k is the mask of instance k at stride 4, as
logits; its coefficients are the k-th unit vector. What a caller decodes is the mask as the model gave it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from models import graph
from models.graph import Picture, Refused, Rights, Written
from models.repository import FASTSAM, FASTSAM_FLOAT, FASTSAM_ONE, config
from models.semantic import PROBE, Queries

KEPT = 32  # prototypes of the contract
LOGIT_MAX = 10.0
# Sides to try: unlike, of all multiples of 32 the smallest, which has fewer cells than instances are kept, and one more.
SHAPES = (graph.TRIED, (32, 32), (320, 224))


@dataclass(frozen=True)
class Boxed:
    """Outputs of a Mask R-CNN: boxes (n, 4) x0, y0, x1, y1 in its input's pixels, scores (n,), and masks, (n, 1, h, w)
    of probabilities inside the box or (n, 1, H, W) over the whole input. A leading axis of 1 may stand before each."""

    boxes: str
    scores: str
    masks: str


@dataclass(frozen=True)
class Map:
    """map.json: how the model takes a picture, and how its outputs are called (docs/model-contract.md)."""

    picture: Picture
    rights: Rights
    outputs: Boxed | Queries

    @classmethod
    def read(cls, path: Path) -> "Map":
        return graph.read_map(path, "map of instances", cls._of)

    @classmethod
    def _of(cls, found: dict[str, Any]) -> "Map":
        queries = Queries.read(found)
        if (queries is None) == ("instances" not in found):
            raise Refused("a map of instances has either `instances` (boxes, scores, masks) or `queries`")
        named = found.get("instances", {})
        outputs = queries or Boxed(str(named["boxes"]), str(named["scores"]), str(named["masks"]))
        return cls(Picture.read(found), Rights.read(found), outputs)


# The best instances: as many as there are, at most 32.
BOXED = """
best (float[n, 4] boxes, float[n] scores, float[n, 1, h, w] masks) => (float[1, k, h, w] planes_of, float[1, k, 4] frame) {
    boxes_flat = Reshape (boxes, boxes_shape)
    scores_flat = Reshape (scores, last)
    masks_all = Shape (masks)
    masks_sides = Slice (masks_all, before_last, end, zero)
    masks_shape = Concat <axis: int = 0> (last, masks_sides)
    masks_flat = Reshape (masks, masks_shape)
    found_count = Shape (scores_flat)
    kept_count = Min (found_count, kept)
    best_scores, best_index = TopK (scores_flat, kept_count)
    best_boxes = Gather <axis: int = 0> (boxes_flat, best_index)
    best_masks = Gather <axis: int = 0> (masks_flat, best_index)
    planes_of = Unsqueeze (best_masks, zero)
    boxes_batch = Unsqueeze (best_boxes, zero)
    scores_long = Unsqueeze (best_scores, last)
    score = Unsqueeze (scores_long, zero)
}
"""
# Probabilities as logits, and boxes from pixels of the model's input to those of the picture.
BOXED_AFTER = """
boxed (float[1, k, height4, width4] sampled, float[1, k, 4] boxes_batch) => (float[1, k, height4, width4] logits, float[1, k, 4] around) {
    sure = Clip (sampled, least, most)
    unsure = Sub (one_float, sure)
    log_sure = Log (sure)
    log_unsure = Log (unsure)
    logits = Sub (log_sure, log_unsure)
    scale_y_one = Div (scale_y, four_float)
    scale_x_one = Div (scale_x, four_float)
    scale_xyxy = Concat <axis: int = 0> (scale_x_one, scale_y_one, scale_x_one, scale_y_one)
    around = Div (boxes_batch, scale_xyxy)
}
"""
# The probability that a query is any object, times the mean probability of its mask where that is more than a half, as
# Mask2Former scores its instances (Cheng et al., "Masked-attention Mask Transformer", 2022).
QUERIES = """
best (float[batch, q, c1] classes, float[batch, q, h, w] masks) => (float[batch, k, h, w] planes_of, float[batch, k, 1] score) {
    class_each = Softmax <axis: int = -1> (classes)
    class_none = Slice (class_each, last, end, last)
    object = Sub (one_float, class_none)
    mask_each = Sigmoid (masks)
    mask_on = Greater (masks, no_float)
    mask_float = Cast <to: int = 1> (mask_on)
    mask_sure = Mul (mask_each, mask_float)
    mask_shape = Shape (masks)
    mask_head = Slice (mask_shape, zero, two, zero)
    flat_shape = Concat <axis: int = 0> (mask_head, last)
    sure_flat = Reshape (mask_sure, flat_shape)
    float_flat = Reshape (mask_float, flat_shape)
    sure_sum = ReduceSum <keepdims: int = 1> (sure_flat, last)
    area = ReduceSum <keepdims: int = 1> (float_flat, last)
    area_safe = Max (area, one_float)
    quality = Div (sure_sum, area_safe)
    score_all = Mul (object, quality)
    score, best_index = TopK <axis: int = 1> (score_all, kept_count)
    masks_flat = Reshape (masks, flat_shape)
    mask_size = Slice (mask_shape, two, four, zero)
    mask_batch = Slice (mask_shape, zero, first, zero)
    pixels = ReduceProd <keepdims: int = 1> (mask_size)
    index_shape = Concat <axis: int = 0> (mask_batch, kept_count, pixels)
    index_all = Expand (best_index, index_shape)
    best_flat = GatherElements <axis: int = 1> (masks_flat, index_all)
    best_shape = Concat <axis: int = 0> (mask_batch, kept_count, mask_size)
    planes_of = Reshape (best_flat, best_shape)
}
"""
# The box around the cells of a mask, half a cell wider: there its smooth edge can lie. An empty one has no sides.
QUERIES_AFTER = """
around (float[batch, k, height4, width4] logits) => (float[batch, k, 4] around) {
    on = Greater (logits, no_float)
    on_float = Cast <to: int = 1> (on)
    row_sum = ReduceSum <keepdims: int = 0> (on_float, three)
    column_sum = ReduceSum <keepdims: int = 0> (on_float, two)
    row_any = Greater (row_sum, no_float)
    column_any = Greater (column_sum, no_float)
    row_float = Cast <to: int = 1> (row_any)
    column_float = Cast <to: int = 1> (column_any)
    whole_sum = ReduceSum <keepdims: int = 1> (row_float, two)
    any_long = Min (whole_sum, one_float)
    rows_late = Mul (row_float, rows_middle)
    columns_late = Mul (column_float, columns_middle)
    top_index = ArgMax <axis: int = 2, keepdims: int = 1> (row_float)
    left_index = ArgMax <axis: int = 2, keepdims: int = 1> (column_float)
    bottom_index = ArgMax <axis: int = 2, keepdims: int = 1> (rows_late)
    right_index = ArgMax <axis: int = 2, keepdims: int = 1> (columns_late)
    top = Cast <to: int = 1> (top_index)
    left = Cast <to: int = 1> (left_index)
    bottom_before = Cast <to: int = 1> (bottom_index)
    right_before = Cast <to: int = 1> (right_index)
    bottom = Add (bottom_before, one_float)
    right = Add (right_before, one_float)
    top_wide = Sub (top, half)
    left_wide = Sub (left, half)
    bottom_wide = Add (bottom, half)
    right_wide = Add (right, half)
    cells = Concat <axis: int = 2> (left_wide, top_wide, right_wide, bottom_wide)
    height4_float = Cast <to: int = 1> (height4)
    width4_float = Cast <to: int = 1> (width4)
    height4_one = Unsqueeze (height4_float, zero)
    width4_one = Unsqueeze (width4_float, zero)
    cells_limit = Concat <axis: int = 0> (width4_one, height4_one, width4_one, height4_one)
    cells_low = Max (cells, no_float)
    cells_high = Min (cells_low, cells_limit)
    pixels_wide = Mul (cells_high, four_float)
    around = Mul (pixels_wide, any_long)
}
"""
# Both, as fastsam writes them: columns cx, cy, w, h, score, coefficients; what is not used has the score 0.
AFTER = """
after (float[n, k, h, w] logits, float[n, k, 4] around, float[n, k, 1] score)
    => (float[n, 37, cells] predictions, float[n, 32, h, w] prototypes) {
    count_k = Shape (score)
    k = Slice (count_k, first, two, zero)
    missing = Sub (kept, k)
    planes_pads = Concat <axis: int = 0> (no_pads_five, missing, no_pads_two)
    prototypes = Pad <mode: string = "constant"> (logits, planes_pads, unlikely)
    rows_pads = Concat <axis: int = 0> (no_pads_four, missing, zero)
    around_all = Pad <mode: string = "constant"> (around, rows_pads)
    score_all_rows = Pad <mode: string = "constant"> (score, rows_pads)
    left_side, top_side, right_side, bottom_side = Split <axis: int = 2> (around_all, one_of_four)
    width_of = Sub (right_side, left_side)
    height_of = Sub (bottom_side, top_side)
    x_sum = Add (left_side, right_side)
    y_sum = Add (top_side, bottom_side)
    cx = Mul (x_sum, half)
    cy = Mul (y_sum, half)
    batch_one = Slice (count_k, zero, first, zero)
    unit_shape = Concat <axis: int = 0> (batch_one, kept, kept)
    unit = Expand (unit_one, unit_shape)
    rows_of = Concat <axis: int = 2> (cx, cy, width_of, height_of, score_all_rows, unit)
    columns_of = Transpose <perm: ints = [0, 2, 1]> (rows_of)
    per_8 = Div (sides, by_8)
    per_16 = Div (sides, by_16)
    per_32 = Div (sides, by_32)
    cells_8 = ReduceProd <keepdims: int = 1> (per_8)
    cells_16 = ReduceProd <keepdims: int = 1> (per_16)
    cells_32 = ReduceProd <keepdims: int = 1> (per_32)
    cells_most = Add (cells_8, cells_16)
    cells_all = Add (cells_most, cells_32)
    more = Sub (cells_all, kept)
    cells_pads = Concat <axis: int = 0> (no_pads_five, more)
    predictions = Pad <mode: string = "constant"> (columns_of, cells_pads)
}
"""


def wrap(model: onnx.ModelProto, instances: Map) -> onnx.ModelProto:
    """The model under fastsam's contract. Its input is (N, 3, H, W) or, for a Mask R-CNN, (3, H, W) float."""
    queries = instances.outputs if isinstance(instances.outputs, Queries) else None
    name, dims = graph.picture_input(model, instances.picture.given, (4,) if queries else (3, 4))
    sides = graph.sides_of(dims)
    measured = _measure(model, name, dims, instances)
    before, constants = graph.letterbox(instances.picture, sides, "ready" if len(dims) == 3 else graph.PREFIX + name)
    fed, given = graph.fixed_inputs(model, instances.picture.given)
    if len(dims) == 3:
        fed.append(helper.make_node("Squeeze", ["ready", "zero"], [graph.PREFIX + name]))
    whole = [
        helper.make_node("Concat", ["no_float", "no_float", "size_x", "size_y"], ["whole_frame"], axis=0),
        helper.make_node("Reshape", ["whole_frame", "frame_shape"], ["whole"]),
    ]
    size = [helper.make_node("Split", ["size_float", "one_each"], ["size_y", "size_x"], axis=0)]
    named = {k: graph.PREFIX + v for k, v in vars(instances.outputs).items()}
    if queries:
        inner = graph.prefixed(graph.any_batch(model) if dims[0] else model)
        after = graph.part(QUERIES, **named) + size + whole
        after += graph.sampling("planes_of", "whole", "logits", goes_on=True)
        after += graph.part(QUERIES_AFTER)
    else:
        inner = graph.prefixed(model)
        after = graph.part(BOXED, **named) + size + whole
        # A frame for each: one for all cannot be laid over none.
        after += [
            helper.make_node("Shape", ["boxes_batch"], ["frames_shape"]),
            helper.make_node("Expand", ["whole", "frames_shape"], ["wholes"]),
        ]
        boxed = measured.masks_in_boxes
        after += graph.sampling("planes_of", "boxes_batch" if boxed else "wholes", "sampled", goes_on=not boxed)
        after += graph.part(BOXED_AFTER)
    after += graph.part(AFTER)
    sigmoid = 1 / (1 + np.exp(LOGIT_MAX))
    constants |= given | {
        "first": np.array([1]),
        "three": np.array([3]),
        "last": np.array([-1]),
        "before_last": np.array([-2]),
        "end": np.array([np.iinfo(np.int64).max]),
        "kept": np.array([KEPT]),
        "boxes_shape": np.array([-1, 4]),
        "frame_shape": np.array([1, 1, 4]),
        "least": np.array(sigmoid, np.float32),
        "most": np.array(1 - sigmoid, np.float32),
        "unlikely": np.array(-LOGIT_MAX, np.float32),
        "no_pads_two": np.zeros(2, np.int64),
        "no_pads_four": np.zeros(4, np.int64),
        "no_pads_five": np.zeros(5, np.int64),
        "unit_one": np.eye(KEPT, dtype=np.float32)[None],
        "by_8": np.array([8, 8]),
        "by_16": np.array([16, 16]),
        "by_32": np.array([32, 32]),
    }
    if queries:
        constants["kept_count"] = np.array([min(KEPT, measured.count)])
    value, batch = helper.make_tensor_value_info, "batch" if queries else 1
    return graph.joined(
        inner,
        [*before, *fed],
        after,
        constants,
        [value("image", TensorProto.UINT8, [batch, "height", "width", 3])],
        [
            value("predictions", TensorProto.FLOAT, [batch, 5 + KEPT, "cells"]),
            value("prototypes", TensorProto.FLOAT, [batch, KEPT, "height4", "width4"]),
        ],
    )


@dataclass(frozen=True)
class _Measured:
    """count: of queries."""

    masks_in_boxes: bool = False
    count: int = 0


def _measure(model: onnx.ModelProto, name: str, dims: list[int], instances: Map) -> _Measured:
    wanted = vars(instances.outputs)
    found = dict(
        zip(wanted, graph.tried(model, name, dims, instances.picture.given, list(wanted.values())), strict=True)
    )
    shapes = {wanted[k]: list(v.shape) for k, v in found.items()}
    if isinstance(instances.outputs, Queries):
        classes, masks = found["classes"].shape, found["masks"].shape
        if len(classes) != 3 or len(masks) != 4 or classes[:2] != masks[:2] or classes[2] < 2:
            raise Refused(f"the model's outputs are not (N, Q, classes + 1) and (N, Q, h, w): {shapes}")
        return _Measured(count=classes[1])
    boxes, scores, masks = found["boxes"], found["scores"], found["masks"]
    count = scores.size
    if boxes.shape[-1:] != (4,) or boxes.size != 4 * count or masks.ndim < 3 or masks.shape[-2] * masks.shape[-1] == 0:
        raise Refused(f"the model's outputs are not boxes (n, 4), scores (n,) and masks (n, 1, h, w): {shapes}")
    if masks.size != count * masks.shape[-2] * masks.shape[-1]:
        raise Refused(f"the model has not one mask for each score: {shapes}")
    if count and not (masks.min() >= -1e-3 and masks.max() <= 1 + 1e-3):
        raise Refused("the model's masks are no probabilities; export them behind the sigmoid")
    return _Measured(masks_in_boxes=masks.shape[-2:] != (graph.sides_of(dims) or graph.TRIED))


def check(path: Path, batched: bool) -> dict[str, Any]:
    """Run the wrapped model as the service would, on several sizes; for the card: alone against in a batch."""
    session, names = graph.session(path), [t.name for t in FASTSAM.outputs]
    rng, told = np.random.default_rng(0), dict[str, Any]()
    for height, width in SHAPES:
        image = rng.integers(0, 256, (1, height, width, 3), np.uint8)
        predictions, prototypes = session.run(names, {"image": image})
        cells = sum((height // s) * (width // s) for s in (8, 16, 32))
        for found, shape in ((predictions, (1, 37, cells)), (prototypes, (1, 32, height // 4, width // 4))):
            if found.shape != shape or not np.isfinite(found).all():
                raise Refused(f"{height} x {width} comes out as {found.shape}, or with numbers that are none")
        scores = predictions[0, 4]
        if scores.min() < 0 or scores.max() > 1 + 1e-3:
            raise Refused(f"scores come out from {scores.min():.2g} to {scores.max():.2g}, not 0 to 1")
    if batched:
        together = session.run(names, {"image": PROBE})
        alone = session.run(names, {"image": PROBE[1:]})
        difference = max(float(np.abs(a - b[1:]).max()) for a, b in zip(alone, together, strict=True))
        if difference > 1e-2:
            raise Refused(f"a picture gets another answer in a batch than alone (by {difference:.2g})")
        told["batch_difference"] = difference
    return told


def wrap_model(source: Path, described: Path, repository: Path, name: str) -> dict[str, Any]:
    """Make `<repository>/<name>`: 1/model.onnx, 1/card.json, config.pbtxt; returns the card."""
    instances = Map.read(described)
    batched = isinstance(instances.outputs, Queries)
    contract = FASTSAM_FLOAT if batched else FASTSAM_ONE
    written = Written(name, wrap(graph.opened(source), instances), source, config(contract, name, "cpu"))
    return graph.publish(repository, [written], instances.rights, lambda paths: check(paths[0], batched))[0]
