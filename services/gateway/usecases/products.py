"""Many products of the catalogue at once."""

from collections.abc import Awaitable, Callable, Iterable

from roomviz.errors import InvalidArgument, NotFound
from roomviz.runtime.rpc import invoke
from roomviz.v1 import products_pb2
from services.gateway.ports import Calls

NAMES_AT_ONCE = 1000

Find = Callable[[str], Awaitable[products_pb2.Product]]


def finder(calls: Calls) -> Find:
    """Looks each product up when it is asked for. Raises NotFound (PRODUCT_NOT_FOUND), naming what comes near."""

    async def find(name: str) -> products_pb2.Product:
        request = products_pb2.GetProductRequest(name=name)
        found: products_pb2.Product = (await invoke(calls.products.GetProduct, request)).product
        return found

    return find


async def finder_among(calls: Calls, names: Iterable[str]) -> Find:
    """Looks all of these up now, in a few calls. Raises, when one is asked for, NotFound (PRODUCT_NOT_FOUND) or
    InvalidArgument (NAME_INVALID)."""
    asked = [n for n in dict.fromkeys(names) if n.startswith("products/") and n != "products/"]
    found: dict[str, products_pb2.Product] = {}
    for begin in range(0, len(asked), NAMES_AT_ONCE):
        request = products_pb2.BatchGetProductsRequest(names=asked[begin : begin + NAMES_AT_ONCE])
        answer = await invoke(calls.products.BatchGetProducts, request)
        found |= {p.name: p for p in answer.products}

    async def find(name: str) -> products_pb2.Product:
        if name in found:
            return found[name]
        sku = name.removeprefix("products/")[:64]
        if name not in asked:
            raise InvalidArgument("NAME_INVALID", "a product's name must be products/{sku}", {"name": name[:64]})
        raise NotFound("PRODUCT_NOT_FOUND", f"there is no product {sku}", {"sku": sku})

    return find
