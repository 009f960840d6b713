"""Networks out of the ONNX file that is served: what is shipped is enough to go on training, or to serve one beside another."""

from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch import Tensor

from models.failure import Failure
from models.fold import Net, fold

# What networks that were trained before it came lack; new, it changes nothing.
LATER = "whole."


def read(path: Path, net: Net, member: int = 0) -> Net:
    """`net`, its normalisations folded away, with the weights of one member of a served roomseg.

    Args:
        path: model.onnx of a version in the repository.
        net: a new network of that member's kind.
        member: which, where several are served as one.

    Raises:
        Failure: the file is no ONNX model, lacks a tensor of the network, or has one of another shape.
    """
    try:
        graph = onnx.load(path).graph
    except DecodeError as error:
        raise Failure(f"{path} is no ONNX model") from error
    found = {i.name.removesuffix("_f16"): _tensor(i) for i in graph.initializer}
    several = any(name.startswith("members.") for name in found)
    prefix = f"members.{member}." if several else ""
    net = fold(net.eval())
    mine = net.state_dict()
    if not any(name.startswith(prefix + LATER) for name in found):
        mine = {name: tensor for name, tensor in mine.items() if not name.startswith(LATER)}
    state = {name: found[prefix + name] for name in mine if prefix + name in found}
    # A normalisation that the exporter folded took its convolution's name away; the graph's order is the network's.
    lacking = iter([name for name in mine if name not in state])
    for node in graph.node:
        its = not several or node.name.startswith(f"/members.{member}/")
        if its and node.op_type == "Conv" and node.input[1].startswith("onnx::"):
            tensors = (found[name.removesuffix("_f16")] for name in node.input[1:3])
            state |= {name: tensor for tensor, name in zip(tensors, lacking, strict=False)}
    if rest := sorted(set(mine) - set(state)):
        raise Failure(f"{path}: no {rest[0]} in it, nor {len(rest) - 1} more")
    for name, tensor in state.items():
        if tensor.shape != mine[name].shape:
            raise Failure(f"{path}: {name} is {tuple(tensor.shape)}, not {tuple(mine[name].shape)}")
    net.load_state_dict(net.state_dict() | state)
    return net


def _tensor(initializer: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(np.array(numpy_helper.to_array(initializer), np.float32))
