"""A TensorFlow Lite graph run operator by operator in float, its int8 weights dequantised: a reference to compare with.

What is computed follows the graph in the file, not any knowledge of the network. Operators by the definitions in
TensorFlow Lite's schema.fbs and builtin operator list; convolutions by torch, in float64.
"""

from pathlib import Path
from typing import Any

import numpy as np
import tflite
import torch
from torch.nn import functional as F

OPERATORS = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
TYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT8: np.int8,
    tflite.TensorType.INT64: np.int64,
}


class Node:
    """One operator: name, numbers of its input and output tensors, and its options."""

    def __init__(self, name: str, operator: tflite.Operator, options: Any):
        self.name, self.options = name, options
        self.inputs = [int(operator.Inputs(i)) for i in range(operator.InputsLength())]
        self.outputs = [int(operator.Outputs(i)) for i in range(operator.OutputsLength())]


class Graph:
    def __init__(self, path: Path):
        model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
        graph = model.Subgraphs(0)
        codes = [model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength())]
        self.inputs = [int(i) for i in graph.InputsAsNumpy()]
        self.outputs = [int(i) for i in graph.OutputsAsNumpy()]
        self.constants = {
            i: constant(model, graph.Tensors(i))
            for i in range(graph.TensorsLength())
            if model.Buffers(graph.Tensors(i).Buffer()).DataLength()
        }
        self.shapes = {
            i: tuple(graph.Tensors(i).ShapeAsNumpy()) for i in range(graph.TensorsLength()) if _ranked(graph, i)
        }
        operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
        self.nodes = [_node(OPERATORS[codes[o.OpcodeIndex()]], o) for o in operators]

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        """Outputs for one input, float64."""
        values: dict[int, np.ndarray] = {**self.constants, self.inputs[0]: image.astype(np.float64)}
        for node in self.nodes:
            given = [values[i] if i >= 0 else None for i in node.inputs]
            values[node.outputs[0]] = RUN[node.name](node, *given)
        return [values[i] for i in self.outputs]


def constant(model: tflite.Model, tensor: tflite.Tensor) -> np.ndarray:
    """Values of a constant; int8 ones dequantised: scale * (q - zero point), of the whole or of one axis."""
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    values = np.frombuffer(data.tobytes(), TYPES[tensor.Type()])
    values = values.reshape(tensor.ShapeAsNumpy() if tensor.ShapeLength() else ())
    if values.dtype == np.int8:
        q = tensor.Quantization()
        shape = [1] * values.ndim
        if q.ScaleLength() > 1:
            shape[q.QuantizedDimension()] = -1
        scale, zero = q.ScaleAsNumpy().reshape(shape), q.ZeroPointAsNumpy().reshape(shape)
        return scale.astype(np.float64) * (values.astype(np.float64) - zero)
    return values.astype(np.float64) if values.dtype == np.float32 else values


def _ranked(graph: tflite.SubGraph, i: int) -> bool:
    return graph.Tensors(i).ShapeLength() > 0


def _node(name: str, operator: tflite.Operator) -> Node:
    kinds = {
        "CONV_2D": tflite.Conv2DOptions,
        "MAX_POOL_2D": tflite.Pool2DOptions,
        "TRANSPOSE_CONV": tflite.TransposeConvOptions,
        "CONCATENATION": tflite.ConcatenationOptions,
        "STRIDED_SLICE": tflite.StridedSliceOptions,
        "RESIZE_NEAREST_NEIGHBOR": tflite.ResizeNearestNeighborOptions,
        "SOFTMAX": tflite.SoftmaxOptions,
        "ADD": tflite.AddOptions,
        "MUL": tflite.MulOptions,
        "SUB": tflite.SubOptions,
    }
    options = None
    if name in kinds and operator.BuiltinOptions() is not None:
        options = kinds[name]()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        if hasattr(options, "FusedActivationFunction"):
            assert options.FusedActivationFunction() == tflite.ActivationFunctionType.NONE, name
    return Node(name, operator, options)


