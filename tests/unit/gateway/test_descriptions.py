"""A painted room whose every number is known, and the words for it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomviz.imaging.colorimetry import lab
from roomviz.imaging.lens import Lens
from services.gateway.domain.color_names import color_name
from services.gateway.domain.description import DESCRIPTION_MAX, description, sanitized, technical_summary
from services.gateway.domain.facts import Finding, Found, Kind, Plane, QualityFacts, RoomFacts, measure

HEIGHT, WIDTH = 300, 400
QUALITY = QualityFacts(0.93, 0.5, 0.02, 0.8, 0.1, 5.7, 72.0, True, ())
# 100 pixels a metre, seen from the front: the wall's y goes down from 1.8 m above the floor.
WALL = Plane(np.diag([100.0, 100.0, 1.0]), (0.0, 0.0, -1.0), 0.8, 1.25, "proportions")
# What lies at the horizon is infinitely far; the floor goes from row 180 to the lower border.
FLOOR = Plane(
    np.array([[100.0, 50.0, 200.0], [0.0, 40.0, 200.0], [0.0, 0.25, 1.0]]), (0, -1, 0), 0.8, 1.25, "proportions"
)


def painted() -> tuple[list[Found], list[np.ndarray], np.ndarray]:
    """Floor below, a wall above it, a red box on the floor left of the middle, a window in the wall on the right, and a
    blue box right of the red one and nearer."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    owner = np.zeros((HEIGHT, WIDTH), int)
    things = [
        (Kind.FLOOR, (0, 180, WIDTH, 120), (123, 80, 51), FLOOR),
        (Kind.WALL, (0, 0, WIDTH, 180), (246, 246, 246), WALL),
        (Kind.FURNITURE, (60, 120, 80, 100), (200, 35, 44), None),
        (Kind.FURNITURE, (200, 200, 60, 60), (47, 99, 184), None),
        (Kind.WINDOW, (300, 40, 60, 80), (195, 216, 234), None),
    ]
    for i, (_, (x, y, w, h), color, _) in enumerate(things):
        picture[y : y + h, x : x + w], owner[y : y + h, x : x + w] = color, i
    found, masks, numbers = [], [], dict.fromkeys(Kind, 0)
    for i, (kind, box, _, plane) in enumerate(things):
        numbers[kind] += 1
        here = owner == i
        found.append(Found(f"{kind}-{numbers[kind]}", kind, 0.9, float(here.mean()), box, plane))
        masks.append(np.where(here, 255, 0).astype(np.uint8))
    return found, masks, picture


def room(**changes: object) -> RoomFacts:
    found, masks, picture = painted()
    facts = RoomFacts(WIDTH, HEIGHT, "roomseg 4", True, measure(found, masks, picture, WIDTH, HEIGHT), QUALITY)
    return dataclasses.replace(facts, **changes)  # type: ignore[arg-type]


def test_facts_are_measured():
    floor, wall, red, blue, window = room().surfaces

    assert (floor.color, wall.color, red.color, blue.color, window.color) == (
        "brown",
        "white",
        "red",
        "blue",
        "pale blue",
    )
    assert (red.below, blue.below) == ("floor-1", "floor-1")
    assert window.beside == ("wall-1",)
    assert set(red.beside) == {"wall-1", "floor-1"}
    assert wall.facing
    assert floor.facing is False
    assert wall.size is not None
    assert wall.size.across_m == pytest.approx(4.0, abs=0.05)
    assert wall.size.other_m == pytest.approx(1.8, abs=0.05)
    assert wall.size.cut
    assert not any(s.mixed for s in room().surfaces)


def test_sizes_are_those_of_the_straight_picture():
    found, masks, picture = painted()
    lens = Lens.of(HEIGHT, WIDTH, 400.0, 0.2)  # which shows the corner 1.08 times as near to the middle as it is
    found[1] = dataclasses.replace(found[1], plane=dataclasses.replace(WALL, lens=lens))

    wall = measure(found, masks, picture, WIDTH, HEIGHT)[1]

    assert wall.size is not None
    assert wall.size.across_m == pytest.approx(4.0 * 1.06, abs=0.08)


def test_the_words_say_what_was_painted():
    assert description(room()) == (
        "The photo shows a floor, a wall, a window and two objects (furniture and the like; what touches "
        "counts as one). "
        "The floor covers about 34 % of the picture and looks brown. "
        + said_of_floor()
        + "The wall faces the camera and looks white; what is seen of it is about 4.0 m (3.2 to 5.0 m) wide and "
        "about 1.8 m (1.4 to 2.2 m) high. "
        "Lengths rest on the usual heights of what stands in the room and of the room itself. "
        "The window is in the wall, on the right of the picture. "
        "The left object covers about 7 % of the picture, looks red, has the floor below it and is seen in front of "
        "the wall. "
        "The right object covers about 3 % of the picture, looks blue, has the floor below it and is right of "
        "the left object. "
        "No fault of the photo was found."
    )


def said_of_floor() -> str:
    size = room().surfaces[0].size
    assert size is not None
    wide, deep = (f"about {m:.1f} m ({m * 0.8:.1f} to {m * 1.25:.1f} m)" for m in (size.across_m, size.other_m))
    return f"What is seen of it is {wide} wide and {deep} deep. "


