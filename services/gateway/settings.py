"""Settings of the gateway."""

from pathlib import Path
from typing import Self

from pydantic import FilePath, IPvAnyNetwork, model_validator

from roomviz.runtime.settings import BusSettings, all_or_none
from services.gateway.domain.quotas import Allowance


class Settings(BusSettings):
    metrics_port: int = 8543
    # TLS towards callers: a certificate and its key; both, or plaintext.
    public_tls_certificate_file: FilePath | None = None
    public_tls_key_file: FilePath | None = None
    # Where the services behind the gateway are; empty means beside it on this machine.
    segmentation_address: str = ""
    compositor_address: str = ""
    catalog_address: str = ""

    upload_bytes_max: int = 25 << 20
    upload_megapixels_max: int = 48
    # Where uploads lie until they are stored; empty: the system's folder for temporary files.
    spool_folder: str = ""
    # How long an upload that comes in pieces may take.
    upload_kept_hours: int = 24
    decode_workers: int = 2
    decode_limit_s: float = 20.0
    # Address space of a decoding process: what its libraries map (0.5 GiB) and the picture. 48 megapixels take 0.6 GiB.
    decode_memory_bytes: int = 1536 << 20

    # What a caller's URL may be: schemes, ports, hosts (these and those below them; empty: any), and networks of our own
    # that may be reached although they are not public.
    fetch_schemes: tuple[str, ...] = ("https",)
    fetch_ports: tuple[int, ...] = (443,)
    fetch_hosts: tuple[str, ...] = ()
    fetch_networks: tuple[IPvAnyNetwork, ...] = ()
    fetch_limit_s: float = 10.0

    # Whose customers register, sign in and try demo sessions without an API key; empty: nobody's.
    public_tenant: str = ""
    # A folder of Ed25519 keys (*.pem) that sign access tokens, the last by name the newest; none: nobody can sign in.
    token_keys_dir: Path | None = None
    token_issuer: str = "roomviz"
    token_audience: str = "roomviz"
    access_token_s: float = 900.0
    refresh_token_days: int = 30
    # How many passwords are hashed at once, each on a core of its own.
    password_workers: int = 2
    # What signs the tokens of shares: 32 random bytes or more, the same for every gateway. Another key ends all shares.
    share_key_file: Path

    # How long what was deleted can be brought back.
    undelete_days: int = 7

    # What a tenant may use whose own limits say nothing else (`python -m services.gateway.quotas`). Several gateways that
    # share the load (`gateways`) each let in their part of the requests and of the heavy calls.
    quota_requests_per_s: float = 100.0
    quota_requests_burst: int = 300
    quota_heavy_calls: int = 16
    quota_operations_running: int = 32
    quota_megapixels_day: float = 100_000.0
    gateways: int = 1
    # Requests of one tenant that wait because they come too fast, and how long: then they are refused.
    rate_waiting: int = 128
    rate_wait_s: float = 4.0

    # How many calls are worked on at a time, light and heavy ones (previews, corrections, decoding of uploads), and how
    # many of them may be one tenant's; how many more of one tenant's may wait, and how long.
    light_slots: int = 48
    light_share: int = 32
    light_waiting: int = 64
    light_wait_s: float = 1.0
    heavy_slots: int = 8
    heavy_share: int = 4
    heavy_waiting: int = 16
    heavy_wait_s: float = 5.0
    # The wall behind these: gRPC refuses more calls at a time, those included that only watch.
    calls_max: int = 4096
    # Calls of one connection at a time, those included that watch. More wait at the caller: even a refusal costs a third of
    # what a light call does, so a gateway that had to refuse all that one connection can send would do nothing else.
    streams_per_connection: int = 128
    # What webhooks' secrets are encrypted with (adapters/vault.py); none: this installation sends no webhooks.
    webhook_key_file: Path | None = None
    # Where they may be sent, as above.
    webhook_schemes: tuple[str, ...] = ("https",)
    webhook_ports: tuple[int, ...] = (443,)
    webhook_hosts: tuple[str, ...] = ()
    webhook_networks: tuple[IPvAnyNetwork, ...] = ()
    webhook_limit_s: float = 15.0
    # Waits before the first try, the second, and so on: three days. Source: Standard Webhooks, "Retry schedule".
    webhook_schedule_s: tuple[float, ...] = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    # An endpoint that takes nothing for so long is disabled.
    webhook_disable_after_s: float = 5 * 86_400
    webhooks_at_once: int = 16
    # How long deliveries that ended are shown, and how many whole months events are kept, for replays and funnels.
    webhook_days: int = 30
    event_months: int = 13
    # How often days are counted in which something happened.
    insight_period_s: float = 5.0
    # Descriptions by Gemini, to whom the photo is sent then: a file with the key; none: in our own words. base_url: empty
    # for Google's own. After so many failures in a row it is left alone for a while.
    gemini_key_file: Path | None = None
    gemini_model: str = "gemini-2.5-flash"
    gemini_base_url: str = ""
    gemini_limit_s: float = 15.0
    gemini_failures_max: int = 3
    gemini_rest_s: float = 60.0

    # How many jobs of one tenant lie in a queue at a time; more wait for one of these to end, and jobs of other tenants go
    # first meanwhile. One tenant alone keeps so many workers busy.
    jobs_ahead: int = 2
    # How long a job may take before it is given up, and how long before it is sent again.
    job_limit_s: float = 600.0
    # What each item of a batch adds to that.
    batch_item_limit_s: float = 3.0
    republish_after_s: float = 120.0
    # How often what is out of date is looked for.
    housekeeping_s: float = 60.0
    watch_limit_s: float = 900.0
    compare_limit_s: float = 120.0
    upload_limit_s: float = 120.0
    # As the compositor's: how long to render a receipt again, or to verify a picture.
    rerender_limit_s: float = 180.0

    # HTTP/JSON and Connect. `http_url` is what callers reach it by (`https://rooms.example`): links are made with it;
    # empty, they have no host. Origins are web pages that may call (`https://shop.example`, `*` for any); proxies are
    # addresses whose word on who calls is taken.
    http_port: int = 8080
    http_url: str = ""
    http_origins: tuple[str, ...] = ()
    http_proxies: tuple[str, ...] = ()
    http_link_s: int = 900
    # How long a request for an analysis or a picture waits; what takes longer goes on.
    http_wait_s: float = 30.0
    # How long a demo session of the public tenant's is valid, and how many an address may begin.
    demo_session_s: float = 3600.0
    demo_sessions_per_hour: int = 30

    # Signs deletion receipts: an Ed25519 key as PEM (PKCS #8). Without one, nobody's data are deleted on request.
    receipt_key_file: Path | None = None
    # How long gathering or erasing what is kept of somebody may take, and how long a gathered zip is kept.
    privacy_limit_s: float = 3600.0
    export_kept_days: int = 7
    # How often is looked for what is due: unused rooms, what was deleted, exports.
    retention_sweep_s: float = 300.0

    @model_validator(mode="after")
    def _public_tls_is_whole(self) -> Self:
        all_or_none(self, "public_tls_certificate_file", "public_tls_key_file")
        return self

    @property
    def gemini_key(self) -> str:
        return self.gemini_key_file.read_text().strip() if self.gemini_key_file else ""

    @property
    def share_key(self) -> bytes:
        key = self.share_key_file.read_bytes().strip()
        if len(key) < 32:
            raise ValueError(f"{self.share_key_file} has less than 32 bytes")
        return key

    def address(self, service: str) -> str:
        return getattr(self, f"{service}_address") or f"127.0.0.1:{getattr(self, f'{service}_port')}"

    @property
    def allowance(self) -> Allowance:
        return Allowance(
            self.quota_requests_per_s,
            self.quota_requests_burst,
            self.quota_heavy_calls,
            self.quota_operations_running,
            self.quota_megapixels_day,
        )
