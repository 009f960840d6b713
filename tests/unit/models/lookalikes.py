"""Small networks with the interfaces of published exports, and answers that can be told by eye and by formula."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


def export(
    net: nn.Module,
    path: Path,
    given: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: dict[str, dict[int, str]] | None = None,
    opset: int = 17,
) -> Path:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(),
            tuple(given),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes or {},
            opset_version=opset,
            dynamo=False,
        )
    return path


class MaskRcnn(nn.Module):
    """As torchvision exports it: a picture (3, H, W) of 0..1 to boxes (n, 4), labels, scores and masks.

    Wherever a square of 32 pixels is red there is an ellipse, the redder the larger and the surer. Masks are (n, 1, 28,
    28) in the boxes, or, `pasted`, (n, 1, H, W) over the picture.
    """

    def __init__(self, pasted: bool, batched: bool = False):
        super().__init__()
        self.pasted, self.batched = pasted, batched

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = x[0] if self.batched else x
        red = functional.avg_pool2d(x[None, :1], 32)[0, 0]
        at = torch.nonzero(red > 0.5)
        scores = red[at[:, 0], at[:, 1]]
        middle = (at.flip(1).to(x) + 0.5) * 32
        half = torch.stack([40 * scores, 24 * scores], 1)
        boxes = torch.cat([middle - half, middle + half], 1)
        if self.pasted:
            ys = torch.arange(x.shape[1]).to(x)[None, :, None] + 0.5
            xs = torch.arange(x.shape[2]).to(x)[None, None, :] + 0.5
            v = (ys - middle[:, 1, None, None]) / half[:, 1, None, None]
            u = (xs - middle[:, 0, None, None]) / half[:, 0, None, None]
            masks = torch.sigmoid(9 * (0.8 - u**2 - v**2))[:, None]
        else:
            ramp = (torch.arange(28).to(x) + 0.5) / 14 - 1
            masks = torch.sigmoid(9 * (0.8 - ramp**2 - ramp[:, None] ** 2)) * torch.ones_like(scores)[:, None, None]
            masks = masks[:, None]
        return boxes, torch.ones_like(scores).long(), scores, masks


def mask_rcnn(path: Path, pasted: bool, sides: tuple[int, int] | None, batched: bool = False) -> Path:
    """sides: the input's; None where it takes any."""
    height, width = sides or (96, 128)
    picture = torch.rand(1, 3, height, width) if batched else torch.rand(3, height, width)
    at = 2 if batched else 1
    axes = {} if sides else {"image": {at: "height", at + 1: "width"}}
    axes |= {name: {0: "n"} for name in ("boxes", "labels", "scores")}
    axes |= {"masks": {0: "n"} | ({2: "height", 3: "width"} if pasted and not sides else {})}
    net = MaskRcnn(pasted, batched)
    return export(net, path, [picture], ["image"], ["boxes", "labels", "scores", "masks"], axes)


class Queries(nn.Module):
    """As Mask2Former and OneFormer are exported: pixels (N, 3, H, W) to class queries (N, Q, C + 1) and mask queries
    (N, Q, H/4, W/4), logits. With `task`, a second input of token ids, which the classes depend on, as OneFormer's."""

    def __init__(self, queries: int, classes: int, task: bool):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.task = task
        self.masks = nn.Conv2d(3, queries, 4, 4)
        self.classes = nn.Linear(3, queries * (classes + 1))
        self.shape = (queries, classes + 1)
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=generator)
        self.masks.weight.data *= 0.4

    def forward(self, pixels: Tensor, task: Tensor | None = None) -> tuple[Tensor, Tensor]:
        classes = self.classes(pixels.mean((2, 3))).reshape(-1, *self.shape)
        if task is not None:
            classes = classes + torch.sin(task.to(pixels)).mean(1)[:, None, None] * torch.arange(self.shape[1]).to(
                pixels
            )
        return classes, self.masks(pixels)


def queries(
    path: Path, count: int, classes: int, sides: tuple[int, int] | None, task: bool = False, batch: bool = True
) -> Path:
    """sides: the input's; None where it takes any; batch: whether it takes several pictures."""
    picture = torch.rand(1, 3, *(sides or (64, 96)))
    axes: dict[str, dict[int, str]] = {"class_queries_logits": {}, "masks_queries_logits": {}, "pixel_values": {}}
    if batch:
        axes = {k: {0: "batch"} for k in axes} | ({"task_inputs": {0: "batch"}} if task else {})
    if not sides:
        axes["pixel_values"] |= {2: "height", 3: "width"}
        axes["masks_queries_logits"] |= {2: "h", 3: "w"}
    given = [picture, torch.arange(7)[None]] if task else [picture]
    outputs = ["class_queries_logits", "masks_queries_logits"]
    return export(
        Queries(count, classes, task), path, given, ["pixel_values", "task_inputs"][: len(given)], outputs, axes
    )
