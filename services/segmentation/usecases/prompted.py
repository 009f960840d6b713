"""Masks by a prompted network: the photo is embedded once, each prompt runs only the decoder."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from roomviz.imaging.codec import decode_rgb
from roomviz.runtime.memory import Memory
from roomviz.runtime.metrics import stage
from services.segmentation.domain import prompted
from services.segmentation.domain.proposals import Float, Letterbox, Proposals, network_input
from services.segmentation.ports import Embedding, Objects, Prompter
from services.segmentation.usecases.locks import RoomLocks

Given = TypeVarTuple("Given")
Result = TypeVar("Result")
Ask = Callable[[Letterbox], tuple[Float, Float]]


@dataclass(frozen=True)
class Embedded:
    """A photo as the decoder needs it."""

    embedding: Embedding
    box: Letterbox

    @property
    def nbytes(self) -> int:
        return self.embedding.nbytes


class PromptedMasks:
    """Embeddings are kept in memory, not stored: they are many times the size of proposals, and the photo gives them
    again."""

    def __init__(self, prompter: Prompter, objects: Objects, cpu: Executor, memory_bytes_max: int):
        self._prompter, self._objects, self._cpu = prompter, objects, cpu
        self._kept = Memory[Embedded](memory_bytes_max)
        self._locks = RoomLocks()

    def forget(self, which: Callable[[str], bool]) -> None:
        """Drop what is in memory of these rooms."""
        self._kept.forget(which)

    async def __call__(self, tenant: str, photo_key: str, ask: Ask) -> tuple[Proposals, str]:
        """The network's masks for a prompt, best first, and its name and version; `ask` puts the prompt into the
        input's pixels."""
        known = await self._embedded(tenant, photo_key)
        with stage("prompt"):
            answer = await self._prompter.masks(known.embedding, *ask(known.box))
            return await self._run(prompted.decode, answer.masks, answer.scores, known.box), answer.model

    async def _embedded(self, tenant: str, photo_key: str) -> Embedded:
        # Two who click on a photo at once wait for one embedding.
        async with self._locks.held(tenant, photo_key):
            known = self._kept.get((tenant, photo_key))
            if known is None:
                with stage("embed"):
                    photo = await self._run(decode_rgb, await self._objects.get(photo_key))
                    image, box = await self._run(network_input, photo)
                    known = Embedded(await self._prompter.embed(image), box)
                self._kept.put((tenant, photo_key), known)
        return known

    async def _run(self, function: Callable[[*Given], Result], *arguments: *Given) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._cpu, function, *arguments)
