"""Settings of the compositor service."""

from roomviz.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    metrics_port: int = 8552
    cpu_threads: int = 2
    job_concurrency: int = 1
    cache_bytes: int = 512 << 20
