"""A prompted network of the SAM family, served as an encoder and a decoder under the contract's names.

The encoder's graph gets the picture as it is and makes of it what the original wants: normalised, its long side at 1024
pixels, the rest nothing (or stretched, where the original does that). It also says how large the picture was, so that
the decoder can take points, and give masks, in the picture's own pixels.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from models import graph
from models.graph import Picture, Refused, Rights, Written
from models.repository import Contract, Tensor, config

SIDE = 1024
SHAPES = ((256, 320), (320, 224))
POINTS = (2, 5)  # counts that the decoder is tried with
EMBEDDING, SIDES = "embedding", "sides"
# Names of the official export (facebookresearch/segment-anything, scripts/export_onnx_model.py), by the contract's.
POINT_NAMES = {k: k for k in ("point_coords", "point_labels")}
FILLED = {k: k for k in ("mask_input", "has_mask_input", "orig_im_size")}
ANSWERS = {"masks": "low_res_masks", "iou_predictions": "iou_predictions"}


@dataclass(frozen=True)
class Map:
    """map.json: how the encoder takes a picture, and what the tensors of both are called (docs/model-contract.md).

    encoder: its outputs; decoder: its inputs and outputs; both by the contract's names. side: of the square that the
    picture is laid into, where the encoder's input does not say.
    """

    picture: Picture
    rights: Rights
    encoder: dict[str, str]
    decoder: dict[str, str]
    side: int

    @classmethod
    def read(cls, path: Path) -> "Map":
        return graph.read_map(path, "map of a prompted model", cls._of)

    @classmethod
    def _of(cls, found: dict[str, Any]) -> "Map":
        encoder = {EMBEDDING: "image_embeddings"} | {str(k): str(v) for k, v in found.get("encoder", {}).items()}
        usual = {EMBEDDING: "image_embeddings"} | {k: k for k in encoder if k != EMBEDDING}
        usual |= POINT_NAMES | FILLED | ANSWERS
        decoder = {str(k): str(v) for k, v in found.get("decoder", {}).items()}
        unknown = set(decoder) - set(usual)
        if unknown:
            raise Refused(f"the decoder has no {', '.join(sorted(unknown))} by the contract; it has {', '.join(usual)}")
        side = int(found.get("side", SIDE))
        if side <= 0 or side % 32:
            raise Refused("side is a multiple of 32")
        return cls(Picture.read(found), Rights.read(found), encoder, usual | decoder, side)


SIZE_OF = """
sides (int64[2] sides_flat) => (int64[1, 2] sides) {
    sides = Unsqueeze (sides_flat, zero)
}
"""
# As the encoder's part did it with the picture; points are x, y.
SCALE = """
scale (int64[1, 2] sides, float[1, p, 2] point_coords) => (float[1, p, 2] points) {
    sides_flat = Squeeze (sides, zero)
    sides_float = Cast <to: int = 1> (sides_flat)
    ratios = Div (size_float, sides_float)
    ratio = ReduceMin <keepdims: int = 1> (ratios)
    inner_float = Mul (sides_float, ratio)
    inner_nearest = Add (inner_float, half)
    inner_whole = Floor (inner_nearest)
    scale_yx = Div (inner_whole, sides_float)
    point_y, point_x = Split <axis: int = 0> (scale_yx, one_each)
    scale_xy = Concat <axis: int = 0> (point_x, point_y)
    points = Mul (point_coords, scale_xy)
}
"""
ANSWER = """
answer (float[1, m, h, w] found_masks, float[1, m] found_scores) => (float[1, m, h, w] planes_of, float[1, m] iou_predictions) {
    found_shape = Shape (found_masks)
    found_sides = Slice (found_shape, before_last, end, zero)
    answer_shape = Concat <axis: int = 0> (one_and_rest, found_sides)
    planes_of = Reshape (found_masks, answer_shape)
    iou_predictions = Reshape (found_scores, one_and_rest)
}
"""


@dataclass(frozen=True)
class Encoder:
    """side: of the square that it sees; shapes: of its outputs, by the contract's names."""

    model: onnx.ModelProto
    side: int
    shapes: dict[str, tuple[int, ...]]


