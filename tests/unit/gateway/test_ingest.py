"""Pictures from outside: the ordinary, the odd and the hostile."""

import csv
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from roomviz.errors import InvalidArgument
from services.gateway.domain.ingest import Limits, take_in

LIMITS = Limits(25 << 20, 48)
HOSTILE = Path(__file__).resolve().parents[4] / "shared" / "hostile"


def gradient(width: int = 320, height: int = 200) -> Image.Image:
    x = np.linspace(0, 255, width, dtype=np.uint8)[None].repeat(height, 0)
    y = np.linspace(0, 255, height, dtype=np.uint8)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, np.full_like(x, 90)], -1))


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header promises this many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def refused(data: bytes) -> str:
    with pytest.raises(InvalidArgument) as caught:
        take_in(data, LIMITS)
    return caught.value.reason


def test_a_png_comes_through_to_the_bit():
    image = gradient()

    photo = take_in(saved(image, "PNG"), LIMITS)

    np.testing.assert_array_equal(pixels(photo.photo), np.asarray(image))
    assert (photo.width, photo.height, photo.working) == (320, 200, None)


def test_a_jpeg_comes_through_as_its_decoder_sees_it():
    data = saved(gradient(), "JPEG", quality=90)

    np.testing.assert_array_equal(
        pixels(take_in(data, LIMITS).photo), np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    )


def test_a_large_photo_gets_a_working_copy_of_two_megapixels():
    photo = take_in(saved(gradient(3000, 2000), "JPEG"), LIMITS)

    assert (photo.width, photo.height) == (3000, 2000)
    height, width = pixels(photo.working or b"").shape[:2]
    assert 1.9e6 < height * width <= 2.01e6
    assert width / height == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phone_photo_is_turned_upright(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = gradient()

    photo = take_in(saved(image, "PNG", exif=exif), LIMITS)

    turns = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [4], 7: [6], 8: [2]}[orientation]
    expected = image
    for turn in turns:
        expected = expected.transpose(Image.Transpose(turn))
    np.testing.assert_array_equal(pixels(photo.photo), np.asarray(expected))


def test_metadata_does_not_survive_but_the_focal_length_is_read():
    exif = Image.Exif()
    exif[0x010F] = "SECRETMAKER"
    exif.get_ifd(0x8769)[0xA405] = 26
    exif.get_ifd(0x8825)[1] = "N"

    photo = take_in(saved(gradient(), "JPEG", exif=exif), LIMITS)

    assert photo.focal_35mm == 26
    assert b"SECRETMAKER" not in photo.photo
    assert b"eXIf" not in photo.photo


def test_a_cmyk_jpeg_gets_its_colours():
    data = saved(gradient().convert("CMYK"), "JPEG", quality=95)

    error = np.abs(pixels(take_in(data, LIMITS).photo).astype(int) - np.asarray(gradient()).astype(int))

    assert error.mean() < 6


@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_a_16_bit_png_keeps_its_tones(channels: str):
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16)[None].repeat(80, 0)
    image = ramp if channels == "grey" else np.stack([ramp] * 3, -1)

    photo = pixels(take_in(cv2.imencode(".png", image)[1].tobytes(), LIMITS).photo)

    assert np.abs(photo[40, :, 1].astype(int) - np.arange(256)).max() <= 1


def test_transparency_lies_on_white():
    image = Image.new("RGBA", (90, 90), (10, 20, 30, 0))

    assert (pixels(take_in(saved(image, "PNG"), LIMITS).photo) == 255).all()


def test_a_wide_gamut_profile_is_converted_to_srgb():
    from PIL import ImageCms

    lab_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    photo = take_in(saved(gradient(), "PNG", icc_profile=lab_profile), LIMITS)

    assert np.abs(pixels(photo.photo).astype(int) - np.asarray(gradient()).astype(int)).max() <= 2


def test_a_single_pixel_is_a_picture():
    assert take_in(saved(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"), LIMITS).width == 1


def test_an_empty_file_is_refused_as_empty():
    assert refused(b"") == "IMAGE_EMPTY"


@pytest.mark.parametrize(
    "data", [b"hello, I am a text file named room.jpg", b"GIF89a" + bytes(50), b"<svg xmlns='x'/>", b"%PDF-1.7"]
)
def test_what_is_no_photo_is_refused_by_its_bytes(data: bytes):
    assert refused(data) == "IMAGE_FORMAT_UNSUPPORTED"


@pytest.mark.parametrize("part", [0.25, 0.6, 0.9])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_picture_is_refused_as_damaged(format: str, part: float):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))
    data = saved(noise, format)

    assert refused(data[: int(len(data) * part)]) == "IMAGE_CORRUPT"


@pytest.mark.parametrize("size", [(30_000, 30_000), (100_000, 4), (9_000, 9_000)])
def test_a_bomb_is_refused_from_its_header_with_the_limit_named(size: tuple[int, int]):
    with pytest.raises(InvalidArgument) as caught:
        take_in(png_header(*size), LIMITS)

    assert caught.value.reason == "IMAGE_TOO_LARGE"
    assert "48 megapixels" in caught.value.message


def test_a_webp_bomb_is_refused_from_its_header():
    body = b"\x2f" + ((16382) | (16382 << 14)).to_bytes(4, "little") + bytes(9)
    data = b"RIFF" + struct.pack("<I", 22 + len(body)) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body

    assert refused(data) == "IMAGE_TOO_LARGE"


def test_too_many_bytes_are_refused():
    with pytest.raises(InvalidArgument, match="more than"):
        take_in(b"\xff\xd8\xff" + bytes(2000), Limits(1000, 48))


def hostile() -> list[dict[str, str]]:
    manifest = HOSTILE / "MANIFEST.csv"
    return list(csv.DictReader(manifest.read_text().splitlines())) if manifest.exists() else []


@pytest.mark.skipif(not hostile(), reason="the folder of hostile files, ../shared/hostile, is missing")
@pytest.mark.parametrize("row", hostile(), ids=lambda r: r["id"])
def test_each_hostile_file_is_taken_or_refused_as_its_manifest_says(row: dict[str, str]):
    data = (HOSTILE / row["file"]).read_bytes()
    photo, error = None, None
    try:
        photo = take_in(data, LIMITS)
    except InvalidArgument as refusal:
        error = refusal

    assert row["expect"] == "either" or (photo is None) == (row["expect"] == "reject"), error
    if error is not None and "IMAGE_TOO_LARGE" in row["expect_reason"]:
        assert error.reason in ("IMAGE_TOO_LARGE", "IMAGE_FORMAT_UNSUPPORTED")
    if photo is not None and row["upright_size"]:
        assert f"{photo.width}x{photo.height}" == row["upright_size"]
