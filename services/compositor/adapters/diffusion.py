"""A diffusion service over HTTP that fills a masked part of a picture after a prompt.

Speaks the `img2img` call of Stable Diffusion web UI's API (`/sdapi/v1/img2img`), which its forks and several hosted
services speak too.
"""

import asyncio
import base64
import binascii
import io
import json
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
from PIL import Image

from roomviz.errors import FailedPrecondition, Unavailable
from roomviz.imaging import codec

PATH = "/sdapi/v1/img2img"
SIDE_STEP = 8  # such networks take sides that are multiples of this
ANSWER_BYTES_MAX, PIXELS_MAX = 64 << 20, 16_000_000


class DiffusionHttp:
    def __init__(self, client: httpx.AsyncClient, cpu: Executor, steps: int):
        self._client, self._cpu, self._steps = client, cpu, steps

    async def inpaint(self, picture: codec.Image, mask: codec.Image, prompt: str, seed: int) -> codec.Image:
        """The picture with what the mask covers made anew after the prompt.

        Args:
            picture: (H, W, 3) uint8 sRGB, at most some 1 megapixel.
            mask: (H, W) uint8, 255 where something new is wanted.
            prompt: what.
            seed: of the service's random choices.

        Returns:
            (H, W, 3) uint8 sRGB; outside the mask it may differ from the picture too.

        Raises:
            Unavailable: GENERATION_UNAVAILABLE where the service does not answer, or is busy.
            FailedPrecondition: GENERATION_REFUSED where it will not do this, or answers with no picture.
        """
        loop = asyncio.get_running_loop()
        question = await loop.run_in_executor(self._cpu, self._question, picture, mask, prompt, seed)
        try:
            async with self._client.stream("POST", PATH, json=question) as response:
                if response.status_code in (429, 502, 503, 504):
                    raise Unavailable("GENERATION_UNAVAILABLE", f"the service answered with {response.status_code}")
                if response.status_code != 200:
                    raise _refused(f"the service answered with {response.status_code}")
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > ANSWER_BYTES_MAX:
                        raise _refused(f"the service answered with more than {ANSWER_BYTES_MAX} bytes")
        except httpx.TransportError as error:
            raise Unavailable(
                "GENERATION_UNAVAILABLE", f"the service does not answer: {error or type(error).__name__}"
            ) from error
        made = await loop.run_in_executor(self._cpu, _picture, bytes(body))
        return await loop.run_in_executor(self._cpu, codec.resize, made, *picture.shape[:2])

    def _question(self, picture: codec.Image, mask: codec.Image, prompt: str, seed: int) -> dict[str, Any]:
        height, width = (max(SIDE_STEP, round(side / SIDE_STEP) * SIDE_STEP) for side in picture.shape[:2])
        return {
            "init_images": [_text(codec.resize(picture, height, width))],
            "mask": _text(codec.resize(mask, height, width)),
            "prompt": prompt,
            "seed": seed,
            "steps": self._steps,
            "width": width,
            "height": height,
            "denoising_strength": 0.9,
            "inpainting_fill": 1,  # begin with what is there: it keeps the light
            "inpaint_full_res": False,
            "mask_blur": 4,
        }


def _refused(message: str) -> FailedPrecondition:
    return FailedPrecondition("GENERATION_REFUSED", message)


def _text(image: codec.Image) -> str:
    return base64.b64encode(codec.encode_png(image)).decode()


def _picture(answer: bytes) -> codec.Image:
    """The first picture of an answer. The service is not ours: what it sends is looked at."""
    try:
        text = json.loads(answer)["images"][0]
        data = base64.b64decode(text.rpartition(",")[2], validate=True)  # some begin as a data: URL does
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise _refused("the service answered with no picture") from None
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "WEBP"]) as image:
            if image.width * image.height > PIXELS_MAX:
                raise _refused(f"the service answered with {image.width} x {image.height} pixels")
            return np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _refused("the service answered with no picture that can be read") from error


@asynccontextmanager
async def diffusion(url: str, key: str, limit_s: float, steps: int, cpu: Executor) -> AsyncIterator[DiffusionHttp]:
    """`key` is sent as a bearer token where it is not empty."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=limit_s) as client:
        yield DiffusionHttp(client, cpu, steps)
