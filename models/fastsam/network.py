"""The FastSAM network: YOLOv8-seg with one class, in plain PyTorch.

Written from the publications; parameter names and shapes are those of the published checkpoints, so that a
tensor maps by its name (`model.0.conv.weight` … `model.22.proto.cv3.bn.bias`).

Sources: Zhao et al., "Fast Segment Anything", 2023 (the network's use); Bolya et al., "YOLACT", 2019 (prototypes
and coefficients); Li et al., "Generalized Focal Loss", 2020 (box sides as distributions); He et al., "Spatial
Pyramid Pooling", 2014; and the published layer table of YOLOv8-seg (depth, width, largest width of each size).

Wire contract, kept by every version (see docs/fastsam.md):
    image         uint8   (N, H, W, 3)         sRGB, H and W multiples of 32
    predictions   float32 (N, 4 + 1 + 32, A)   cx, cy, w, h in input pixels; score 0..1; mask coefficients
    prototypes    float32 (N, 32, H/4, W/4)
with A = HW/64 + HW/256 + HW/1024: the cells of stride 8, then 16, then 32, row by row.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUT = "image"
OUTPUTS = ("predictions", "prototypes")
STRIDES = (8, 16, 32)
BINS = 16  # a box side is a distribution over 0 … 15 strides (Li et al., 2020, sec. 3.2)
COEFFICIENTS = 32


@dataclass(frozen=True)
class Size:
    """Multipliers of the layer table: repeats of a block, channels, and the most channels before multiplying."""

    depth: float
    width: float
    channels_max: int

    def channels(self, count: int) -> int:
        return math.ceil(min(count, self.channels_max) * self.width / 8) * 8

    def repeats(self, count: int) -> int:
        return max(1, round(count * self.depth))


SIZES = {"n": Size(0.33, 0.25, 1024), "s": Size(0.33, 0.50, 1024), "x": Size(1.0, 1.25, 512)}


class Conv(nn.Module):
    """Convolution, batch normalisation, SiLU."""

    def __init__(self, cin: int, cout: int, kernel: int = 1, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """Two 3x3 convolutions, with a shortcut around them in the backbone."""

    def __init__(self, channels: int, shortcut: bool):
        super().__init__()
        self.cv1 = Conv(channels, channels, 3)
        self.cv2 = Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C2f(nn.Module):
    """Cross-stage partial block: half the channels pass through a chain whose every link is kept and joined."""

    def __init__(self, cin: int, cout: int, repeats: int, shortcut: bool):
        super().__init__()
        half = cout // 2
        self.cv1 = Conv(cin, 2 * half)
        self.cv2 = Conv((2 + repeats) * half, cout)
        self.m = nn.ModuleList(Bottleneck(half, shortcut) for _ in range(repeats))

    def forward(self, x: Tensor) -> Tensor:
        links = list(self.cv1(x).chunk(2, 1))
        for link in self.m:
            links.append(link(links[-1]))
        return self.cv2(torch.cat(links, 1))


class SPPF(nn.Module):
    """Spatial pyramid pooling, the larger windows made by pooling again."""

    def __init__(self, cin: int, cout: int):
        super().__init__()
        self.cv1 = Conv(cin, cin // 2)
        self.cv2 = Conv(cin // 2 * 4, cout)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [self.cv1(x)]
        for _ in range(3):
            pooled.append(F.max_pool2d(pooled[-1], 5, 1, 2))
        return self.cv2(torch.cat(pooled, 1))


class Concat(nn.Module):
    """Joins along the channels; in the table because layers are named by their place in it."""

    def forward(self, x: list[Tensor]) -> Tensor:
        return torch.cat(x, 1)


class Expectation(nn.Module):
    """From the distribution of a box side to its mean (Li et al., 2020, eq. 3): (N, 64, A) to (N, 4, A), strides."""

    def __init__(self) -> None:
        super().__init__()
        # A convolution whose weights are 0 … 15, because published checkpoints carry it as one.
        self.conv = nn.Conv2d(BINS, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data[:] = torch.arange(BINS, dtype=torch.float32).view(1, BINS, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, _, a = x.shape
        return self.conv(x.view(n, 4, BINS, a).transpose(1, 2).softmax(1)).view(n, 4, a)


class Prototypes(nn.Module):
    """The picture's 32 mask prototypes at stride 4, from features at stride 8 (Bolya et al., 2019, fig. 3)."""

    def __init__(self, cin: int, width: int):
        super().__init__()
        self.cv1 = Conv(cin, width, 3)
        self.upsample = nn.ConvTranspose2d(width, width, 2, 2, 0, bias=True)
        self.cv2 = Conv(width, width, 3)
        self.cv3 = Conv(width, COEFFICIENTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(self.cv2(self.upsample(self.cv1(x))))


class Raw(NamedTuple):
    """The head's answer before decoding: what training works on.

    sides (N, 64, A) logits of box sides; scores (N, nc, A) logits; coefficients (N, 32, A); prototypes
    (N, 32, H/4, W/4); shapes: (height, width) of each stride's grid.
    """

    sides: Tensor
    scores: Tensor
    coefficients: Tensor
    prototypes: Tensor
    shapes: list[tuple[int, int]]


def branch(cin: int, width: int, cout: int) -> nn.Sequential:
    return nn.Sequential(Conv(cin, width, 3), Conv(width, width, 3), nn.Conv2d(width, cout, 1))


class Segment(nn.Module):
    """Three branches on each of three strides (box sides, scores, coefficients), and the prototypes."""

    def __init__(self, classes: int, channels: list[int], prototype_width: int):
        super().__init__()
        box = max(16, channels[0] // 4, BINS * 4)
        score = max(channels[0], min(classes, 100))
        mask = max(channels[0] // 4, COEFFICIENTS)
        self.cv2 = nn.ModuleList(branch(c, box, 4 * BINS) for c in channels)
        self.cv3 = nn.ModuleList(branch(c, score, classes) for c in channels)
        self.dfl = Expectation()
        self.proto = Prototypes(channels[0], prototype_width)
        self.cv4 = nn.ModuleList(branch(c, mask, COEFFICIENTS) for c in channels)

    def forward(self, features: list[Tensor]) -> Raw:
        def joined(branches: nn.ModuleList) -> Tensor:
            return torch.cat([b(x).flatten(2) for b, x in zip(branches, features, strict=True)], 2)

        shapes = [(x.shape[2], x.shape[3]) for x in features]
        return Raw(joined(self.cv2), joined(self.cv3), joined(self.cv4), self.proto(features[0]), shapes)


def cells(shapes: list[tuple[int, int]], like: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (2, A) as x, y in strides and strides (A,) of every cell: stride 8, 16, 32, row by row."""
    centres, strides = [], []
    for (height, width), stride in zip(shapes, STRIDES, strict=True):
        # Counted in integers, as TensorRT wants its ranges.
        x = torch.arange(width, device=like.device).to(like.dtype) + 0.5
        y = torch.arange(height, device=like.device).to(like.dtype) + 0.5
        yy, xx = torch.meshgrid(y, x, indexing="ij")
        centres.append(torch.stack([xx, yy]).flatten(1))
        strides.append(torch.full_like(centres[-1][0], stride))
    return torch.cat(centres, 1), torch.cat(strides)


class FastSam(nn.Module):
    """image (N, H, W, 3) uint8 to predictions and prototypes; `raw` for training.

    Args:
        size: "n", "s" or "x".
        classes: 1 for FastSAM; any other number gives the wider family (predictions then carry that many scores).
    """

    def __init__(self, size: str = "s", classes: int = 1):
        super().__init__()
        self.size, self.classes = size, classes
        s = SIZES[size]
        c64, c128, c256, c512, c1024 = (s.channels(c) for c in (64, 128, 256, 512, 1024))
        short, long = s.repeats(3), s.repeats(6)
        self.model = nn.ModuleList(
            [
                Conv(3, c64, 3, 2),  # 0
                Conv(c64, c128, 3, 2),
                C2f(c128, c128, short, True),
                Conv(c128, c256, 3, 2),
                C2f(c256, c256, long, True),  # 4: stride 8
                Conv(c256, c512, 3, 2),
                C2f(c512, c512, long, True),  # 6: stride 16
                Conv(c512, c1024, 3, 2),
                C2f(c1024, c1024, short, True),
                SPPF(c1024, c1024),  # 9: stride 32
                nn.Upsample(scale_factor=2.0, mode="nearest"),
                Concat(),
                C2f(c1024 + c512, c512, short, False),  # 12
                nn.Upsample(scale_factor=2.0, mode="nearest"),
                Concat(),
                C2f(c512 + c256, c256, short, False),  # 15: out, stride 8
                Conv(c256, c256, 3, 2),
                Concat(),
                C2f(c256 + c512, c512, short, False),  # 18: out, stride 16
                Conv(c512, c512, 3, 2),
                Concat(),
                C2f(c512 + c1024, c1024, short, False),  # 21: out, stride 32
                Segment(classes, [c256, c512, c1024], s.channels(256)),  # 22
            ]
        )

    def raw(self, x: Tensor) -> Raw:
        """(N, 3, H, W) float, RGB 0..1."""
        m = self.model
        x4 = m[4](m[3](m[2](m[1](m[0](x)))))
        x6 = m[6](m[5](x4))
        x9 = m[9](m[8](m[7](x6)))
        x12 = m[12](m[11]([m[10](x9), x6]))
        x15 = m[15](m[14]([m[13](x12), x4]))
        x18 = m[18](m[17]([m[16](x15), x12]))
        x21 = m[21](m[20]([m[19](x18), x9]))
        return m[22]([x15, x18, x21])

    def boxes(self, raw: Raw) -> Tensor:
        """(N, 4, A): x0, y0, x1, y1 in input pixels."""
        centre, stride = cells(raw.shapes, raw.sides)
        left_top, right_bottom = self.model[22].dfl(raw.sides).chunk(2, 1)
        return torch.cat([centre - left_top, centre + right_bottom], 1) * stride

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        # Cast first: TensorRT does nothing else with uint8.
        x = image.to(self.model[22].dfl.conv.weight.dtype).permute(0, 3, 1, 2) / 255
        raw = self.raw(x)
        x0y0, x1y1 = self.boxes(raw).chunk(2, 1)
        predictions = [(x0y0 + x1y1) / 2, x1y1 - x0y0, raw.scores.sigmoid(), raw.coefficients]
        return torch.cat(predictions, 1).float(), raw.prototypes.float()


def initialize(net: FastSam, prior: float = 0.01) -> FastSam:
    """Fresh weights: every cell begins with score `prior` (Lin et al., "Focal Loss", 2017, sec. 4.1)."""
    head = net.model[22]
    for sides, scores in zip(head.cv2, head.cv3, strict=True):
        nn.init.ones_(sides[-1].bias)
        nn.init.constant_(scores[-1].bias, -math.log((1 - prior) / prior))
    return net
