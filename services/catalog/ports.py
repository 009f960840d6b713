"""What the catalogue needs from the outside."""

from typing import Protocol

from services.catalog.domain.product import Product


class Objects(Protocol):
    async def get(self, key: str) -> bytes: ...

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...


class Products(Protocol):
    """Products of one tenant at a time."""

    async def page(self, tenant: str, category: str, after_sku: str, limit: int) -> list[Product]:
        """By SKU, those after `after_sku`, of the category and those below it."""

    async def get(self, tenant: str, sku: str) -> Product | None: ...

    async def among(self, tenant: str, skus: list[str]) -> list[Product]:
        """Those of these SKUs that exist, in any order."""

    async def near(self, tenant: str, sku: str) -> list[str]:
        """Up to three SKUs that look like this one."""

    async def search(self, tenant: str, query: str, offset: int, limit: int) -> list[Product]:
        """Best first."""

    async def upsert(self, tenant: str, products: list[Product]) -> int:
        """Add or change products; returns how many differ from what was there."""
