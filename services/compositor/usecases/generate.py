"""Have a surface made up by a generative model, once."""

from dataclasses import dataclass

from roomviz.errors import FailedPrecondition, NotFound
from roomviz.imaging.codec import preview_size, resize
from roomviz.runtime.metrics import stage
from services.compositor.domain import encode
from services.compositor.domain.patch import patched
from services.compositor.ports import Files, Generation, GenerativeBackend, Order
from services.compositor.usecases.renderer import Renderer

PIXELS_MAX = 1_000_000  # that such a model is shown


@dataclass(frozen=True)
class Generate:
    """`backend` is None where nothing can be made up; what was made before is kept."""

    renderer: Renderer
    backend: GenerativeBackend | None
    files: Files

    async def __call__(self, order: Order, asked: Generation, height: int, width: int, packet: bytes) -> bytes:
        """The file. A model does not give the same picture twice, and costs: what was made for a receipt is kept, and
        given again."""
        format = order.output.format
        key = f"generated/{order.receipt}.{format}"
        try:
            return await self.files.get(key)
        except NotFound:
            pass
        if self.backend is None:
            raise FailedPrecondition("GENERATION_OFF", "no generative service is set up here")
        photo = await self.renderer.photo(order.spec.photo_key, height, width)
        run = self.renderer.run
        alpha = await run(resize, await self.renderer.pictures.grey(asked.mask_key), height, width)
        small = preview_size(height, width, PIXELS_MAX)
        with stage("generate"):
            made = await self.backend.inpaint(
                await run(resize, photo, *small), await run(resize, alpha, *small), asked.prompt, asked.seed
            )
        picture = await run(patched, photo, await run(resize, made, height, width), alpha)
        data = await self.renderer.encoded(picture, format, packet)
        await self.files.put(key, data, encode.TYPES[format])
        return data
