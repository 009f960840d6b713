"""Settings of the segmentation service."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, FilePath, model_validator

from roomviz.runtime.settings import BusSettings, all_or_none


class Settings(BusSettings):
    metrics_port: int = 8551
    tls_callers: tuple[str, ...] = ("gateway",)
    triton_address: str
    model: str = "roomseg"
    model_repository: Path
    proposal_model: str = "fastsam-room"
    # Long side, in pixels, at which it is shown photos: what it was trained at (FastSAM's published weights: 1024).
    proposals_long_side: Annotated[int, Field(ge=128, le=1024, multiple_of=32)] = 640
    # A prompted network (the SAM family) brought by the user, for points and boxes: `{prompt_model}-encoder` and
    # `{prompt_model}-decoder` in the model repository. Empty: points and boxes choose among the proposals.
    prompt_model: str = ""
    # What its encoder made of the photos that were prompted lately, kept in memory: 4 to 16 MB each.
    prompt_memory_bytes_max: int = 256 << 20
    # CLIP brought by the user, for text prompts: `{text_model}-text` and `{text_model}-image` in the model repository.
    # Both, or words are no prompts.
    text_model: str | None = None
    text_tokenizer: FilePath | None = None
    cpu_threads: int = 2
    job_concurrency: int = 2

    # What clicks need of the rooms that were corrected lately, kept in memory.
    refine_memory_bytes_max: int = 512 << 20

    @model_validator(mode="after")
    def _text_is_whole(self) -> Self:
        all_or_none(self, "text_model", "text_tokenizer")
        return self
