"""Render at full size, to keep."""

import hashlib
from dataclasses import dataclass

from roomviz.runtime.metrics import stage
from services.compositor.domain.encode import TYPES
from services.compositor.ports import Export, Order, Pictures, Renders, Write
from services.compositor.usecases.picture import MakePicture, Progress


@dataclass(frozen=True)
class ExportPicture:
    make: MakePicture
    pictures: Pictures
    renders: Renders

    async def __call__(self, operation: str, attempt: int, order: Order, progress: Progress) -> tuple[Export, Write]:
        made = await self.make(order, progress)
        await progress("store", 90)
        format = order.output.format
        key = f"renders/{operation}-{attempt}.{format}"
        with stage("store"):
            await self.pictures.put(key, made.data, TYPES[format])
        digest = hashlib.sha256(made.data).hexdigest()
        export = Export(key, made.width, made.height, format, len(made.data), digest, order.receipt, made.report)
        return export, self.renders.save(order.tenant, operation, order.spec.room, export)
