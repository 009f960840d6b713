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


class SamEncoder(nn.Module):
    """A normalised picture (1, 3, 1024, 1024) to an embedding (1, C, 64, 64), and with `high` a finer one beside it, as
    SAM 2 has. What it says of a place is its colour, three times, the coordinates and a one."""

    def __init__(self, high: bool):
        super().__init__()
        self.high = high

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        small = functional.avg_pool2d(x, 16)
        axis = torch.arange(64).to(x) * 16 + 8
        ys, xs = torch.broadcast_tensors(axis[:, None], axis[None])
        embedding = torch.cat([small, xs[None, None], ys[None, None], torch.ones_like(small[:, :1])], 1)
        return (functional.avg_pool2d(x, 4), embedding) if self.high else (embedding,)


class SamDecoder(nn.Module):
    """What is like the colour at the positive points and unlike that at the negative ones; in a box, what is like its
    middle. Inputs and outputs are those of the official SAM export, or, `grouped`, of EfficientSAM's."""

    def __init__(self, high: bool, grouped: bool):
        super().__init__()
        self.high, self.grouped = high, grouped

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        if self.high:
            fine, embedding, coords, labels, before, has_before, size = given
        elif self.grouped:
            embedding, coords, labels, size = given
            coords, labels = coords[:, 0] * 1024 / size.flip(0).to(coords), labels[:, 0]
            fine = before = has_before = None
        else:
            embedding, coords, labels, before, has_before, size = given
            fine = None
        corner = (labels >= 2).to(coords)[..., None]
        middle = (coords * corner).sum(1, keepdim=True) / corner.sum(1, keepdim=True).clamp(1)
        coords = torch.where(corner > 0, middle, coords)
        colours, places = embedding[:, :3], embedding[:, 3:5]
        off = ((places[:, None] - coords[..., None, None]) / 16) ** 2  # (1, P, 2, 64, 64)
        near = torch.exp(-off.sum(2))
        near = near / near.sum((2, 3), keepdim=True)
        looks = torch.einsum("bphw,bchw->bpc", near, colours)
        far = ((colours[:, None] - looks[..., None, None]) ** 2).sum(2)  # (1, P, 64, 64)
        labels = labels[..., None, None]
        on = torch.where(labels == 1, 1.0, 0.0) + torch.where(labels >= 2, 0.5, 0.0)
        off_ = torch.where(labels == 0, 1.0, 0.0)
        like = (on * (0.5 - far)).sum(1, keepdim=True) / on.sum(1, keepdim=True)
        unlike = (off_ * torch.relu(0.5 - far)).sum(1, keepdim=True)
        low = functional.interpolate(like - 2 * unlike, (256, 256), mode="bilinear", align_corners=False)
        if fine is not None:
            low = low + 0.01 * fine.mean(1, keepdim=True)
        if before is not None:
            low = low + before * has_before[:, None, None, None] + 3 * before
        low = torch.cat([low - 0.2, low, low - 10], 1)
        scores = torch.cat([torch.sigmoid(low[:, :1].amax((2, 3))), low[:, 1:2].amax((2, 3)) * 0 + 0.95], 1)
        scores = torch.cat([scores, scores[:, :1] * 0.1], 1)
        square = functional.interpolate(low, (1024, 1024), mode="bilinear", align_corners=False)
        if self.grouped:
            return square[:, None], scores[:, None]
        # The official export's own way back to the photo: cut the padding, then to its size.
        size = size.to(low)
        scale = 1024 / size.max()
        inner = torch.floor(scale * size + 0.5).to(torch.int64)
        square = square[..., : inner[0], : inner[1]]
        sides = size.to(torch.int64)
        masks = functional.interpolate(square, (sides[0], sides[1]), mode="bilinear", align_corners=False)
        return masks, scores, low


def sam(
    folder: Path, high: bool = False, grouped: bool = False, any_size: bool = False, frozen: bool = False
) -> tuple[Path, Path]:
    """Encoder and decoder, as SAM's or MobileSAM's are exported; with `high` as SAM 2's, `grouped` as EfficientSAM's.

    frozen: the decoder takes two points and no other count.
    """
    x = torch.rand(1, 3, 1024, 1024)
    outputs = ["high_res_feats_0", "image_embed"] if high else ["image_embeddings"]
    axes = {"batched_images": {0: "b", 2: "h", 3: "w"}} if any_size else {}
    name = "batched_images" if grouped else "input_image"
    encoder = export(SamEncoder(high), folder / "encoder.onnx", [x], [name], outputs, axes)
    features = list(SamEncoder(high)(x))
    coords, labels = torch.tensor([[[100.0, 200], [0, 0]]]), torch.tensor([[1.0, -1]])
    if grouped:
        given = [*features, coords[:, None], labels[:, None], torch.tensor([1024, 1024])]
        inputs = [*outputs, "batched_point_coords", "batched_point_labels", "orig_im_size"]
        dynamic = {"batched_point_coords": {2: "p"}, "batched_point_labels": {2: "p"}}
        answers = ["output_masks", "iou_predictions"]
    else:
        before, size = torch.zeros(1, 1, 256, 256), torch.tensor([768.0, 1024])
        given = [*features, coords, labels, before, torch.zeros(1), size]
        inputs = [*outputs, "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"]
        dynamic = {"point_coords": {1: "p"}, "point_labels": {1: "p"}}
        answers = ["masks", "iou_predictions", "low_res_masks"]
    dynamic = {} if frozen else dynamic
    return encoder, export(SamDecoder(high, grouped), folder / "decoder.onnx", given, inputs, answers, dynamic)


class ClipText(nn.Module):
    """The colours that words name: ids 1 red, 2 yellow, all others nothing."""

    def forward(self, input_ids: Tensor) -> Tensor:
        red, yellow = torch.tensor([2.0, -1, -1]), torch.tensor([1.0, 1, -2])
        return ((input_ids == 1)[..., None] * red + (input_ids == 2)[..., None] * yellow).sum(1)


class ClipImage(nn.Module):
    """The colour of a crop: how far its mean channels differ."""

    def forward(self, image: Tensor) -> Tensor:
        mean = image.mean((2, 3))
        return mean - mean.mean(1, keepdim=True)


def clip(folder: Path) -> tuple[Path, Path]:
    """Both towers, as CLIP's are exported."""
    ids, crops = torch.zeros(1, 77, dtype=torch.int64), torch.rand(2, 3, 224, 224)
    text = export(ClipText(), folder / "text.onnx", [ids], ["input_ids"], ["embedding"])
    return text, export(ClipImage(), folder / "image.onnx", [crops], ["image"], ["embedding"], {"image": {0: "n"}})
