"""Pictures from outside: the ordinary, the odd and the hostile."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from roomviz.errors import InvalidArgument
from services.gateway.domain.ingest import HEIC, Limits, take_in
from services.gateway.domain.metadata import MetadataKind

LIMITS = Limits(25 << 20, 48)


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


def display_p3() -> bytes:
    """An ICC profile (ICC.1:2010, v2, matrix and curve) of Display P3 with a gamma of 2.2, made here."""
    # Source: SMPTE EG 432-1 adapted to D50 by Bradford, as in Apple's Display P3.
    columns = [(0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)]

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)}
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True):
        tags[name] = b"XYZ \0\0\0\0" + fixed(*column)
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        tags[name] = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(2.2 * 256), 0)
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 3) + b"P3\0" + bytes(79)
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        tag += bytes(-len(tag) % 4)
        table += name + struct.pack(">II", start + len(body), len(tag))
        body += tag
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s12x4s", size, b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head.ljust(68, b"\0") + fixed(0.9642, 1, 0.8249)).ljust(128, b"\0") + table + body


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_wide_gamut_profile_is_converted_to_srgb(mode: str):
    colour = Image.new("RGB", (600, 400), (180, 90, 60)).convert(mode, palette=Image.Palette.ADAPTIVE)

    photo = pixels(take_in(saved(colour, "PNG", icc_profile=display_p3()), LIMITS).photo)

    # Computed by hand: to linear by a gamma of 2.2, by the P3 to sRGB matrix, and encoded.
    linear = (np.array([180, 90, 60]) / 255) ** 2.2
    matrix = np.array([[1.2249, -0.2249, 0], [-0.0421, 1.0421, 0], [-0.0196, -0.0786, 1.0983]])
    wanted = 255 * (1.055 * (matrix @ linear) ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(photo[200, 300], wanted, atol=2)
    assert (photo == photo[0, 0]).all()


def test_a_grey_picture_with_a_profile_for_colours_is_taken_as_srgb():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = Image.new("L", (90, 90), 77)

    assert (pixels(take_in(saved(grey, "PNG", icc_profile=srgb), LIMITS).photo) == 77).all()


def test_a_palette_with_a_transparent_colour_lies_on_white():
    image = Image.new("P", (80, 80), 0)
    image.putpalette([200, 0, 0, 0, 120, 0])
    image.paste(1, (0, 0, 40, 80))

    photo = pixels(take_in(saved(image, "PNG", transparency=0), LIMITS).photo)

    assert (photo[:, 60] == 255).all()
    assert (photo[:, 20] == (0, 120, 0)).all()


def test_cmyk_is_not_inverted():
    # Adobe's CMYK JPEGs count ink downwards; a sheet without ink is white in either.
    assert (pixels(take_in(saved(Image.new("CMYK", (64, 64)), "JPEG"), LIMITS).photo) > 250).all()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_turns_nothing(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = gradient()

    photo = take_in(saved(image, "PNG", exif=exif), LIMITS)

    np.testing.assert_array_equal(pixels(photo.photo), np.asarray(image))


def test_an_orientation_told_by_xmp_alone_counts():
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'

    photo = take_in(saved(gradient(), "WEBP", xmp=packet, lossless=True, exact=True), LIMITS)

    np.testing.assert_array_equal(pixels(photo.photo), np.asarray(gradient())[::-1, ::-1])


def test_exif_that_is_garbage_is_no_reason_to_refuse():
    assert take_in(saved(gradient(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(40)), LIMITS).width == 320


@pytest.mark.parametrize("format", ["AVIF", pytest.param("HEIF", marks=pytest.mark.skipif(not HEIC, reason="no HEIC"))])
def test_what_exif_and_xmp_say_does_not_turn_a_container(format: str):
    """Phones write the orientation into both; turning by both turns twice. Only `irot` and `imir` count."""
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = gradient()
    told = {"exif": exif.tobytes(), "xmp": b'<rdf:Description tiff:Orientation="8"/>'}
    plain = take_in(saved(wide, format, quality=90), LIMITS)
    data = saved(wide, format, quality=90, **told)
    # Writers turn EXIF's orientation into `irot`: made none of, EXIF alone is left to say it.
    assert b"irot" in data
    alone = data.replace(b"irot\x03", b"irot\x00").replace(b"irot\x01", b"irot\x00")

    turned, unturned = take_in(data, LIMITS), take_in(alone, LIMITS)

    assert (plain.width, plain.height) == (320, 200)
    assert (turned.width, turned.height) == (200, 320)
    assert (unturned.width, unturned.height) == (320, 200)
    error = np.abs(pixels(unturned.photo).astype(int) - np.asarray(wide).astype(int))
    assert error.mean() < 3
    error = np.abs(pixels(turned.photo).astype(int) - np.rot90(np.asarray(wide), -1).astype(int))
    assert error.mean() < 3


def test_high_dynamic_range_is_refused_as_a_format():
    data = saved(gradient(), "AVIF")
    at = data.find(b"colrnclx")
    assert at > 0

    assert refused(data[: at + 10] + b"\0\x10" + data[at + 12 :]) == "IMAGE_FORMAT_UNSUPPORTED"


@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("AVIF", {"quality": 90})])
def test_of_an_animation_the_first_frame_is_taken(format: str, options: dict[str, object]):
    frames = [Image.new("RGB", (64, 48), colour) for colour in [(220, 30, 30), (30, 220, 30), (30, 30, 220)]]

    photo = take_in(saved(frames[0], format, save_all=True, append_images=frames[1:], **options), LIMITS)

    assert np.abs(pixels(photo.photo).astype(int) - (220, 30, 30)).max() < 6
    assert MetadataKind.FURTHER_PICTURES in photo.removed


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


def test_without_its_decoder_heic_is_refused_with_what_to_send_instead():
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "sys.modules['pillow_heif'] = None\n"
            "from services.gateway.domain.ingest import sniff\n"
            "from roomviz.errors import InvalidArgument\n"
            "try:\n"
            "    sniff(bytes(4) + b'ftypheic' + bytes(20))\n"
            "except InvalidArgument as error:\n"
            "    print(error.reason, error.message)\n",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[3],
    )

    assert told.stdout == "IMAGE_FORMAT_UNSUPPORTED HEIC pictures are not taken here: send it as JPEG\n"
