"""Batch normalisations folded into the convolutions before them: what is served, and what training can go on from."""

from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Net = TypeVar("Net", bound=nn.Module)


def fold(net: Net) -> Net:
    """Fold each normalisation that comes right behind a convolution, in place; `net` is in evaluation mode."""
    for module in net.modules():
        children = list(module.named_children())
        for (first, convolution), (second, norm) in pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(convolution, norm))
                setattr(module, second, nn.Identity())
    return net
