"""The capture coach: what is wrong with a photo, in words for machines and for people.

Each measure has a bar, and what misses it is told with a reason, the number, the bar and what to do. Severe
findings ask for a correction or another photo (`NEEDS_REFINEMENT`); the rest are advice.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from roomviz.imaging.codec import Image
from services.segmentation.domain.camera import Camera

DARK_MIN = 0.10  # median of sRGB luma, 0 to 1
DARK_SEVERE = 0.035
BRIGHT_MAX = 0.45  # part of the pixels that are clipped
SHARP_MIN = 0.18  # see `sharpness`
SHARP_SEVERE = 0.07
ROLL_MAX_DEG = 6.0
PITCH_MAX_DEG = 25.0
FIELD_OF_VIEW_MAX_DEG = 100.0
FLOOR_MIN = 0.06  # part of the picture
PIXELS_MIN = 480_000
CONFIDENCE_MIN = 0.55
SURFACES_MIN = 0.02


@dataclass(frozen=True)
class Finding:
    """value missed bar; severe findings ask for refinement."""

    reason: str
    severe: bool
    value: float
    bar: float
    advice: str


@dataclass(frozen=True)
class Quality:
    """luma: median, 0 to 1; clipped: part of the pixels; angles in degrees; field_of_view along the long side."""

    confidence: float
    luma: float
    clipped: float
    sharpness: float
    roll: float
    pitch: float
    field_of_view: float
    findings: tuple[Finding, ...]

    @property
    def needs_refinement(self) -> bool:
        return any(f.severe for f in self.findings)


def sharpness(photo: Image, long_side: int = 1000) -> float:
    """How fine the finest of the strong edges is: 0 for a picture without detail, about 1 for a crisp one.

    The ratio of gradients before and after a known blur (Crete et al., "The Blur Effect", 2007), at the
    strongest edges, so that bare walls do not count as blur. Shrunk to `long_side` first: what cannot
    be seen at that size does not matter.
    """
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    scale = long_side / max(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x = np.asarray(grey, np.float32)
    blurred = cv2.blur(x, (5, 5))

    def gradient(image: np.ndarray) -> np.ndarray:
        return np.asarray(np.hypot(np.diff(image, axis=1)[:-1], np.diff(image, axis=0)[:, :-1]))

    before, after = gradient(x), gradient(blurred)
    top = float(np.quantile(before, 0.999))
    if top < 2:  # of 255: nothing but noise
        return 0.0
    strong = before >= top / 2
    return float(np.clip(1.25 * (1 - after[strong].sum() / before[strong].sum()), 0, 1))


def assess(photo: Image, working: Image, camera: Camera, confidence: float, floor: float, shell: float) -> Quality:
    """Judge a photo and its analysis.

    Args:
        photo: (H, W, 3) uint8 sRGB as taken in.
        working: its working copy.
        camera: as estimated on the working copy.
        confidence: mean probability of the labels.
        floor: part of the picture that is floor.
        shell: part of the picture that is floor, wall or ceiling.
    """
    grey = cv2.cvtColor(working, cv2.COLOR_RGB2GRAY)
    luma = float(np.median(grey)) / 255
    clipped = float((grey >= 253).mean())
    sharp = sharpness(working)
    up = camera.up
    roll = float(np.degrees(np.arctan2(up[0], -up[1])))
    pitch = float(np.degrees(np.arcsin(np.clip(-up[2], -1, 1))))
    view = float(np.degrees(2 * np.arctan(max(working.shape[:2]) / 2 / camera.focal)))
    found: list[Finding] = []

    def check(bad: bool, reason: str, value: float, bar: float, advice: str, severe: bool = False) -> None:
        if bad:
            found.append(Finding(reason, severe, round(value, 4), bar, advice))

    check(
        luma < DARK_MIN,
        "TOO_DARK",
        luma,
        DARK_MIN,
        "Switch the lamps on or open the curtains and take the photo again.",
        luma < DARK_SEVERE,
    )
    check(
        clipped > BRIGHT_MAX,
        "TOO_BRIGHT",
        clipped,
        BRIGHT_MAX,
        "Much of the photo is plain white: tap a wall to set the exposure, and turn away from the window.",
    )
    check(
        sharp < SHARP_MIN,
        "BLURRED",
        sharp,
        SHARP_MIN,
        "Hold the camera still, wipe its lens, and take the photo again.",
        sharp < SHARP_SEVERE,
    )
    if camera.measured:
        check(
            abs(roll) > ROLL_MAX_DEG,
            "TILTED",
            abs(roll),
            ROLL_MAX_DEG,
            "Hold the camera level, so that upright edges stand upright.",
        )
        check(
            abs(pitch) > PITCH_MAX_DEG,
            "POINTED_DOWN" if pitch > 0 else "POINTED_UP",
            abs(pitch),
            PITCH_MAX_DEG,
            "Hold the camera upright at chest height and step back.",
        )
        check(
            view > FIELD_OF_VIEW_MAX_DEG,
            "LENS_TOO_WIDE",
            view,
            FIELD_OF_VIEW_MAX_DEG,
            "Use the main lens instead of the wide one and step back.",
        )
    else:
        check(
            True,
            "CAMERA_ASSUMED",
            0.0,
            1.0,
            "Few straight edges are seen: take in a corner of the room, or where wall and floor meet.",
        )
    check(
        photo.shape[0] * photo.shape[1] < PIXELS_MIN,
        "LOW_RESOLUTION",
        photo.shape[0] * photo.shape[1] / 1e6,
        PIXELS_MIN / 1e6,
        "Send the original photo rather than a thumbnail of it.",
    )
    if shell < SURFACES_MIN:
        check(
            True,
            "NO_SURFACES",
            shell,
            SURFACES_MIN,
            "No floor, wall or ceiling was found: is this a photo of a room?",
            True,
        )
    else:
        check(
            floor < FLOOR_MIN,
            "LITTLE_FLOOR",
            floor,
            FLOOR_MIN,
            "To change the floor, step back or lower the camera until more of the floor is seen.",
        )
    check(
        confidence < CONFIDENCE_MIN,
        "LOW_CONFIDENCE",
        confidence,
        CONFIDENCE_MIN,
        "The surfaces are hard to tell apart: correct them with a click, or take the photo in better light.",
        True,
    )
    return Quality(confidence, luma, clipped, sharp, roll, pitch, view, tuple(found))
