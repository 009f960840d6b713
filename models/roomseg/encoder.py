"""MobileNetV2 (Sandler et al., 2018, table 2), its batch normalisation folded into its convolutions.

It begins with weights that have seen photographs (models/roomseg/pretrained.py); a network that starts from
nothing and sees only renderings takes what is particular to renderings for the world.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of each inverted residual: how many times it widens, channels out, stride.
BLOCKS = (
    (1, 16, 1),
    *((6, 24, 2), (6, 24, 1)),
    *((6, 32, 2), (6, 32, 1), (6, 32, 1)),
    *((6, 64, 2), (6, 64, 1), (6, 64, 1), (6, 64, 1)),
    *((6, 96, 1), (6, 96, 1), (6, 96, 1)),
    *((6, 160, 2), (6, 160, 1), (6, 160, 1)),
    (6, 320, 1),
)
LAST = 1280
TAPS = (0, 2, 5)  # the last blocks of strides 2, 4 and 8
WIDEN = 13  # the block whose widened input ends stride 16
CHANNELS = (16, 24, 32, 576, LAST)  # of strides 2, 4, 8, 16, 32
FROZEN = 6  # blocks, and the first convolution, that training leaves as they are: edges and textures


class Folded(nn.Module):
    """A convolution with bias, padded as TensorFlow pads: at stride 2 the odd pixel goes right and below."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True):
        super().__init__()
        padding = 1 if kernel == 3 and stride == 1 else 0
        self.conv = nn.Conv2d(cin, cout, kernel, stride, padding, groups=groups)
        self.shift, self.act = stride == 2, act

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(F.pad(x, (0, 1, 0, 1)) if self.shift else x)
        return F.relu6(y) if self.act else y


class Inverted(nn.Module):
    def __init__(self, cin: int, widen: int, cout: int, stride: int):
        super().__init__()
        middle = cin * widen
        self.expand = Folded(cin, middle, 1) if widen > 1 else nn.Identity()
        self.depthwise = Folded(middle, middle, 3, stride, groups=middle)
        self.project = Folded(middle, cout, 1, act=False)
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's answer, and its widened input."""
        wide = self.expand(x)
        y = self.project(self.depthwise(wide))
        return (x + y if self.residual else y), wide


class Encoder(nn.Module):
    """(N, 3, H, W) in -1 .. 1 to features of CHANNELS at strides 2, 4, 8, 16, 32; H, W multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Folded(3, 32, 3, 2)
        self.blocks, cin = nn.ModuleList(), 32
        for widen, cout, stride in BLOCKS:
            self.blocks.append(Inverted(cin, widen, cout, stride))
            cin = cout
        self.last = Folded(cin, LAST, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        x = self.stem(x)
        for i, block in enumerate(self.blocks):
            x, wide = block(x)
            if i in TAPS:
                features.append(x)
            if i == WIDEN:
                features.append(wide)
        return [*features, self.last(x)]

    def convolutions(self) -> Iterator[nn.Conv2d]:
        """In the order of the graph."""
        return (m for m in self.modules() if isinstance(m, nn.Conv2d))

    def freeze(self) -> None:
        """Leave the first layers as they are: they know edges and textures of photographs."""
        for part in (self.stem, *self.blocks[:FROZEN]):
            part.requires_grad_(False)

    @torch.no_grad()
    def load(self, tensors: list[tuple[Tensor, Tensor]]) -> None:
        """Weights (O, I, kH, kW) and biases of the convolutions, in the order of the graph.

        Raises:
            ValueError: their number or a shape differs.
        """
        mine = list(self.convolutions())
        if len(mine) != len(tensors):
            raise ValueError(f"{len(tensors)} convolutions, where the encoder has {len(mine)}")
        for conv, (weight, bias) in zip(mine, tensors, strict=True):
            assert conv.bias is not None
            if conv.weight.shape != weight.shape or conv.bias.shape != bias.shape:
                raise ValueError(f"{tuple(weight.shape)}, where the encoder has {tuple(conv.weight.shape)}")
            conv.weight.copy_(weight)
            conv.bias.copy_(bias)
