"""The network of roomseg 2, a residual encoder that has seen no photograph, and two networks served as one."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from models.roomseg.network import DETAIL, JUNCTIONS, NORMAL, SURFACES, Block, Context, Conv, RoomSeg

# Of the say that is the newer one's: it is the better one on rendered rooms; on photos both err in different places.
SHARE = 0.7


class Residual(nn.Module):
    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 112, 192, 256),
        depths: tuple[int, ...] = (2, 2, 3, 2),
        pyramid: int = 80,
    ):
        super().__init__()
        self.stem = nn.Sequential(Conv(3, widths[0], 3, 2), Conv(widths[0], widths[1], 3, 2))
        self.stages = nn.ModuleList()
        for i, depth in enumerate(depths):
            cin, cout = (widths[1] if i == 0 else widths[i]), widths[i + 1]
            blocks = [Block(cin, cout, 1 if i == 0 else 2)] + [Block(cout, cout) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*blocks))
        self.context = Context(widths[-1])
        self.lateral = nn.ModuleList(nn.Conv2d(c, pyramid, 1) for c in widths[1:])
        self.smooth = nn.ModuleList(Conv(pyramid, pyramid) for _ in widths[2:])
        self.neck = Conv(pyramid, pyramid)
        self.head = nn.Conv2d(pyramid, DETAIL**2 * SURFACES + JUNCTIONS + NORMAL, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = image.permute(0, 3, 1, 2).to(self.head.weight.dtype) / 127.5 - 1.0
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        features[-1] = self.context(features[-1])
        y = self.lateral[-1](features[-1])
        for i in range(len(features) - 2, -1, -1):
            y = F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False) + self.lateral[i](features[i])
            y = self.smooth[i](y)
        y = self.head(self.neck(y)).float()
        surface, junction, normal = y.split((DETAIL**2 * SURFACES, JUNCTIONS, NORMAL), 1)
        surface = F.pixel_shuffle(surface, DETAIL)
        return surface, junction, normal / (normal.square().sum(1, keepdim=True) + 1e-6).sqrt()


class Beside(nn.Module):
    """roomseg with older networks beside it: the mean of their probabilities, logits and normals; its grey card.

    Networks that learned from different beginnings err in different places; the mean errs less than each (Hansen &
    Salamon, "Neural Network Ensembles", 1990). `share` of the say is the first one's.
    """

    def __init__(self, first: RoomSeg, others: Sequence[Residual], share: float = SHARE):
        super().__init__()
        self.members = nn.ModuleList([first, *others])
        self.shares = [share, *([(1 - share) / len(others)] * len(others))]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        answers = [member(image) for member in self.members]
        surface, junction, normal = (
            sum(share * part for share, part in zip(self.shares, parts, strict=True))
            for parts in (
                [a[0].softmax(1) for a in answers],
                [a[1] for a in answers],
                [a[2] for a in answers],
            )
        )
        length = (normal.square().sum(1, keepdim=True) + 1e-6).sqrt()
        return (surface + 1e-7).log(), junction, normal / length, answers[0][3]
