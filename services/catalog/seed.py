"""Put the demonstration range into a tenant's catalogue; what is there and unchanged stays.

python -m services.catalog.seed --tenant demo
"""

import argparse
import asyncio
import hashlib
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from roomviz.imaging.codec import encode_png
from roomviz.runtime import database, objects
from services.catalog.adapters.postgres import PostgresProducts
from services.catalog.domain.demo_range import ITEMS, RANGE_VERSION, Item
from services.catalog.domain.demo_things import THINGS, THINGS_VERSION, ThingItem
from services.catalog.domain.product import Cutout, Material, Product, cutout_key, mean_color, texture_key
from services.catalog.domain.textures import Texture
from services.catalog.settings import Settings

RANGE: tuple[Item | ThingItem, ...] = (*ITEMS, *THINGS)
CURRENCY = "EUR"


def _etag(item: Item | ThingItem) -> str:
    told: tuple[object, ...] = (item.sku, item.display_name, item.category, str(item.price))
    if isinstance(item, Item):
        told = (RANGE_VERSION, *told, item.finish, item.piece_m, item.color, item.layout, item.packaging)
    else:
        told = (THINGS_VERSION, *told, item.mount)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def draw(index: int) -> tuple[Product, dict[str, bytes]]:
    """A product of the range, and the PNGs of its pictures by their keys (none for paint)."""
    item = RANGE[index]
    told = (item.sku, item.display_name, item.category, item.price, CURRENCY)
    if isinstance(item, ThingItem):
        picture = item.picture()
        png = encode_png(picture.image)
        cutout = Cutout(hashlib.sha256(png).hexdigest(), picture.width_m, picture.height_m, picture.depth_m, item.mount)
        return Product(*told, None, _etag(item), cutout=cutout), {cutout_key(cutout.image_digest): png}
    material, pictures = _material(item)
    return Product(*told, material, _etag(item)), pictures


def _material(item: Item) -> tuple[Material, dict[str, bytes]]:
    texture = item.texture()
    if texture is None:
        r, g, b = item.color or (0, 0, 0)
        color = r << 16 | g << 8 | b
        return Material(0, 0, 0, 0, item.finish, "", color, packaging=item.packaging), {}
    pictures = {}

    def stored(picture: Texture) -> str:
        png = encode_png(picture)
        digest = hashlib.sha256(png).hexdigest()
        pictures[texture_key(digest)] = png
        return digest

    made = Material(
        *texture[1:],
        *item.piece_m,
        item.finish,
        stored(texture[0]),
        mean_color(texture[0]),
        layout=item.layout,
        rectified=item.rectified,
        packaging=item.packaging,
    )
    face = item.face()
    if face is not None:
        made = replace(made, face_digest=stored(face[0]), face_width_m=face[1], face_height_m=face[2])
    return made, pictures


async def seed(settings: Settings, tenant: str) -> None:
    async with database.pool(settings, "catalog") as pool, objects.connect(settings) as store:
        have = {
            r["sku"]: r["etag"] for r in await pool.fetch("SELECT sku, etag FROM products WHERE tenant = $1", tenant)
        }
        missing = [i for i, item in enumerate(RANGE) if have.get(item.sku) != _etag(item)]
        if not missing:
            return
        products = []
        with ProcessPoolExecutor(os.cpu_count()) as drawers:
            loop = asyncio.get_running_loop()
            for done, job in enumerate([loop.run_in_executor(drawers, draw, i) for i in missing]):
                product, pictures = await job
                for key, png in pictures.items():
                    await store.put(key, png, "image/png")
                products.append(product)
                if sys.stdout.isatty() or done + 1 == len(missing):
                    print(f"\r  seeding the catalogue {done + 1}/{len(missing)}", end="", flush=True)
        print()
        # Pictures first, rows after: a product never points at a picture that is not there.
        await PostgresProducts(pool).upsert(tenant, products)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenant", required=True)
    asyncio.run(seed(Settings(), parser.parse_args().tenant))
