"""Settings that every service has. Read from the environment once, prefix `ROOMVIZ_`, secrets as files."""

from pathlib import Path
from typing import Literal, Self

from pydantic import FilePath, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def all_or_none(settings: BaseSettings, *names: str) -> None:
    """Refuse settings of which some are set and some are not.

    Raises:
        ValueError: with the names of those that are missing.
    """
    missing = [f"ROOMVIZ_{n.upper()}" for n in names if getattr(settings, n) is None]
    if 0 < len(missing) < len(names):
        raise ValueError(f"{' and '.join(missing)} must be set too, or none of them")


class ServiceSettings(BaseSettings):
    """Missing or wrong values are reported all together when the service starts."""

    model_config = SettingsConfigDict(env_prefix="ROOMVIZ_", env_ignore_empty=True, frozen=True, extra="ignore")

    environment: Literal["development", "production"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    host: str = "127.0.0.1"
    metrics_host: str = "127.0.0.1"
    shutdown_grace_s: float = 10.0

    gateway_port: int = 8443
    segmentation_port: int = 8451
    compositor_port: int = 8452
    catalog_port: int = 8453

    postgres_dsn: str  # without a password
    postgres_password_file: Path
    postgres_pool_size: int = 8
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key_file: Path
    s3_bucket: str = "roomviz"
    s3_secure: bool = False
    # Where the outside reaches the object store, such as https://media.example.com; empty: as we do.
    s3_public_url: str = ""

    # TLS between services: this one's certificate and key, and the authorities of all. All three, or plaintext.
    tls_certificate_file: FilePath | None = None
    tls_key_file: FilePath | None = None
    tls_ca_file: FilePath | None = None
    # Who may call this service then, by the DNS names in their certificates.
    tls_callers: tuple[str, ...] = ()

    default_deadline_s: float = 30.0

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        all_or_none(self, "tls_certificate_file", "tls_key_file", "tls_ca_file")
        return self

    def postgres_password(self) -> str:
        """As it is now: asked for at each new connection, so that a new one is taken up without a restart."""
        return self.postgres_password_file.read_text().strip()

    @property
    def s3_secret_key(self) -> str:
        return self.s3_secret_key_file.read_text().strip()


class BusSettings(ServiceSettings):
    """Of a service that uses NATS."""

    nats_url: str
    # The authorities of NATS' servers. Where it is set, TLS is spoken from the first byte on, so that nobody in between can
    # talk us out of it; servers must be told so (`handshake_first`).
    nats_ca_file: FilePath | None = None
    nats_user: str
    nats_password_file: Path
