import numpy as np
import pytest

from services.catalog.domain.demo_range import ITEMS
from services.catalog.domain.demo_things import THINGS, ThingItem
from services.catalog.domain.product import Mount

QUICK = ("RUG-JUTE-ROUND", "PIC-FERN", "LAMP-FLOOR-LINEN", "LAMP-PENDANT-GREEN", "TABLE-COFFEE-WALNUT")
SIMPLE = [item for item in THINGS if item.sku in QUICK]


def test_skus_are_told_apart_from_all_of_the_range():
    skus = [item.sku for item in (*ITEMS, *THINGS)]

    assert len(set(skus)) == len(skus)


@pytest.mark.parametrize("item", SIMPLE, ids=lambda item: item.sku)
def test_a_thing_is_drawn_the_same_each_time_at_one_scale_and_cut_out(item: ThingItem):
    one, other = item.picture(), item.picture()

    np.testing.assert_array_equal(one.image, other.image)
    height, width = one.image.shape[:2]
    assert one.image.shape[2] == 4
    assert width / one.width_m == pytest.approx(height / one.height_m, rel=0.01)
    assert one.depth_m > 0
    seen = one.image[..., 3] > 127
    assert seen.any(0).mean() > 0.9
    if item.mount is Mount.STANDING:
        assert seen[-3:].any()  # its feet are on the picture's lower edge
    if item.mount is Mount.CEILING:
        assert seen[:3].any()
    if item.mount in (Mount.STANDING, Mount.CEILING):
        assert not seen.all()
