"""Settings of the gateway."""

from pathlib import Path

from pydantic import IPvAnyNetwork

from roomviz.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    metrics_port: int = 8543
    # Where the services behind the gateway are; empty means beside it on this machine.
    segmentation_address: str = ""
    compositor_address: str = ""
    catalog_address: str = ""

    upload_bytes_max: int = 25 << 20
    upload_megapixels_max: int = 48
    # How long an upload that comes in pieces may take.
    upload_kept_hours: int = 24
    decode_workers: int = 2
    decode_limit_s: float = 20.0
    decode_memory_bytes: int = 3 << 30

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

    @property
    def share_key(self) -> bytes:
        key = self.share_key_file.read_bytes().strip()
        if len(key) < 32:
            raise ValueError(f"{self.share_key_file} has less than 32 bytes")
        return key

    def address(self, service: str) -> str:
        return getattr(self, f"{service}_address") or f"127.0.0.1:{getattr(self, f'{service}_port')}"
