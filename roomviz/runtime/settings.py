"""Settings that every service has. Read from the environment once, prefix `ROOMVIZ_`, secrets as files."""

from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Missing or wrong values are reported all together when the service starts."""

    model_config = SettingsConfigDict(env_prefix="ROOMVIZ_", frozen=True, extra="ignore")

    environment: Literal["development", "production"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    host: str = "127.0.0.1"
    metrics_host: str = "127.0.0.1"
    shutdown_grace_s: float = 10.0

    gateway_port: int = 8443
    segmentation_port: int = 8451
    compositor_port: int = 8452
    catalog_port: int = 8453

    postgres_dsn: str  # without a password: asyncpg reads it from postgres_passfile
    postgres_passfile: Path
    postgres_pool_size: int = 8
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key_file: Path
    s3_bucket: str = "roomviz"
    s3_secure: bool = False
    # Where the outside reaches the object store, such as https://media.example.com; empty: as we do.
    s3_public_url: str = ""

    default_deadline_s: float = 30.0

    @property
    def s3_secret_key(self) -> str:
        return self.s3_secret_key_file.read_text().strip()


class BusSettings(ServiceSettings):
    """Of a service that uses NATS."""

    nats_url: str
    nats_user: str
    nats_password_file: Path
