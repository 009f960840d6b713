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

    @property
    def share_key(self) -> bytes:
        key = self.share_key_file.read_bytes().strip()
        if len(key) < 32:
            raise ValueError(f"{self.share_key_file} has less than 32 bytes")
        return key

    def address(self, service: str) -> str:
        return getattr(self, f"{service}_address") or f"127.0.0.1:{getattr(self, f'{service}_port')}"
