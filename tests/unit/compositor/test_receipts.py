"""Recipes, receipts and verdicts, over the real renderer and pictures in memory."""

import asyncio
import gc
import io
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound
from roomviz.imaging.codec import encode_jpeg, encode_png, preview_size, resize
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.runtime.memory import Memory
from roomviz.v1 import layouts_pb2, products_pb2, rooms_pb2, visualizations_pb2
from services.compositor.adapters.plates import StoredPlates
from services.compositor.domain import xmp
from services.compositor.domain.difference import Difference, difference
from services.compositor.ports import Order, Report
from services.compositor.transport.messages import order_from_recipe, order_of, sheet_order
from services.compositor.usecases.budget import Budget
from services.compositor.usecases.compare import Compare
from services.compositor.usecases.picture import MakePicture
from services.compositor.usecases.receipts import Rerender, Verdict, Verify
from services.compositor.usecases.renderer import Renderer
from services.compositor.usecases.things import Staging

H, W = 301, 405
RNG = np.random.default_rng(0)
PHOTO = np.clip(RNG.normal(150, 20, (H, W, 3)), 0, 255).astype(np.uint8)
MASK = np.zeros((H, W), np.uint8)
MASK[150:, 20:380] = 255
MASK[150:153, 20:380] = 90
WALL = np.zeros((H, W), np.uint8)
WALL[:151] = 255
STRIPE = np.zeros((H, W), np.uint8)
STRIPE[12:18, 50:350] = 255  # between two of the bands that are looked at
TEXTURE = np.repeat(RNG.integers(60, 190, (8, 8, 3)), 8, 0).repeat(8, 1).astype(np.uint8)
CARD = np.full((12, 16, 3), 90, np.uint8)


class Stored:
    """Pictures in memory, as the port has them."""

    def __init__(self) -> None:
        self.kept = {"photo": PHOTO, "floor": MASK, "wall": WALL, "textures/t.png": TEXTURE, "light": CARD}
        self.kept["stripe"] = STRIPE
        self.kept["cutouts/c.png"] = np.dstack([TEXTURE, np.full(TEXTURE.shape[:2], 255, np.uint8)])

    async def rgb(self, key: str) -> np.ndarray:
        return self.kept[key]

    async def sized(self, key: str, height: int, width: int) -> np.ndarray:
        return resize(await self.rgb(key), height, width)

    grey = rgba = rgb

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        raise AssertionError("nothing here is kept")


class Shelf:
    def __init__(self) -> None:
        self.recipes: dict[str, bytes] = {}

    async def keep(self, order: Order) -> None:
        self.recipes[order.receipt] = order.recipe

    async def get(self, receipt: str) -> Order | None:
        return order_from_recipe(self.recipes[receipt]) if receipt in self.recipes else None


class Here:
    """The judge, without a process of its own."""

    async def compare(self, ours: bytes, theirs: bytes) -> Difference:
        return difference(ours, theirs)


def spec() -> compositor_pb2.RenderSpec:
    out = compositor_pb2.RenderSpec(
        room="rooms/r", photo_key="photo", working_key="photo", width_px=W, height_px=H, light_key="light"
    )
    floor = out.layers.add(mask_key="floor")
    floor.surface.surface_id, floor.surface.kind = "floor-1", rooms_pb2.SURFACE_KIND_FLOOR
    floor.surface.plane.homography.extend([480, 200, 200, 0, -85, 85, 0, 1, 1])
    floor.material.texture_digest, floor.material.repeat_width_m, floor.material.repeat_height_m = "t", 1.0, 1.0
    wall = out.layers.add(mask_key="wall")
    wall.surface.surface_id, wall.surface.kind = "wall-1", rooms_pb2.SURFACE_KIND_WALL
    wall.material.color_rgb = 0x607080
    rug = out.things.add(surface=floor.surface)
    rug.cutout.image_digest, rug.cutout.mount = "c", products_pb2.MOUNT_LYING
    rug.cutout.width_m, rug.cutout.height_m, rug.placement.rotation_deg = 0.2, 0.3, 20
    out.surfaces.add(surface=floor.surface, mask_key="floor")
    out.focal_length_px = W
    return out


PREVIEW = compositor_pb2.Output(preview=True)