def _first(x: np.ndarray) -> torch.Tensor:
    """Channels first."""
    return torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2)


def _last(x: torch.Tensor) -> np.ndarray:
    return x.permute(0, 2, 3, 1).numpy()


def _padded(x: torch.Tensor, options: Any, kernel: tuple[int, int], value: float) -> torch.Tensor:
    if options.Padding() == tflite.Padding.VALID:
        return x
    total = []
    for size, k, stride in zip(x.shape[2:], kernel, (options.StrideH(), options.StrideW()), strict=True):
        total.append(max(0, (-(-size // stride) - 1) * stride + k - size))
    (h, w) = total
    return F.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2), value=value)


def _conv(node: Node, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    o = node.options
    assert o.DilationHFactor() == o.DilationWFactor() == 1
    w = torch.from_numpy(weight).permute(0, 3, 1, 2)
    padded = _padded(_first(x), o, weight.shape[1:3], 0.0)
    return _last(F.conv2d(padded, w, torch.from_numpy(bias), (o.StrideH(), o.StrideW())))


def _transpose_conv(
    node: Node, shape: np.ndarray, weight: np.ndarray, x: np.ndarray, bias: np.ndarray | None = None
) -> np.ndarray:
    o = node.options
    w = torch.from_numpy(weight).permute(3, 0, 1, 2)
    out = _last(F.conv_transpose2d(_first(x), w, None, (o.StrideH(), o.StrideW())))
    assert out.shape == tuple(shape)
    return out if bias is None else out + bias


def _pool(node: Node, x: np.ndarray) -> np.ndarray:
    o = node.options
    kernel = (o.FilterHeight(), o.FilterWidth())
    return _last(F.max_pool2d(_padded(_first(x), o, kernel, -np.inf), kernel, (o.StrideH(), o.StrideW())))


def _nearest(node: Node, x: np.ndarray, size: np.ndarray) -> np.ndarray:
    assert not node.options.AlignCorners()
    middle = 0.5 if node.options.HalfPixelCenters() else 0.0
    rows, columns = (
        np.minimum(np.floor((np.arange(s) + middle) * (d / s)).astype(int), d - 1)
        for s, d in zip(size, x.shape[1:3], strict=True)
    )
    return x[:, rows][:, :, columns]


def _slice(node: Node, x: np.ndarray, begin: np.ndarray, end: np.ndarray, strides: np.ndarray) -> np.ndarray:
    o = node.options
    assert o.EllipsisMask() == o.NewAxisMask() == o.ShrinkAxisMask() == 0
    window = []
    for axis, (b, e, s) in enumerate(zip(begin, end, strides, strict=True)):
        window.append(slice(None if o.BeginMask() >> axis & 1 else b, None if o.EndMask() >> axis & 1 else e, s))
    return x[tuple(window)]


def _softmax(node: Node, x: np.ndarray) -> np.ndarray:
    e = np.exp(node.options.Beta() * (x - x.max(-1, keepdims=True)))
    return e / e.sum(-1, keepdims=True)


RUN: dict[str, Any] = {
    "DEQUANTIZE": lambda node, x: x,  # constants are dequantised when read
    "PAD": lambda node, x, widths: np.pad(x, widths),
    "CONV_2D": _conv,
    "TRANSPOSE_CONV": _transpose_conv,
    "LOGISTIC": lambda node, x: 1 / (1 + np.exp(-x)),
    "MUL": lambda node, a, b: a * b,
    "ADD": lambda node, a, b: a + b,
    "SUB": lambda node, a, b: a - b,
    "STRIDED_SLICE": _slice,
    "CONCATENATION": lambda node, *xs: np.concatenate(xs, node.options.Axis()),
    "RESHAPE": lambda node, x, shape: x.reshape(shape),
    "TRANSPOSE": lambda node, x, order: x.transpose(order),
    "MAX_POOL_2D": _pool,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
    "SOFTMAX": _softmax,
}
