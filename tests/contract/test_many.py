"""Comparisons and batches against the running services."""

import io
import time
import uuid
from collections.abc import Iterator

import cv2
import grpc
import numpy as np
import pytest
from google.longrunning import operations_pb2 as longrunning
from PIL import Image

from roomviz.client import Client
from roomviz.errors import InvalidArgument, NotFound
from roomviz.imaging.codec import decode_rgb
from roomviz.internal.compositor.v1 import compositor_pb2, compositor_pb2_grpc
from roomviz.runtime.rpc import from_status, to_status
from roomviz.v1 import operations_pb2, products_pb2, rooms_pb2, visualizations_pb2
from tests.conftest import Running
from tests.contract.test_api import Api, covers, refusal, wait

SKUS = ("FLR-OAK-NATURAL", "FLR-WALNUT", "FLR-ASH", "TIL-CHECKER", "CRP-LOOP-GREY")
SUCCEEDED = visualizations_pb2.BATCH_ITEM_STATE_SUCCEEDED
FAILED = visualizations_pb2.BATCH_ITEM_STATE_FAILED
CANCELLED = visualizations_pb2.BATCH_ITEM_STATE_CANCELLED


@pytest.fixture(scope="module")
def api(running: Running) -> Iterator[Api]:
    made = Api(running.address, running.key)
    yield made
    made.channel.close()


# --- products ---------------------------------------------------------------------------------------


@covers("roomviz.v1.ProductService/BatchGetProducts")
def test_many_products_come_at_once_and_those_that_do_not_exist_are_told(api: Api):
    names = ["products/FLR-WALNUT", "products/NO-SUCH-SKU", "products/FLR-ASH"]

    answer = api.products.BatchGetProducts(products_pb2.BatchGetProductsRequest(names=names))

    assert [p.name for p in answer.products] == ["products/FLR-WALNUT", "products/FLR-ASH"]
    assert list(answer.missing) == ["products/NO-SUCH-SKU"]
    alone = api.products.GetProduct(products_pb2.GetProductRequest(name="products/FLR-ASH")).product
    assert answer.products[1] == alone
    for bad in ([], ["products/x"] * 1001):
        request = products_pb2.BatchGetProductsRequest(names=bad)
        assert refusal(lambda request=request: api.products.BatchGetProducts(request)).reason == "NAMES_INVALID"
    malformed = products_pb2.BatchGetProductsRequest(names=["FLR-ASH"])
    assert refusal(lambda: api.products.BatchGetProducts(malformed)).reason == "NAME_INVALID"


# --- comparisons ------------------------------------------------------------------------------------


