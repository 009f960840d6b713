"""From the network's answer to the surfaces of a room: the steps, in order.

probabilities -> superpixels agree -> camera -> horizon vote -> sunlit floor -> specks and islands -> wall facets -> planes
-> soft masks at full size -> legs of furniture -> straight junctions
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from roomviz.imaging.codec import Image, preview_size, resize
from roomviz.imaging.homography import scaled
from services.segmentation.domain import junctions, labels, planes
from services.segmentation.domain.camera import Camera, estimate, line_segments
from services.segmentation.domain.coherence import changed, coherent
from services.segmentation.domain.distances import wall_distances
from services.segmentation.domain.facets import facets
from services.segmentation.domain.labels import CEILING, DOOR, FLOOR, FURNITURE, KINDS, OTHER, WALL, WINDOW, Float
from services.segmentation.domain.legs import with_legs
from services.segmentation.domain.planes import Plane
from services.segmentation.domain.proposals import Proposals
from services.segmentation.domain.quality import Quality, assess
from services.segmentation.domain.superpixels import Superpixels

PART_MIN = 0.002  # smaller pieces of a kind are kept together as one surface,
PARTS_MAX = 24  # and so are those past this number
THING_MIN, THING_PART = 0.004, 0.7  # of the picture, and of a proposal that has to be furniture
THINGS_TRIED = 100
# Pixels of the working copy: how far a mask reaches past its part, and how deep its edge is.
REACH, EDGE = 3, 3.0


@dataclass(frozen=True)
class Surface:
    """alpha (H, W) uint8 at the photo's size; bbox x, y, width, height in its pixels; plane in its pixels."""

    surface_id: str
    kind: str
    confidence: float
    area_fraction: float
    bbox: tuple[int, int, int, int]
    alpha: NDArray[np.uint8]
    plane: Plane | None


@dataclass(frozen=True)
class Analysis:
    """camera: in pixels of the photo."""

    surfaces: list[Surface]
    camera: Camera
    quality: Quality


@dataclass(frozen=True)
class Layout:
    """What geometry made of the network's answer, at the network's size.

    probability (7, h, w); settled (N, 7): that of each superpixel; parts: (kind, (h, w) bool, plane) of each surface.
    """

    probability: Float
    settled: Float
    parts: list[tuple[int, NDArray[np.bool_], Plane | None]]
    camera: Camera


def working_copy(photo: Image) -> Image:
    """The picture that everything is measured on: at most 2 megapixels."""
    return resize(photo, *preview_size(*photo.shape[:2]))


def layout(
    working: Image,
    split: Superpixels,
    surface_logits: Float,
    normals: Float,
    focal_35mm: float = 0.0,
    proposals: Proposals | None = None,
    junction_logits: Float | None = None,
) -> Layout:
    """Camera, planes and parts from the working copy, its superpixels, and the network's two answers (photo and mirror
    image).

    Where proposals are given, furniture that touches in the picture is told apart by them.
    """
    p = labels.probabilities(surface_logits)
    n = labels.mean_normals(normals, *p.shape[1:])
    met = None if junction_logits is None else labels.mean_junctions(junction_logits)
    settled = coherent(split, p, n, met)
    p = before = split.spread(settled, *p.shape[1:])
    lines = line_segments(working)
    camera = estimate(working.shape[0], working.shape[1], lines, p, n, focal_35mm)
    p = labels.below_horizon(p, camera.below_horizon(*p.shape[1:]))
    if met is not None:
        down = -np.tensordot(camera.up, n, 1).astype(np.float32)
        p = labels.without_loose_ceilings(p, met, down)
    p = labels.sunlit_floor(p, working)
    # What is small for the network is a lamp or a leg in the photo: masks lose specks of floor, wall and ceiling alone.
    shell = labels.without_islands(labels.without_specks(p, kinds=(FLOOR, WALL, CEILING)))
    settled = changed(split, settled, before, shell)
    p = labels.without_islands(labels.without_specks(p))
    label = p.argmax(0).astype(np.uint8)
    room = planes.measure_room(camera, label)
    parts: list[tuple[int, NDArray[np.bool_], Plane | None]] = []
    for kind, plane in ((FLOOR, room.floor()), (CEILING, room.ceiling())):
        if (label == kind).any():
            parts.append((kind, label == kind, plane))
    split_up = facets(label == WALL, n, lines, camera)
    for (facet, normal), away in zip(split_up, wall_distances(room, split_up, label), strict=True):
        parts.append((WALL, facet, room.wall(normal, away.metres, away.doubt)))
    things, rest = _things(label == FURNITURE, proposals)
    parts += [(FURNITURE, thing, None) for thing in things]
    for kind, mask in ((FURNITURE, rest), *((k, label == k) for k in (WINDOW, DOOR, OTHER))):
        parts += [(kind, piece, None) for piece in _pieces(mask)]
    return Layout(p, settled, parts, camera)


