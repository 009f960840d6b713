"""What an application lays: a product, or paint of any colour, in the finish that is asked for."""

import numpy as np

from roomviz.errors import InvalidArgument
from roomviz.imaging.color import to_srgb
from roomviz.imaging.colorimetry import delta_e00, lab, linear
from roomviz.v1 import products_pb2, visualizations_pb2
from services.gateway.usecases.products import Find

# CIEDE2000 between a colour and the nearest of sRGB: one that eyes tell apart side by side is another colour.
OUTSIDE = 1.0
AB_MAX = 128  # colours of surfaces lie within


async def covering(application: visualizations_pb2.Application, find: Find) -> products_pb2.Product:
    """The material that an application lays; one without a name is a colour of the caller's own.

    Raises:
        InvalidArgument: APPLICATIONS_INVALID, COLOR_INVALID, FINISH_INVALID, PRODUCT_NOT_A_MATERIAL.
        NotFound: PRODUCT_NOT_FOUND.
    """
    if application.finish not in products_pb2.Finish.values():
        raise InvalidArgument("FINISH_INVALID", "finish is matte, eggshell, satin, gloss or polished")
    out = products_pb2.Product()
    if application.HasField("color"):
        if application.product:
            raise InvalidArgument("APPLICATIONS_INVALID", "an application has a product or a color, not both")
        out.sku = "color"
        out.material.color_rgb = rgb_of(application.color)
        out.material.finish = products_pb2.FINISH_MATTE
    else:
        out.CopyFrom(await find(application.product))
        if not out.HasField("material"):
            raise InvalidArgument(
                "PRODUCT_NOT_A_MATERIAL",
                f"{out.sku} is a thing; place it instead of applying it",
                {"product": application.product[:80]},
            )
    if application.finish:
        out.material.finish = application.finish
    return out


def rgb_of(color: visualizations_pb2.Color) -> int:
    """sRGB 0xRRGGBB."""
    if color.WhichOneof("value") == "rgb":
        if not 0 <= color.rgb <= 0xFFFFFF:
            raise InvalidArgument("COLOR_INVALID", "rgb is 0 to 0xFFFFFF")
        return color.rgb
    asked = (color.lab.l, color.lab.a, color.lab.b)
    told = color.WhichOneof("value") is not None
    if not told or not (0 <= asked[0] <= 100 and all(abs(v) <= AB_MAX for v in asked[1:])):  # nor what is not a number
        raise InvalidArgument("COLOR_INVALID", f"a color is rgb, or lab: 0 to 100, and twice -{AB_MAX} to {AB_MAX}")
    nearest = np.clip(linear(asked), 0, 1)
    if delta_e00(asked, lab(nearest)) > OUTSIDE:
        raise InvalidArgument("COLOR_INVALID", "sRGB has no such colour: screens could not show it")
    red, green, blue = to_srgb(nearest.astype(np.float32)).tolist()
    return int(red << 16 | green << 8 | blue)
