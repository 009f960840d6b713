"""A graph whose types say where half precision is used, as TensorRT 11 wants it: its networks are strongly typed.

What is stored as half precision is computed in half precision, and so is what lies between (activations, sums, joins,
pooling, resizing). The rest stays float32: a box of a 1024 pixel input in half precision would be off by a pixel.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Follow their input into half precision; of each, the places of the inputs that are activations (None: all).
FOLLOW: dict[str, tuple[int, ...] | None] = {
    "Add": None,
    "Mul": None,
    "Relu": (0,),
    "Sigmoid": (0,),
    "Clip": None,
    "Concat": None,
    "Slice": (0,),
    "Split": (0,),
    "MaxPool": (0,),
    "Resize": (0,),
}
WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def mixed_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the same inputs and outputs in which half precision is spelled out."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    del out.graph.value_info[:]  # inferred anew: what is moved changes its type
    _cast_first(out.graph)
    types = _types(out)
    stored = {t.name: t for t in out.graph.initializer}
    halves = {
        n.output[0]: n.input[0]
        for n in out.graph.node
        if n.op_type == "Cast" and n.input[0] in stored and stored[n.input[0]].data_type == TensorProto.FLOAT16
    }
    half = set[str]()  # tensors that are half precision now
    nodes: list[onnx.NodeProto] = []
    casts: dict[tuple[str, int], str] = {}

    def as_type(name: str, wanted: int) -> str:
        """The tensor in the wanted type, cast once."""
        if (name, wanted) not in casts:
            casts[name, wanted] = f"{name}_{'half' if wanted == TensorProto.FLOAT16 else 'float'}"
            if name in stored and wanted == TensorProto.FLOAT16:
                values = numpy_helper.to_array(stored[name]).astype(np.float16)
                out.graph.initializer.append(numpy_helper.from_array(values, casts[name, wanted]))
            else:
                nodes.append(helper.make_node("Cast", [name], [casts[name, wanted]], to=wanted))
        return casts[name, wanted]

    for node in out.graph.node:
        if node.output[0] in halves:
            nodes.append(node)  # dropped below where nobody wants the float32 any more
            continue
        floats = [i for i, name in enumerate(node.input) if types.get(name) == TensorProto.FLOAT]
        halved = node.op_type in WEIGHTED and any(name in halves for name in node.input)
        if node.op_type in FOLLOW:
            places = FOLLOW[node.op_type]
            active = [i for i in floats if (places is None or i in places) and node.input[i] not in stored]
            halved = bool(active) and all(node.input[i] in half for i in active)
            floats = [i for i in floats if places is None or i in places]
        for i in floats:
            name = node.input[i]
            if halved and name in halves:
                node.input[i] = halves[name]
            elif halved and name not in half:
                node.input[i] = as_type(name, TensorProto.FLOAT16)
            elif not halved and name in half:
                node.input[i] = as_type(name, TensorProto.FLOAT)
        if halved:
            half.update(node.output)
        nodes.append(node)

    for value in out.graph.output:
        if value.name in half:
            _rename(nodes, value.name, f"{value.name}_half")
            nodes.append(helper.make_node("Cast", [f"{value.name}_half"], [value.name], to=TensorProto.FLOAT))
    used = {name for n in nodes for name in n.input}
    kept = [n for n in nodes if n.output[0] not in halves or n.output[0] in used]
    used = {name for n in kept for name in n.input}
    tensors = [t for t in out.graph.initializer if t.name in used]
    del out.graph.node[:], out.graph.initializer[:], out.graph.value_info[:]
    out.graph.node.extend(kept)
    out.graph.initializer.extend(tensors)
    onnx.checker.check_model(out, full_check=True)
    return out


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Number type of every tensor."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {t.name: t.data_type for t in graph.initializer}


def _rename(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new


def _cast_first(graph: onnx.GraphProto) -> None:
    """Cast uint8 inputs before anything else: TensorRT does nothing else with them."""
    for given in graph.input:
        if given.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        readers = [n for n in graph.node if given.name in n.input]
        for mover in readers:
            after = [n for n in graph.node if mover.output[0] in n.input]
            if mover.op_type == "Transpose" and len(after) == 1 and after[0].op_type == "Cast":
                cast = after[0]
                middle, end = mover.output[0], cast.output[0]
                cast.input[0], cast.output[0], mover.input[0], mover.output[0] = given.name, middle, middle, end
                nodes = list(graph.node)
                a, b = nodes.index(mover), nodes.index(cast)
                nodes[a], nodes[b] = nodes[b], nodes[a]
                del graph.node[:]
                graph.node.extend(nodes)