def output(format: str = "PNG", view: str = "AFTER", **more: int) -> compositor_pb2.Output:
    return compositor_pb2.Output(format=f"IMAGE_FORMAT_{format}", view=f"VIEW_{view}", **more)


@pytest.fixture
def fresh():
    """Makes a worker that remembers nothing but the recipes on the shelf."""
    shelf = Shelf()
    with ThreadPoolExecutor(2) as pool:

        def worker(threads: int = 2) -> tuple[MakePicture, Rerender, Verify]:
            staging = Staging(Stored(), pool, *(Memory(1 << 28) for _ in range(3)))
            renderer = Renderer(
                Stored(),
                pool,
                threads,
                StoredPlates(Memory(1 << 28), None, pool),
                *(Memory(1 << 28) for _ in range(3)),
                staging,
            )
            make = MakePicture(renderer, shelf, Budget(1 << 30))
            again = Rerender(make, shelf)
            return make, again, Verify(again, shelf, Here())

        yield worker


OUTPUTS = [
    PREVIEW,
    *(output(f, v) for f in ("JPEG", "PNG", "WEBP", "AVIF") for v in ("AFTER", "BEFORE", "SIDE_BY_SIDE")),
    *(output(f, "LAYER") for f in ("PNG", "WEBP", "AVIF")),
]


@pytest.mark.parametrize("wanted", OUTPUTS, ids=str)
async def test_a_receipt_gives_the_same_bytes_on_another_worker(fresh: Callable, wanted: compositor_pb2.Output):
    order = order_of("a", spec(), wanted)
    make, _, _ = fresh(threads=1)
    made = await make(order)
    assert await make(order) == made, "with all in memory"

    _, again, verify = fresh(threads=3)

    assert (await again("a", order.receipt)).data == made.data
    assert xmp.mark_in(made.data) == xmp.Mark(order.receipt, order.renderer, False)
    assert Image.open(io.BytesIO(made.data)).size == (made.width, made.height)
    assert (await verify("a", made.data)).verdict is Verdict.UNTOUCHED


@pytest.mark.parametrize("wanted", [PREVIEW, output("PNG"), output("PNG", "LAYER")], ids=str)
async def test_a_receipt_of_pieces_gives_the_same_bytes_on_another_worker(
    fresh: Callable, wanted: compositor_pb2.Output
):
    laid = spec()
    material = laid.layers[0].material
    material.face_digest, material.face_width_m, material.face_height_m = "t", 1.0, 1.0
    material.piece_width_m, material.piece_length_m = 0.1, 0.5
    laid.layers[0].layout.CopyFrom(layouts_pb2.Layout(pattern="PATTERN_HERRINGBONE", bevel_m=0.002, seed=3))
    make, _, _ = fresh(threads=1)
    made, texture = await make(order_of("a", laid, wanted)), await make(order_of("a", spec(), wanted))

    _, again, _ = fresh(threads=3)

    assert (await again("a", order_of("a", laid, wanted).receipt)).data == made.data
    assert made.data != texture.data


LARGE = (2448, 3264)  # a usual size, of which the working photo has half and a little


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> compositor_pb2.RenderSpec:
    """The same room in more pixels than a preview has, its masks up to the photo's border; with a polished floor."""
    made, small = spec(), Stored.__init__
    k = np.diag([LARGE[1] / W, LARGE[0] / H, 1.0])

    def init(self: Stored) -> None:
        small(self)
        floor = MASK.copy()
        floor[:, 380:] = floor[:, 379:380]
        for key, image in (("photo", PHOTO), ("floor", floor), ("wall", WALL)):
            self.kept[key] = cv2.resize(image, LARGE[::-1], interpolation=cv2.INTER_LINEAR)
        self.kept["working"] = resize(self.kept["photo"], *preview_size(*LARGE))

    monkeypatch.setattr(Stored, "__init__", init)
    made.working_key, made.height_px, made.width_px = "working", *LARGE
    for surface in (made.layers[0].surface, made.things[0].surface, made.surfaces[0].surface):
        scaled = (k @ np.array(surface.plane.homography).reshape(3, 3)).ravel()
        surface.plane.homography[:] = scaled.tolist()
    made.layers[0].material.finish = products_pb2.FINISH_POLISHED
    return made


