"""A customer's own patterns: from a URL to a product."""

import hashlib
import math
from dataclasses import dataclass

from roomviz.errors import InvalidArgument
from roomviz.internal.catalog.v1 import catalog_pb2
from roomviz.runtime.rpc import invoke
from roomviz.v1 import products_pb2
from services.gateway.ports import Calls, Decoder, Fetcher, Objects
from services.gateway.usecases.names import printable

WIDTH_M = (0.01, 20.0)


@dataclass(frozen=True)
class PatternCases:
    fetcher: Fetcher
    decoder: Decoder
    objects: Objects
    calls: Calls

    async def add(self, request: products_pb2.ImportPatternRequest) -> products_pb2.Product:
        """Nothing of what was fetched is stored but the pixels that the decoder read."""
        low, high = WIDTH_M
        if not (math.isfinite(request.width_m) and low <= request.width_m <= high):
            raise InvalidArgument("PATTERN_SIZE_INVALID", f"width_m must be {low:g} to {high:g} metres")
        display_name = printable(request.display_name)
        fetched = await self.fetcher.fetch(request.url)
        photo = await self.decoder.take_in(fetched)
        digest = hashlib.sha256(photo.photo).hexdigest()
        key = f"patterns/{digest}.png"
        await self.objects.put(key, photo.photo, "image/png")
        made: catalog_pb2.AddPatternResponse = await invoke(
            self.calls.catalog.AddPattern,
            catalog_pb2.AddPatternRequest(
                picture_key=key,
                picture_digest=digest,
                display_name=display_name or "Own pattern",
                width_m=request.width_m,
                seamless=request.seamless,
            ),
        )
        return made.product
