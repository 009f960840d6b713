"""From a layout on the wire and the material's pieces to the domain's words."""

from collections.abc import Callable

from roomviz.errors import InvalidArgument
from roomviz.v1 import layouts_pb2, products_pb2
from services.compositor.domain import layout as d

Pattern = Callable[[layouts_pb2.Layout, products_pb2.Material], d.Pattern]

# Boards lead down the picture, as they do in textures.
PLANK_DEG = 90.0
# Parts of a piece, where a layout says nothing.
OFFSET, STAGGER, ANGLE_DEG = 1 / 2, 1 / 3, 45.0
LENGTHS = 6  # of boards of random lengths
MATCHES = {
    layouts_pb2.WALLPAPER_MATCH_UNSPECIFIED: d.Match.STRAIGHT,
    layouts_pb2.WALLPAPER_MATCH_STRAIGHT: d.Match.STRAIGHT,
    layouts_pb2.WALLPAPER_MATCH_HALF_DROP: d.Match.HALF_DROP,
    layouts_pb2.WALLPAPER_MATCH_RANDOM: d.Match.RANDOM,
}


def layout_from_proto(
    p: layouts_pb2.Layout, material: products_pb2.Material, rotation_deg: float, border_alone: bool = False
) -> d.Layout:
    """The layout of a material's pieces.

    Args:
        p: with a pattern other than PATTERN_TEXTURE.
        material: whose pieces, and for what comes by the roll whose face, have sizes.
        rotation_deg: the application's.
        border_alone: without the field that the border lies around.

    Raises:
        InvalidArgument: LAYOUT_INVALID, with what to change.
    """
    try:
        return _bordered(p, None) if border_alone else _layout(p, material, rotation_deg)
    except ValueError as error:
        raise InvalidArgument("LAYOUT_INVALID", str(error), {"pattern": _name(p.pattern)}) from error


def _name(pattern: int) -> str:
    known = pattern in layouts_pb2.Pattern.values()
    return layouts_pb2.Pattern.Name(pattern) if known else str(pattern)


def _layout(p: layouts_pb2.Layout, material: products_pb2.Material, rotation_deg: float) -> d.Layout:
    if p.pattern not in PATTERNS:
        raise ValueError(f"{_name(p.pattern)} says not how pieces are laid; ask for a pattern")
    x, y = p.origin.x_m, p.origin.y_m
    if p.pattern == layouts_pb2.PATTERN_MURAL and not p.HasField("origin"):
        # On a wall y = 0 is the floor: it stands there, its middle where the wall's frame begins.
        x, y = -material.face_width_m / 2, -material.face_height_m
    if p.pattern == layouts_pb2.PATTERN_PLANK:
        rotation_deg += PLANK_DEG
    field = d.Layout(PATTERNS[p.pattern](p, material), x, y, rotation_deg, p.phase.x_m, p.phase.y_m, p.seed)
    return _bordered(p, field) if p.HasField("border") else field


def _bordered(p: layouts_pb2.Layout, field: d.Layout | None) -> d.Layout:
    outline = tuple((corner.x_m, corner.y_m) for corner in p.border.outline)
    border = d.Bordered(outline, p.border.width_m, p.border.piece_length_m, field, p.grout.width_m)
    return d.Layout(border, seed=p.seed)


def _bond(offset: float) -> Pattern:
    return lambda p, m: d.Bond(m.piece_length_m, m.piece_width_m, p.grout.width_m, offset)


def _running(p: layouts_pb2.Layout, m: products_pb2.Material) -> d.Pattern:
    return d.Bond(m.piece_length_m, m.piece_width_m, p.grout.width_m, p.offset or OFFSET)


def _random(p: layouts_pb2.Layout, m: products_pb2.Material) -> d.Pattern:
    stagger = p.min_stagger_m or m.piece_length_m * STAGGER
    return d.Bond(m.piece_length_m, m.piece_width_m, p.grout.width_m, random_stagger_m=stagger)


def _herringbone(p: layouts_pb2.Layout, m: products_pb2.Material) -> d.Pattern:
    return d.Herringbone(m.piece_length_m, m.piece_width_m, p.grout.width_m)


def _chevron(p: layouts_pb2.Layout, m: products_pb2.Material) -> d.Pattern:
    return d.Chevron(m.piece_length_m, m.piece_width_m, p.angle_deg or ANGLE_DEG, p.grout.width_m)


def _basket(p: layouts_pb2.Layout, m: products_pb2.Material) -> d.Pattern:
    strips = round(m.piece_length_m / m.piece_width_m) if m.piece_width_m > 0 else 0
    if strips < 2:
        raise ValueError("a basket-weave needs pieces at least twice as long as wide; choose another pattern")
    return d.BasketWeave(m.piece_width_m, strips, p.grout.width_m)


def _planks(p: layouts_pb2.Layout, m: products_pb2.Material) -> d.Pattern:
    longest, shortest = m.piece_length_m, p.min_length_m or m.piece_length_m
    if not 0 < shortest <= longest:
        raise ValueError(f"boards are {longest:g} m long at most: none of them is {shortest:g} m or longer")
    lengths = d.lengths_between(shortest, longest, LENGTHS) if shortest < longest else (longest,)
    return d.Planks(m.piece_width_m, lengths, p.min_stagger_m or min(longest * STAGGER, shortest / 2), p.grout.width_m)


def _wallpaper(p: layouts_pb2.Layout, m: products_pb2.Material) -> d.Pattern:
    if p.match not in MATCHES:
        raise ValueError("strips of wallpaper match straight, in half drop or at random")
    return d.Wallpaper(m.piece_width_m or m.face_width_m, m.face_height_m, MATCHES[p.match], p.reverse_hang)


PATTERNS: dict[int, Pattern] = {
    layouts_pb2.PATTERN_GRID: _bond(0.0),
    layouts_pb2.PATTERN_RUNNING_BOND: _running,
    layouts_pb2.PATTERN_RANDOM_BOND: _random,
    layouts_pb2.PATTERN_HERRINGBONE: _herringbone,
    layouts_pb2.PATTERN_CHEVRON: _chevron,
    layouts_pb2.PATTERN_BASKET_WEAVE: _basket,
    layouts_pb2.PATTERN_VERSAILLES: lambda p, m: d.Versailles(m.piece_width_m, p.grout.width_m),
    layouts_pb2.PATTERN_HEXAGON: lambda p, m: d.Hexagon(m.piece_width_m, p.grout.width_m),
    layouts_pb2.PATTERN_PENNY: lambda p, m: d.Penny(m.piece_width_m, p.grout.width_m),
    layouts_pb2.PATTERN_PLANK: _planks,
    layouts_pb2.PATTERN_WALLPAPER: _wallpaper,
    layouts_pb2.PATTERN_MURAL: lambda p, m: d.Mural(m.face_width_m, m.face_height_m, m.piece_width_m or m.face_width_m),
    layouts_pb2.PATTERN_CARPET: lambda p, m: d.Carpet(),
}
