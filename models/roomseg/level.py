"""How much light there is on floor, walls and ceiling, told from the picture as a whole.

The card that the network draws knows a surface by what lies around each pixel; how bright the room is, and whether
something is pale or well lit, shows in all of it: what else is there, how its surfaces compare, what is clipped. This sums
the picture up and moves the card of each kind of surface up or down as a whole.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SURFACES = (1, 2, 3)  # floor, wall, ceiling among the labels
POWERS = (2.0, 8.0)  # means of luminance: the higher, the more they are of what is bright
CLIPPED = 0.94  # sRGB value from which on a pixel counts as clipped, more and more up to 1
DARKEST = 2e-3
SHARE_LITTLE = 0.01  # part of the picture, at which a surface is moved by half
LUMINANCE = (0.2126, 0.7152, 0.0722)


def to_linear(shown: Tensor) -> Tensor:
    """sRGB, 0 to 1, to linear (IEC 61966-2-1)."""
    return torch.where(shown <= 0.04045, shown / 12.92, ((shown.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Tensor) -> Tensor:
    """Linear to sRGB (IEC 61966-2-1)."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def scene_light(shown: Tensor) -> Tensor:
    """sRGB of a picture to the light in the scene: undoes the shoulder that `models.rooms.sample.develop` gives it."""
    value = to_linear(shown.clamp(0, 1))
    b = 1 - 0.6 * value
    # 8 (sqrt(b^2 + value / 4) - b), without the difference of two numbers that are nearly equal: bfloat16 has 8 bits.
    return (2 * value / ((b * b + value / 4).sqrt() + b)).clamp(min=DARKEST)


def developed(light: Tensor) -> Tensor:
    """Light in the scene to sRGB of the picture."""
    return to_srgb(light * (1 + light / 16) / (1 + 0.6 * light))


def log_luminance(light: Tensor) -> Tensor:
    """(N, 3, H, W) light to (N, 1, H, W)."""
    weight = torch.tensor(LUMINANCE, dtype=light.dtype, device=light.device)[:, None, None]
    return (light * weight).sum(1, keepdim=True).log()


class Level(nn.Module):
    """Arguments of its methods: image (N, 3, H, W) -1 to 1; surface (N, 7, H/2, W/2) logits; features
    (N, channels, H/4, W/4); normal and grey (N, 3, H/4, W/4)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int = 96, hidden: int = 96):
        super().__init__()
        # Of each kind of surface and the whole: features, card, photo, normal; its share. Of the whole: means of luminance,
        # what is clipped.
        width = 4 * (channels + 3 + 3 + 3 + 1) + len(POWERS) + 1
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.body = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, len(SURFACES)),
        )
        self.trust = nn.Parameter(torch.full((len(SURFACES),), 0.35))

    def summary(
        self, image: Tensor, surface: Tensor, features: Tensor, normal: Tensor, grey: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(N, width) what the picture shows, and (N, 4) the card's mean log luminance of floor, wall, ceiling and all."""
        parts = self.parts(surface)
        weight = torch.cat([parts, torch.ones_like(parts[:, :1])], 1).flatten(2)
        total = weight.sum(2, keepdim=True) + 1

        def means(values: Tensor) -> Tensor:  # (N, C, h, w) to (N, 4, C)
            return weight @ values.flatten(2).transpose(1, 2) / total

        small = F.avg_pool2d(image, 4) / 2 + 0.5
        seen, card = scene_light(small).log(), scene_light(grey)
        told = (means(features), means(card.log()), means(seen), means(normal), weight.mean(2, keepdim=True))
        bright = log_luminance(scene_light(small)).flatten(1)
        powers = [((bright * p).exp().mean(1, keepdim=True)).log() / p for p in POWERS]
        clipped = ((small.amin(1) - CLIPPED) / (1 - CLIPPED)).clamp(0, 1).mean((1, 2))[:, None]
        return torch.cat([torch.cat(told, 2).flatten(1), *powers, clipped], 1), means(log_luminance(card))[..., 0]

    def parts(self, surface: Tensor) -> Tensor:
        """(N, 3, H/4, W/4) probability of floor, wall and ceiling."""
        p = F.avg_pool2d(surface.softmax(1), 2)
        return torch.cat([p[:, k : k + 1] for k in SURFACES], 1)

    def levels(self, summary: Tensor, card: Tensor) -> Tensor:
        """(N, 3) log luminance of the card on floor, wall and ceiling, by what `summary` gives."""
        moved = self.body(((summary - self.mean) / self.deviation).clamp(-5, 5))
        whole = card[:, 3:]
        return whole + self.trust * (card[:, :3] - whole) + torch.tanh(moved)

    def forward(self, image: Tensor, surface: Tensor, features: Tensor, normal: Tensor, grey: Tensor) -> Tensor:
        """The card (N, 3, H/4, W/4), moved on each kind of surface; on all else by what their mean moves."""
        told, card = self.summary(image, surface, features, normal, grey)
        parts = self.parts(surface)
        share = parts.mean((2, 3))
        # What is hardly there is left where it is.
        moved = (self.levels(told, card) - card[:, :3]) * (share / (share + SHARE_LITTLE))
        rest = ((moved * share).sum(1) / (share.sum(1) + SHARE_LITTLE))[:, None, None, None]
        by = (parts * moved[:, :, None, None]).sum(1, keepdim=True) + (1 - parts.sum(1, keepdim=True)) * rest
        return developed(scene_light(grey) * by.exp())
