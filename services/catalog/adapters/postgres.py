"""Products in PostgreSQL."""

import json
from dataclasses import asdict
from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.catalog.domain.product import Cutout, Finish, Layout, Material, Mount, Packaging, Product

_MATERIAL = (
    *("repeat_width_m", "repeat_height_m", "piece_width_m", "piece_length_m", "finish", "texture_digest", "color_rgb"),
    *("face_digest", "face_width_m", "face_height_m", "layout", "rectified", "packaging"),
)
_NO_MATERIAL = (0.0, 0.0, 0.0, 0.0, "", "", 0, "", 0.0, 0.0, None, False, "{}")
_CUTOUT = ("cutout_digest", "cutout_width_m", "cutout_height_m", "cutout_depth_m", "mount")
_NO_CUTOUT = ("", 0.0, 0.0, 0.0, "")
_WRITTEN = ("tenant", "sku", "display_name", "category", "price", "currency", *_MATERIAL, *_CUTOUT, "etag")
_COLUMNS = ", ".join((*_WRITTEN[1:], "update_time"))
_UPSERT = f"""INSERT INTO products AS p ({", ".join(_WRITTEN)})
    VALUES ({", ".join(f"${n + 1}" for n in range(len(_WRITTEN)))})
    ON CONFLICT (tenant, sku) DO UPDATE SET {", ".join(f"{c} = EXCLUDED.{c}" for c in _WRITTEN[2:])}, update_time = now()
    WHERE p.etag <> EXCLUDED.etag RETURNING true"""


def _product(row: Any) -> Product:
    told = (row["sku"], row["display_name"], row["category"], row["price"], row["currency"])
    if row["mount"]:
        size = (row["cutout_width_m"], row["cutout_height_m"], row["cutout_depth_m"])
        cutout = Cutout(row["cutout_digest"], *size, Mount(row["mount"]))
        return Product(*told, None, row["etag"], row["update_time"], cutout)
    values = {c: row[c] for c in _MATERIAL}
    values["finish"] = Finish(row["finish"])
    values["layout"] = Layout(**json.loads(row["layout"])) if row["layout"] else None
    values["packaging"] = Packaging(**json.loads(row["packaging"]))
    material = Material(**values)
    return Product(*told, material, row["etag"], row["update_time"])


def _material_values(m: Material | None) -> tuple[Any, ...]:
    if m is None:
        return _NO_MATERIAL
    layout = json.dumps(asdict(m.layout)) if m.layout else None
    return (*(getattr(m, c) for c in _MATERIAL[:-3]), layout, m.rectified, json.dumps(asdict(m.packaging)))


def _cutout_values(c: Cutout | None) -> tuple[Any, ...]:
    return (c.image_digest, c.width_m, c.height_m, c.depth_m, c.mount.value) if c else _NO_CUTOUT


class PostgresProducts:
    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    async def page(self, tenant: str, category: str, after_sku: str, limit: int) -> list[Product]:
        with reachable():
            rows = await self._pool.fetch(
                f"""SELECT {_COLUMNS} FROM products
                    WHERE tenant = $1 AND sku > $2 AND ($3 = '' OR category = $3 OR category LIKE $4)
                    ORDER BY sku LIMIT $5""",
                tenant,
                after_sku,
                category,
                category.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + ".%",
                limit,
            )
        return [_product(r) for r in rows]

    async def get(self, tenant: str, sku: str) -> Product | None:
        with reachable():
            row = await self._pool.fetchrow(
                f"SELECT {_COLUMNS} FROM products WHERE tenant = $1 AND sku = $2", tenant, sku
            )
        return _product(row) if row else None

    async def among(self, tenant: str, skus: list[str]) -> list[Product]:
        with reachable():
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM products WHERE tenant = $1 AND sku = ANY($2::text[])", tenant, skus
            )
        return [_product(r) for r in rows]

    async def near(self, tenant: str, sku: str) -> list[str]:
        with reachable():
            rows = await self._pool.fetch(
                "SELECT sku FROM products WHERE tenant = $1 AND similarity(sku, $2) > 0.25 ORDER BY similarity(sku, $2) DESC, sku LIMIT 3",
                tenant,
                sku,
            )
        return [r["sku"] for r in rows]

    async def search(self, tenant: str, query: str, offset: int, limit: int) -> list[Product]:
        with reachable():
            rows = await self._pool.fetch(
                f"""SELECT {_COLUMNS} FROM products, websearch_to_tsquery('simple', $2) AS q
                    WHERE tenant = $1 AND (words @@ q OR word_similarity($2, display_name) > 0.5)
                    ORDER BY ts_rank(words, q) DESC, word_similarity($2, display_name) DESC, sku OFFSET $3 LIMIT $4""",
                tenant,
                query,
                offset,
                limit,
            )
        return [_product(r) for r in rows]

    async def upsert(self, tenant: str, products: list[Product]) -> int:
        """Add or change products; returns how many differ from what was there."""
        changed = 0
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                for p in products:
                    told = (tenant, p.sku, p.display_name, p.category, p.price, p.currency)
                    values = (*told, *_material_values(p.material), *_cutout_values(p.cutout), p.etag)
                    changed += bool(await connection.fetchval(_UPSERT, *values))
        return changed
