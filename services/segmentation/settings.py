"""Settings of the segmentation service."""

from pathlib import Path

from roomviz.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    metrics_port: int = 8551
    triton_address: str
    model: str = "roomseg"
    model_repository: Path
    proposal_model: str = "fastsam-room"
    # CLIP brought by the user, for text prompts: `{text_model}-text` and `{text_model}-image` in the model repository.
    text_model: str = ""
    text_tokenizer: Path | None = None
    cpu_threads: int = 2
    job_concurrency: int = 2

    # What clicks need of the rooms that were corrected lately, kept in memory.
    refine_memory_bytes_max: int = 512 << 20
