"""Settings of the segmentation service."""

from pathlib import Path

from roomviz.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    metrics_port: int = 8551
    triton_address: str
    model: str = "roomseg"
    model_repository: Path
    cpu_threads: int = 2
    job_concurrency: int = 2
