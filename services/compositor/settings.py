"""Settings of the compositor service."""

from pathlib import Path

from roomviz.runtime.settings import BusSettings


class Settings(BusSettings):
    metrics_port: int = 8552
    tls_callers: tuple[str, ...] = ("gateway",)
    cpu_threads: int = 2
    compare_limit_s: float = 120.0
    job_concurrency: int = 1
    cache_bytes: int = 512 << 20
    # What pictures of more than a preview's size may take together while they are made; who comes later waits.
    large_memory_bytes: int = 5 << 29
    # What plates may take in the object store, where other workers find them; 0: they stay in memory.
    plate_store_bytes: int = 10 << 30
    # Pictures to verify are decoded in child processes within these limits.
    verify_workers: int = 1
    verify_limit_s: float = 60.0
    verify_memory_bytes: int = 3 << 30
    # A service that makes surfaces up, as Stable Diffusion web UI's API does; empty: none.
    generative_url: str = ""
    generative_key_file: Path | None = None
    generative_limit_s: float = 120.0
    generative_steps: int = 30
    # How long to render a receipt again, or to verify a picture.
    rerender_limit_s: float = 180.0
    # Items of batches that this process works on at a time: one is rendered while another is stored. 0: none, where
    # batches must not take the processor from callers who wait.
    batch_pullers: int = 2
    # How long the item of a worker that died waits for another.
    batch_lease_s: float = 15.0

    @property
    def generative_key(self) -> str:
        return self.generative_key_file.read_text().strip() if self.generative_key_file else ""
