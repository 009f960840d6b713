"""What the catalogue does."""

from dataclasses import dataclass

from roomviz.errors import InvalidArgument, NotFound
from roomviz.runtime import paging
from services.catalog.domain.product import Product
from services.catalog.ports import Products

QUERY_LENGTH_MAX = 200


@dataclass(frozen=True)
class Catalog:
    products: Products

    async def page(self, tenant: str, category: str, size: int, token: str) -> tuple[list[Product], str]:
        question = (tenant, "list", category)
        limit = paging.page_size(size)
        found = await self.products.page(tenant, category, paging.after(token, *question), limit + 1)
        more = paging.token(found[limit - 1].sku, *question) if len(found) > limit else ""
        return found[:limit], more

    async def get(self, tenant: str, sku: str) -> Product:
        found = await self.products.get(tenant, sku)
        if found is None:
            near = await self.products.near(tenant, sku)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise NotFound(
                "PRODUCT_NOT_FOUND", f"there is no product {sku[:64]}{hint}", {"sku": sku[:64], "near": ",".join(near)}
            )
        return found

    async def search(self, tenant: str, query: str, size: int, token: str) -> tuple[list[Product], str]:
        query = query.strip()
        if not query or len(query) > QUERY_LENGTH_MAX:
            raise InvalidArgument("QUERY_INVALID", f"query must have 1 to {QUERY_LENGTH_MAX} characters")
        question = (tenant, "search", query)
        limit = paging.page_size(size)
        offset = paging.offset(token, *question)
        found = await self.products.search(tenant, query, offset, limit + 1)
        more = paging.token(str(offset + limit), *question) if len(found) > limit else ""
        return found[:limit], more
