"""What is kept of pictures in memory."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from roomviz.imaging.codec import encode_png
from services.compositor.adapters.pictures import CachedPictures

PHOTO = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)


class Store:
    """Counts what is read."""

    def __init__(self) -> None:
        self.reads = 0

    async def get(self, key: str) -> bytes:
        self.reads += 1
        return encode_png(PHOTO)


async def test_a_small_copy_is_kept_longer_than_the_photo_that_it_is_of():
    store = Store()
    with ThreadPoolExecutor(1) as pool:
        pictures = CachedPictures(store, pool, PHOTO.nbytes + 100)  # type: ignore[arg-type]

        asked = [await pictures.sized("photo", 30, 40) for _ in range(3)]

    assert store.reads == 1
    assert all(image is asked[0] for image in asked)
    assert asked[0].shape == (30, 40, 3)


async def test_at_its_own_size_a_photo_is_itself():
    with ThreadPoolExecutor(1) as pool:
        pictures = CachedPictures(Store(), pool, 1 << 24)  # type: ignore[arg-type]

        assert await pictures.sized("photo", 300, 400) is await pictures.rgb("photo")