@pytest.mark.parametrize("wanted", [output("JPEG"), output("PNG", "LAYER")], ids=str)
async def test_an_export_larger_than_the_working_photo(
    fresh: Callable, large: compositor_pb2.RenderSpec, wanted: compositor_pb2.Output
):
    make, _, _ = fresh(threads=1)
    made = await make(order_of("a", large, wanted))

    _, again, _ = fresh(threads=3)

    assert (made.height, made.width) == LARGE
    assert (await again("a", order_of("a", large, wanted).receipt)).data == made.data


async def test_an_export_shows_what_its_preview_showed(fresh: Callable, large: compositor_pb2.RenderSpec):
    make, _, _ = fresh()
    large.ClearField("things")

    whole, small = [
        np.asarray(Image.open(io.BytesIO((await make(order_of("a", large, wanted))).data)), np.float32)
        for wanted in (output("PNG"), PREVIEW)
    ]

    whole = cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    blurred = [cv2.GaussianBlur(i, (0, 0), 8) for i in (whole, small)]
    assert np.abs(blurred[0] - blurred[1]).max() < 6
    assert np.abs(blurred[0] - blurred[1]).mean() < 1


async def test_views_are_of_the_same_picture(fresh: Callable):
    make, _, _ = fresh()

    async def shown(view: str) -> np.ndarray:
        made = await make(order_of("a", spec(), output(view=view)))
        return np.asarray(Image.open(io.BytesIO(made.data))).astype(float)

    after, before, both, layer = [await shown(v) for v in ("AFTER", "BEFORE", "SIDE_BY_SIDE", "LAYER")]

    np.testing.assert_array_equal(before, PHOTO)
    np.testing.assert_array_equal(both, np.concatenate([before, after], 1))
    alpha = layer[..., 3:] / 255
    assert np.abs(np.round(before * (1 - alpha) + layer[..., :3] * alpha) - after).max() <= 1
    untouched = (MASK == 0) & (WALL == 0)
    assert (layer[untouched] == 0).all()
    np.testing.assert_array_equal(after[untouched], before[untouched])
    assert (layer[200:, 30:370, 3] == 255).all()


async def test_a_long_side_makes_the_picture_smaller_and_never_larger(fresh: Callable):
    make, _, _ = fresh()

    small = await make(order_of("a", spec(), output(long_side_px=200)))
    large = await make(order_of("a", spec(), output(long_side_px=9000)))

    assert (small.width, small.height) == (200, 149)
    assert (large.width, large.height) == (W, H)


def test_a_receipt_is_the_same_in_every_process_and_another_for_everything_else():
    script = (
        "from tests.unit.compositor.test_receipts import *;"
        "print(order_of('a', spec(), PREVIEW).receipt, order_of('a', spec(), output('AVIF', 'LAYER')).receipt)"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONHASHSEED": "7", "PYTHONPATH": "."}, capture_output=True, text=True
    )
    changed = spec()
    changed.layers[0].rotation_deg = 1e-9

    found = [
        order_of("a", spec(), PREVIEW).receipt,
        order_of("a", spec(), output("AVIF", "LAYER")).receipt,
        order_of("b", spec(), PREVIEW).receipt,
        order_of("a", changed, PREVIEW).receipt,
        order_of("a", spec(), output()).receipt,
    ]

    assert other.stdout.split() == found[:2], other.stderr
    assert len(set(found)) == len(found)


async def test_somebody_else_s_receipt_is_as_good_as_none(fresh: Callable):
    make, again, verify = fresh()
    order = order_of("a", spec(), PREVIEW)
    made = await make(order)

    for tenant, receipt in (("b", order.receipt), ("a", "0" * 64), ("a", "../../textures/t.png")):
        with pytest.raises(NotFound) as caught:
            await again(tenant, receipt)
        assert caught.value.reason == "RECEIPT_NOT_FOUND"
    found = await verify("b", made.data)
    assert (found.verdict, found.receipt, found.room) == (Verdict.UNKNOWN, "", "")


