"""Settings of the local stack, from `.env` and the environment; `.env.example` documents each."""

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[2]

# What is behind the gateway is not for anybody outside this machine: some of it believes whoever reaches it.
INTERNAL_HOST = "127.0.0.1"


class LocalSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ROOMVIZ_", env_file=ROOT / ".env", frozen=True, extra="ignore")

    state: Path = Path(".local")
    environment: Literal["development", "production"] = "development"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    host: str = "127.0.0.1"
    tls: Literal["off", "on"] = "off"

    gateway_port: int = 8443
    http_port: int = 8080
    segmentation_port: int = 8451
    compositor_port: int = 8452
    catalog_port: int = 8453
    gateway_metrics_port: int = 8543
    segmentation_metrics_port: int = 8551
    compositor_metrics_port: int = 8552
    catalog_metrics_port: int = 8553

    postgres_port: int = 8460
    nats_port: int = 8461
    nats_monitor_port: int = 8462
    s3_port: int = 8463
    s3_master_port: int = 8464
    s3_volume_port: int = 8465
    s3_filer_port: int = 8466
    triton_http_port: int = 8470
    triton_grpc_port: int = 8471
    triton_metrics_port: int = 8472

    upload_bytes_max: int = 25 << 20
    upload_megapixels_max: int = 48
    fetch_schemes: tuple[str, ...] = ("https",)
    fetch_ports: tuple[int, ...] = (443,)
    fetch_hosts: tuple[str, ...] = ()
    fetch_networks: tuple[str, ...] = ()
    webhook_schemes: tuple[str, ...] = ("https",)
    webhook_ports: tuple[int, ...] = (443,)
    webhook_hosts: tuple[str, ...] = ()
    webhook_networks: tuple[str, ...] = ()
    webhook_schedule_s: tuple[float, ...] = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    insight_period_s: float = 5.0
    generative_url: str = ""
    model: str = "roomseg"
    proposal_model: str = "fastsam-room"
    proposals_long_side: int = 640
    prompt_model: str = ""
    text_model: str = ""
    text_tokenizer: str = ""

    demo_tenant: str = "demo"

    @property
    def home(self) -> Path:
        """The state folder, absolute."""
        return (ROOT / self.state).resolve()

    @property
    def secrets(self) -> Path:
        """Where secrets lie: docs/security.md."""
        return self.home / "secrets"

    @property
    def api_key(self) -> str:
        """The demonstration tenant's, once the stack was started."""
        return (self.secrets / "api_key").read_text().strip()

    @property
    def authorities(self) -> Path:
        """Whose certificates the services of this stack believe, and who calls its gateway should."""
        return self.secrets / "ca" / "ca.pem"

    @property
    def web(self) -> str:
        """Where HTTP is answered."""
        return f"http{'s' if self.tls == 'on' else ''}://{self.host}:{self.http_port}"

    @property
    def installed(self) -> Path:
        """Where the Makefile put the servers; the same for every stack of this checkout."""
        return ROOT / ".local"

    @property
    def ports(self) -> dict[str, int]:
        """Every port that must be free, by what claims it."""
        claimed = {
            f"ROOMVIZ_{n.upper()}": int(getattr(self, n)) for n in type(self).model_fields if n.endswith("_port")
        }
        grpc = {f"{n} + 10000": p + 10000 for n, p in claimed.items() if n.startswith("ROOMVIZ_S3_")}
        return claimed | grpc

    def service_environment(self, service: str) -> dict[str, str]:
        """What a service reads: see `roomviz.runtime.settings`."""
        secrets = self.secrets / service
        values: dict[str, object] = {
            "ENVIRONMENT": self.environment,
            "LOG_LEVEL": self.log_level,
            "HOST": self.host if service == "gateway" else INTERNAL_HOST,
            "GATEWAY_PORT": self.gateway_port,
            "HTTP_PORT": self.http_port,
            "SEGMENTATION_PORT": self.segmentation_port,
            "COMPOSITOR_PORT": self.compositor_port,
            "CATALOG_PORT": self.catalog_port,
            "METRICS_PORT": getattr(self, f"{service}_metrics_port"),
            "POSTGRES_DSN": f"postgresql://{service}@{INTERNAL_HOST}:{self.postgres_port}/roomviz",
            "POSTGRES_PASSWORD_FILE": secrets / "postgres_password",
            "NATS_URL": f"nats://{INTERNAL_HOST}:{self.nats_port}",
            "NATS_USER": service,
            "NATS_PASSWORD_FILE": secrets / "nats_password",
            "S3_ENDPOINT": f"{INTERNAL_HOST}:{self.s3_port}",
            "S3_ACCESS_KEY": service,
            "S3_SECRET_KEY_FILE": secrets / "s3_secret_key",
            "TRITON_ADDRESS": f"{INTERNAL_HOST}:{self.triton_grpc_port}",
            "MODEL": self.model,
            "PROPOSAL_MODEL": self.proposal_model,
            "PROPOSALS_LONG_SIDE": self.proposals_long_side,
            "PROMPT_MODEL": self.prompt_model,
            "TEXT_MODEL": self.text_model,
            "TEXT_TOKENIZER": self.text_tokenizer,
            "MODEL_REPOSITORY": ROOT / "model_repository",
            "UPLOAD_BYTES_MAX": self.upload_bytes_max,
            "UPLOAD_MEGAPIXELS_MAX": self.upload_megapixels_max,
            "GENERATIVE_URL": self.generative_url,
            "FETCH_SCHEMES": json.dumps(self.fetch_schemes),
            "FETCH_PORTS": json.dumps(self.fetch_ports),
            "FETCH_HOSTS": json.dumps(self.fetch_hosts),
            "FETCH_NETWORKS": json.dumps(self.fetch_networks),
        }
        if service == "gateway":
            values |= {
                "RECEIPT_KEY_FILE": secrets / "receipt_key.pem",
                "SHARE_KEY_FILE": secrets / "share_key",
                "PUBLIC_TENANT": self.demo_tenant,
                "TOKEN_KEYS_DIR": secrets / "token_keys",
                "WEBHOOK_KEY_FILE": secrets / "webhook_key",
                "WEBHOOK_SCHEMES": json.dumps(self.webhook_schemes),
                "WEBHOOK_PORTS": json.dumps(self.webhook_ports),
                "WEBHOOK_HOSTS": json.dumps(self.webhook_hosts),
                "WEBHOOK_NETWORKS": json.dumps(self.webhook_networks),
                "WEBHOOK_SCHEDULE_S": json.dumps(self.webhook_schedule_s),
                "INSIGHT_PERIOD_S": self.insight_period_s,
            }
        if self.tls == "on":
            values |= {
                "TLS_CERTIFICATE_FILE": secrets / "tls.pem",
                "TLS_KEY_FILE": secrets / "tls.key",
                "TLS_CA_FILE": self.authorities,
            }
            if service == "gateway":
                values |= {
                    "PUBLIC_TLS_CERTIFICATE_FILE": secrets / "public.pem",
                    "PUBLIC_TLS_KEY_FILE": secrets / "public.key",
                }
        # What else a service can be told (services/*/settings.py) is handed on as it was given.
        told = {**dotenv_values(ROOT / ".env"), **os.environ}
        known = {f"ROOMVIZ_{n.upper()}" for n in import_module(f"services.{service}.settings").Settings.model_fields}
        given = {k: v for k, v in told.items() if k in known and v is not None}
        return (
            given
            | {f"ROOMVIZ_{k}": str(v) for k, v in values.items()}
            | {
                # Big buffers stay with the process between calls instead of going back to the kernel each time.
                "MALLOC_MMAP_THRESHOLD_": "4294967296",
                "MALLOC_TRIM_THRESHOLD_": "8589934592",
                "MALLOC_TOP_PAD_": "67108864",
                "GRPC_VERBOSITY": "ERROR",
            }
        )
