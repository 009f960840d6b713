"""Render for the caller who waits."""

from dataclasses import dataclass

from roomviz.imaging.codec import preview_size
from roomviz.runtime.metrics import stage
from services.compositor.ports import RenderSpec
from services.compositor.usecases.renderer import Renderer, check


@dataclass(frozen=True)
class Rendered:
    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class RenderPreview:
    renderer: Renderer

    async def __call__(self, spec: RenderSpec) -> Rendered:
        check(spec)
        height, width = preview_size(spec.height, spec.width)
        made = await self.renderer.picture(spec, spec.working_key, height, width, keep=True)
        with stage("encode"):
            data = await self.renderer.jpeg(made, spec.working_key)
        return Rendered(data, width, height)