def analyze(photo: Image, working: Image, split: Superpixels, found: Layout) -> Analysis:
    """Soft masks at the photo's size from the layout on the working copy and its superpixels."""
    height, width = photo.shape[:2]
    refined = with_legs(labels.refine(found.settled, working, split), working)
    label = refined.argmax(0).astype(np.uint8)
    # Which part a pixel belongs to: of its kind, the one that is nearest at the network's size.
    index = _spread(found, label)
    refined, index = straightened(refined, index, found)
    label = refined.argmax(0).astype(np.uint8)
    sx, sy = width / working.shape[1], height / working.shape[0]
    counts = dict.fromkeys(KINDS, 0)
    surfaces = []
    for i, (kind, _, plane) in enumerate(found.parts):
        inside = index == i
        area = float(inside.mean())
        if area < 1e-4:
            continue
        counts[KINDS[kind]] += 1
        alpha = soft(refined[kind], inside, label == kind)
        full = resize(alpha, height, width)
        x, y, w, h = cv2.boundingRect((full > 0).astype(np.uint8))
        if plane is not None:
            plane = Plane(plane.normal, scaled(plane.pixel_from_plane, sx, sy), plane.scale_source, plane.scale_range)
        confidence = float(refined[kind][inside].mean())
        surfaces.append(
            Surface(f"{KINDS[kind]}-{counts[KINDS[kind]]}", KINDS[kind], confidence, area, (x, y, w, h), full, plane)
        )
    confidence = float(found.probability.max(0).mean())
    area_of = {k: sum(s.area_fraction for s in surfaces if s.kind == k) for k in ("floor", "wall", "ceiling")}
    quality = assess(photo, working, found.camera, confidence, area_of["floor"], sum(area_of.values()))
    seen_by = found.camera
    camera = replace(seen_by, focal=seen_by.focal * sx, cx=seen_by.cx * sx, cy=seen_by.cy * sy)
    return Analysis(surfaces, camera, quality)


def straightened(refined: Float, index: NDArray[np.int16], found: Layout) -> tuple[Float, NDArray[np.int16]]:
    """Straight borders where two planes of the room meet: probabilities (7, H, W) and parts (H, W)."""
    flat = [i for i, part in enumerate(found.parts) if part[2] is not None]
    present = set(np.unique(index[::4, ::4])) & set(flat)
    for a in flat:
        for b in flat:
            kinds = found.parts[a][0], found.parts[b][0]
            if a >= b or not {a, b} <= present or set(kinds) == {FLOOR, CEILING}:
                continue
            first, second = found.parts[a][2], found.parts[b][2]
            if first is None or second is None:
                continue
            direction = junctions.common_direction(first.normal, second.normal)
            if direction is None:
                continue
            for straight in junctions.find(index, a, b, found.camera, direction):
                window, near, part = junctions.share(straight)
                index[window][near] = np.where(part[near] >= 0.5, a, b)
                if kinds[0] != kinds[1]:
                    # What is neither of the two, an edge of something near, keeps its probability.
                    p = refined[:, window[0], window[1]]
                    both = (p[kinds[0]] + p[kinds[1]])[near]
                    p[kinds[0]][near], p[kinds[1]][near] = both * part[near], both * (1 - part[near])
    return refined, index


