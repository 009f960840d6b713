"""What is known of a network's version: its card."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelCard:
    """card: the whole file; sha256 and size_bytes are those of the model file."""

    model: str
    version: str
    licence: str
    training_data: str
    sha256: str
    size_bytes: int
    card: dict[str, Any]

    @property
    def name(self) -> str:
        return f"models/{self.model}/versions/{self.version}"

    @property
    def order(self) -> int:
        return int(self.version)
