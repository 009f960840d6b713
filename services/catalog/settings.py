"""Settings of the catalog service."""

from roomviz.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    metrics_port: int = 8553
    tls_callers: tuple[str, ...] = ("gateway",)
    cpu_threads: int = 1  # patterns made seamless at the same time
