"""What is told of a picture beside its pixels."""

from dataclasses import dataclass

from services.compositor.domain.color_truth import Shown, shown_on
from services.compositor.domain.perspective import Plane
from services.compositor.ports import RenderSpec
from services.compositor.usecases.renderer import Composed, corrected


@dataclass(frozen=True)
class Color:
    """How true the colour of a product is shown on a surface; colours sRGB 0xRRGGBB."""

    surface_id: str
    product: str
    asked_rgb: int
    shown_rgb: int
    delta_e00: float
    illuminant_rgb: int


def colors_of(spec: RenderSpec, made: Composed) -> tuple[Color, ...]:
    """One a layer of which something is seen."""
    found: list[Color] = []
    for n, (layer, plate) in enumerate(zip(spec.layers, made.plates, strict=True)):
        above = [p for p in made.plates[n + 1 :] if p is not None]
        shown: Shown | None = None
        if plate is not None:
            shown = shown_on(
                made.picture, plate, above, layer.color_rgb, bool(layer.texture_digest), made.turned, made.staged
            )
        if shown is not None:
            found.append(
                Color(
                    layer.surface_id, layer.product, layer.color_rgb, shown.rgb, shown.delta_e00, shown.illuminant_rgb
                )
            )
    return tuple(found)


def scales_of(spec: RenderSpec) -> dict[str, Plane]:
    """The planes that something was laid or put on, by surface id."""
    made = corrected(spec)
    laid = {layer.surface_id: layer.plane for layer in made.layers}
    put = {thing.surface_id: made.planes[thing.surface_id] for thing in made.things}
    return {name: plane for name, plane in (laid | put).items() if plane.homography}
