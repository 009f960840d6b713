"""Quantities against the running services."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from roomviz.client import Client
from roomviz.imaging.homography import project
from roomviz.internal.compositor.v1 import compositor_pb2, compositor_pb2_grpc
from roomviz.v1 import layouts_pb2, quantities_pb2, rooms_pb2
from tests.conftest import Running
from tests.contract.test_api import Api, covers, refusal

RECTANGLE = [(0.0, 0.0), (4.2, 0.0), (4.2, 3.0), (0.0, 3.0)]
TILES = "TIL-CERAMIC-WHITE"


@pytest.fixture(scope="module")
def api(running: Running) -> Iterator[Api]:
    made = Api(running.address, running.key)
    yield made
    made.channel.close()


def grid(grout_m: float, offset: float = 0.0) -> layouts_pb2.Layout:
    pattern = layouts_pb2.PATTERN_RUNNING_BOND if offset else layouts_pb2.PATTERN_GRID
    return layouts_pb2.Layout(pattern=pattern, offset=offset, grout=layouts_pb2.Grout(width_m=grout_m))


@covers("roomviz.v1.QuantityService/EstimateQuantity")
def test_an_outline_of_known_size_takes_the_tiles_that_one_would_count(
    client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    material = client.product(TILES).material
    side, grout = material.piece_width_m, 0.003
    pitch = side + grout
    # Ten by six whole tiles, with half of the grout around.
    whole = [(x * pitch, y * pitch) for x, y in ((0, 0), (10, 0), (10, 6), (0, 6))]

    made = client.quantity(analyzed.room, "floor-1", TILES, outline=whole, layout=grid(grout))

    boxes = made.boxes
    assert (boxes.pieces, boxes.whole, boxes.cut) == (60, 60, 0)
    count = -(-60 // material.packaging.pieces_per_box)
    assert (boxes.boxes.low, boxes.boxes.value, boxes.boxes.high) == (count, count, count)
    assert made.area_m2.value == pytest.approx(60 * pitch * pitch)
    assert not made.warnings
    # Half a tile more: a row of halves, two of which come from a tile.
    wider = [(x + pitch / 2 * (x > 0), y) for x, y in whole]
    more = client.quantity(analyzed.room, "floor-1", TILES, outline=wider, layout=grid(grout)).boxes
    assert (more.whole, more.cut) == (60, 6)
    assert more.from_offcuts in (0, 3)  # the saw's cut may leave less than a half
    assert sum(c.count for c in more.cuts) == 6


@covers("roomviz.v1.QuantityService/EstimateQuantity")
def test_a_measured_length_counts_as_it_does_in_the_picture(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    floor = next(s for s in analyzed.surfaces if s.surface_id == "floor-1")
    x, y, w, h = floor.bbox_px
    line = [(x + 0.3 * w, y + 0.8 * h), (x + 0.7 * w, y + 0.8 * h)]
    plane = np.linalg.inv(np.array(floor.plane.homography).reshape(3, 3))
    stated = float(np.linalg.norm(np.subtract(*project(plane, client.lens(analyzed).straight(np.array(line))))))
    staging = client.staging(reference=client.reference("floor-1", line, 1.5 * stated))

    guessed = client.quantity(analyzed.room, "floor-1", TILES).area_m2
    measured = client.quantity(analyzed.room, "floor-1", TILES, staging=staging).area_m2

    assert measured.value == pytest.approx(1.5**2 * guessed.value, rel=0.02)
    assert measured.high / measured.low < 1.2 < guessed.high / guessed.low


@covers("roomviz.v1.QuantityService/EstimateQuantity")
def test_what_the_photo_shows_is_measured_with_the_interval_of_its_scale(
    client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    floor = next(s for s in analyzed.surfaces if s.surface_id == "floor-1")

    made = client.quantity(analyzed.room, "floor-1", "FLR-OAK-NATURAL")

    assert made.area_m2.low == pytest.approx(made.area_m2.value * floor.plane.scale_low**2)
    assert made.area_m2.high == pytest.approx(made.area_m2.value * floor.plane.scale_high**2)
    assert made.boxes.boxes.low < made.boxes.boxes.value < made.boxes.boxes.high
    # Somebody measured: no interval is left.
    measured = client.quantity(analyzed.room, "floor-1", "FLR-OAK-NATURAL", true_scale=1.1)
    assert measured.area_m2.low == measured.area_m2.high == pytest.approx(1.21 * made.area_m2.value)
    # The outline that came back covers the same when it is sent.
    assert 3 <= len(made.outlines[0].corners) < 200
    corners = [(c.x_m, c.y_m) for c in made.outlines[0].corners]
    holes = [[(c.x_m, c.y_m) for c in h.corners] for h in made.holes]
    if len(made.outlines) == 1:
        again = client.quantity(analyzed.room, "floor-1", "FLR-OAK-NATURAL", outline=corners, holes=holes)
        assert again.area_m2.value == pytest.approx(made.area_m2.value)
        assert again.boxes.pieces == made.boxes.pieces
    # The sample room was rendered by us: its floor is about as large as this.
    assert 0 < made.open_border < 1


@covers("roomviz.v1.QuantityService/EstimateQuantity")
def test_paint_comes_by_the_litre_wallpaper_by_the_roll_and_carpet_by_its_area(
    client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    paint = client.product("PNT-SKY").material.packaging

    once = client.quantity(analyzed.room, "wall-1", "PNT-SKY", outline=RECTANGLE, coats=1)
    twice = client.quantity(analyzed.room, "wall-1", "PNT-SKY", outline=RECTANGLE)
    window = [(1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 2.0)]
    less = client.quantity(analyzed.room, "wall-1", "PNT-SKY", outline=RECTANGLE, holes=[window])

    assert once.paint.litres.value == pytest.approx(12.6 / paint.coverage_m2_per_l)
    assert twice.paint.litres.value == pytest.approx(2 * once.paint.litres.value)
    assert twice.paint.cans.value == -(-twice.paint.litres.value // paint.can_l)
    assert less.area_m2.value == pytest.approx(11.6)

    paper = client.products("wall.wallpaper")[0]
    rolls = client.quantity(analyzed.room, "wall-1", paper.sku, outline=RECTANGLE).rolls
    strips = -(-4.2 // paper.material.piece_width_m)
    per_roll = paper.material.packaging.roll_length_m // 3.1
    assert rolls.drops == strips
    assert strips / per_roll <= rolls.rolls.value <= strips
    carpet = client.quantity(analyzed.room, "floor-1", "CRP-LOOP-GREY", outline=RECTANGLE)
    assert carpet.WhichOneof("quantity") is None
    assert carpet.area_m2.value == pytest.approx(12.6)


@covers("roomviz.v1.QuantityService/EstimateQuantity")
def test_an_installer_is_warned_by_the_rule(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    def rules(sku: str, layout: layouts_pb2.Layout) -> list[str]:
        made = client.quantity(analyzed.room, "floor-1", sku, outline=RECTANGLE, layout=layout)
        assert all(w.message and w.measured >= 0 and w.limit > 0 for w in made.warnings)
        return [w.rule for w in made.warnings]

    large = next(
        p
        for p in client.products("flooring.tile")
        if p.material.piece_length_m > 0.39 and p.material.HasField("layout")
    )

    assert rules(large.sku, grid(0.001)) == ["ANSI_A108_02_GROUT_MIN"]
    assert "ANSI_A108_02_BOND_OFFSET_MAX" in rules(large.sku, grid(0.006, offset=0.5))
    assert rules(large.sku, grid(0.006, offset=1 / 3)) == []
    assert rules("FLR-OAK-NATURAL", layouts_pb2.Layout(pattern=layouts_pb2.PATTERN_PLANK)) == []  # no tile


@covers("roomviz.v1.QuantityService/EstimateQuantity")
def test_quantities_that_make_no_sense_are_refused(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    def polygon(*points: tuple[float, float]) -> quantities_pb2.PlanePolygon:
        return quantities_pb2.PlanePolygon(corners=[layouts_pb2.PlanePoint(x_m=x, y_m=y) for x, y in points])

    def ask(**changed: Any) -> str:
        fields = {"room": analyzed.room, "surface_id": "floor-1", "product": f"products/{TILES}"}
        request = quantities_pb2.EstimateQuantityRequest(**(fields | changed))
        return refusal(lambda: api.quantities.EstimateQuantity(request)).reason

    huge = polygon((0, 0), (900, 0), (900, 900), (0, 900))
    crossed = polygon((0, 0), (1, 1), (1, 0), (0, 1))
    small = polygon((0, 0), (1, 0), (1, 1))
    flat = next(s for s in analyzed.surfaces if not s.HasField("plane"))
    border = layouts_pb2.Border(width_m=2.0, piece_length_m=2.0, outline=huge.corners)
    assert ask(room="rooms/none") == "ROOM_NOT_FOUND"
    assert ask(surface_id="pool-1") == "SURFACE_NOT_FOUND"
    assert ask(surface_id=flat.surface_id) == "SURFACE_WITHOUT_PLANE"
    assert ask(product="products/NO-SUCH-SKU") == "PRODUCT_NOT_FOUND"
    assert ask(outline=huge) == "QUANTITY_TOO_LARGE"
    assert ask(outline=crossed) == "OUTLINE_INVALID"
    assert ask(outline=polygon((0, 0), (1, 0))) == "OUTLINE_INVALID"
    assert ask(outline=polygon((0, 0), (float("nan"), 0), (1, 1))) == "OUTLINE_INVALID"
    assert ask(outline=small, holes=[small]) == "OUTLINE_INVALID"
    assert ask(coats=99) == "COATS_INVALID"
    assert ask(true_scale=-1) == "SCALE_INVALID"
    assert ask(true_scale=float("nan")) == "SCALE_INVALID"
    assert ask(rotation_deg=float("inf")) == "ROTATION_INVALID"
    assert ask(outline=small, layout=layouts_pb2.Layout(border=border)) == "LAYOUT_INVALID"
    paper = client.products("wall.wallpaper")[0].sku
    tower = polygon((0, 0), (1, 0), (1, 30), (0, 30))
    assert ask(outline=tower, product=f"products/{paper}") == "ROLL_TOO_SHORT"


@covers("roomviz.internal.compositor.v1.CompositorService/EstimateQuantity")
def test_a_product_that_does_not_tell_how_it_is_sold_has_no_quantity(running: Running):
    with grpc.insecure_channel(f"127.0.0.1:{running.settings.compositor_port}") as channel:
        stub = compositor_pb2_grpc.CompositorServiceStub(channel)
        request = compositor_pb2.EstimateQuantityRequest()  # paint, of which nothing is known

        failure = refusal(lambda: stub.EstimateQuantity(request, timeout=5, metadata=[("x-roomviz-tenant", "demo")]))

    assert failure.reason == "PRODUCT_WITHOUT_PACKAGING"
