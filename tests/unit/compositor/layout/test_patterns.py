"""Every pattern against its own outlines, with the distances worked out anew, polygon by polygon."""

import numpy as np
import pytest

from services.compositor.domain.layout import Layout, Outlines, Pattern, Penny, grout_fraction, locate, outlines
from services.compositor.domain.layout.piece import turn
from tests.unit.compositor.layout.patterns import PIECES, points

patterns = pytest.mark.parametrize("pattern", PIECES.values(), ids=PIECES)


def signed_distances(x: np.ndarray, y: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(points, polygons): to each convex counter-clockwise polygon's edge, negative outside; by brute force."""
    p = np.stack([x, y], -1)[:, None, None]
    a, b = corners[None], np.roll(corners, -1, 1)[None]
    side, to = b - a, p - a
    part = np.clip((to * side).sum(-1) / (side * side).sum(-1), 0, 1)[..., None]
    nearest = np.linalg.norm(to - part * side, axis=-1).min(2)
    left = (side[..., 0] * to[..., 1] - side[..., 1] * to[..., 0] >= 0).all(2)
    return np.where(left, nearest, -nearest)


def areas(found: Outlines) -> np.ndarray:
    p = found.corners()
    q = np.roll(p, -1, 1)
    return 0.5 * (p[..., 0] * q[..., 1] - q[..., 0] * p[..., 1]).sum(1)


def laid(pattern: Pattern) -> Layout:
    return Layout(pattern, 0.13, -0.41, 27.0, 0.05, 0.02, seed=3)


@patterns
def test_a_point_lies_in_one_piece_and_as_far_from_its_edge_as_the_outline_says(pattern: Pattern):
    layout = laid(pattern)
    # Round tiles are small, and have many corners.
    reach = 0.08 if isinstance(pattern, Penny) else 0.7
    x, y = points(300, 1, reach)
    found = outlines(layout, (-1.3 * reach, -1.3 * reach, 1.3 * reach, 1.3 * reach))

    at = locate(layout, x, y)

    distances = signed_distances(x, y, found.corners())
    own = np.argmax(at.piece[:, None] == found.piece[None], 1)
    assert (found.piece[own] == at.piece).all()
    assert len(np.unique(found.piece)) == len(found.piece)
    assert ((distances > 1e-9).sum(1) <= 1).all()
    # A circle stands in the outlines as a polygon.
    tolerance = 2e-4 if isinstance(pattern, Penny) else 1e-9
    np.testing.assert_allclose(at.distance, distances[np.arange(300), own], atol=tolerance)
    # In the grout, too, the piece is the nearest one.
    assert (at.distance >= distances.max(1) - tolerance - pattern.grout_m).all()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(at.kind, found.kind[own])


@patterns
def test_u_and_v_lead_back_to_the_point(pattern: Pattern):
    layout = laid(pattern)
    # Round tiles are small, and have many corners.
    reach = 0.08 if isinstance(pattern, Penny) else 0.7
    x, y = points(300, 2, reach)
    found = outlines(layout, (-1.3 * reach, -1.3 * reach, 1.3 * reach, 1.3 * reach))

    at = locate(layout, x, y)

    own = np.argmax(at.piece[:, None] == found.piece[None], 1)
    back_x, back_y = turn(at.u, at.v, at.rotation)
    np.testing.assert_allclose(back_x + found.origin[own, 0], x, atol=1e-9)
    np.testing.assert_allclose(back_y + found.origin[own, 1], y, atol=1e-9)
    inside = at.distance > 0
    assert ((at.u > 0) & (at.u < at.length) & (at.v > 0) & (at.v < at.width))[inside].all()
    extent = found.local.max(1)[own]
    if not isinstance(pattern, Penny):
        np.testing.assert_allclose(np.stack([at.length, at.width], -1), extent, atol=1e-9)


@patterns
def test_the_share_of_grout_is_exact(pattern: Pattern):
    layout = laid(pattern)
    side, exact = 500, grout_fraction(layout)
    rng = np.random.default_rng(0)
    x, y = (np.mgrid[0:side, 0:side] + rng.uniform(0, 1, (2, side, side))) * (12.0 / side)

    sampled = float((locate(layout, x, y).distance < 0).mean())

    # Three standard deviations of a count of independent points, which these points stay below.
    assert abs(sampled - exact) <= 3 * np.sqrt(exact * (1 - exact)) / side


@patterns
def test_pieces_and_grout_fill_a_large_box(pattern: Pattern):
    found = outlines(laid(pattern), (-2, -2, 2, 2))
    centre = found.corners().mean(1)
    inside = (np.abs(centre) < 1.7).all(1)

    x, y = centre[inside].T
    at = locate(laid(pattern), x, y)

    # Each outline's middle is found in that very piece: none is missing and none is there twice.
    np.testing.assert_array_equal(at.piece, found.piece[inside])
    density = areas(found)[inside].sum() / 3.4**2
    assert abs(density - (1 - pattern.grout_fraction())) < 0.12


@patterns
def test_float32_says_the_same_but_for_points_on_an_edge(pattern: Pattern):
    layout = laid(pattern)
    x, y = points(4000, 4)

    exact, fast = locate(layout, x, y), locate(layout, x.astype(np.float32), y.astype(np.float32))

    same = exact.piece == fast.piece
    assert same.mean() > 0.998
    np.testing.assert_allclose(fast.distance[same], exact.distance[same], atol=5e-6)
    for name in ("u", "v", "length", "width", "rotation", "distance"):
        assert getattr(fast, name).dtype == np.float32, name
        assert getattr(fast, name).shape == x.shape


@patterns
def test_the_same_layout_says_the_same_again_whatever_else_is_asked(pattern: Pattern):
    layout = laid(pattern)
    x, y = points(1000, 5)

    whole = locate(layout, x, y)
    part = locate(layout, x[300:310].reshape(2, 5), y[300:310].reshape(2, 5))

    np.testing.assert_array_equal(part.piece.ravel(), whole.piece[300:310])
    np.testing.assert_array_equal(part.u.ravel(), whole.u[300:310])


@patterns
def test_far_points_do_no_harm(pattern: Pattern):
    far = np.array([1e7, -1e7, 1e9], np.float32)

    at = locate(Layout(pattern), far, far[::-1].copy())

    assert (at.piece >= 0).all()


@pytest.mark.parametrize("name", ["herringbone", "herringbone of odd ratio", "versailles"])
def test_no_joint_runs_straight_through(name: str):
    pattern = PIECES[name]
    x = np.linspace(-4, 4, 2001)
    grout = pattern.grout_m  # type: ignore[attr-defined]
    for height in np.linspace(0, 1, 173):
        joint = locate(Layout(pattern), x, np.full_like(x, height)).distance <= grout
        assert not joint.all()
