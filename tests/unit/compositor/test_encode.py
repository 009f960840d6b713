import io
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from roomviz.errors import InvalidArgument
from services.compositor.domain import encode, splice, xmp
from services.compositor.domain.encode import Rows, encode_as

RNG = np.random.default_rng(0)
MARK = xmp.Mark("0123456789abcdef" * 4, "roomviz/1+0a1b2c", False)


def photo(height: int, width: int, channels: int = 3) -> np.ndarray:
    small = RNG.integers(0, 256, (max(2, height // 9), max(2, width // 9), channels), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize(("format", "error"), [("jpeg", 3), ("png", 0), ("webp", 5), ("avif", 5)])
@pytest.mark.parametrize("size", [(1, 1), (37, 53), (600, 271)])
def test_a_file_shows_the_picture_that_went_in(format: str, error: float, size: tuple[int, int]):
    picture = photo(*size)

    data = encode_as(picture, format, xmp.packet(MARK))

    assert Image.open(io.BytesIO(data)).format == format.upper()
    assert np.abs(decoded(data)[..., :3].astype(int) - picture).mean() <= error
    np.testing.assert_array_equal(decoded(data), decoded(encode_as(picture, format)))


@pytest.mark.parametrize("format", ["png", "webp", "avif"])
def test_transparency_is_kept(format: str):
    picture = photo(300, 200, 4)

    found = decoded(encode_as(picture, format))

    np.testing.assert_allclose(found[..., 3].astype(int), picture[..., 3], atol=0 if format != "avif" else 24)


def test_strips_make_the_jpeg_that_the_whole_picture_makes():
    picture = photo(2 * encode.STRIP + 70, 333)

    found = encode_as(picture, "jpeg")

    whole = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, encode.JPEG_QUALITY])[1]
    np.testing.assert_array_equal(decoded(found), decoded(whole.tobytes()))


@pytest.mark.parametrize("format", list(encode.TYPES))
def test_a_picture_by_its_rows_is_the_same_file(format: str):
    picture = photo(300, 100)

    assert encode_as(Rows(300, 100, 3, lambda a, b: picture[a:b].copy()), format) == encode_as(picture, format)


@pytest.mark.parametrize("format", list(encode.TYPES))
@pytest.mark.parametrize("generated", [False, True])
def test_a_mark_comes_out_of_every_format_as_it_went_in(format: str, generated: bool):
    mark = xmp.Mark(MARK.receipt, MARK.renderer, generated)

    data = encode_as(photo(40, 60), format, xmp.packet(mark))

    assert xmp.mark_in(data) == mark
    # Pillow's own reader finds the packet where the format has it.
    assert Image.open(io.BytesIO(data)).info["xmp"] == xmp.packet(mark)
    term = b"compositeWithTrainedAlgorithmicMedia" if generated else b"compositeSynthetic"
    assert b"http://cv.iptc.org/newscodes/digitalsourcetype/" + term in data


@pytest.mark.parametrize("format", list(encode.TYPES))
def test_a_mark_outlives_a_program_that_keeps_metadata(format: str):
    first = Image.open(io.BytesIO(encode_as(photo(40, 60), format, xmp.packet(MARK))))
    out = io.BytesIO()
    first.save(out, "JPEG", xmp=first.info["xmp"])

    assert xmp.mark_in(out.getvalue()) == MARK


def test_a_mark_is_read_however_xmp_is_written():
    other = (
        b"junk<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:Description xmlns:ns1='https://roomviz.dev/ns/1.0/'>"
        b"<ns1:receipt>" + MARK.receipt.encode() + b"</ns1:receipt><ns1:generated>True</ns1:generated>"
        b"<ns1:renderer>r/2</ns1:renderer></rdf:Description></x:xmpmeta>junk"
    )

    assert xmp.mark_in(other) == xmp.Mark(MARK.receipt, "r/2", True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"<x:xmpmeta" * 1000,
        b"<x:xmpmeta https://roomviz.dev/ns/1.0/ </x:xmpmeta>",
        xmp.packet(xmp.Mark("0" * 63, "r", False)),
        xmp.packet(xmp.Mark("A" * 64, "r", False)),
        xmp.packet(MARK).replace(b"roomviz.dev", b"roomviz.org"),
        xmp.packet(MARK).replace(b"</x:xmpmeta>", b" " * 70_000 + b"</x:xmpmeta>"),
    ],
)
def test_what_is_no_mark_is_none(data: bytes):
    assert xmp.mark_in(data) is None


def test_a_spliced_preview_takes_a_mark_and_keeps_its_pixels():
    before = photo(100, 160)
    base = splice.tiles(splice.padded(before), 100, 160, 88)
    plain = splice.spliced(base, np.zeros(0, np.intp), [])

    marked = xmp.in_jpeg(plain, xmp.packet(MARK))

    assert xmp.mark_in(marked) == MARK
    assert marked[:20] == plain[:20], "JFIF's segment stays the first"
    np.testing.assert_array_equal(decoded(marked), decoded(plain))


@pytest.mark.parametrize(
    ("format", "height", "width", "transparent"),
    [
        ("jpeg", 10, 10, True),
        ("webp", 10, 16_384, False),
        ("avif", 40_000, 10, False),
        ("jpeg", 70_000, 2, False),
        ("avif", 6000, 16_000, False),
    ],
)
def test_what_a_format_cannot_hold_is_refused(format: str, height: int, width: int, transparent: bool):
    never = Rows(height, width, 4 if transparent else 3, lambda a, b: pytest.fail("it was read"))

    with pytest.raises(InvalidArgument) as caught:
        encode_as(never, format)

    assert caught.value.reason == "IMAGE_FORMAT_UNSUPPORTED"


def test_the_largest_webp_there_is_can_be_written():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = encode_as(np.zeros((1, 16_383, 3), np.uint8), "webp")

    assert decoded(data).shape == (1, 16_383, 3)
