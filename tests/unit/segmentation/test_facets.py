import numpy as np
import pytest

from services.segmentation.domain.camera import Camera, _rotation
from services.segmentation.domain.facets import facets

HEIGHT, WIDTH = 120, 160  # of the network's picture; the camera's is eight times as large
FOCAL, CORNER = 900.0, 1.0  # metres to the right of the camera, where the wall ahead meets the one at the right
NONE = np.zeros((0, 4))


def camera(yaw: float = 0.0) -> Camera:
    axes = _rotation(np.array([yaw]), np.array([0.12]), np.array([0.0]))[0]
    return Camera(FOCAL, 4.0 * WIDTH, 4.0 * HEIGHT, axes, True)


def ahead(seen_by: Camera, distance: float = 3.0) -> np.ndarray:
    """(HEIGHT, WIDTH) bool: on the wall ahead, and not on the one at the right that meets it."""
    rays = seen_by.rays_through(HEIGHT, WIDTH)
    right, forward = rays @ seen_by.axes[0], rays @ seen_by.axes[1]
    return (right / forward * distance < CORNER).reshape(HEIGHT, WIDTH)


def normals_of(seen_by: Camera, front: np.ndarray) -> np.ndarray:
    right, forward, _ = seen_by.axes
    return np.where(front, -forward[:, None, None], -right[:, None, None]).astype(np.float32)


def agreement(found: list[tuple[np.ndarray, np.ndarray]], seen_by: Camera, front: np.ndarray) -> float:
    """Part of the picture in a facet that faces as it should."""
    right, forward, _ = seen_by.axes
    good = np.zeros(front.shape, bool)
    for mask, normal in found:
        good |= mask & np.where(front, normal @ -forward > 0.99, normal @ -right > 0.99)
    return float(good.mean())


EVERYWHERE = np.ones((HEIGHT, WIDTH), bool)


@pytest.mark.parametrize("yaw", [0.0, 0.3, -0.25])
def test_walls_that_face_two_ways_are_two_facets_that_meet_on_a_plumb_line(yaw: float):
    seen_by = camera(yaw)
    front = ahead(seen_by)

    found = facets(EVERYWHERE, normals_of(seen_by, front), NONE, seen_by)

    assert len(found) == 2
    assert agreement(found, seen_by, front) > 0.99
    assert sum(int(m.sum()) for m, _ in found) == EVERYWHERE.sum(), "each pixel is in one of them"
    assert found[0][0].sum() >= found[1][0].sum()


def test_a_sliver_that_the_network_turns_is_part_of_the_wall_above_and_below_it():
    seen_by = camera()
    front = ahead(seen_by)
    normals = normals_of(seen_by, front)
    normals[:, 40:80, 20:30] = seen_by.axes[0][:, None, None]

    found = facets(EVERYWHERE, normals, NONE, seen_by)

    assert len(found) == 2
    assert agreement(found, seen_by, front) > 0.99


def test_nobody_sees_a_wall_from_behind():
    seen_by = camera()
    right = seen_by.axes[0]
    turned = np.tile(right[:, None, None], (1, HEIGHT, WIDTH)).astype(np.float32)  # only a wall at the left faces so

    found = facets(EVERYWHERE, turned, NONE, seen_by)

    rays = seen_by.rays_through(HEIGHT, WIDTH).reshape(HEIGHT, WIDTH, 3)
    assert all((rays[mask] @ normal < 0.05).all() for mask, normal in found)


def test_lines_along_a_wall_tell_which_way_it_faces_where_the_network_does_not():
    seen_by = camera()
    front = ahead(seen_by)
    # Ahead, it says of the one, and nothing of the other.
    unsure = np.where(front, -seen_by.axes[1][:, None, None], 0).astype(np.float32)
    lines = []
    for up in (-0.6, 0.3, 0.5, 0.7):  # rows of tiles on the wall at the right
        points = np.array([[CORNER, y, up] for y in (2.9, 1.8)]) @ seen_by.axes
        pixels = points[:, :2] / points[:, 2:] * FOCAL + [seen_by.cx, seen_by.cy]
        lines.append(pixels.ravel())

    without, told = (facets(EVERYWHERE, unsure, s, seen_by) for s in (NONE, np.array(lines)))

    assert len(without) == 1
    assert agreement(told, seen_by, front) > agreement(without, seen_by, front) + 0.1
    assert agreement(told, seen_by, front) > 0.9


def test_where_no_wall_is_there_are_no_facets():
    seen_by = camera()

    assert facets(~EVERYWHERE, normals_of(seen_by, ahead(seen_by)), NONE, seen_by) == []


def test_a_wall_too_small_for_a_facet_is_one_all_the_same():
    seen_by = camera()
    speck = ~EVERYWHERE
    speck[60:63, 30:40] = True

    ((mask, normal),) = facets(speck, normals_of(seen_by, ahead(seen_by)), NONE, seen_by)

    assert (mask == speck).all()
    np.testing.assert_allclose(normal, -seen_by.axes[1])
