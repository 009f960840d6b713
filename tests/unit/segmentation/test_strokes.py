import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomviz.errors import InvalidArgument
from services.segmentation.domain.strokes import Shape, Stroke, check, raster

PHOTO = (120, 160)
coordinates = st.tuples(st.floats(0, 160), st.floats(0, 120))


@settings(deadline=None)
@given(coordinates, st.sampled_from([(120, 160), (60, 80), (31, 40)]))
def test_a_click_marks_the_pixel_under_it_at_every_size(at: tuple[float, float], size: tuple[int, int]):
    marked = raster(Stroke(Shape.POINT, (at,)), PHOTO, size)

    x, y = min(int(at[0] * size[1] / 160), size[1] - 1), min(int(at[1] * size[0] / 120), size[0] - 1)
    assert marked.mask[y - marked.box[1], x - marked.box[0]]
    assert marked.mask.shape == (marked.box[3] - marked.box[1], marked.box[2] - marked.box[0])
    assert 0 <= marked.box[0] < marked.box[2] <= size[1]
    assert 0 <= marked.box[1] < marked.box[3] <= size[0]


@settings(deadline=None)
@given(st.lists(coordinates, min_size=1, max_size=6), st.floats(0.1, 40))
def test_a_scribble_marks_its_brush_and_no_more(points: list[tuple[float, float]], width: float):
    marked = raster(Stroke(Shape.SCRIBBLE, tuple(points), width), PHOTO, PHOTO)

    y, x = np.nonzero(marked.mask)
    p = np.stack([x + marked.box[0] + 0.5, y + marked.box[1] + 0.5], 1)
    line = np.array(points if len(points) > 1 else points * 2)
    a, b = line[:-1], line[1:]
    along = np.clip(((p[:, None] - a) * (b - a)).sum(2) / np.maximum(((b - a) ** 2).sum(1), 1e-9), 0, 1)
    away = np.linalg.norm(p[:, None] - (a + along[..., None] * (b - a)), axis=2).min(1)
    assert away.max() <= width / 2 + 1.6


def test_a_box_marks_whole_pixels_whichever_corner_comes_first():
    a = raster(Stroke(Shape.BOX, ((10, 20), (30, 40))), PHOTO, PHOTO)
    b = raster(Stroke(Shape.BOX, ((30, 40), (10, 20))), PHOTO, PHOTO)

    assert a.mask.sum() == b.mask.sum() == 400
    assert a.mask[20 - a.box[1], 10 - a.box[0]]


@settings(deadline=None)
@given(st.lists(coordinates, min_size=3, max_size=3), st.booleans())
def test_a_stroke_comes_back_from_the_log(points: list[tuple[float, float]], erase: bool):
    stroke = Stroke(Shape.POLYGON, tuple(points), 0.0, erase)

    assert Stroke.from_json(stroke.to_json()) == stroke


@pytest.mark.parametrize(
    ("stroke", "field"),
    [
        (Stroke(Shape.POINT, ((-0.1, 5),)), "strokes[0].point"),
        (Stroke(Shape.POINT, ((5, 120.5),)), "strokes[0].point"),
        (Stroke(Shape.POINT, ((math.nan, 5),)), "strokes[0].point"),
        (Stroke(Shape.SCRIBBLE, ((5, 5),), 0), "strokes[0].scribble.width_px"),
        (Stroke(Shape.SCRIBBLE, ((5, 5),), math.inf), "strokes[0].scribble.width_px"),
        (Stroke(Shape.SCRIBBLE, (), 5), "strokes[0].scribble"),
        (Stroke(Shape.POLYGON, ((5, 5), (6, 6))), "strokes[0].polygon"),
        (Stroke(Shape.BOX, ((5, 5), (5, 9))), "strokes[0].box"),
        (Stroke(Shape.BOX, ((5, 5), (8, 9)), erase=True), "strokes[0].box"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(stroke: Stroke, field: str):
    with pytest.raises(InvalidArgument) as caught:
        check([stroke], *PHOTO)

    assert caught.value.metadata["field"] == field


def test_there_is_an_end_to_what_one_correction_may_hold():
    many = Stroke(Shape.SCRIBBLE, ((5.0, 5.0),) * 3000, 3)

    for strokes in ([], [Stroke(Shape.POINT, ((5, 5),))] * 65, [many, many]):
        with pytest.raises(InvalidArgument):
            check(strokes, *PHOTO)
