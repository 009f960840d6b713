"""The roomseg network: an encoder that has seen photographs, a feature pyramid at stride 4, four heads.

Surfaces are told at stride 2: each place of the pyramid predicts its four quarters (sub-pixel convolution,
Shi et al., 2016, eq. 4), which keeps legs and edges that stride 4 would lose, for next to nothing.


Wire contract, kept by every version (see docs/models.md):
    image             uint8   (N, H, W, 3)      sRGB, H and W multiples of 32
    surface_logits    float32 (N, 7, H/2, W/2)  other, floor, wall, ceiling, furniture, window, door
    junction_logits   float32 (N, 3, H/4, W/4)  floor-wall, wall-wall, wall-ceiling
    normals           float32 (N, 3, H/4, W/4)  unit, camera frame: x right, y down, z forward
    grey_card         float32 (N, 3, H/4, W/4)  sRGB, 1.0 = display white: how a card of 35 % albedo would look there
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.roomseg.encoder import CHANNELS, Encoder
from models.roomseg.level import Level

SURFACES, JUNCTIONS, NORMAL, GREY = 7, 3, 3, 3
DETAIL = 2
STRIDE = 32
HEAD, DEPTH = 32, 3  # channels of each head, and number, of the blocks that see the whole picture
INPUT = "image"
OUTPUTS = ("surface_logits", "junction_logits", "normals", "grey_card")


class Conv(nn.Sequential):
    def __init__(self, cin: int, cout: int, kernel: int = 3, stride: int = 1, act: bool = True):
        layers: list[nn.Module] = [nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout)]
        if act:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., 2016, fig. 2)."""

    def __init__(self, cin: int, cout: int, stride: int = 1):
        super().__init__()
        self.body = nn.Sequential(Conv(cin, cout, 3, stride), Conv(cout, cout, 3, act=False))
        self.shortcut = nn.Identity() if cin == cout and stride == 1 else Conv(cin, cout, 1, stride, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class Context(nn.Module):
    """What the whole picture shows, told to every pixel: the layout of a room is global."""

    def __init__(self, channels: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 1), nn.ReLU(), nn.Conv2d(channels // 2, 2 * channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = self.gate(x.mean((2, 3), keepdim=True)).chunk(2, 1)
        return x * torch.sigmoid(scale) + shift


class Wide(nn.Module):
    """A depthwise 7x7 convolution and two pointwise ones around a shortcut (Liu et al., 2022, fig. 4)."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.body = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1), nn.ReLU(inplace=True), nn.Conv2d(2 * channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(self.norm(self.depthwise(x)))


class Transformer(nn.Module):
    """Every place asks all others (Vaswani et al., 2017, eq. 1), then its neighbours, which tells it where it is (Xie et
    al., 2021, eq. 3). New, it gives back what it is given: a trained network that it is put into answers as before."""

    def __init__(self, channels: int):
        super().__init__()
        self.heads = channels // HEAD
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.answer = nn.Conv2d(channels, channels, 1)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.near = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)
        for last in (self.answer, self.narrow):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.ask(_even(x)).flatten(2).unflatten(1, (3, self.heads, HEAD)).unbind(1)
        share = (query.transpose(2, 3) @ key * HEAD**-0.5).softmax(3)
        x = x + self.answer((value @ share.transpose(2, 3)).flatten(1, 2).view_as(x))
        return x + self.narrow(F.gelu(self.near(self.widen(_even(x)))))


def _even(x: Tensor) -> Tensor:
    """Each place's channels of mean square 1 (Zhang & Sennrich, 2019, eq. 4)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-6).rsqrt()


class RoomSeg(nn.Module):
    def __init__(self, pyramid: int = 96, top: int = 256):
        super().__init__()
        self.encoder = Encoder()
        self.top = nn.Sequential(Conv(CHANNELS[-1], top, 1), Wide(top), Context(top), Wide(top))
        self.whole = nn.Sequential(*(Transformer(top) for _ in range(DEPTH)))
        self.lateral = nn.ModuleList(nn.Conv2d(c, pyramid, 1) for c in (*CHANNELS[1:-1], top))
        self.smooth = nn.ModuleList([Conv(pyramid, pyramid), Block(pyramid, pyramid), Block(pyramid, pyramid)])
        self.fine = nn.Conv2d(CHANNELS[0], pyramid, 3, 2, 1)
        self.pixels = nn.Conv2d(48, pyramid, 1)
        self.neck = Conv(pyramid, pyramid)
        self.head = nn.Conv2d(pyramid, DETAIL**2 * SURFACES + JUNCTIONS + NORMAL + GREY, 1)
        self.level: Level | None = None  # fitted to the rest when that is trained (models/level.py)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x, surface, features, normal, grey, junction = self._heads(image)
        if self.level is not None:
            grey = self.level(x, surface, features, normal, grey)
        return surface, junction, normal, grey

    def with_features(self, image: Tensor) -> tuple[Tensor, ...]:
        """What `Level` is given: the picture -1 to 1, logits of surfaces, the pyramid's features, normals, the card."""
        return self._heads(image)[:5]

    def _heads(self, image: Tensor) -> tuple[Tensor, ...]:
        x = image.permute(0, 3, 1, 2).to(self.head.weight.dtype) / 127.5 - 1.0
        half, *features, last = self.encoder(x)
        features.append(self.whole(self.top(last)))
        y = self.lateral[-1](features[-1])
        for i in range(len(features) - 2, -1, -1):
            y = F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False) + self.lateral[i](features[i])
            y = self.smooth[i](y)
        y = self.neck(F.relu(y + self.fine(half) + self.pixels(F.pixel_unshuffle(x, 4))))
        surface, junction, normal, grey = self.head(y).float().split((DETAIL**2 * SURFACES, JUNCTIONS, NORMAL, GREY), 1)
        surface = F.pixel_shuffle(surface, DETAIL)
        normal = normal / (normal.square().sum(1, keepdim=True) + 1e-6).sqrt()
        return x, surface, y, normal, grey, junction
