"""The command line, as a user has it: from a photo to a picture, and through every mistake."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from deploy.local.settings import ROOT
from roomviz import __version__
from tests.conftest import Running
from tests.unit.gateway.test_ingest import png_header

ROOM = ROOT / "samples" / "living-room.jpg"


def image(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_a_photo_becomes_surfaces_and_a_picture(running: Running, tmp_path: Path):
    done = running.roomviz("analyze", ROOM, "--out", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "surfaces.json").read_text())
    photo = image(ROOM)
    assert (record["height"], record["width"]) == photo.shape[:2]
    labels = image(tmp_path / "out" / "labels.png")
    assert labels.dtype == np.uint8
    assert labels.shape == photo.shape[:2]
    kinds = {s["kind"] for s in record["surfaces"]}
    assert {"floor", "wall", "ceiling", "furniture"} <= kinds
    for s in record["surfaces"]:
        assert set(s) == {"id", "kind", "confidence", "area_fraction", "bbox", "mask", "plane"}
        assert image(tmp_path / "out" / s["mask"]).shape == photo.shape[:2]
        if s["plane"]:
            assert np.array(s["plane"]["homography"]).shape == (3, 3)
            assert s["plane"]["scale_interval"][0] < s["plane"]["scale_interval"][1]
    assert image(tmp_path / "out" / "overlay.jpg").shape == photo.shape
    # The room is known: the bottom middle is floor, the top middle ceiling, the green wall wall.
    h, w = labels.shape
    assert labels[int(h * 0.95), int(w * 0.6)] == 1
    assert labels[int(h * 0.05), int(w * 0.4)] == 3
    assert labels[int(h * 0.25), int(w * 0.35)] == 2

    after, both = tmp_path / "after.png", tmp_path / "both.jpg"
    done = running.roomviz(
        "render", ROOM, "--surface", "floor", "--material", "TIL-CHECKER", "--out", after, "--compare", both
    )

    assert done.returncode == 0, done.stderr
    picture = image(after)
    assert picture.shape == photo.shape
    assert image(both).shape[1] > 2 * photo.shape[1]
    floor = image(tmp_path / "out" / "mask-floor-1.png")
    np.testing.assert_array_equal(picture[floor == 0], photo[floor == 0])
    # Sun and shadow of the old floor lie on the new one: compare bright and dark parts, on a plain carpet.
    done = running.roomviz("render", ROOM, "--surface", "floor", "--material", "CRP-LOOP-GREY", "--out", after)
    assert done.returncode == 0, done.stderr
    picture, inside = image(after), floor == 255
    old, new = (
        cv2.GaussianBlur(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY).astype(np.float32), (0, 0), 25)[inside]
        for p in (photo, picture)
    )
    assert np.corrcoef(old, new)[0, 1] > 0.9


def test_several_surfaces_in_one_picture_and_a_preview(running: Running, tmp_path: Path):
    after = tmp_path / "after.jpg"
    done = running.roomviz(
        "render",
        ROOM,
        "--surface",
        "floor",
        "--material",
        "FLR-WALNUT",
        "--surface",
        "wall",
        "--material",
        "PNT-SKY",
        "--out",
        after,
        "--preview",
        "--json",
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["out"] == str(after)
    assert image(after).shape == image(ROOM).shape


def test_walls_are_painted_in_any_color(running: Running, tmp_path: Path):
    after = tmp_path / "after.jpg"
    paint = ("--surface", "wall", "--out", after, "--preview", "--json", "--material")

    done = running.roomviz("render", ROOM, *paint, "#A3B1C2@eggshell")

    assert done.returncode == 0, done.stderr
    assert {(c.get("product", ""), c["asked_rgb"]) for c in json.loads(done.stdout)["colors"]} == {("", 0xA3B1C2)}
    for wrong, reason in (
        ("#red", "COLOR_INVALID"),
        ("#fff", "COLOR_INVALID"),
        ("lab:50/0/-120", "COLOR_INVALID"),
        ("#A3B1C2@shiny", "FINISH_INVALID"),
    ):
        done = running.roomviz("render", ROOM, *paint, wrong)
        assert done.returncode == 1
        assert json.loads(done.stdout)["error"]["reason"] == reason


def test_light_and_perspective_are_corrected_and_told(running: Running, tmp_path: Path):
    after = tmp_path / "after.jpg"
    height, width = image(ROOM).shape[:2]
    line = f"floor-1 {0.4 * width},{0.9 * height} {0.6 * width},{0.9 * height} 1.2"
    wanted = ("--surface", "floor", "--material", "FLR-WALNUT", "--relight", "warm", "--reference", line)

    done = running.roomviz("render", ROOM, *wanted, "--out", after, "--preview", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(s["surface_id"], s["source"]) for s in told["scales"]] == [("floor-1", "SCALE_SOURCE_REFERENCE")]
    assert told["colors"][0]["product"] == "products/FLR-WALNUT"
    blue, _, red = (image(after).astype(int) - image(ROOM)).mean((0, 1))
    assert red > blue
    done = running.roomviz("render", ROOM, *wanted, "--out", after, "--corners", "wall-1 1,1 9,9", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["reason"] == "CORNERS_INVALID"


def test_a_picture_is_verified_and_rendered_again_from_its_receipt(running: Running, tmp_path: Path):
    layer, again, changed = tmp_path / "layer.avif", tmp_path / "again.avif", tmp_path / "changed.webp"
    floor = ("--surface", "floor", "--material", "TIL-CHECKER")

    done = running.roomviz("render", ROOM, *floor, "--out", layer, "--view", "layer")

    assert done.returncode == 0, done.stderr
    with Image.open(layer) as picture:
        assert (picture.format, picture.mode) == ("AVIF", "RGBA")
        packet, pixels = picture.info["xmp"], np.asarray(picture).copy()
    done = running.roomviz("verify", layer, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "untouched"
    done = running.roomviz("rerender", found["receipt"], "-o", again)
    assert done.returncode == 0, done.stderr
    assert again.read_bytes() == layer.read_bytes()
    y, x = np.argwhere(pixels[..., 3] == 255)[0].tolist()
    pixels[y, x, 1] ^= 1
    Image.fromarray(pixels).save(changed, lossless=True, exact=True, xmp=packet)
    done = running.roomviz("verify", changed)
    assert done.returncode == 1
    assert done.stdout.startswith("altered")
    assert f"{x} {y} 1 1" in done.stdout
    done = running.roomviz("verify", ROOM)
    assert (done.returncode, done.stdout.split(":")[0]) == (1, "unknown")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--out", "x.jpg", "--view", "layer"), "IMAGE_FORMAT_UNSUPPORTED"),
        (("--out", "x.bmp"), "IMAGE_FORMAT_UNSUPPORTED"),
        (("--out", "x.jpg", "--format", "gif"), "IMAGE_FORMAT_UNSUPPORTED"),
        (("--out", "x.jpg", "--view", "behind"), "VIEW_INVALID"),
    ],
)
def test_an_output_that_cannot_be_gets_one_clear_line(
    running: Running, tmp_path: Path, options: tuple[str, ...], reason: str
):
    name, *rest = options[1:]
    done = running.roomviz(
        "render", ROOM, "--surface", "floor", "--material", "FLR-WALNUT", "--out", tmp_path / name, *rest
    )

    assert done.returncode != 0
    assert reason in done.stderr
    assert not (tmp_path / name).exists()


def test_a_pattern_is_laid_where_one_is_asked(running: Running, tmp_path: Path):
    def rendered(name: str, *arguments: str) -> np.ndarray:
        chosen = ["--surface", "floor", "--material", "TIL-CERAMIC-WHITE", "--out", tmp_path / name, "--preview"]
        done = running.roomviz("render", ROOM, *chosen, *arguments)
        assert done.returncode == 0, done.stderr
        return image(tmp_path / name).astype(int)

    own = rendered("own.jpg")
    thin, wide = (
        rendered(f"{mm}.jpg", "--pattern", "hexagon", "--grout-mm", mm, "--grout-color", "101010") for mm in ("2", "20")
    )

    assert np.abs(own - thin).max() > 40
    # The more grout, the darker the floor.
    assert wide.mean() < thin.mean() - 2
    edged = rendered("edged.jpg", "--pattern", "grid", "--border", "TIL-MARBLE-NERO")
    cut = rendered("cut.jpg", "--pattern", "grid", "--border", "0.3,0.6")
    assert edged.mean() < cut.mean() - 2


def test_materials_are_listed_and_found(running: Running):
    listed = running.roomviz("materials", "--category", "flooring", "--json")
    table = running.roomviz("materials", columns=80)

    skus = [p["sku"] for p in json.loads(listed.stdout)]
    assert len(skus) >= 20
    assert all(sku in table.stdout for sku in skus), "none is cut short"
    found = json.loads(running.roomviz("materials", "--search", "navy carpet", "--json").stdout)
    assert found[0]["sku"] == "CRP-VELVET-NAVY"


def test_the_doctor_tells_each_server_and_service(running: Running):
    done = running.roomviz("doctor", "--json")

    assert done.returncode == 0
    components = {c["component"]: c for c in json.loads(done.stdout)}
    assert {"gateway", "catalog", "segmentation", "compositor", "postgresql", "nats", "s3", "triton"} == set(components)
    assert components["gateway"]["version"] == __version__


def test_the_doctor_without_a_gateway_says_what_to_do(running: Running, monkeypatch: pytest.MonkeyPatch):
    import subprocess
    import sys

    environment = running.environment() | {"ROOMVIZ_GATEWAY_PORT": "1"}
    command = [str(Path(sys.executable).with_name("roomviz")), "doctor"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "make up" in done.stdout
    assert "retry" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def bad_files(folder: Path) -> dict[str, Path]:
    """Files that are not photos, by the reason that they must be refused with."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    files = {}

    def put(reason: str, name: str, data: bytes) -> None:
        files[reason] = folder / name
        files[reason].write_bytes(data)

    put("IMAGE_FORMAT_UNSUPPORTED", "text.jpg", b"I am a text file.\n")
    put("IMAGE_EMPTY", "empty.jpg", b"")
    whole = cv2.imencode(".jpg", noise)[1].tobytes()
    put("IMAGE_CORRUPT", "truncated.jpg", whole[: len(whole) // 2])
    put("IMAGE_TOO_LARGE", "bomb.png", png_header(30_000, 30_000))
    put("IMAGE_TOO_SMALL", "one.png", cv2.imencode(".png", noise[:1, :1])[1].tobytes())
    files["FILE_UNREADABLE"] = folder / "missing.jpg"
    return files


@pytest.mark.parametrize(
    "reason",
    [
        "IMAGE_FORMAT_UNSUPPORTED",
        "IMAGE_EMPTY",
        "IMAGE_CORRUPT",
        "IMAGE_TOO_LARGE",
        "IMAGE_TOO_SMALL",
        "FILE_UNREADABLE",
    ],
)
def test_a_bad_file_gets_one_clear_line_and_a_failing_exit(running: Running, tmp_path: Path, reason: str):
    path = bad_files(tmp_path)[reason]

    done = running.roomviz("analyze", path, "--out", tmp_path / "out")
    as_json = running.roomviz("analyze", path, "--out", tmp_path / "out", "--json")

    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert f"({reason})" in lines[0]
    assert "Traceback" not in done.stderr + done.stdout
    assert json.loads(as_json.stdout)["error"]["reason"] == reason


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--surface", "floor", "--material", "NO-SUCH-SKU"], "PRODUCT_NOT_FOUND"),
        (["--surface", "pool", "--material", "FLR-WALNUT"], "SURFACE_NOT_FOUND"),
        (["--surface", "floor", "--surface", "wall", "--material", "FLR-WALNUT"], "APPLICATIONS_INVALID"),
        (["--surface", "floor", "--material", "FLR-WALNUT", "--pattern", "spiral"], "LAYOUT_INVALID"),
        (["--surface", "floor", "--material", "FLR-WALNUT", "--pattern", "grid", "--grout-mm", "-1"], "LAYOUT_INVALID"),
        (["--surface", "floor", "--material", "TIL-CHECKER", "--pattern", "grid"], "PATTERN_WITHOUT_FACE"),
        (
            ["--surface", "floor", "--material", "FLR-WALNUT", "--pattern", "grid", "--border", "0.1,x"],
            "LAYOUT_INVALID",
        ),
        (
            ["--surface", "floor", "--material", "FLR-WALNUT", "--pattern", "grid", "--border", "9,0.6"],
            "LAYOUT_INVALID",
        ),
    ],
)
def test_a_wrong_sku_or_surface_gets_one_clear_line(
    running: Running, tmp_path: Path, arguments: list[str], reason: str
):
    done = running.roomviz("render", ROOM, *arguments, "--out", tmp_path / "x.jpg")

    assert done.returncode == 1
    assert f"({reason})" in done.stderr
    assert not (tmp_path / "x.jpg").exists()


def test_odd_photos_give_the_right_picture(running: Running, tmp_path: Path):
    photo = Image.open(ROOM).resize((864, 576))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: turn right to see it upright
    lying = photo.transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "phone.jpg", exif=exif, quality=92)
    photo.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=92)
    deep = np.asarray(photo)[..., ::-1].astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep)

    for name in ("phone.jpg", "cmyk.jpg", "deep.png"):
        done = running.roomviz("analyze", tmp_path / name, "--out", tmp_path / name.split(".")[0])
        assert done.returncode == 0, done.stderr
        labels = image(tmp_path / name.split(".")[0] / "labels.png")
        assert labels.shape == (576, 864), name
        assert labels[540, 520] == 1, f"{name}: the floor is below"
        assert labels[30, 350] == 3, f"{name}: the ceiling is above"


def test_nothing_was_harmed_by_all_that(running: Running):
    assert all(i["statename"] == "RUNNING" for i in running.stack.rpc().getAllProcessInfo())
    assert running.roomviz("doctor").returncode == 0