async def test_a_receipt_of_another_renderer_is_told(fresh: Callable):
    make, again, verify = fresh()
    order = order_of("a", spec(), output("JPEG"))
    made = await make(order)
    old = compositor_pb2.Recipe.FromString(order.recipe)
    old.renderer = "roomviz/0+000000000000"
    before = order_from_recipe(old.SerializeToString(deterministic=True))
    await make.recipes.keep(before)

    with pytest.raises(FailedPrecondition) as caught:
        await again("a", before.receipt)

    assert caught.value.reason == "RECEIPT_OF_OTHER_RENDERER"
    found = await verify("a", made.data.replace(order.receipt.encode(), before.receipt.encode()))
    assert (found.verdict, found.receipt, found.room) == (Verdict.UNPROVABLE, before.receipt, "rooms/r")


async def test_nothing_is_made_up_where_no_service_is_set_up(fresh: Callable):
    make, _, _ = fresh()
    generation = compositor_pb2.Generation(prompt="red", operation="o")
    with pytest.raises(FailedPrecondition) as caught:
        await make(order_of("a", spec(), output("JPEG"), generation))
    assert caught.value.reason == "GENERATION_OFF"


def resaved(data: bytes, change: Callable[[Image.Image], Image.Image], format: str, **options: object) -> bytes:
    """Opened, changed and written by another program, which keeps the metadata."""
    image = Image.open(io.BytesIO(data))
    packet, out = image.info["xmp"], io.BytesIO()
    if format == "PNG":
        png = encode_png(np.asarray(change(image).convert("RGB")))
        return png[:33] + xmp.png_chunk(packet) + png[33:]
    change(image).save(out, format, xmp=packet, **options)
    return out.getvalue()


def dot(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).copy()
    pixels[200, 111] ^= 1
    return Image.fromarray(pixels)


