"""Things in a room, through the gateway: what a caller gets, and how it is refused."""

import math
from typing import Any

import numpy as np
import pytest

from roomviz.client import Client
from roomviz.errors import InvalidArgument, NotFound, RoomvizError
from roomviz.imaging.codec import decode_grey, decode_rgb, preview_size, resize
from roomviz.imaging.homography import project
from roomviz.v1 import products_pb2, rooms_pb2, visualizations_pb2
from tests.conftest import Running

RUG, PICTURE, CHAIR, LAMP = "RUG-MEDALLION-RED", "PIC-DUNES", "CHAIR-LOUNGE-GREEN", "LAMP-PENDANT-GREEN"


def staging(*placements: visualizations_pb2.Placement) -> visualizations_pb2.Staging:
    return visualizations_pb2.Staging(placements=placements)


def show(client: Client, room: str, *placements: visualizations_pb2.Placement, applications: Any = ()) -> Any:
    return client.preview_details(room, applications, staging(*placements))


def refused(client: Client, room: str, *placements: visualizations_pb2.Placement) -> RoomvizError:
    with pytest.raises(RoomvizError) as caught:
        show(client, room, *placements)
    return caught.value


def surface_of(analyzed: Any, surface_id: str) -> rooms_pb2.Surface:
    return next(s for s in analyzed.surfaces if s.surface_id == surface_id)


def test_the_range_has_things_of_each_kind_with_their_real_size(client: Client):
    things = [p for p in client.products() if p.HasField("cutout")]

    assert {p.cutout.mount for p in things} == set(products_pb2.Mount.values()) - {products_pb2.MOUNT_UNSPECIFIED}
    assert len(things) >= 10
    for p in things:
        assert not p.HasField("material")
        assert len(p.cutout.image_digest) == 64
        assert 0.1 < p.cutout.width_m < 4
    rug = client.product(RUG).cutout
    assert (round(rug.width_m, 2), round(rug.height_m, 2)) == (1.7, 2.4)
    assert {p.sku for p in client.products(query="rug")} >= {RUG}


def test_a_preview_has_the_things_in_it_tells_where_and_leaves_the_rest(client: Client, analyzed: Any):
    photo = decode_rgb(client.photo(analyzed.room))
    height, width = photo.shape[:2]
    asked = [
        client.place(RUG, at_px=(0.5 * width, 0.85 * height), rotation_deg=20),
        client.place(PICTURE),
        client.place(CHAIR, at_px=(0.3 * width, 0.8 * height), mirrored=True),
        client.place(LAMP),
    ]

    made = show(client, analyzed.room, *asked)

    picture, before = decode_rgb(made.image), resize(photo, *preview_size(height, width))
    assert picture.shape == before.shape
    kinds = [surface_of(analyzed, p.surface_id).kind for p in made.placed]
    assert kinds == [
        rooms_pb2.SURFACE_KIND_FLOOR,
        rooms_pb2.SURFACE_KIND_WALL,
        rooms_pb2.SURFACE_KIND_FLOOR,
        rooms_pb2.SURFACE_KIND_CEILING,
    ]
    scale = picture.shape[1] / width
    changed = np.abs(picture.astype(int) - before).max(2) > 24
    for placed in made.placed:
        corners = scale * np.array([(c.x, c.y) for c in placed.corners])
        x0, y0 = np.clip(corners.min(0), 0, None).astype(int)
        x1, y1 = corners.max(0).astype(int)
        assert changed[y0:y1, x0:x1].mean() > 0.05
    whole = np.concatenate([[(scale * c.x, scale * c.y) for c in p.corners] for p in made.placed])
    assert not changed[: max(0, int(whole[:, 1].min()) - 8)].any()


def test_a_rug_has_its_corners_where_the_floor_says_and_moves_in_metres(client: Client, analyzed: Any):
    rug = client.product(RUG).cutout
    first = show(client, analyzed.room, client.place(RUG)).placed[0]
    plane = surface_of(analyzed, first.surface_id).plane
    at = (first.at_m.x_m + 0.25, first.at_m.y_m - 0.1)

    moved = show(client, analyzed.room, client.place(RUG, at_m=at, rotation_deg=90, scale=0.5)).placed[0]

    half_w, half_h = rug.width_m / 4, rug.height_m / 4
    # A quarter turn: what was up is right.
    corners = [(half_h, -half_w), (half_h, half_w), (-half_h, half_w), (-half_h, -half_w)]
    expected = project(np.array(plane.homography).reshape(3, 3), np.array(corners) + at)
    lens = client.lens(analyzed)
    np.testing.assert_allclose([(c.x, c.y) for c in moved.corners], lens.bent(expected), atol=0.01)
    assert (moved.at_m.x_m, moved.at_m.y_m) == pytest.approx(at)