def _things(
    furniture: NDArray[np.bool_], proposals: Proposals | None
) -> tuple[list[NDArray[np.bool_]], NDArray[np.bool_]]:
    """Single pieces of furniture that the proposals tell apart, best first, and what of it is in none of them.

    A proposal counts where most of it is furniture that no better one has taken.
    """
    rest, things = furniture.copy(), list[NDArray[np.bool_]]()
    if proposals is None:
        return things, rest
    height, width = furniture.shape
    for i in range(min(len(proposals), THINGS_TRIED)):
        mask = proposals.mask(i, height, width)
        mine = mask & rest
        if mine.sum() >= max(THING_MIN * rest.size, THING_PART * mask.sum()):
            things.append(mine)
            rest &= ~mask
            if len(things) == PARTS_MAX:
                break
    return things, rest


def _pieces(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Connected pieces, largest first; the small ones together at the end."""
    count, components, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    order = sorted(range(1, count), key=lambda c: -stats[c, cv2.CC_STAT_AREA])
    large = [c for c in order if stats[c, cv2.CC_STAT_AREA] >= PART_MIN * mask.size][:PARTS_MAX]
    small = order[len(large) :]
    pieces = [components == c for c in large]
    if small:
        pieces.append(np.isin(components, small))
    return pieces


def _spread(found: Layout, label: NDArray[np.uint8]) -> NDArray[np.int16]:
    """(H, W) index into found.parts: each pixel's nearest part of its own kind, -1 where its kind has none."""
    height, width = label.shape
    index = np.full(label.shape, -1, np.int16)
    for kind in range(len(KINDS)):
        own = [i for i, part in enumerate(found.parts) if part[0] == kind]
        here = label == kind
        if not own or not here.any():
            continue
        if len(own) == 1:
            index[here] = own[0]
            continue
        distance = np.stack([cv2.distanceTransform((~found.parts[i][1]).astype(np.uint8), cv2.DIST_L2, 3) for i in own])
        # Distances, not indices, are interpolated: borders between parts stay straight.
        large = np.stack([cv2.resize(d, (width, height), interpolation=cv2.INTER_LINEAR) for d in distance])
        index[here] = np.asarray(own, np.int16)[large.argmin(0)[here]]
    return index


def soft(p: Float, inside: NDArray[np.bool_], kind: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Soft mask of one part: the kind's probability at its edge, ending where another part of the same kind begins.

    Away from the edge all of a pixel is the part's, however unsure the network was of it: what is half of a wall looks
    like a wall behind gauze.
    """
    alpha = np.zeros(inside.shape, np.uint8)
    x, y, w, h = cv2.boundingRect(inside.astype(np.uint8))
    box = (slice(max(0, y - REACH), y + h + REACH), slice(max(0, x - REACH), x + w + REACH))
    mine = inside[box].astype(np.uint8)
    reach = cv2.dilate(mine, np.ones((2 * REACH + 1,) * 2, np.uint8)) > 0
    seen = np.where(inside[box] | (reach & ~kind[box]), np.clip((p[box] - 0.08) / 0.84, 0, 1), 0)
    # The picture's border is no edge: what is outside is taken to be the same.
    around = cv2.copyMakeBorder(mine, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(around, cv2.DIST_L2, 3)[1:-1, 1:-1]
    sure = np.clip((depth - EDGE) / EDGE, 0, 1)
    alpha[box] = (seen + (1 - seen) * sure) * 255 + 0.5
    return alpha
