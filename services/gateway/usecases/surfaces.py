"""Surfaces of an analyzed room, by what a caller calls them."""

from roomviz.errors import NotFound
from roomviz.internal.segmentation.v1 import segmentation_pb2
from roomviz.v1 import rooms_pb2, visualizations_pb2

Masked = tuple[rooms_pb2.Surface, str]  # a surface, and the object key of its mask


def masked(found: segmentation_pb2.GetAnalysisResponse) -> list[Masked]:
    """All surfaces with their masks, in the order of the analysis."""
    return list(zip(found.analysis.surfaces, found.mask_keys, strict=True))


def surface_of(found: segmentation_pb2.GetAnalysisResponse, surface_id: str) -> Masked:
    """The surface of this id. Raises NotFound (SURFACE_NOT_FOUND), naming those that are there."""
    for surface, key in masked(found):
        if surface.surface_id == surface_id:
            return surface, key
    raise no_surface(found, surface_id)


def no_surface(found: segmentation_pb2.GetAnalysisResponse, asked: str) -> NotFound:
    have = ", ".join(s.surface_id for s in found.analysis.surfaces)
    return NotFound(
        "SURFACE_NOT_FOUND",
        f"the room has no surface {asked[:64] or '(none given)'}; it has {have}",
        {"surface": asked[:64]},
    )


def kind_word(kind: rooms_pb2.SurfaceKind) -> str:
    """`floor`, as surfaces' ids begin and insights count."""
    return rooms_pb2.SurfaceKind.Name(kind).removeprefix("SURFACE_KIND_").lower()


def surface_word(surface_id: str) -> str:
    """The kind that an id such as `floor-1` begins with; empty for no id."""
    return surface_id.partition("-")[0]


def applied_to(application: visualizations_pb2.Application) -> str:
    """The kind of surface that an application means."""
    if application.WhichOneof("target") == "kind":
        return kind_word(application.kind)
    return surface_word(application.surface_id)