def wrap_encoder(model: onnx.ModelProto, prompted: Map) -> Encoder:
    """`image` (1, H, W, 3) uint8 to the encoder's outputs and `sides` (1, 2) int64: H and W."""
    given = prompted.picture.given
    name, dims = graph.picture_input(model, given)
    height, width = graph.sides_of(dims) or (prompted.side, prompted.side)
    if height != width:
        raise Refused(f"the encoder's input is {height} x {width}, not a square")
    have = [v.name for v in model.graph.output]
    named = dict(prompted.encoder)
    if named[EMBEDDING] not in have and len(have) == 1:
        named[EMBEDDING] = have[0]
    found = graph.tried(model, name, [1, 3, height, width], given, list(named.values()))
    shapes = {k: v.shape for k, v in zip(named, found, strict=True)}
    if any(len(s) != 4 or s[0] != 1 for s in shapes.values()):
        raise Refused(f"the encoder's outputs are not (1, C, h, w): {shapes}")
    before, constants = graph.letterbox(prompted.picture, (height, width), graph.PREFIX + name)
    graph.rename(before, {SIDES: "sides_flat"})
    fed, filled = graph.fixed_inputs(model, given)
    after = [helper.make_node("Identity", [graph.PREFIX + v], [k]) for k, v in named.items()]
    value = helper.make_tensor_value_info
    wrapped = graph.joined(
        graph.prefixed(model),
        [*before, *fed],
        [*after, *graph.part(SIZE_OF)],
        constants | filled,
        [value("image", TensorProto.UINT8, [1, "height", "width", 3])],
        [
            *(value(k, TensorProto.FLOAT, s) for k, s in shapes.items()),
            value(SIDES, TensorProto.INT64, [1, 2]),
        ],
    )
    return Encoder(wrapped, height, shapes)


def wrap_decoder(model: onnx.ModelProto, prompted: Map, encoder: Encoder) -> onnx.ModelProto:
    """The encoder's outputs, `point_coords` (1, P, 2) and `point_labels` (1, P) to `masks` (1, M, H/4, W/4) logits and
    `iou_predictions` (1, M)."""
    names, inputs = dict(prompted.decoder), graph.inputs_of(model)
    outputs = [v.name for v in model.graph.output]
    if names["masks"] == ANSWERS["masks"] and ANSWERS["masks"] not in outputs:
        names["masks"] = "masks"  # those of the size that is asked for: here, of the square
    wanted = [*encoder.shapes, *POINT_NAMES]
    for contract, name in names.items():
        if contract in wanted and name not in inputs:
            raise Refused(f"the decoder has no input {name} for {contract}; it has {', '.join(inputs)}")
        if contract in ANSWERS and name not in outputs:
            raise Refused(f"the decoder has no output {name} for {contract}; it has {', '.join(outputs)}")
    left = set(inputs) - {v for k, v in names.items() if k not in ANSWERS}
    if left:
        raise Refused(f"nothing is known of the decoder's input {', '.join(sorted(left))}; name it in the map")
    coords = graph.dims_of(inputs[names["point_coords"]])
    if len(coords) > 2 and coords[-2]:
        raise Refused(f"the decoder takes {coords[-2]} points and no other count; export it with any")
    nodes = graph.part(graph.fitted(SCALE, prompted.picture))
    constants = graph.CONSTANTS | {
        "size_float": np.full(2, encoder.side, np.float32),
        "before_last": np.array([-2]),
        "end": np.array([np.iinfo(np.int64).max]),
        "one_and_rest": np.array([1, -1]),
        "whole": np.array([[[0, 0, encoder.side, encoder.side]]], np.float32),
    }
    for name in encoder.shapes:
        nodes += _fed(inputs[names[name]], name, 4)
    nodes += _fed(inputs[names["point_coords"]], "points", 3)
    nodes += _fed(inputs[names["point_labels"]], "point_labels", 2)
    # No mask was there before; and points are told in pixels of the square, masks wanted of its size.
    quarter = encoder.side // 4
    fills = {
        "mask_input": (0, (1, 1, quarter, quarter)),
        "has_mask_input": (0, (1,)),
        "orig_im_size": (encoder.side, (2,)),
    }
    for contract, (what, shape) in fills.items():
        if (name := names[contract]) in inputs:
            constants[graph.PREFIX + name] = graph.constant_input(inputs[name], what, shape)
    after = graph.part(
        ANSWER,
        found_masks=graph.PREFIX + names["masks"],
        found_scores=graph.PREFIX + names["iou_predictions"],
    )
    sampled = graph.sampling("planes_of", "whole", "masks", goes_on=True)
    graph.rename(sampled, {SIDES: "sides_flat"})
    value = helper.make_tensor_value_info
    return graph.joined(
        graph.prefixed(model),
        nodes,
        after + sampled,
        constants,
        [
            *(value(k, TensorProto.FLOAT, s) for k, s in encoder.shapes.items()),
            value(SIDES, TensorProto.INT64, [1, 2]),
            value("point_coords", TensorProto.FLOAT, [1, "points", 2]),
            value("point_labels", TensorProto.FLOAT, [1, "points"]),
        ],
        [
            value("masks", TensorProto.FLOAT, [1, "answers", "height4", "width4"]),
            value("iou_predictions", TensorProto.FLOAT, [1, "answers"]),
        ],
    )


