"""Layouts: what a caller asked for, completed by what the material says, and checked as far as numbers go.

Whether a pattern can be laid with the material's pieces the compositor knows.
"""

from roomviz.errors import InvalidArgument
from roomviz.v1 import layouts_pb2, products_pb2
from services.gateway.usecases.products import Find

# Metres, but for the angle.
RANGES = {
    "offset": (0, 1),
    "min_stagger_m": (0, 10),
    "min_length_m": (0, 10),
    "angle_deg": (0, 90),
    "bevel_m": (0, 0.01),
}
GROUT_WIDTH_MAX_M, GROUT_DEPTH_MAX_M = 0.05, 0.02
SURFACE_MAX_M = 1000
CORNERS_MAX = 32
BY_THE_PIECE = ("offset", "min_stagger_m", "min_length_m", "angle_deg", "match", "reverse_hang")


def layout_of(asked: layouts_pb2.Layout | None, product: products_pb2.Product) -> layouts_pb2.Layout | None:
    """How a product is laid; None where its texture, or its paint, goes on as it is.

    Args:
        asked: the application's; None where it has none.
        product: a material.

    Raises:
        InvalidArgument: LAYOUT_INVALID, PATTERN_WITHOUT_FACE.
    """
    material = product.material
    own = layouts_pb2.Layout(pattern=layouts_pb2.PATTERN_TEXTURE)
    if material.HasField("layout") and material.face_digest:
        own.CopyFrom(material.layout)
    out = own
    if asked is not None:
        _check(asked)
        out = _completed(asked, own)
    if out.pattern in (layouts_pb2.PATTERN_UNSPECIFIED, layouts_pb2.PATTERN_TEXTURE):
        if out.HasField("border"):
            raise _invalid(
                "border", f"lies around pieces, and {product.sku} is laid as it was pictured: ask for a pattern"
            )
        return None
    if not material.texture_digest:
        raise InvalidArgument(
            "LAYOUT_INVALID", f"{product.sku} is paint and has no pieces; leave the layout out", {"sku": product.sku}
        )
    if not material.face_digest:
        raise InvalidArgument(
            "PATTERN_WITHOUT_FACE",
            f"{product.sku} has only a texture of pieces already laid; ask for PATTERN_TEXTURE, or give it a face",
            {"sku": product.sku},
        )
    return out


async def border_of(layout: layouts_pb2.Layout | None, find: Find) -> products_pb2.Product | None:
    """The product that a layout's border has of its own, whose pieces give the border the sizes that are not set; None
    where it is cut from the field's.

    Raises:
        InvalidArgument: LAYOUT_INVALID, PATTERN_WITHOUT_FACE, PRODUCT_NOT_A_MATERIAL.
        NotFound: PRODUCT_NOT_FOUND.
    """
    if layout is None or not layout.border.product:
        return None
    product = await find(layout.border.product)
    material = product.material
    if not product.HasField("material"):
        raise InvalidArgument(
            "PRODUCT_NOT_A_MATERIAL", f"{product.sku} is a thing, and no border", {"product": product.name}
        )
    if not (material.piece_length_m > 0 and material.piece_width_m > 0):
        raise _invalid("border.product", f"comes in pieces; {product.sku} does not")
    if not material.face_digest:
        raise InvalidArgument(
            "PATTERN_WITHOUT_FACE",
            f"{product.sku} has only a texture of pieces already laid; a border needs a face",
            {"sku": product.sku},
        )
    layout.border.width_m = layout.border.width_m or material.piece_width_m
    layout.border.piece_length_m = layout.border.piece_length_m or material.piece_length_m
    return product


def runs_along_walls(layout: layouts_pb2.Layout) -> bool:
    """Whether it has a border whose outline the room gives."""
    return layout.HasField("border") and not layout.border.outline


def _completed(asked: layouts_pb2.Layout, own: layouts_pb2.Layout) -> layouts_pb2.Layout:
    """What is set in `asked`, and the rest of the material's own. A grout, a point, a border is taken whole."""
    out = layouts_pb2.Layout()
    out.CopyFrom(own)
    if asked.pattern and asked.pattern != own.pattern:
        for name in BY_THE_PIECE:
            out.ClearField(name)
    for field in ("grout", "origin", "phase", "border"):
        if asked.HasField(field):
            out.ClearField(field)
    out.MergeFrom(asked)
    return out


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("LAYOUT_INVALID", f"{field} {message}", {"field": field})


def _within(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # what is not a number is not within either
        raise _invalid(field, f"is {low:g} to {high:g}")


def _check(asked: layouts_pb2.Layout) -> None:
    if asked.pattern not in layouts_pb2.Pattern.values():
        raise _invalid("pattern", "is none that is known")
    if asked.match not in layouts_pb2.WallpaperMatch.values():
        raise _invalid("match", "is none that is known")
    for name, (low, high) in RANGES.items():
        _within(name, getattr(asked, name), low, high)
    _within("grout.width_m", asked.grout.width_m, 0, GROUT_WIDTH_MAX_M)
    _within("grout.depth_m", asked.grout.depth_m, 0, GROUT_DEPTH_MAX_M)
    _within("grout.color_rgb", asked.grout.color_rgb, 0, 0xFFFFFF)
    for name, point in (("origin", asked.origin), ("phase", asked.phase)):
        _check_point(name, point)
    if asked.HasField("border"):
        for name in ("width_m", "piece_length_m"):
            size = getattr(asked.border, name)
            if size or not asked.border.product:  # which else has sizes of its own
                _within(f"border.{name}", size, 0.01, 10)
        if not 3 <= len(asked.border.outline) <= CORNERS_MAX and asked.border.outline:
            raise _invalid("border.outline", f"has 3 to {CORNERS_MAX} corners, or none: along the walls of a floor")
        for corner in asked.border.outline:
            _check_point("border.outline", corner)


def _check_point(field: str, point: layouts_pb2.PlanePoint) -> None:
    if not (abs(point.x_m) <= SURFACE_MAX_M and abs(point.y_m) <= SURFACE_MAX_M):  # nor what is not a number
        raise _invalid(field, f"lies within {SURFACE_MAX_M} m")