@pytest.mark.parametrize("wanted", [PREVIEW, output("JPEG"), output(), output("WEBP"), output("AVIF")], ids=str)
async def test_verdicts(fresh: Callable, wanted: compositor_pb2.Output):
    make, _, verify = fresh()
    order = order_of("a", spec(), wanted)
    data = (await make(order)).data

    async def told(picture: bytes) -> tuple[Verdict, tuple[int, int, int, int] | None]:
        found = await verify("a", picture)
        assert found.receipt == ("" if found.verdict is Verdict.UNKNOWN else order.receipt)
        return found.verdict, found.altered

    assert await told(data) == (Verdict.UNTOUCHED, None)
    assert await told(data + b"\0") == (Verdict.REWRITTEN, None)
    assert await told(resaved(data, lambda i: i, "PNG")) == (Verdict.REWRITTEN, None)
    assert await told(resaved(data, dot, "PNG")) == (Verdict.ALTERED, (111, 200, 1, 1))
    assert (await told(resaved(data, lambda i: i, "JPEG", quality=60)))[0] is Verdict.ALTERED
    assert await told(resaved(data, lambda i: i.crop((0, 0, 300, 300)), "PNG")) == (Verdict.ALTERED, None)
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    jpeg = resaved(data, lambda i: i, "JPEG", quality=95, exif=turned.tobytes())
    assert (await told(jpeg))[0] is Verdict.ALTERED
    assert await told(data[: len(data) // 2]) in ((Verdict.ALTERED, None), (Verdict.UNKNOWN, None))
    assert await told(xmp.packet(xmp.mark_in(data) or pytest.fail("no mark"))) == (Verdict.ALTERED, None)
    assert await told(encode_jpeg(PHOTO)) == (Verdict.UNKNOWN, None)
    assert await told(b"no picture at all") == (Verdict.UNKNOWN, None)


async def test_a_profile_that_shows_other_colours_is_not_overlooked(fresh: Callable):
    from PIL import ImageCms

    make, _, verify = fresh()
    data = (await make(order_of("a", spec(), output("WEBP")))).data
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()

    found = await verify("a", resaved(data, lambda i: i, "WEBP", lossless=True, icc_profile=profile))

    assert found.verdict is Verdict.ALTERED
    same = await verify("a", resaved(data, lambda i: i, "WEBP", lossless=True))
    assert same.verdict is Verdict.REWRITTEN


async def test_a_picture_that_takes_too_long_to_compare_is_not_called_altered(
    fresh: Callable, monkeypatch: pytest.MonkeyPatch
):
    async def never(self: Here, ours: bytes, theirs: bytes) -> None:
        return None

    make, _, verify = fresh()
    data = (await make(order_of("a", spec(), output("JPEG")))).data
    monkeypatch.setattr(Here, "compare", never)

    assert (await verify("a", resaved(data, lambda i: i, "WEBP", lossless=True))).verdict is Verdict.UNPROVABLE


async def test_a_picture_whose_parts_are_gone_cannot_be_proved(fresh: Callable):
    class Gone(Stored):
        async def rgb(self, key: str) -> np.ndarray:
            raise NotFound("OBJECT_NOT_FOUND", "the stored picture is gone")

        grey = rgb

    make, _, verify = fresh()
    data = (await make(order_of("a", spec(), output("JPEG")))).data
    rerender = verify.rerender
    bare = Verify(
        Rerender(replace(rerender.make, renderer=replace(rerender.make.renderer, pictures=Gone())), rerender.recipes),
        verify.recipes,
        verify.judge,
    )

    assert (await bare("a", data)).verdict is Verdict.UNPROVABLE


async def test_no_picture_goes_out_whose_recipe_could_not_be_kept(fresh: Callable):
    class Full(Shelf):
        async def keep(self, order: Order) -> None:
            raise FailedPrecondition("SHELF_FULL", "no room")

    make, _, _ = fresh()

    with pytest.raises(FailedPrecondition) as caught:
        await replace(make, recipes=Full())(order_of("a", spec(), PREVIEW))

    assert caught.value.reason == "SHELF_FULL"


def test_the_verdicts_are_the_api_s():
    names = {n.removeprefix("RENDER_VERDICT_") for n in dict(visualizations_pb2.RenderVerdict.items())}

    assert names - {"UNSPECIFIED"} == {v.name for v in Verdict}


@pytest.mark.parametrize("gone", ["photo", "floor", "wall", "textures/t.png", "light"])
@pytest.mark.parametrize("wanted", [PREVIEW, output("JPEG")], ids=str)
async def test_what_is_gone_is_told_and_nothing_goes_on(
    fresh: Callable, monkeypatch: pytest.MonkeyPatch, gone: str, wanted: compositor_pb2.Output
):
    async def read(stored: Stored, key: str) -> np.ndarray:
        if key == gone:
            raise NotFound("OBJECT_NOT_FOUND", "the stored picture is gone")
        return stored.kept[key]

    for kind in ("rgb", "grey", "rgba"):
        monkeypatch.setattr(Stored, kind, read)
    lost: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    make, _, _ = fresh()

    with pytest.raises(NotFound):
        await make(order_of("a", spec(), wanted))

    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not lost


async def test_a_sheet_that_no_jpeg_can_hold_is_refused_before_it_is_made(fresh: Callable):
    make, _, _ = fresh()
    tall = spec()
    tall.width_px, tall.height_px = 576, 1024
    order = order_of("a", tall, output("JPEG", long_side_px=1024))

    with pytest.raises(InvalidArgument, match="too many to write as JPEG"):
        async for _ in Compare(make, sheet_order)([order] * 64, 1, 1024):
            pass


async def test_a_picture_laid_in_strips_tells_of_its_colors_as_one_laid_at_once(fresh: Callable):
    make, _, _ = fresh()
    at_once = (await make(order_of("a", spec(), PREVIEW))).report

    in_strips = (await make(order_of("a", spec(), output(view="SIDE_BY_SIDE")))).report

    assert at_once.colors
    assert [c.surface_id for c in in_strips.colors] == [c.surface_id for c in at_once.colors]
    for one, other in zip(in_strips.colors, at_once.colors, strict=True):
        assert abs(one.delta_e00 - other.delta_e00) < 1.5
        assert np.abs(np.subtract(tuple(one.shown_rgb.to_bytes(3)), tuple(other.shown_rgb.to_bytes(3)))).max() < 8
    assert (in_strips.scales, in_strips.placed) == (at_once.scales, at_once.placed)
    assert (await make(order_of("a", spec(), output(view="BEFORE")))).report == Report()
    assert (await make(order_of("a", spec(), PREVIEW), report=False)).report == Report()


async def test_colors_of_a_flat_surface_laid_in_strips_are_told_too(fresh: Callable):
    make, _, _ = fresh()
    asked = spec()
    asked.layers[1].mask_key = "stripe"

    told = {c.surface_id: c for c in (await make(order_of("a", asked, output(view="SIDE_BY_SIDE")))).report.colors}

    assert told["wall-1"].delta_e00 < 3
