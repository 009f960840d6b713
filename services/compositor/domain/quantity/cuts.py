"""Which pieces a surface needs: whole ones, and the parts of those that its edges cut."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from services.compositor.domain.layout import Layout, Outlines, outlines
from services.compositor.domain.quantity.surface import Patches, Surface

Geometries = NDArray[np.object_]
# Square metres: a tenth of a square millimetre is no piece but rounding.
NOTHING_M2 = 1e-7


@dataclass(frozen=True)
class Cuts:
    """whole: (kinds,) how many whole pieces of each kind. part: (N,) polygons, in the frames of the pieces they are
    parts of, whose kinds are `kind` (N,)."""

    whole: NDArray[np.int64]
    kind: NDArray[np.int64]
    part: Geometries


def in_frames(found: Outlines, index: NDArray[np.int64], shapes: Geometries) -> Geometries:
    """Shapes on the surface, each as seen in the frame of the piece that `index` (N,) tells."""
    points, of = shapely.get_coordinates(shapes, return_index=True)
    a = -np.deg2rad(found.rotation[index][of])
    moved = points - found.origin[index][of]
    u = np.cos(a) * moved[:, 0] - np.sin(a) * moved[:, 1]
    v = np.sin(a) * moved[:, 0] + np.cos(a) * moved[:, 1]
    return np.asarray(shapely.set_coordinates(shapes.copy(), np.stack([u, v], -1)))


def cuts(layout: Layout, surface: Surface | Patches, kinds: int) -> Cuts:
    """Lay the pattern on the surface and cut it at its edges.

    A piece that an edge parts in two counts as two parts. Raises ValueError where the pattern has no pieces.
    """
    room = surface.polygon()
    shapely.prepare(room)
    found = outlines(layout, room.bounds)
    pieces = shapely.polygons(found.corners())
    inside = shapely.covers(room, pieces)
    whole = np.bincount(found.kind[inside], minlength=kinds)
    at_edge = np.flatnonzero(~inside)
    parts, of = shapely.get_parts(shapely.intersection(pieces[at_edge], room), return_index=True)
    index = at_edge[of]
    # A piece whose corner the edge touches is whole all the same.
    share = shapely.area(parts) / shapely.area(pieces[index])
    whole = whole + np.bincount(found.kind[index[share > 1 - 1e-9]], minlength=kinds)
    cut = (share <= 1 - 1e-9) & (shapely.area(parts) > NOTHING_M2)
    return Cuts(whole, found.kind[index[cut]], in_frames(found, index[cut], parts[cut]))
