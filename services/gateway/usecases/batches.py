"""Batches: many products on one room. The compositor keeps what came of each; here they are asked for and shown."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC

from roomviz.errors import InvalidArgument, NotFound, RoomvizError
from roomviz.imaging.codec import preview_size
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime import paging
from roomviz.runtime.context import current
from roomviz.runtime.rpc import invoke, to_status
from roomviz.v1 import layouts_pb2, products_pb2, visualizations_pb2
from services.gateway.domain.records import Operation, OperationState, Room, Visualization
from services.gateway.ports import Calls, Objects, Operations
from services.gateway.usecases.caller import caller
from services.gateway.usecases.coverings import covering
from services.gateway.usecases.layouts import border_of, layout_of, runs_along_walls
from services.gateway.usecases.names import check_request_id, new_id, parse
from services.gateway.usecases.products import finder_among
from services.gateway.usecases.rooms import RoomCases, envelope
from services.gateway.usecases.things import PLACEMENTS_MAX, check_placement, things_of
from services.gateway.usecases.visualizations import VisualizationCases, add_border, add_surfaces, check_layers

PRODUCTS_MAX = 10_000
SIDE_MIN, SIDE_MAX = 128, 8192
_ITEM = re.compile(r"([0-9a-f]{30})-(0|[1-9][0-9]{0,4})")


def item_name(operation_id: str, index: int) -> str:
    """The name of the visualization of an item."""
    return f"visualizations/{operation_id}-{index}"


@dataclass(frozen=True)
class BatchItems:
    """What came of the items of batches, as the compositor knows it."""

    rooms: RoomCases
    operations: Operations
    calls: Calls

    async def page(self, name: str, size: int, token: str) -> tuple[list[visualizations_pb2.BatchItem], str]:
        question = (current().tenant, "batch-items", name)
        begin, limit = paging.offset(token, *question), paging.page_size(size)
        operation = await self._batch(name)
        if not await self.rooms.visible(operation.subject):
            raise NotFound("OPERATION_NOT_FOUND", f"there is no batch {name}: its room was deleted")
        kept = await self._kept(operation.operation_id, begin, limit + 1)
        items = [_shown(operation, item) for item in kept.items]
        if not kept.room:  # the job did not begin yet
            asked = visualizations_pb2.BatchVisualizationsRequest.FromString(
                await self.operations.request(operation.tenant, operation.operation_id)
            )
            waiting = asked.products[begin : begin + limit + 1]
            items = [_shown(operation, compositor_pb2.BatchItemResult(product=p)) for p in waiting]
        more = paging.token(str(begin + limit), *question) if len(items) > limit else ""
        return items[:limit], more

    async def visualization(self, visualization_id: str) -> Visualization | None:
        """The visualization of an item; None where there is none by that id."""
        of = _ITEM.fullmatch(visualization_id)
        if of is None:
            return None
        batch = await self.operations.get(current().tenant, of[1])
        if batch is None:
            return None
        kept = await self._kept(batch.operation_id, int(of[2]), 1)
        if not kept.items or kept.items[0].WhichOneof("outcome") != "export":
            return None
        item, made = kept.items[0], kept.items[0].export
        shown = visualizations_pb2.Visualization(
            name=f"visualizations/{visualization_id}",
            room=kept.room,
            width_px=made.width_px,
            height_px=made.height_px,
            format=made.format,
            size_bytes=made.size_bytes,
            content_digest=made.content_digest,
            view=visualizations_pb2.VIEW_AFTER,
            receipt=made.receipt,
            create_time=item.end_time,
            colors=made.colors,
            placed=made.placed,
            scales=made.scales,
            staging=kept.staging if kept.staging.ByteSize() else None,
        )
        if kept.HasField("placement"):
            shown.staging.placements.append(kept.placement)
            shown.staging.placements[-1].product = item.product
        else:
            shown.applications.append(kept.application)
            shown.applications[-1].product = item.product
        return Visualization(
            visualization_id,
            batch.tenant,
            batch.owner,
            shown.SerializeToString(),
            made.image_key,
            kept.room,
            item.end_time.ToDatetime(UTC),
        )

    async def _batch(self, name: str) -> Operation:
        (operation_id,) = parse(name, "operations")
        found = await self.operations.get(current().tenant, operation_id)
        if found is None or found.verb != "batch" or found.delete_time or not caller().may_see(found.owner):
            raise NotFound("OPERATION_NOT_FOUND", f"there is no batch {name}")
        return found

    async def _kept(self, operation_id: str, offset: int, limit: int) -> compositor_pb2.ListItemsResponse:
        request = compositor_pb2.ListItemsRequest(operation=operation_id, offset=offset, limit=limit)
        answer: compositor_pb2.ListItemsResponse = await invoke(self.calls.compositor.ListItems, request)
        return answer


def _shown(operation: Operation, item: compositor_pb2.BatchItemResult) -> visualizations_pb2.BatchItem:
    out = visualizations_pb2.BatchItem(product=item.product, state=visualizations_pb2.BATCH_ITEM_STATE_PENDING)
    outcome = item.WhichOneof("outcome")
    if outcome == "export":
        out.state = visualizations_pb2.BATCH_ITEM_STATE_SUCCEEDED
        out.visualization = item_name(operation.operation_id, item.index)
    elif outcome == "error":
        out.state = visualizations_pb2.BATCH_ITEM_STATE_FAILED
        out.error.CopyFrom(item.error)
    elif operation.state is not OperationState.RUNNING:
        out.state = visualizations_pb2.BATCH_ITEM_STATE_CANCELLED
    return out


@dataclass(frozen=True)
class BatchCases:
    rooms: RoomCases
    visualizations: VisualizationCases
    operations: Operations
    objects: Objects
    calls: Calls
    job_limit_s: float
    item_limit_s: float

    async def start(self, request: visualizations_pb2.BatchVisualizationsRequest) -> Operation:
        """Check what is asked, resolve its products, and queue it."""
        _check(request)
        room = await self.rooms.get(request.room)
        found = await self.rooms.analysis(room)

        things = [p.product for p in request.staging.placements]
        laid = request.application.layout if request.application.HasField("layout") else None
        edge = request.application.layout.border.product
        find = await finder_among(self.calls, [*request.products, *things, edge])

        async def find_things(name: str) -> products_pb2.Product:
            return await find(name) if name else products_pb2.Product(material=products_pb2.Material())

        # Where to: the products, and how each of them is laid, come with the items.
        target = visualizations_pb2.Application()
        target.CopyFrom(request.application)
        target.ClearField("layout")
        placed = request.HasField("placement")
        laid_on = [] if placed else [target]
        spec = await self.visualizations.spec(room, found, laid_on, request.staging, find_things, shared=True)
        if placed and not spec.surfaces:
            add_surfaces(spec, found)
        whole = layouts_pb2.Layout()
        whole.CopyFrom(request.application.layout)
        border = await border_of(whole, find)
        if border is not None:
            for field in list(spec.layers):
                add_border(spec, field, border)
            check_layers(spec)
        output = compositor_pb2.Output(
            format=request.format or visualizations_pb2.IMAGE_FORMAT_JPEG,
            view=visualizations_pb2.VIEW_AFTER,
            long_side_px=request.long_side_px or max(preview_size(room.height, room.width)),
        )
        plan = compositor_pb2.BatchPlan(
            spec=spec,
            application=request.application,
            output=output,
            staging=request.staging,
            placement=request.placement if placed else None,
        )
        for name in request.products:
            item = plan.items.add(product=name)
            try:
                if placed:
                    new = visualizations_pb2.Placement()
                    new.CopyFrom(request.placement)
                    new.product = name
                    item.thing.CopyFrom((await things_of([new], found, find))[0])
                    continue
                asked = visualizations_pb2.Application(product=name, finish=request.application.finish)
                product = await covering(asked, find)
                layout = layout_of(laid, product)
                await border_of(layout, find)
                if layout is not None:
                    item.layout.CopyFrom(layout)
                item.material.CopyFrom(product.material)
            except RoomvizError as error:
                item.error.CopyFrom(to_status(error))
        if not plan.spec.surfaces and any(runs_along_walls(item.layout) for item in plan.items):
            add_surfaces(plan.spec, found)
        body = plan.SerializeToString(deterministic=True)
        # By content: the same request again, which gives the same operation, leaves nothing behind.
        plan_key = f"batches/{room.room_id}/{hashlib.sha256(body).hexdigest()}.pb"
        await self.objects.put(plan_key, body, "application/x-protobuf")
        operation_id = new_id()
        carried, deadline = envelope(operation_id, self.job_limit_s + len(plan.items) * self.item_limit_s)
        return await self.operations.start(
            operation_id,
            current().tenant,
            caller().subject,
            "batch",
            room.name,
            request.request_id,
            request,
            "jobs.compositor.batch",
            jobs_pb2.BatchJob(envelope=carried, plan_key=plan_key),
            deadline,
            len(plan.items) * _megapixels(room, output.long_side_px),
        )


def _megapixels(room: Room, long_side_px: int) -> float:
    """Of one picture of a batch."""
    scale = long_side_px / max(room.width, room.height)
    return room.width * room.height * scale * scale / 1e6


def _check(request: visualizations_pb2.BatchVisualizationsRequest) -> None:
    check_request_id(request.request_id)
    if request.format not in visualizations_pb2.ImageFormat.values():
        raise InvalidArgument("IMAGE_FORMAT_UNSUPPORTED", "format is JPEG, PNG, WebP or AVIF")
    if not 1 <= len(request.products) <= PRODUCTS_MAX:
        raise InvalidArgument("PRODUCTS_INVALID", f"a batch has 1 to {PRODUCTS_MAX} products")
    if len(set(request.products)) < len(request.products):
        raise InvalidArgument("PRODUCTS_INVALID", "a product stands in a batch once")
    if len(request.staging.placements) + request.HasField("placement") > PLACEMENTS_MAX:
        raise InvalidArgument("PLACEMENTS_INVALID", f"at most {PLACEMENTS_MAX} things go into a picture")
    if request.HasField("placement"):
        if request.HasField("application") or request.placement.product:
            raise InvalidArgument(
                "PLACEMENTS_INVALID",
                "a batch has an application or a placement; leave its product empty: products takes its place",
            )
        check_placement(request.placement, {})
    if request.application.product or request.application.HasField("color"):
        raise InvalidArgument(
            "APPLICATIONS_INVALID", "leave application.product and color empty: products takes their place"
        )
    if request.long_side_px and not SIDE_MIN <= request.long_side_px <= SIDE_MAX:
        raise InvalidArgument("BATCH_SIZE_INVALID", f"long_side_px is 0, or {SIDE_MIN} to {SIDE_MAX}")
