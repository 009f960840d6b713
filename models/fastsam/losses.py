"""What class-agnostic instance training minimises, and which cell answers for which instance.

Sources: Feng et al., "TOOD: Task-aligned One-stage Object Detection", 2021 (assignment); Zheng et al.,
"Enhancing Geometric Factors", 2020 (complete IoU); Li et al., "Generalized Focal Loss", 2020 (distribution of box
sides); Bolya et al., "YOLACT", 2019 (mask loss inside the box).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from models.fastsam.network import BINS, FastSam, cells

TOPK, ALPHA, BETA = 10, 0.5, 6.0  # Feng et al., 2021, sec. 3.3; TOPK for grids of three strides
MASKS_MAX = 64  # cells per picture whose masks are compared at one step: a sample of them suffices
WEIGHTS = {"score": 1.0, "box": 6.0, "sides": 1.5, "mask": 6.0}


class Assignment(NamedTuple):
    """index (N, A) long: the instance a cell answers for; positive (N, A) bool; score (N, A) float 0..1."""

    index: Tensor
    positive: Tensor
    score: Tensor


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Of boxes x0, y0, x1, y1 along the last axis, broadcast."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    area_a, area_b = (a[..., 2:] - a[..., :2]).prod(-1), (b[..., 2:] - b[..., :2]).prod(-1)
    return inter / (area_a + area_b - inter + 1e-7)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU less the distance of the centres and the difference of aspect (Zheng et al., 2020, eq. 8-12)."""
    overlap = iou(a, b)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).square().sum(-1) + 1e-7
    distance = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]).square().sum(-1) / 4
    (aw, ah), (bw, bh) = ((x[..., 2:] - x[..., :2]).clamp(min=1e-3).unbind(-1) for x in (a, b))
    v = 4 / math.pi**2 * (torch.atan(bw / bh) - torch.atan(aw / ah)).square()
    with torch.no_grad():
        weight = v / (1 - overlap + v + 1e-7)
    return overlap - distance / hull - weight * v


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, centres: Tensor, truth: Tensor, exists: Tensor) -> Assignment:
    """Task-aligned assignment, all pictures at once.

    Args:
        scores: (N, A) 0..1; boxes: (N, A, 4) pixels; centres: (A, 2) pixels: what the network says of each cell.
        truth: (N, M, 4) boxes of the instances, pixels; exists: (N, M) bool, False where M only pads.
    """
    n, m, a = truth.shape[0], truth.shape[1], centres.shape[0]
    if m == 0:
        empty = torch.zeros(n, a, device=scores.device)
        return Assignment(empty.long(), empty.bool(), empty)
    edges = torch.cat([centres - truth[..., None, :2], truth[..., None, 2:] - centres], -1)  # (N, M, A, 4)
    inside = (edges.amin(-1) > 1e-3) & exists[..., None]
    overlap = iou(truth[:, :, None], boxes[:, None]) * inside
    metric = scores[:, None].pow(ALPHA) * overlap.pow(BETA) * inside
    # Nothing overlaps at the very beginning: then the cells nearest to the middle begin.
    off_centre = edges.amax(-1) / (edges.sum(-1) / 2 + 1e-7)
    ranking = torch.where(inside, metric + 1e-9 / off_centre.clamp(min=1e-3), -1.0)
    best, place = ranking.topk(min(TOPK, a), -1)
    chosen = torch.zeros_like(inside).scatter_(-1, place, best > 0) & inside
    # A cell that several instances chose answers for the one it overlaps most.
    contested = torch.where(chosen, overlap + 1e-6, 0.0)
    index = contested.argmax(1)
    positive = chosen.any(1)
    chosen = chosen & (torch.arange(m, device=index.device)[None, :, None] == index[:, None])
    metric, overlap = metric * chosen, overlap * chosen
    # Feng et al., 2021, eq. 6: an instance's best cell is asked for the best overlap, the others for their part of it.
    normal = metric / metric.amax(-1, keepdim=True).clamp(min=1e-9) * overlap.amax(-1, keepdim=True)
    return Assignment(index, positive, normal.amax(1))