def test_a_thing_stands_on_a_new_floor(client: Client, analyzed: Any):
    floor = [client.apply("TIL-TERRAZZO-LIGHT", kind="floor")]
    plain = decode_rgb(client.preview(analyzed.room, floor))

    made = show(client, analyzed.room, client.place(CHAIR), applications=floor)

    staged = decode_rgb(made.image)
    differs = np.abs(staged.astype(int) - plain).max(2) > 24
    assert 0.003 < differs.mean() < 0.3


def test_an_export_keeps_what_was_placed_and_is_exact_elsewhere(client: Client, analyzed: Any):
    photo = decode_rgb(client.photo(analyzed.room))
    wall = next(s for s in analyzed.surfaces if s.kind == rooms_pb2.SURFACE_KIND_WALL)

    made = client.export(
        analyzed.room, format="png", staging=staging(client.place(PICTURE, surface_id=wall.surface_id))
    )

    picture = decode_rgb(client.picture(made.name))
    changed = (picture != photo).any(2)
    assert changed.any()
    assert not changed[decode_grey(client.mask(wall.name)) == 0].any()
    assert [p.product for p in made.staging.placements] == [f"products/{PICTURE}"]


def test_a_receipt_gives_a_picture_with_things_again_to_the_byte(client: Client, analyzed: Any):
    made = show(client, analyzed.room, client.place(RUG), client.place(CHAIR, mirrored=True), client.place(LAMP))

    assert client.rerender(made.receipt) == made.image


def test_what_cannot_be_placed_is_refused(client: Client, analyzed: Any):
    room = analyzed.room
    nan = client.place(RUG, at_m=(math.nan, 0.0))

    assert refused(client, room, client.place("FLR-WALNUT")).reason == "PRODUCT_NOT_PLACEABLE"
    assert refused(client, room, client.place("NO-SUCH-THING")).reason == "PRODUCT_NOT_FOUND"
    assert refused(client, room, client.place(RUG, surface_id="floor-9")).reason == "SURFACE_NOT_FOUND"
    assert refused(client, room, client.place(RUG, at_px=(5.0, 5.0))).reason == "PLACEMENT_OFF_PLANE"
    assert refused(client, room, client.place(RUG, at_m=(90.0, 0.0))).reason == "PLACEMENT_OUT_OF_VIEW"
    for wrong in (
        nan,
        client.place(RUG, scale=11.0),
        client.place(RUG, scale=-1.0),
        client.place(RUG, rotation_deg=math.inf),
        client.place(CHAIR, rotation_deg=30.0),
        client.place(RUG, surface_id="wall-1"),
    ):
        error = refused(client, room, client.place(PICTURE), wrong)
        assert isinstance(error, InvalidArgument)
        assert error.reason == "PLACEMENT_INVALID"
        assert error.metadata["placement"] == "1"
    assert refused(client, room, *[client.place(RUG)] * 33).reason == "PLACEMENTS_INVALID"


def test_a_thing_is_no_material_and_a_picture_needs_something_in_it(client: Client, analyzed: Any):
    with pytest.raises(InvalidArgument) as caught:
        client.preview(analyzed.room, [client.apply(RUG, kind="floor")])
    assert caught.value.reason == "PRODUCT_NOT_A_MATERIAL"

    with pytest.raises(InvalidArgument) as caught:
        client.preview(analyzed.room, [], visualizations_pb2.Staging())
    assert caught.value.reason == "APPLICATIONS_INVALID"


def test_a_room_that_is_not_ours_takes_no_things(client: Client):
    assert isinstance(refused(client, "rooms/nobodys", client.place(RUG)), NotFound)


def test_the_command_places_things(running: Running, photo: bytes, tmp_path: Any):
    (tmp_path / "room.jpg").write_bytes(photo)

    made = running.roomviz(
        "render", tmp_path / "room.jpg", "--place", f"{RUG}@700,900,15", "--place", PICTURE,
        "--preview", "--out", tmp_path / "after.jpg", "--json",
    )  # fmt: skip
    wrong = running.roomviz(
        "render", tmp_path / "room.jpg", "--place", f"{RUG}@7", "--out", tmp_path / "a.jpg", "--json"
    )

    assert made.returncode == 0, made.stderr
    assert '"placed": [{"surface_id": "floor-1"' in made.stdout
    assert (tmp_path / "after.jpg").stat().st_size > 10_000
    assert wrong.returncode != 0
    assert "PLACEMENT_INVALID" in wrong.stdout + wrong.stderr