def test_a_room_of_which_nothing_was_found_is_told_so():
    finding = Finding("NO_SURFACES", True, 0.0, 0.02, "Is this a photo of a room?")
    empty = room(surfaces=(), usable=False, quality=dataclasses.replace(QUALITY, findings=(finding,)))

    assert description(empty) == (
        "Nothing of a room was found in the photo. Of the photo itself: no floor, wall or ceiling was found. "
        "What was found is uncertain: correct it before use."
    )
    assert "NO_SURFACES (severe): 0 against 0.02." in technical_summary(empty)


def test_the_summary_has_the_numbers():
    lines = technical_summary(room()).splitlines()

    assert lines[0] == "Photo: 400 x 300 pixels (0.1 megapixels)."
    assert lines[1] == "Analysis: roomseg 4, confidence 0.93, ready, five surfaces."
    assert lines[3].startswith("wall-1: 52.0 % of the picture, confidence 0.90, median #f6f6f6 (white), seen 3.9")
    assert lines[3].endswith(" m (x 0.80 to 1.25, by proportions, cut off).")
    assert lines[-3:] == [
        "Camera: measured, view 72 degrees, pitch 5.7, roll 0.1.",
        "Light: median luma 0.50, 2.0 % white; sharpness 0.80.",
        "Findings: none.",
    ]


def test_what_is_small_or_unsure_is_counted_and_not_described():
    floor, _, red, blue, _ = room().surfaces
    seen = (floor, dataclasses.replace(red, area=0.001), dataclasses.replace(blue, confidence=0.5))

    text = description(room(surfaces=seen))

    assert text.startswith("The photo shows a floor, a small thing and a thing that could not be told for sure.")
    assert "object" not in text
    assert "furniture-2: " in technical_summary(room(surfaces=seen))


def test_a_room_full_of_things_is_told_within_the_limit():
    floor, wall, red, _, window = room().surfaces
    many = [
        dataclasses.replace(s, surface_id=f"{s.kind}-{i}", box=(i / 20, 0.1, (i + 1) / 20, 0.9))
        for s in (wall, window, red)
        for i in range(12)
    ]

    text = description(room(surfaces=(floor, *many)))

    assert 1000 < len(text) <= DESCRIPTION_MAX
    assert text.endswith("No fault of the photo was found.")


def test_what_the_picture_cuts_off_is_not_said_to_stand_anywhere():
    floor, wall, red, _, _ = room().surfaces
    near = dataclasses.replace(red, box=(0.1, 0.4, 0.4, 1.0))

    text = description(room(surfaces=(floor, wall, near)))

    assert "is cut off by the lower edge of the picture" in text
    assert "below it" not in text


def test_a_wall_too_high_to_be_true_has_no_size():
    found, masks, picture = painted()
    far = dataclasses.replace(WALL, pixel_from_plane=np.diag([20.0, 20.0, 1.0]))
    found[1] = dataclasses.replace(found[1], plane=far)

    assert measure(found, masks, picture, WIDTH, HEIGHT)[1].size is None


def test_many_walls_keep_names_of_their_own():
    surface = room().surfaces[1]
    walls = tuple(
        dataclasses.replace(surface, surface_id=f"wall-{i}", box=(i / 20, 0, (i + 1) / 20, 0.5)) for i in range(14)
    )
    text = description(room(surfaces=walls))

    assert "14 walls" in text
    assert "The first wall from the left" in text
    assert text.count("wall from the left") + text.count("wall 1") >= 6


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((255, 255, 255), "white"),
        ((0, 0, 0), "black"),
        ((128, 128, 128), "grey"),
        ((139, 90, 43), "brown"),
        ((245, 245, 220), "cream"),
        ((30, 60, 120), "navy"),
        ((255, 0, 0), "red"),
        ((34, 100, 50), "dark green"),
        ((210, 180, 140), "tan"),
        ((0x8D, 0x74, 0x58), "light brown"),
        ((0x75, 0x7D, 0x76), "grey-green"),
    ],
)
def test_colours_have_the_names_that_people_give_them(rgb: tuple[int, int, int], name: str):
    v = np.array(rgb) / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)

    assert color_name(lab(linear)) == name


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("A room with two walls.", "A room with two walls."),
        ("A <b>bright</b> room<script>alert(1)</script>.", "A bright room."),
        ("A &lt;img src=x onerror=alert(1)&gt; room.", "A room."),
        ("A &amp;lt;script&amp;gt;alert(1)&amp;lt;/script&amp;gt; room.", "A room."),
        ("See [the sofa](https://evil.example/x) here.", "See the sofa here."),
        ("Buy at https://evil.example/?q=1 or www.evil.example now.", "Buy at or now."),
        ("Go to evil-shop.com for more.", "Go to for more."),
        ("**Bold** `code` # title", "Bold code title"),
        ("line\nbreak\x00\x1b[31m\u202edesrever\u200b", "line break 31m desrever"),
        ("<script>alert(1)", ""),
    ],
)
def test_what_others_write_comes_out_as_plain_words(text: str, clean: str):
    assert sanitized(text) == clean


@given(st.text(alphabet=st.characters() | st.sampled_from("<>&;[]()/.:htpscrij "), max_size=600))
def test_nothing_that_a_browser_would_obey_is_left(text: str):
    clean = sanitized(text, 200)

    assert len(clean) <= 200
    assert not set("<>`[]{}") & set(clean)
    assert clean.isprintable()
    assert "://" not in clean


def test_a_long_text_ends_with_a_sentence():
    clean = sanitized("A sentence of some words. " * 500)

    assert len(clean) <= DESCRIPTION_MAX
    assert clean.endswith("words.")
