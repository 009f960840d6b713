"""What is told of a picture beside its pixels."""

from itertools import chain

import numpy as np

from services.compositor.domain.color_truth import shown_on
from services.compositor.domain.perspective import Plane
from services.compositor.domain.plate import Plate, Surface
from services.compositor.ports import Color, RenderSpec, Report
from services.compositor.usecases.renderer import NO_NOISE, Composed, corrected, strip

# Of what was laid in strips that are gone, so many bands of so many rows are made once more.
BANDS, BANDS_LEAST, ROWS = 32, 6, 2


def report_of(spec: RenderSpec, made: Composed) -> Report:
    return Report(_colors(made), _scales(spec), made.placed)


def _colors(made: Composed) -> tuple[Color, ...]:
    rows = _rows(made)
    laid = [_parts(made, n, rows) for n in range(len(made.layers))]
    found: list[Color] = []
    for n, layer in enumerate(made.layers):
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


def _rows(made: Composed) -> list[int]:
    """The first row of each band: over all of the picture, and of what lies between those some of its own. Bands do not
    overlap, and are the same for all layers, so that what lies above is known of each."""

    def spread(top: int, bottom: int, count: int) -> set[int]:
        return set((np.linspace(top, max(top, bottom - 1), count).astype(int) // ROWS * ROWS).tolist())

    rows = spread(0, len(made.photo), BANDS)
    for on in made.plates:
        if isinstance(on, Surface):
            top, bottom = on.box[1], on.box[1] + on.box[3]
            if sum(top <= row < bottom for row in rows) < BANDS_LEAST:
                rows |= spread(top, bottom, BANDS_LEAST)
    return sorted(rows)


def _parts(made: Composed, n: int, rows: list[int]) -> list[Plate]:
    """Plates of a layer: one of all of it where it is kept, else of its bands."""
    layer, on = made.layers[n], made.plates[n]
    if not isinstance(on, Surface):
        return [on] if on is not None else []
    top, bottom = on.box[1], on.box[1] + on.box[3]
    parts = []
    for row in rows:
        first, last = max(row, top), min(row + ROWS, bottom)
        if first < last:
            parts.append(strip(layer, on, made.photo, NO_NOISE, first - top, last - top)[0])
    return parts


def _scales(spec: RenderSpec) -> dict[str, Plane]:
    made = corrected(spec)
    laid = {layer.surface_id: layer.plane for layer in made.layers}
    put = {thing.surface_id: made.planes[thing.surface_id] for thing in made.things}
    return {name: plane for name, plane in (laid | put).items() if plane.homography}
