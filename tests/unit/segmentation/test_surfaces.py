import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.segmentation.domain import labels, surfaces
from services.segmentation.domain.labels import CEILING, FLOOR, FURNITURE, KINDS, WALL, WINDOW
from services.segmentation.domain.superpixels import superpixels

SMALL, FULL = (84, 112), (336, 448)


def scene() -> np.ndarray:
    """(84, 112) labels: ceiling, two walls, floor, a sofa and a window."""
    label = np.full(SMALL, WALL, np.uint8)
    label[:20], label[62:] = CEILING, FLOOR
    label[48:72, 30:60] = FURNITURE
    label[28:44, 80:100] = WINDOW
    return label


def answer(label: np.ndarray, margin: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """What a network sure of these labels gives for the photo and its mirror image."""
    logits = np.where(np.arange(7)[:, None, None] == label, margin, 0.0).astype(np.float32)
    normals = np.zeros((3, *label.shape), np.float32)
    normals[1] = np.where(label == FLOOR, -1, np.where(label == CEILING, 1, 0))
    left = np.arange(label.shape[1])[None] < 40
    normals[0] = np.where((label == WALL) & left, 1, 0)
    normals[2] = np.where((label == WALL) & ~left, -1, 0)
    mirrored = normals[:, :, ::-1] * np.array([-1, 1, 1], np.float32)[:, None, None]
    return np.stack([logits, logits[:, :, ::-1]]), np.stack([normals, mirrored])


def photo_of(label: np.ndarray) -> np.ndarray:
    shades = np.array(
        [[90, 90, 90], [150, 110, 70], [210, 205, 195], [240, 240, 238], [60, 70, 120], [250, 250, 255], [120, 80, 60]],
        np.uint8,
    )
    return np.kron(shades[label], np.ones((4, 4, 1), np.uint8))


def analyzed(photo: np.ndarray, *answers: np.ndarray) -> surfaces.Analysis:
    split = superpixels(photo)
    return surfaces.analyze(photo, photo, split, surfaces.layout(photo, split, *answers))


def analysis() -> surfaces.Analysis:
    photo = photo_of(scene())
    return analyzed(photo, *answer(scene()))


def test_each_surface_is_found_with_its_kind_and_a_stable_id():
    ids = {s.surface_id for s in analysis().surfaces}

    assert {"floor-1", "ceiling-1", "wall-1", "wall-2", "furniture-1", "window-1"} <= ids


def test_walls_that_face_two_ways_are_two_surfaces_with_two_planes():
    walls = [s for s in analysis().surfaces if s.kind == "wall"]

    assert len(walls) == 2
    assert abs(float(walls[0].plane.normal @ walls[1].plane.normal)) < 0.2


def test_masks_have_the_photos_size_and_agree_with_the_labels():
    truth = np.kron(scene(), np.ones((4, 4), np.uint8))
    for s in analysis().surfaces:
        assert s.alpha.shape == FULL
        if s.kind != "wall":
            a, b = s.alpha > 127, truth == KINDS.index(s.kind)
            assert (a & b).sum() / (a | b).sum() > 0.93, s.surface_id


def test_at_every_pixel_the_masks_add_up_to_about_one():
    total = np.sum([s.alpha.astype(int) for s in analysis().surfaces], axis=0)

    assert np.quantile(total, 0.02) > 200
    assert total.max() <= 330


def test_inside_its_edge_a_mask_is_whole_however_unsure_the_network_was():
    photo = photo_of(scene())
    found = analyzed(photo, *answer(scene(), margin=1.0))

    for s in found.surfaces:
        inside = cv2.erode((s.alpha > 127).astype(np.uint8), np.ones((19, 19), np.uint8)) > 0
        assert (s.alpha[inside] == 255).all(), s.surface_id


def test_only_flat_surfaces_have_a_plane_and_it_looks_at_the_camera():
    for s in analysis().surfaces:
        assert (s.plane is not None) == (s.kind in ("floor", "wall", "ceiling"))
        if s.plane is not None:
            y, x = np.argwhere(s.alpha > 200)[len(np.argwhere(s.alpha > 200)) // 2]
            third = np.linalg.inv(s.plane.pixel_from_plane) @ [x + 0.5, y + 0.5, 1]
            assert (s.plane.pixel_from_plane @ (third / third[2]))[2] > 0, s.surface_id


def test_a_photo_twice_as_large_has_its_homographies_in_its_own_pixels():
    photo = photo_of(scene())
    large = np.kron(photo, np.ones((2, 2, 1), np.uint8))
    split = superpixels(photo)
    found = surfaces.layout(photo, split, *answer(scene()))

    a = surfaces.analyze(photo, photo, split, found).surfaces[0]
    b = surfaces.analyze(large, photo, split, found).surfaces[0]

    assert b.alpha.shape == large.shape[:2]
    h = np.diag([2.0, 2.0, 1.0]) @ a.plane.pixel_from_plane
    np.testing.assert_allclose(b.plane.pixel_from_plane, h)


def test_a_photo_twice_as_large_has_its_camera_in_its_own_pixels():
    photo = photo_of(scene())
    large = np.kron(photo, np.ones((2, 2, 1), np.uint8))
    split = superpixels(photo)
    found = surfaces.layout(photo, split, *answer(scene()))

    a = surfaces.analyze(photo, photo, split, found).camera
    b = surfaces.analyze(large, photo, split, found).camera

    assert (b.focal, b.cx, b.cy) == (2 * a.focal, 2 * a.cx, 2 * a.cy)


def test_an_unsure_network_asks_for_refinement():
    photo = photo_of(scene())
    logits, normals = answer(scene(), margin=0.3)

    found = analyzed(photo, logits, normals)

    assert found.quality.needs_refinement
    assert "LOW_CONFIDENCE" in {f.reason for f in found.quality.findings}


def test_a_floor_above_the_horizon_is_not_believed():
    p = np.full((7, 10, 4), 0.05, np.float32)
    p[FLOOR] = 0.7
    horizon = np.linspace(-0.5, 0.5, 10, dtype=np.float32)[:, None].repeat(4, 1)

    out = labels.below_horizon(p, horizon)

    assert (out[FLOOR, :4] < 0.05).all()
    assert (out[FLOOR, 7:] > 0.6).all()


def test_specks_take_the_label_around_them():
    p = np.full((7, 60, 80), 0.01, np.float32)
    p[WALL] = 0.94
    p[:, 30, 40] = 0.01
    p[FLOOR, 30, 40] = 0.94

    assert labels.without_specks(p).argmax(0)[30, 40] == WALL


def test_a_patch_of_ceiling_in_the_middle_of_a_wall_is_wall_and_a_picture_there_stays():
    p = np.full((7, 60, 80), 0.01, np.float32)
    p[WALL] = 0.94
    for kind, x in ((CEILING, 20), (labels.OTHER, 50)):
        p[:, 20:30, x : x + 10] = 0.01
        p[kind, 20:30, x : x + 10] = 0.94

    label = labels.without_islands(p).argmax(0)

    assert label[25, 25] == WALL
    assert label[25, 55] == labels.OTHER


def sunny_scene(patch_color: tuple[int, int, int], sure: float) -> int:
    """Label in the middle of a bright patch on a brown floor that the network takes for a rug."""
    photo = np.full((60, 80, 3), (110, 80, 50), np.uint8)
    photo[40:50, 30:50] = patch_color
    p = np.full((7, 60, 80), 0.01, np.float32)
    p[FLOOR] = 0.94
    p[:, 40:50, 30:50] = 0.01
    p[FURNITURE, 40:50, 30:50], p[FLOOR, 40:50, 30:50] = sure, 0.95 - sure
    return int(labels.sunlit_floor(p, photo).argmax(0)[45, 40])


def test_a_ceiling_that_ends_in_nothing_is_wall_and_one_that_ends_in_a_junction_stays():
    label = np.full(SMALL, WALL, np.uint8)
    label[:20] = CEILING
    junctions = np.zeros(SMALL, np.float32)
    junctions[70:73] = 0.9  # where the floor begins
    along = junctions.copy()
    along[18:22] = 0.9

    def ceiling(sure: float, seen: np.ndarray, down: float = 0.5) -> float:
        p = np.full((7, *SMALL), (1 - sure) / 6, np.float32)
        np.put_along_axis(p, label[None].astype(np.int64), sure, 0)
        return float(
            (labels.without_loose_ceilings(p, seen, np.full(SMALL, down, np.float32)).argmax(0) == CEILING).mean()
        )

    assert ceiling(0.6, junctions) == 0
    assert ceiling(0.6, along) > 0.2
    assert ceiling(0.6, junctions, down=0.85) > 0.2  # of an attic, which slopes down to below the horizon
    assert ceiling(0.9, junctions) > 0.2
    assert ceiling(0.6, np.zeros(SMALL, np.float32)) > 0.2  # a model that does not tell of junctions


def test_a_patch_of_sun_on_the_floor_is_floor():
    assert sunny_scene((172, 128, 82), 0.8) == FLOOR


def test_a_white_worktop_over_a_grey_floor_is_no_sun():
    photo = np.full((60, 80, 3), 110, np.uint8)
    photo[20:30, 20:60] = 190
    p = np.full((7, 60, 80), 0.01, np.float32)
    p[WALL] = 0.94
    p[:, 40:] = 0.01
    p[FLOOR, 40:] = 0.94
    p[:, 20:40, 20:60] = 0.01
    p[FURNITURE, 20:40, 20:60], p[FLOOR, 20:40, 20:60] = 0.8, 0.15

    assert labels.sunlit_floor(p, photo).argmax(0)[25, 40] == FURNITURE


def test_a_rug_of_another_colour_stays_a_rug_and_so_does_one_that_the_network_is_sure_of():
    assert sunny_scene((200, 200, 205), 0.8) == FURNITURE
    assert sunny_scene((172, 128, 82), 0.94) == FURNITURE


def test_floor_between_the_legs_of_a_table_stays_floor():
    p = np.full((7, 60, 80), 0.01, np.float32)
    p[FURNITURE] = 0.94
    p[:, 40:46, 30:50] = 0.01
    p[FLOOR, 40:46, 30:50] = 0.94

    assert labels.without_islands(p).argmax(0)[43, 40] == FLOOR


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_refined_probabilities_stay_a_partition(seed: int):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(7), (24, 32)).astype(np.float32).transpose(2, 0, 1)
    photo = rng.integers(0, 256, (96, 128, 3), np.uint8)

    parts = superpixels(photo)
    refined = labels.refine(parts.means_of(p), photo, parts)

    np.testing.assert_allclose(refined.sum(0), 1, atol=1e-4)
    assert refined.shape == (7, 96, 128)


def test_the_network_sees_the_photo_and_larger_its_mirror_image_in_steps_of_32():
    photo = cv2.resize(np.random.default_rng(0).integers(0, 256, (7, 11, 3), np.uint8), (1100, 700))

    small, large = labels.network_inputs(photo)

    assert small.shape == (1, 288, 448, 3)
    assert large.shape == (1, 416, 640, 3)
    alike = cv2.resize(large[0, :, ::-1], (448, 288), interpolation=cv2.INTER_AREA)
    assert np.abs(alike.astype(int) - small[0]).mean() < 3


def test_answers_of_both_sizes_come_to_the_larger():
    small, large = np.zeros((1, 3, 6, 8), np.float32), np.ones((1, 3, 12, 16), np.float32)
    small[:, 1, :, :4] = 5

    (answer,) = labels.together([small], [large])

    assert answer.shape == (2, 3, 12, 16)
    np.testing.assert_array_equal(answer[1], large[0])
    assert (answer[0, 1, :, :7] == 5).all()
    assert not answer[0, 1, :, 9:].any()


def test_the_grey_card_is_the_mean_of_the_photos_and_its_mirror_images():
    card = np.zeros((2, 3, 4, 6), np.float32)
    card[0, :, :, 0] = 0.4  # the photo's left column
    card[1, :, :, 5] = 0.6  # the mirror image's right column is the photo's left

    mean = labels.mean_grey_card(card)

    assert mean is not None
    np.testing.assert_array_equal(mean[:, 0], 128)
    assert not mean[:, 1:].any()


def test_a_model_that_does_not_know_the_light_gives_no_card():
    assert labels.mean_grey_card(np.zeros((2, 3, 4, 6), np.float32)) is None


def test_a_small_thing_that_the_photo_shows_is_left_out_of_the_wall():
    """A lamp of 3 by 2 of the network's pixels, and beside it as little floor, which no wall has."""
    label = scene()
    label[30:33, 60:62], label[30:33, 68:70] = FURNITURE, FLOOR
    photo = photo_of(label)

    found = analyzed(photo, *answer(label, margin=4.0))

    wall = np.max([s.alpha for s in found.surfaces if s.kind == "wall"], 0)
    assert (wall[121:131, 241:247] < 64).mean() > 0.7
    assert (wall[120:132, 272:280] > 192).all()
