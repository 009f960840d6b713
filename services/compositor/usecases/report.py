"""What is told of a picture beside its pixels."""

from dataclasses import replace
from itertools import chain

import numpy as np

from services.compositor.domain.color_truth import shown_on
from services.compositor.domain.perspective import Plane
from services.compositor.domain.plate import Plate, Surface
from services.compositor.ports import Color, RenderSpec, Report
from services.compositor.usecases.renderer import NO_NOISE, Composed, corrected, strip

# Of what was laid in strips that are gone, so many bands of so many rows are made once more.
BANDS, ROWS = 32, 2


def report_of(spec: RenderSpec, made: Composed) -> Report:
    return Report(_colors(spec, made), _scales(spec), made.placed)


def _colors(spec: RenderSpec, made: Composed) -> tuple[Color, ...]:
    laid = [_parts(made, n) for n in range(len(spec.layers))]
    found: list[Color] = []
    for n, layer in enumerate(spec.layers):
        above = list(chain.from_iterable(laid[n + 1 :]))
        textured = bool(layer.texture_digest)
        shown = shown_on(made.picture, laid[n], above, layer.color_rgb, textured, made.turned, made.staged)
        if shown is not None:
            found.append(
                Color(
                    layer.surface_id, layer.product, layer.color_rgb, shown.rgb, shown.delta_e00, shown.illuminant_rgb
                )
            )
    return tuple(found)


def _parts(made: Composed, n: int) -> list[Plate]:
    """Plates of a layer: one of all of it where it is kept, else of bands that lie at the same rows for all layers."""
    layer, on = made.layers[n], made.plates[n]
    if not isinstance(on, Surface):
        return [on] if on is not None else []
    top, bottom = on.box[1], on.box[1] + on.box[3]
    parts = []
    for row in np.linspace(0, max(0, len(made.photo) - ROWS), BANDS).astype(int).tolist():
        first, last = max(row, top), min(row + ROWS, bottom)
        if first < last:
            plate, pieces = strip(layer, on, made.photo, NO_NOISE, first - top, last - top)
            parts.append(replace(plate, alpha=pieces.plate.alpha) if pieces else plate)
    return parts


def _scales(spec: RenderSpec) -> dict[str, Plane]:
    made = corrected(spec)
    laid = {layer.surface_id: layer.plane for layer in made.layers}
    put = {thing.surface_id: made.planes[thing.surface_id] for thing in made.things}
    return {name: plane for name, plane in (laid | put).items() if plane.homography}
