"""Between protos and the compositor's own words."""

from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.v1 import rooms_pb2, visualizations_pb2
from services.compositor.ports import Export, LayerSpec, RenderSpec

FORMATS = {
    visualizations_pb2.IMAGE_FORMAT_UNSPECIFIED: "jpeg",
    visualizations_pb2.IMAGE_FORMAT_JPEG: "jpeg",
    visualizations_pb2.IMAGE_FORMAT_PNG: "png",
    visualizations_pb2.IMAGE_FORMAT_WEBP: "webp",
}


def spec_from_proto(p: compositor_pb2.RenderSpec) -> RenderSpec:
    layers = tuple(
        LayerSpec(
            layer.surface.surface_id,
            rooms_pb2.SurfaceKind.Name(layer.surface.kind).removeprefix("SURFACE_KIND_").lower(),
            tuple(layer.surface.plane.homography),
            layer.mask_key,
            layer.material.texture_digest,
            layer.material.repeat_width_m,
            layer.material.repeat_height_m,
            layer.material.color_rgb,
            layer.rotation_deg,
        )
        for layer in p.layers
    )
    return RenderSpec(
        p.room, p.photo_key, p.working_key, p.width_px, p.height_px, layers, tuple(p.white_mask_keys), p.light_key
    )


def export_to_proto(e: Export) -> compositor_pb2.ExportResult:
    format_ = f"IMAGE_FORMAT_{e.format.upper()}"
    return compositor_pb2.ExportResult(
        image_key=e.image_key,
        width_px=e.width,
        height_px=e.height,
        format=format_,
        size_bytes=e.size_bytes,
        content_digest=e.content_digest,
    )
