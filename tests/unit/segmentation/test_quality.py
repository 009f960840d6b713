"""The capture coach, on a photo that is good and then made worse in one way at a time."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.segmentation.domain.camera import Camera
from services.segmentation.domain.quality import SHARP_MIN, Quality, assess, sharpness

PHOTO = cv2.imread(str(Path(__file__).resolve().parents[3] / "samples" / "living-room.jpg"))[..., ::-1].copy()
AXES = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
CAMERA = Camera(0.8 * PHOTO.shape[1], PHOTO.shape[1] / 2, PHOTO.shape[0] / 2, AXES, True)


def judge(photo: np.ndarray = PHOTO, camera: Camera = CAMERA, confidence=0.9, floor=0.2, shell=0.6) -> Quality:
    return assess(photo, photo, camera, confidence, floor, shell)


def reasons(quality: Quality) -> set[str]:
    return {f.reason for f in quality.findings}


def turned(pitch: float = 0.0, roll: float = 0.0) -> Camera:
    p, r = np.deg2rad([pitch, roll])
    up = np.array([np.sin(r) * np.cos(p), -np.cos(r) * np.cos(p), -np.sin(p)])
    return replace(CAMERA, axes=np.stack([AXES[0], AXES[1], up]))


def test_a_good_photo_has_no_findings():
    assert judge().findings == ()
    assert not judge().needs_refinement


def test_a_dark_photo_is_told_to_be_dark_and_a_black_one_needs_another():
    dark, black = (PHOTO * 0.12).astype(np.uint8), (PHOTO * 0.02).astype(np.uint8)

    assert "TOO_DARK" in reasons(judge(dark))
    assert not judge(dark).needs_refinement
    assert judge(black).needs_refinement


def test_a_blown_out_photo_is_too_bright():
    assert "TOO_BRIGHT" in reasons(judge(np.clip(PHOTO * 3.0, 0, 255).astype(np.uint8)))


@pytest.mark.parametrize("size", [1.0, 0.5])
def test_blur_is_found_at_any_size_of_the_photo(size: float):
    photo = cv2.resize(PHOTO, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(photo, (0, 0), 0.006 * photo.shape[1])

    assert "BLURRED" in reasons(judge(blurred))
    assert sharpness(photo) > 2 * SHARP_MIN


def test_sharpness_falls_with_every_step_of_blur():
    values = [sharpness(cv2.GaussianBlur(PHOTO, (0, 0), s)) for s in (1.0, 2.0, 4.0)]

    assert sharpness(PHOTO) > values[0] > values[1] > values[2]


def test_a_bare_wall_is_not_blurred_by_being_bare():
    bare = np.full((600, 900, 3), 180, np.uint8)
    bare[300:] = 90

    assert "BLURRED" not in reasons(judge(bare))


def test_the_camera_is_coached_only_where_it_was_measured():
    assert reasons(judge(camera=turned(roll=9))) == {"TILTED"}
    assert reasons(judge(camera=turned(pitch=35))) == {"POINTED_DOWN"}
    assert reasons(judge(camera=turned(pitch=-35))) == {"POINTED_UP"}
    assert reasons(judge(camera=replace(CAMERA, focal=0.35 * PHOTO.shape[1]))) == {"LENS_TOO_WIDE"}
    assert reasons(judge(camera=replace(turned(roll=9), measured=False))) == {"CAMERA_ASSUMED"}


def test_little_floor_is_advice_and_no_surface_at_all_is_severe():
    assert reasons(judge(floor=0.01)) == {"LITTLE_FLOOR"}
    assert not judge(floor=0.01).needs_refinement
    assert judge(floor=0.0, shell=0.0).needs_refinement


def test_each_finding_says_what_to_do():
    worst = judge((PHOTO * 0.01).astype(np.uint8), turned(roll=20, pitch=40), 0.1, 0.0, 0.0)

    assert len(worst.findings) >= 4
    for finding in worst.findings:
        assert finding.advice.endswith((".", "?"))
