"""Products of the retailer."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from roomviz.runtime.rpc import invoke
from roomviz.v1 import products_pb2
from services.gateway.ports import Calls
from services.gateway.transport.http import shapes, show
from services.gateway.transport.http.files import Links
from services.gateway.transport.http.gate import asks

LIMIT_MAX, SKIP_MAX = 100, 10_000
Skip = Annotated[int, Query(ge=0, le=SKIP_MAX, description="How many to leave out.")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="At most this many.")]


def catalog(router: APIRouter, calls: Calls, links: Links) -> None:
    async def every(category: str) -> AsyncIterator[Any]:
        token = ""
        while True:
            request = products_pb2.ListProductsRequest(page_size=200, page_token=token, category=category)
            page = await invoke(calls.products.ListProducts, request)
            for found in page.products:
                yield found
            token = page.next_page_token
            if not token:
                return

    @router.get("/api/products", summary="Products by SKU", operation_id="listProducts", **asks("products.list"))
    async def list_products(
        category: Annotated[
            str, Query(max_length=100, description="This category and those below it, such as `flooring`.")
        ] = "",
        type: Literal["material", "thing"] | None = None,
        skip: Skip = 0,
        limit: Limit = 20,
    ) -> shapes.ProductPage:
        found: list[shapes.ProductDetail] = []
        passed = 0
        async for p in every(category):
            if type is not None and p.HasField("material") != (type == "material"):
                continue
            passed += 1
            if passed > skip + limit:
                break
            if passed > skip:
                found.append(show.product(p, links))
        return shapes.ProductPage(products=found, skip=skip, limit=limit, has_more=passed > skip + limit)

    @router.get("/api/products/{product_id}", summary="A product", operation_id="getProduct", **asks("products.get"))
    async def get_product(product_id: str) -> shapes.ProductDetail:
        request = products_pb2.GetProductRequest(name=f"products/{product_id}")
        return show.product((await invoke(calls.products.GetProduct, request)).product, links)
