"""`jobs.compositor.batch`, the pullers of its items, and `events.operation.cancelled`."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC

from google.protobuf.message import Message

from roomviz.errors import RoomvizError
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.internal.jobs.v1 import jobs_pb2
from roomviz.runtime import context
from roomviz.runtime.bus import Bus
from roomviz.runtime.objects import Objects
from roomviz.runtime.rpc import to_status
from roomviz.runtime.worker import Progress, Store
from services.compositor.ports import BatchCount, Batches, Export, ItemRecord, NewItem, Taken
from services.compositor.transport.messages import export_to_proto, order_of
from services.compositor.usecases.batch import RenderItem, WorkOnBatches
from services.compositor.usecases.personal import PersonalCases


class BatchJob:
    """Keeps the items of a batch; its operation ends with its last item, not with this job."""

    def __init__(self, batches: Batches, objects: Objects):
        self._batches, self._objects = batches, objects

    async def __call__(self, job: jobs_pb2.BatchJob, attempt: int, progress: Progress) -> tuple[Message, Store]:
        e = job.envelope
        plan = compositor_pb2.BatchPlan.FromString(await self._objects.get(job.plan_key))
        items = [_new_item(n, item) for n, item in enumerate(plan.items)]
        plan.ClearField("items")
        store = self._batches.keep(
            e.operation,
            e.tenant,
            plan.SerializeToString(),
            e.SerializeToString(),
            e.deadline.ToDatetime(UTC),
            items,
        )
        return compositor_pb2.BatchAccepted(), store


class BatchPullers:
    """Work on items of batches, several at a time."""

    def __init__(
        self,
        batches: Batches,
        render: RenderItem,
        personal: PersonalCases,
        bus: Bus,
        lease_s: float,
        count: int,
    ):
        self._render, self._personal, self._bus, self._count = render, personal, bus, count
        self._work = WorkOnBatches(batches, self._rendered, result_of, self._tell, self._late, lease_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["BatchPullers"]:
        """Work until left; items in hand are finished first."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._work.until(stop)) for _ in range(self._count)]
        try:
            yield self
        finally:
            stop.set()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _rendered(self, taken: Taken) -> Export:
        context.enter(context.RequestContext(taken.operation, taken.tenant, math.inf, background=True))
        plan = compositor_pb2.BatchPlan.FromString(taken.plan)
        item = compositor_pb2.BatchPlanItem.FromString(taken.item)
        if item.HasField("thing"):
            plan.spec.things.append(item.thing)
        for layer in plan.spec.layers:
            if not layer.border_alone:
                layer.product = item.product
                layer.material.CopyFrom(item.material)
            if item.HasField("layout"):
                layer.layout.CopyFrom(item.layout)
        return await self._render(taken.operation, taken.index, order_of(taken.tenant, plan.spec, plan.output))

    async def _late(self, taken: Taken) -> None:
        """Somebody else had the item, or its batch was purged: then its picture goes too."""
        if await self._personal.purged.has(f"operations/{taken.operation}"):
            await self._personal.discard(taken.operation)

    async def _tell(self, operation: str, count: BatchCount) -> None:
        percent, before = 100 * count.done // count.total, 100 * (count.done - 1) // count.total
        if percent != before:
            body = jobs_pb2.JobProgress(stage="render", progress_percent=percent).SerializeToString()
            await self._bus.tell(f"progress.{operation}", body)


class Cancellations:
    """Cancelled operations, of which batches are ours."""

    def __init__(self, batches: Batches):
        self._batches = batches

    async def __call__(self, subject: str, body: bytes) -> None:
        event = jobs_pb2.OperationCancelled()
        event.ParseFromString(body)
        if event.verb != "batch":
            return
        e = event.envelope
        await self._batches.cancel(e.operation, e.tenant, e.SerializeToString(), e.deadline.ToDatetime(UTC))


def result_of(taken: Taken, outcome: Export | RoomvizError) -> bytes:
    """What is kept of an item's end."""
    result = compositor_pb2.BatchItemResult()
    if isinstance(outcome, Export):
        result.export.CopyFrom(export_to_proto(outcome))
    else:
        result.error.CopyFrom(to_status(outcome))
    return result.SerializeToString()


def item_to_proto(r: ItemRecord) -> compositor_pb2.BatchItemResult:
    out = compositor_pb2.BatchItemResult.FromString(r.result or b"")
    out.index, out.product = r.index, compositor_pb2.BatchPlanItem.FromString(r.item).product
    if r.end_time is not None:
        out.end_time.FromDatetime(r.end_time)
    return out


def _new_item(index: int, item: compositor_pb2.BatchPlanItem) -> NewItem:
    error = None
    if item.WhichOneof("resolved") == "error":
        error = compositor_pb2.BatchItemResult(error=item.error).SerializeToString()
    return NewItem(item.SerializeToString(), error)