def side_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Distribution focal loss (Li et al., 2020, eq. 6): (P, 64) logits, (P, 4) sides in strides, to (P,)."""
    target = target.clamp(0, BINS - 1 - 1e-3)
    low = target.long()
    part = target - low
    log = F.log_softmax(logits.view(-1, 4, BINS).float(), -1)
    left, right = log.gather(-1, low[..., None])[..., 0], log.gather(-1, low[..., None] + 1)[..., 0]
    return -(left * (1 - part) + right * part).mean(-1)


def mask_loss(coefficients: Tensor, prototypes: Tensor, instance: Tensor, index: Tensor, boxes: Tensor) -> Tensor:
    """Mean cross-entropy inside the true box, for cells of one picture: (P,).

    Args:
        coefficients: (P, 32); prototypes: (32, h, w); instance: (h, w), 0 = none, else 1 + place in the list.
        index: (P,) the instance of each cell; boxes: (P, 4) its box in cells of the prototypes.
    """
    _, h, w = prototypes.shape
    logits = (coefficients @ prototypes.flatten(1)).view(-1, h, w).float()
    target = (instance[None] == index[:, None, None] + 1).float()
    x, y = torch.arange(w, device=boxes.device) + 0.5, torch.arange(h, device=boxes.device) + 0.5
    across = (x > boxes[:, 0:1]) & (x < boxes[:, 2:3])
    down = (y > boxes[:, 1:2]) & (y < boxes[:, 3:4])
    within = (down[:, :, None] & across[:, None]).float()
    loss = F.binary_cross_entropy_with_logits(logits, target, weight=within, reduction="none").sum((1, 2))
    return loss / within.sum((1, 2)).clamp(min=1)


def losses(net: FastSam, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parts of the loss, unweighted.

    batch: image (N, H, W, 3) uint8; boxes (N, M, 4) float32 pixels; exists (N, M) bool;
    instance (N, H/4, W/4) int64, 0 = none, else 1 + place in the list.
    """
    image = batch["image"].permute(0, 3, 1, 2).float() / 255
    raw = net.raw(image.contiguous(memory_format=torch.channels_last))
    truth, exists = batch["boxes"], batch["exists"]
    with torch.autocast(image.device.type, enabled=False):
        raw = raw._replace(sides=raw.sides.float(), scores=raw.scores.float())
        centre, stride = cells(raw.shapes, raw.sides)
        boxes = net.boxes(raw).transpose(1, 2)
        logits = raw.scores[:, 0]
        assigned = assign(logits.detach().sigmoid(), boxes.detach(), (centre * stride).T, truth, exists)
        total = assigned.score.sum().clamp(min=1)
        score = F.binary_cross_entropy_with_logits(logits, assigned.score, reduction="sum") / total

        picture, cell = assigned.positive.nonzero(as_tuple=True)
        if not len(picture):
            nothing = raw.sides.sum() * 0 + raw.coefficients.float().sum() * 0 + raw.prototypes.float().sum() * 0
            return {"score": score, "box": nothing, "sides": nothing, "mask": nothing}
        index = assigned.index[picture, cell]
        weight, true_box = assigned.score[picture, cell], truth[picture, index]
        box = ((1 - complete_iou(boxes[picture, cell], true_box)) * weight).sum() / total
        middle, unit = centre.T[cell], stride[cell, None]
        sides = torch.cat([middle - true_box[:, :2] / unit, true_box[:, 2:] / unit - middle], 1)
        side = (side_loss(raw.sides[picture, :, cell], sides) * weight).sum() / total

    masks = []
    for k in range(len(truth)):
        of = (picture == k).nonzero()[:, 0]
        if len(of) > MASKS_MAX:
            of = of[torch.randperm(len(of), device=of.device)[:MASKS_MAX]]
        if len(of):
            coefficients = raw.coefficients[k, :, cell[of]].T
            masks.append(mask_loss(coefficients, raw.prototypes[k], batch["instance"][k], index[of], true_box[of] / 4))
    return {"score": score, "box": box, "sides": side, "mask": torch.cat(masks).mean()}
