import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.compositor.domain import splice

RNG = np.random.default_rng(0)


def photo(height: int, width: int) -> np.ndarray:
    small = RNG.integers(0, 256, (max(2, height // 9), max(2, width // 9), 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def splice_in(base: splice.Tiles, picture: np.ndarray, touched: np.ndarray, parts: int = 1) -> bytes:
    chosen = splice.changed(base, touched)
    fresh = [segment for part in np.array_split(chosen, parts) for segment in splice.encoded(base, picture, part)]
    return splice.spliced(base, chosen, fresh)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(17, 200),
    st.integers(17, 400),
    st.integers(0, 150),
    st.integers(0, 350),
    st.integers(1, 90),
    st.integers(1, 90),
)
def test_a_spliced_picture_is_the_one_that_was_encoded_whole(height: int, width: int, y: int, x: int, h: int, w: int):
    before = photo(height, width)
    base = splice.tiles(splice.padded(before), height, width, 88)
    after = splice.padded(before)
    after[y : y + h, x : x + w] = 255 - after[y : y + h, x : x + w]
    splice.pad_again(after, height, width)
    units = (after != splice.padded(before)).any(2)
    touched = units.reshape(units.shape[0] // 16, 16, -1, 16).any((1, 3))

    spliced = splice_in(base, after, touched, 3)

    whole = splice_in(base, after, np.ones_like(touched))
    assert decoded(spliced).shape == (height, width, 3)
    np.testing.assert_array_equal(decoded(spliced), decoded(whole))
    assert spliced == splice_in(base, after, touched)


def test_a_picture_that_was_not_touched_is_the_base():
    before = photo(100, 160)
    base = splice.tiles(splice.padded(before), 100, 160, 88)

    same = splice_in(base, splice.padded(before), np.zeros((7, 10), bool))

    plain = cv2.imencode(".jpg", splice.padded(before)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    # A decoder smooths chroma over rows; the last one shown has no next one.
    np.testing.assert_array_equal(decoded(same)[:98], decoded(plain.tobytes())[:98])


@pytest.mark.parametrize("width", [16 * 101, 16 * 3, 1680])
def test_tiles_divide_every_width(width: int):
    base = splice.tiles(splice.padded(photo(32, width)), 32, width, 88)

    assert base.units * base.columns * 16 == width
    assert len(base.segments) == base.rows * base.columns


def test_what_was_taken_apart_goes_together_to_the_byte():
    data = cv2.imencode(".jpg", photo(64, 96), [cv2.IMWRITE_JPEG_RST_INTERVAL, 6])[1].tobytes()
    assert splice.joined(*splice.split(data)) == data
