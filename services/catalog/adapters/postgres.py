"""Products in PostgreSQL."""

from typing import Any

import asyncpg

from roomviz.runtime.database import reachable
from services.catalog.domain.product import Cutout, Finish, Material, Mount, Product

_COLUMNS = """sku, display_name, category, price, currency, repeat_width_m, repeat_height_m, piece_width_m, piece_length_m,
              finish, texture_digest, color_rgb, etag, update_time, cutout_digest, cutout_width_m,
              cutout_height_m, cutout_depth_m, mount"""
_NO_MATERIAL = (0.0, 0.0, 0.0, 0.0, "", "", 0)
_NO_CUTOUT = ("", 0.0, 0.0, 0.0, "")


def _product(row: Any) -> Product:
    if row["mount"]:
        return _with(row, None, _cutout(row))
    material = Material(
        row["repeat_width_m"],
        row["repeat_height_m"],
        row["piece_width_m"],
        row["piece_length_m"],
        Finish(row["finish"]),
        row["texture_digest"],
        row["color_rgb"],
    )
    return _with(row, material, None)


def _cutout(row: Any) -> Cutout:
    return Cutout(
        row["cutout_digest"], row["cutout_width_m"], row["cutout_height_m"], row["cutout_depth_m"], Mount(row["mount"])
    )


def _with(row: Any, material: Material | None, cutout: Cutout | None) -> Product:
    return Product(
        row["sku"],
        row["display_name"],
        row["category"],
        row["price"],
        row["currency"],
        material,
        row["etag"],
        row["update_time"],
        cutout,
    )


def _material_values(m: Material | None) -> tuple[Any, ...]:
    if m is None:
        return _NO_MATERIAL
    return (
        m.repeat_width_m,
        m.repeat_height_m,
        m.piece_width_m,
        m.piece_length_m,
        m.finish.value,
        m.texture_digest,
        m.color_rgb,
    )


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
                    changed += bool(
                        await connection.fetchval(
                            """INSERT INTO products AS p (tenant, sku, display_name, category, price, currency, repeat_width_m, repeat_height_m,
                                    piece_width_m, piece_length_m, finish, texture_digest, color_rgb, cutout_digest, cutout_width_m,
                                    cutout_height_m, cutout_depth_m, mount, etag)
                               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
                               ON CONFLICT (tenant, sku) DO UPDATE SET display_name = EXCLUDED.display_name, category = EXCLUDED.category,
                                    price = EXCLUDED.price, currency = EXCLUDED.currency, repeat_width_m = EXCLUDED.repeat_width_m,
                                    repeat_height_m = EXCLUDED.repeat_height_m, piece_width_m = EXCLUDED.piece_width_m,
                                    piece_length_m = EXCLUDED.piece_length_m, finish = EXCLUDED.finish, texture_digest = EXCLUDED.texture_digest,
                                    color_rgb = EXCLUDED.color_rgb, cutout_digest = EXCLUDED.cutout_digest,
                                    cutout_width_m = EXCLUDED.cutout_width_m, cutout_height_m = EXCLUDED.cutout_height_m,
                                    cutout_depth_m = EXCLUDED.cutout_depth_m, mount = EXCLUDED.mount, etag = EXCLUDED.etag, update_time = now()
                               WHERE p.etag <> EXCLUDED.etag RETURNING true""",
                            tenant,
                            p.sku,
                            p.display_name,
                            p.category,
                            p.price,
                            p.currency,
                            *_material_values(p.material),
                            *_cutout_values(p.cutout),
                            p.etag,
                        )
                    )
        return changed
