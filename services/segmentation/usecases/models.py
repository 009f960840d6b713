"""The networks that are served, and which version a tenant uses."""

import asyncio
from dataclasses import dataclass

from roomviz.errors import FailedPrecondition, NotFound
from services.segmentation.domain.model import ModelCard
from services.segmentation.ports import Cards, ModelPin, ModelPins, Network


@dataclass(frozen=True)
class ModelCases:
    """model: the name of the surface network that is served where nobody is pinned. All networks are listed; tenants are pinned
    to those that find surfaces."""

    model: str
    cards: Cards
    pins: ModelPins
    network: Network

    async def all(self) -> list[tuple[ModelCard, bool, bool]]:
        """Each version, whether it is served, and whether it is the newest of its model that is."""
        cards = await asyncio.to_thread(self.cards.all)
        ready = await asyncio.gather(*(self.network.serves(c.model, c.version) for c in cards))
        out, seen = [], set()
        for card, served in zip(cards, ready, strict=True):
            out.append((card, served, served and card.model not in seen))
            if served:
                seen.add(card.model)
        return out

    async def get(self, name: str) -> tuple[ModelCard, bool, bool]:
        for row in await self.all():
            if row[0].name == name:
                return row
        raise NotFound("MODEL_NOT_FOUND", f"there is no model {name[:80]}", {"model": name[:80]})

    async def pin(self, tenant: str) -> ModelPin | None:
        return await self.pins.get(tenant)

    async def set_pin(self, tenant: str, name: str) -> ModelPin:
        if not name:
            return await self.pins.set(tenant, "", "")
        card, served, _ = await self.get(name)
        if not served:
            raise FailedPrecondition("MODEL_NOT_READY", f"{name} is known but not served", {"model": name})
        if not await self.network.finds_surfaces(card.model, card.version):
            raise FailedPrecondition("MODEL_NOT_PINNABLE", f"{card.model} finds no surfaces; pin one that does")
        return await self.pins.set(tenant, card.model, card.version)