@covers("roomviz.v1.VisualizationService/CompareVisualizations")
def test_a_comparison_streams_each_tile_and_then_the_sheet(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    variants = [[client.apply(sku, kind="floor")] for sku in SKUS]

    parts = list(client.compare(analyzed.room, variants, columns=2, tile_px=320))

    *tiles, last = parts
    assert last.HasField("sheet")
    assert sorted(p.tile.index for p in tiles) == list(range(5))
    sheet = decode_rgb(last.sheet.image)
    assert sheet.shape == (last.sheet.height_px, last.sheet.width_px, 3)
    gap = last.sheet.width_px - 2 * tiles[0].tile.width_px
    for part in tiles:
        t = part.tile
        assert (t.row, t.column) == divmod(t.index, 2)
        assert max(t.width_px, t.height_px) == 320
        tile = decode_rgb(t.image)
        assert tile.shape == (t.height_px, t.width_px, 3)
        y, x = t.row * (t.height_px + gap), t.column * (t.width_px + gap)
        there = sheet[y : y + t.height_px, x : x + t.width_px]
        assert np.abs(there.astype(int) - tile).mean() < 3  # both are JPEGs of it
    # The sixth place of the grid has no tile.
    assert (sheet[-20:, -20:] > 250).all()
    # A tile is the preview made small.
    preview = decode_rgb(client.preview(analyzed.room, variants[1]))
    second = next(p.tile for p in tiles if p.tile.index == 1)
    small = cv2.resize(preview, (second.width_px, second.height_px), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - decode_rgb(second.image)).mean() < 4
    # And it can be made again.
    assert client.rerender(second.receipt) == second.image
    # The sheet is as good as its tiles: made again byte for byte, and what is done to it is seen.
    assert client.rerender(last.sheet.receipt) == last.sheet.image
    found = client.verify(last.sheet.image)
    assert (found.verdict, found.receipt) == (visualizations_pb2.RENDER_VERDICT_UNTOUCHED, last.sheet.receipt)
    sheet[40:90, 40:120] = 0
    painted = io.BytesIO()
    xmp = Image.open(io.BytesIO(last.sheet.image)).info["xmp"]
    Image.fromarray(sheet).save(painted, "JPEG", quality=95, xmp=xmp)
    assert client.verify(painted.getvalue()).verdict == visualizations_pb2.RENDER_VERDICT_ALTERED


@covers("roomviz.v1.VisualizationService/CompareVisualizations")
def test_a_variant_that_fails_is_a_grey_tile_with_its_error_and_the_others_go_on(
    client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    flat = next(s for s in analyzed.surfaces if not s.HasField("plane"))
    variants = [
        [client.apply("NO-SUCH-SKU", kind="floor")],
        [client.apply("FLR-WALNUT", kind="floor")],
        [client.apply("FLR-WALNUT", surface_id="pool-1")],
        [client.apply("FLR-WALNUT", surface_id=flat.surface_id)],
        [],
    ]

    *tiles, last = client.compare(analyzed.room, variants, columns=5, tile_px=256)

    reasons = {p.tile.index: from_status(p.tile.error).reason for p in tiles if p.tile.HasField("error")}
    assert reasons == {
        0: "PRODUCT_NOT_FOUND",
        2: "SURFACE_NOT_FOUND",
        3: "SURFACE_WITHOUT_PLANE",
        4: "APPLICATIONS_INVALID",
    }
    sheet, step = decode_rgb(last.sheet.image), last.sheet.width_px / 5
    for index in range(5):
        middle = sheet[40:-40, round(index * step) + 30 : round((index + 1) * step) - 40].astype(int)
        assert (np.abs(middle - 128).max() <= 3) == (index != 1)


@covers("roomviz.v1.VisualizationService/CompareVisualizations")
def test_comparisons_that_make_no_sense_are_refused(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    def ask(count: int = 1, room: str = analyzed.room, **more: int) -> str:
        variants = [visualizations_pb2.Variant(applications=[client.apply("FLR-ASH", kind="floor")])] * count
        request = visualizations_pb2.CompareVisualizationsRequest(room=room, variants=variants, **more)
        return refusal(lambda: api.visualizations.CompareVisualizations(request)).reason

    assert ask(0) == "VARIANTS_INVALID"
    assert ask(65) == "VARIANTS_INVALID"
    assert ask(columns=-1) == "TILE_INVALID"
    assert ask(tile_px=100) == "TILE_INVALID"
    assert ask(tile_px=4000) == "TILE_INVALID"
    assert ask(64, tile_px=2048) == "COMPARISON_TOO_LARGE"
    assert ask(room="rooms/none") == "ROOM_NOT_FOUND"


@covers("roomviz.internal.compositor.v1.CompositorService/Compare")
def test_the_compositor_compares_what_has_errors_only(running: Running):
    with grpc.insecure_channel(f"127.0.0.1:{running.settings.compositor_port}") as channel:
        stub = compositor_pb2_grpc.CompositorServiceStub(channel)
        slot = compositor_pb2.CompareSlot(error=to_status(NotFound("PRODUCT_NOT_FOUND", "there is no such product")))
        request = compositor_pb2.CompareRequest(slots=[slot, slot], columns=0, tile_px=128)

        parts = [a.part for a in stub.Compare(request, timeout=10, metadata=[("x-roomviz-tenant", "demo")])]

        assert [p.WhichOneof("part") for p in parts] == ["tile", "tile", "sheet"]
        assert not parts[-1].sheet.receipt  # of nothing but grey
        assert parts[0].tile.error == slot.error
        empty = compositor_pb2.CompareRequest(tile_px=128)
        refused = refusal(lambda: stub.Compare(empty, timeout=10, metadata=[("x-roomviz-tenant", "demo")]))
        assert refused.reason == "VARIANTS_INVALID"


# --- batches ----------------------------------------------------------------------------------------


@covers("roomviz.v1.VisualizationService/BatchVisualizations", "roomviz.v1.VisualizationService/ListBatchItems")
def test_a_batch_gives_each_product_a_visualization_or_an_error(
    api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    skus = [*SKUS[:2], "NO-SUCH-SKU", *SKUS[2:]]
    request = visualizations_pb2.BatchVisualizationsRequest(
        room=analyzed.room,
        application=client.target(kind="floor"),
        products=[f"products/{s}" for s in skus],
        long_side_px=640,
        request_id=str(uuid.uuid4()),
    )

    operation = api.visualizations.BatchVisualizations(request)
    done = wait(api, operation)

    answer, metadata = visualizations_pb2.BatchVisualizationsResponse(), operations_pb2.JobMetadata()
    assert done.response.Unpack(answer)
    done.metadata.Unpack(metadata)
    assert (answer.batch, answer.succeeded, answer.failed) == (operation.name, 5, 1)
    assert (metadata.subject, metadata.progress_percent) == (analyzed.room, 100)
    # The same request again is the same batch.
    assert api.visualizations.BatchVisualizations(request).name == operation.name

    items, token = [], ""
    while True:
        ask = visualizations_pb2.ListBatchItemsRequest(parent=operation.name, page_size=4, page_token=token)
        page = api.visualizations.ListBatchItems(ask)
        assert len(page.items) <= 4
        items += page.items
        token = page.next_page_token
        if not token:
            break
    assert [i.product for i in items] == list(request.products)
    assert [i.state for i in items] == [SUCCEEDED, SUCCEEDED, FAILED, SUCCEEDED, SUCCEEDED, SUCCEEDED]
    assert from_status(items[2].error).reason == "PRODUCT_NOT_FOUND"
    pictures = set()
    for item in items:
        if item.state != SUCCEEDED:
            assert not item.visualization
            continue
        made = client.visualization(item.visualization)
        assert made.room == analyzed.room
        assert [a.product for a in made.applications] == [item.product]
        assert made.applications[0].kind == rooms_pb2.SURFACE_KIND_FLOOR
        assert made.create_time.seconds > 0
        data = client.picture(item.visualization)
        assert len(data) == made.size_bytes
        assert decode_rgb(data).shape == (made.height_px, made.width_px, 3)
        assert max(made.height_px, made.width_px) == 640
        pictures.add(made.content_digest)
        # It has a receipt like any other picture.
        assert client.rerender(made.receipt) == data
    assert len(pictures) == 5


@covers("roomviz.v1.VisualizationService/BatchVisualizations")
def test_a_batch_of_things_places_each_by_itself(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    shared = client.staging(placements=[client.place("RUG-JUTE-ROUND")])
    skus = ["CHAIR-LOUNGE-GREEN", "FLR-OAK-NATURAL", "PIC-DUNES", "LAMP-PENDANT-GREEN"]

    batch = client.start_batch(analyzed.room, client.place("", scale=0.8), skus, long_side_px=640, staging=shared)

    answer = client.finish_batch(batch)
    assert (answer.succeeded, answer.failed) == (len(skus) - 1, 1)
    items = list(client.batch_items(batch))
    assert from_status(items[1].error).reason == "PRODUCT_NOT_PLACEABLE"
    for item, sku in zip(items, skus, strict=True):
        if item.state != SUCCEEDED:
            continue
        made = client.visualization(item.visualization)
        assert not made.applications
        assert [p.product for p in made.staging.placements] == ["products/RUG-JUTE-ROUND", f"products/{sku}"]
        assert made.staging.placements[1].scale == pytest.approx(0.8)
        assert len(made.placed) == 2
        assert {s.surface_id for s in made.scales} == {p.surface_id for p in made.placed}
        # As a picture of its own has it, where the thing is.
        alone, without = (
            cv2.resize(decode_rgb(client.preview(analyzed.room, [], s)), (made.width_px, made.height_px)).astype(int)
            for s in (made.staging, shared)
        )
        there = np.abs(alone - without).max(2) > 40
        assert there.sum() > 50, sku
        off = np.abs(alone - decode_rgb(client.picture(item.visualization)))[there].mean()
        assert off < 0.3 * np.abs(alone - without)[there].mean(), sku


@covers("roomviz.v1.VisualizationService/BatchVisualizations")
def test_the_pictures_of_a_batch_share_things_and_light(client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    rug = visualizations_pb2.Staging(
        placements=[client.place("RUG-JUTE-ROUND")], relight=visualizations_pb2.RELIGHT_WARM
    )

    floor = client.target(kind="floor", finish="polished")
    batch = client.start_batch(analyzed.room, floor, SKUS[:2], long_side_px=640, staging=rug)

    assert client.finish_batch(batch).succeeded == 2
    for item, sku in zip(client.batch_items(batch), SKUS[:2], strict=True):
        made = client.visualization(item.visualization)
        assert made.staging == rug
        picture = decode_rgb(client.picture(item.visualization)).astype(int)

        def off(
            staging: visualizations_pb2.Staging | None,
            finish: str = "polished",
            sku: str = sku,
            picture: np.ndarray = picture,
        ) -> float:
            laid = client.apply(sku, kind="floor", finish=finish)
            preview = decode_rgb(client.preview(analyzed.room, [laid], staging))
            small = cv2.resize(preview, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
            return float(np.abs(small.astype(int) - picture).mean())

        assert off(rug) < 4 < off(None)
        assert off(rug) < off(rug, "matte")


@covers("roomviz.v1.VisualizationService/BatchVisualizations", "roomviz.v1.VisualizationService/GetVisualization")
def test_a_batch_of_nothing_but_errors_ends_and_has_no_visualizations(
    client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    operation = client.start_batch(analyzed.room, client.target(kind="floor"), ["NO-SUCH-SKU", "NEITHER-THIS"])

    answer = client.finish_batch(operation)

    assert (answer.succeeded, answer.failed) == (0, 2)
    for name in (f"{operation.replace('operations', 'visualizations')}-{n}" for n in (0, 7)):
        with pytest.raises(NotFound):
            client.visualization(name)


@covers("roomviz.v1.VisualizationService/BatchVisualizations", "roomviz.v1.VisualizationService/ListBatchItems")
def test_batches_that_make_no_sense_are_refused(api: Api, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    def ask(**changed: object) -> str:
        fields = {"room": analyzed.room, "application": client.target(kind="floor"), "products": ["products/FLR-ASH"]}
        request = visualizations_pb2.BatchVisualizationsRequest(**(fields | changed))
        return refusal(lambda: api.visualizations.BatchVisualizations(request)).reason

    assert ask(products=[]) == "PRODUCTS_INVALID"
    assert ask(products=["products/A", "products/A"]) == "PRODUCTS_INVALID"
    assert ask(products=[f"products/{n}" for n in range(10_001)]) == "PRODUCTS_INVALID"
    assert ask(application=client.apply("FLR-ASH", kind="floor")) == "APPLICATIONS_INVALID"
    assert ask(application=client.target(surface_id="pool-1")) == "SURFACE_NOT_FOUND"
    placed = client.place("")
    assert ask(placement=placed) == "PLACEMENTS_INVALID"  # beside an application
    assert ask(application=None, placement=client.place("PIC-DUNES")) == "PLACEMENTS_INVALID"
    assert ask(application=None, placement=client.place("", scale=99)) == "PLACEMENT_INVALID"
    full = client.staging(placements=[client.place("RUG-JUTE-ROUND")] * 32)
    assert ask(application=None, placement=placed, staging=full) == "PLACEMENTS_INVALID"
    assert ask(format=77) == "IMAGE_FORMAT_UNSUPPORTED"
    assert ask(long_side_px=9) == "BATCH_SIZE_INVALID"
    assert ask(long_side_px=-1) == "BATCH_SIZE_INVALID"
    assert ask(room="rooms/none") == "ROOM_NOT_FOUND"
    assert ask(request_id="x" * 99) == "REQUEST_ID_INVALID"
    no_batch = visualizations_pb2.ListBatchItemsRequest(parent="operations/none")
    assert refusal(lambda: api.visualizations.ListBatchItems(no_batch)).reason == "OPERATION_NOT_FOUND"


@covers("google.longrunning.Operations/CancelOperation", "roomviz.v1.VisualizationService/ListBatchItems")
def test_a_cancelled_batch_keeps_what_it_has_and_renders_no_more(
    api: Api, client: Client, running: Running, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    skus = [p.sku for p in client.products("flooring")]
    operation = client.start_batch(analyzed.room, client.target(kind="floor"), skus, "png")
    for _ in range(200):
        if any(i.state == SUCCEEDED for i in client.batch_items(operation)):
            break
        time.sleep(0.05)

    client.cancel(operation)

    again = api.operations.GetOperation(longrunning.GetOperationRequest(name=operation))
    assert again.done
    assert again.error.code == 1
    batch = operation.removeprefix("operations/")

    def state() -> str:
        return str(running.rows("SELECT state FROM compositor.batches WHERE operation = $1", batch)[0]["state"])

    running.stack.wait_for(lambda: state() == "CANCELLED", 20, "the compositor to hear of it")
    time.sleep(1.5)  # what was in hand is finished
    items = list(client.batch_items(operation))
    assert {i.state for i in items} == {SUCCEEDED, CANCELLED}
    assert len(client.picture(next(i.visualization for i in items if i.visualization))) > 0
    time.sleep(1)
    assert list(client.batch_items(operation)) == items


@covers("roomviz.internal.compositor.v1.CompositorService/ListItems")
def test_the_items_of_a_batch_belong_to_its_tenant(
    running: Running, client: Client, analyzed: rooms_pb2.AnalyzeRoomResponse
):
    operation = client.start_batch(analyzed.room, client.target(kind="floor"), ["FLR-ASH"], long_side_px=128)
    client.finish_batch(operation)
    with grpc.insecure_channel(f"127.0.0.1:{running.settings.compositor_port}") as channel:
        stub = compositor_pb2_grpc.CompositorServiceStub(channel)
        request = compositor_pb2.ListItemsRequest(operation=operation.removeprefix("operations/"), limit=5)

        def ask(tenant: str) -> compositor_pb2.ListItemsResponse:
            return stub.ListItems(request, timeout=5, metadata=[("x-roomviz-tenant", tenant)])

        assert [i.product for i in ask("demo").items] == ["products/FLR-ASH"]
        assert ask("other") == compositor_pb2.ListItemsResponse()
        request.limit = 0
        assert isinstance(refusal(lambda: ask("demo")), InvalidArgument)