def _fed(inner: onnx.ValueInfoProto, source: str, rank: int) -> list[onnx.NodeProto]:
    """Nodes from one of our tensors to an input of the model: its type, and an axis more where it has one (of several
    prompts at once, as EfficientSAM's)."""
    more = len(graph.dims_of(inner)) - rank
    if more not in (0, 1):
        raise Refused(f"the decoder's input {inner.name} is {graph.dims_of(inner)}, not of {rank} axes")
    kind = inner.type.tensor_type.elem_type
    target = graph.PREFIX + inner.name
    typed = target if not more else f"{source}_typed"
    nodes = [helper.make_node("Cast", [source], [typed], to=kind)]
    if more:
        nodes.append(helper.make_node("Unsqueeze", [typed, "zero"], [target]))
    return nodes


def check(paths: list[Path]) -> dict[str, Any]:
    """Run both as the service would: several sizes, several points."""
    encoder, decoder = (graph.session(p) for p in paths)
    rng, names = np.random.default_rng(0), [v.name for v in encoder.get_outputs()]
    for (height, width), count in zip(SHAPES, POINTS, strict=True):
        image = rng.integers(0, 256, (1, height, width, 3), np.uint8)
        feed = dict(zip(names, encoder.run(names, {"image": image}), strict=True))
        points = rng.uniform(0, min(height, width), (1, count, 2)).astype(np.float32)
        labels = np.array([[1] * (count - 1) + [-1]], np.float32)
        answer = decoder.run(["masks", "iou_predictions"], feed | {"point_coords": points, "point_labels": labels})
        masks, scores = answer
        shape = (1, scores.shape[-1], height // 4, width // 4)
        if scores.shape[-1] < 1 or masks.shape != shape or not all(np.isfinite(v).all() for v in answer):
            raise Refused(f"masks come out as {masks.shape} with {scores.shape} scores, or with numbers that are none")
    return {}


def contracts(encoder: Encoder) -> tuple[Contract, Contract]:
    """What config.pbtxt says of both. The decoder works in pixels, and has float32 for that."""
    passed = tuple(Tensor(k, "TYPE_FP32", s[1:]) for k, s in encoder.shapes.items())
    passed += (Tensor(SIDES, "TYPE_INT64", (2,)),)
    points = (Tensor("point_coords", "TYPE_FP32", (-1, 2)), Tensor("point_labels", "TYPE_FP32", (-1,)))
    answers = (Tensor("masks", "TYPE_FP32", (-1, -1, -1)), Tensor("iou_predictions", "TYPE_FP32", (-1,)))
    return (
        Contract(passed, (768, 1024), batch=1),
        Contract(answers, None, passed + points, batch=1, backend="onnxruntime"),
    )


def wrap_models(
    encoder_source: Path, decoder_source: Path, described: Path, repository: Path, name: str
) -> list[dict[str, Any]]:
    """Make `<repository>/<name>-encoder` and `<name>-decoder`, both or none; returns their cards."""
    prompted = Map.read(described)
    encoder = wrap_encoder(graph.opened(encoder_source), prompted)
    decoder = wrap_decoder(graph.opened(decoder_source), prompted, encoder)
    of_encoder, of_decoder = contracts(encoder)
    encoder_name, decoder_name = f"{name}-encoder", f"{name}-decoder"
    written = [
        Written(encoder_name, encoder.model, encoder_source, config(of_encoder, encoder_name, "cpu")),
        Written(decoder_name, decoder, decoder_source, config(of_decoder, decoder_name, "cpu")),
    ]
    return graph.publish(repository, written, prompted.rights, check)
