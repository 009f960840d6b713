import math

import pytest

from roomviz.errors import InvalidArgument
from roomviz.v1 import products_pb2, visualizations_pb2
from services.gateway.usecases.coverings import covering

OAK = products_pb2.Product(
    name="products/OAK", sku="OAK", material=products_pb2.Material(texture_digest="aa", finish="FINISH_SATIN")
)
LAMP = products_pb2.Product(name="products/LAMP", sku="LAMP", cutout=products_pb2.Cutout())


async def find(name: str) -> products_pb2.Product:
    return {p.name: p for p in (OAK, LAMP)}[name]


async def laid(**fields) -> products_pb2.Product:
    return await covering(visualizations_pb2.Application(**fields), find)


def color(**fields) -> visualizations_pb2.Color:
    return visualizations_pb2.Color(**fields)


async def test_a_product_is_laid_as_the_catalogue_has_it():
    assert await laid(product="products/OAK") == OAK


async def test_a_finish_takes_the_place_of_the_products_own():
    found = await laid(product="products/OAK", finish="FINISH_POLISHED")

    assert found.material.finish == products_pb2.FINISH_POLISHED
    assert OAK.material.finish == products_pb2.FINISH_SATIN


async def test_a_color_is_matte_paint_without_a_name():
    found = await laid(color=color(rgb=0xA3B1C2))

    assert (found.name, found.material.color_rgb, found.material.texture_digest) == ("", 0xA3B1C2, "")
    assert found.material.finish == products_pb2.FINISH_MATTE


async def test_paint_comes_in_eggshell():
    assert (await laid(color=color(rgb=0), finish="FINISH_EGGSHELL")).material.finish == products_pb2.FINISH_EGGSHELL


@pytest.mark.parametrize(
    ("l", "a", "b", "rgb"),
    [
        (0, 0, 0, 0x000000),
        (100, 0, 0, 0xFFFFFF),
        (53.24, 80.09, 67.20, 0xFF0000),  # http://www.brucelindbloom.com, sRGB's red
        (53.59, 0, 0, 0x808080),
    ],
)
async def test_a_color_card_tells_its_color_in_lab(l: float, a: float, b: float, rgb: int):
    found = (await laid(color=color(lab=visualizations_pb2.Lab(l=l, a=a, b=b)))).material.color_rgb

    channels = [(found >> s & 255, rgb >> s & 255) for s in (16, 8, 0)]
    assert all(abs(one - other) <= 1 for one, other in channels), f"{found:06x}"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"product": "products/OAK", "color": color(rgb=1)}, "APPLICATIONS_INVALID"),
        ({"product": "products/LAMP"}, "PRODUCT_NOT_A_MATERIAL"),
        ({"color": color()}, "COLOR_INVALID"),
        ({"color": color(rgb=-1)}, "COLOR_INVALID"),
        ({"color": color(rgb=0x1000000)}, "COLOR_INVALID"),
        ({"color": color(lab=visualizations_pb2.Lab(l=50, a=0, b=-120))}, "COLOR_INVALID"),  # no screen shows it
        ({"color": color(lab=visualizations_pb2.Lab(l=101))}, "COLOR_INVALID"),
        ({"color": color(lab=visualizations_pb2.Lab(l=math.nan))}, "COLOR_INVALID"),
        ({"color": color(lab=visualizations_pb2.Lab(l=50, a=1e200, b=1e200))}, "COLOR_INVALID"),
        ({"color": color(lab=visualizations_pb2.Lab(l=50, a=math.inf))}, "COLOR_INVALID"),
        ({"color": color(rgb=1), "finish": 77}, "FINISH_INVALID"),
    ],
)
async def test_what_is_no_covering_is_refused(fields: dict, reason: str):
    with pytest.raises(InvalidArgument) as error:
        await laid(**fields)

    assert error.value.reason == reason
