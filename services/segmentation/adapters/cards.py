"""Model cards, read from the model repository: `{model}/{version}/card.json`."""

import json
from pathlib import Path

from services.segmentation.domain.model import ModelCard


class RepositoryCards:
    """Read when asked: a version can be added to the repository while the service runs."""

    def __init__(self, repository: Path):
        self._repository = repository

    def all(self) -> list[ModelCard]:
        """Every version that has a card, newest first within its model."""
        found = [_read(p) for p in self._repository.glob("*/*/card.json") if p.parent.name.isdigit()]
        return sorted(found, key=lambda c: (c.model, -c.order))


def _read(path: Path) -> ModelCard:
    card = json.loads(path.read_text())
    return ModelCard(
        path.parent.parent.name,
        path.parent.name,
        str(card.get("licence", "")),
        str(card.get("data", "")),
        str(card.get("sha256", "")),
        int(card.get("bytes", 0)),
        card,
    )
