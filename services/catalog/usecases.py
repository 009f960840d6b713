"""What the catalogue does."""

import asyncio
import hashlib
from concurrent.futures import Executor
from dataclasses import dataclass
from decimal import Decimal

from roomviz.errors import InvalidArgument, NotFound
from roomviz.imaging.codec import Image, decode_rgb, encode_png, resize
from roomviz.runtime import paging
from services.catalog.domain.product import Finish, Material, Product, mean_color, texture_key
from services.catalog.domain.seamless import SIDE_MIN, seamless
from services.catalog.ports import Objects, Products

QUERY_LENGTH_MAX = 200
# Pixels of a pattern's long side; more than a photo of a room ever shows.
PATTERN_SIDE_MAX = 2048
NO_CURRENCY = "XXX"  # ISO 4217
NAMES_MAX = 1000


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

    async def batch(self, tenant: str, skus: list[str]) -> tuple[list[Product], list[str]]:
        """The products of these SKUs in their order, and the SKUs that have none."""
        if not 1 <= len(skus) <= NAMES_MAX:
            raise InvalidArgument("NAMES_INVALID", f"ask for 1 to {NAMES_MAX} products")
        found = {p.sku: p for p in await self.products.among(tenant, skus)}
        return [found[s] for s in skus if s in found], [s for s in skus if s not in found]

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


@dataclass(frozen=True)
class Pattern:
    """A customer's own: where its picture lies and its SHA-256; width_m of what it shows."""

    key: str
    digest: str
    display_name: str
    width_m: float
    seamless: bool


@dataclass(frozen=True)
class Patterns:
    products: Products
    objects: Objects
    cpu: Executor

    async def add(self, tenant: str, pattern: Pattern) -> Product:
        """Make a product of a pattern; the same for the same picture, width and treatment."""
        told = repr((pattern.digest, pattern.width_m, pattern.seamless)).encode()
        sku = f"OWN-{hashlib.sha256(told).hexdigest()[:20].upper()}"
        picture = await self.objects.get(pattern.key)
        material, png = await asyncio.get_running_loop().run_in_executor(self.cpu, made_of, picture, pattern)
        await self.objects.put(texture_key(material.texture_digest), png, "image/png")
        etag = hashlib.sha256(told + pattern.display_name.encode()).hexdigest()[:16]
        product = Product(sku, pattern.display_name, "custom.wallpaper", Decimal(0), NO_CURRENCY, material, etag)
        await self.products.upsert(tenant, [product])
        kept = await self.products.get(tenant, sku)
        assert kept is not None
        return kept


def made_of(picture: bytes, pattern: Pattern) -> tuple[Material, bytes]:
    """The material of a pattern, and its texture's PNG.

    Raises:
        InvalidArgument: PATTERN_TOO_SMALL.
    """
    shown = _within(decode_rgb(picture), PATTERN_SIDE_MAX)
    metres = pattern.width_m / shown.shape[1]  # of a pixel
    if min(shown.shape[:2]) < SIDE_MIN:
        raise InvalidArgument("PATTERN_TOO_SMALL", f"a pattern needs at least {SIDE_MIN} pixels a side")
    texture = seamless(shown) if pattern.seamless else shown
    png = encode_png(texture)
    height, width = texture.shape[:2]
    digest = hashlib.sha256(png).hexdigest()
    size = width * metres, height * metres
    # A pattern has no joints: it is its own face, for strips that meet in another way, or for a mural.
    return Material(*size, 0, 0, Finish.MATTE, digest, mean_color(texture), digest, *size), png


def _within(picture: Image, side: int) -> Image:
    """The picture with no side longer than this."""
    height, width = picture.shape[:2]
    scale = min(1.0, side / max(height, width))
    return resize(picture, max(1, round(height * scale)), max(1, round(width * scale)))
