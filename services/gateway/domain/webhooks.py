"""How a webhook is signed, and when it is tried again.

Source: Standard Webhooks 1.0.0, "Signature scheme", "Webhook headers" and "Deliverability and reliability".
"""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from random import Random

from standardwebhooks import Webhook

# A secret has 24 to 64 bytes.
SECRET_BYTES = 32
# The most of an answer that is kept, in bytes.
EXCERPT_MAX = 1024
JITTER = 0.1
RETRY_AFTER_MAX_S = 24 * 3600.0
GONE = 410


class DeliveryState(StrEnum):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True)
class Endpoint:
    """secret and old_secret are encrypted; the old one counts until overlap_end_time."""

    endpoint_id: str
    tenant: str
    url: str
    event_types: tuple[str, ...]
    description: str
    disabled: bool
    disable_reason: str
    failing_since: datetime | None
    create_time: datetime
    update_time: datetime
    secret: bytes
    old_secret: bytes | None
    overlap_end_time: datetime | None
    etag: str

    @property
    def name(self) -> str:
        return f"webhookEndpoints/{self.endpoint_id}"


@dataclass(frozen=True)
class Attempt:
    """status is 0 where the endpoint did not answer; error is empty where it answered with 2xx."""

    number: int
    create_time: datetime
    duration_ms: int
    status: int
    error: str
    excerpt: str


@dataclass(frozen=True)
class Delivery:
    delivery_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    state: DeliveryState
    create_time: datetime
    next_time: datetime
    attempts: tuple[Attempt, ...]

    @property
    def name(self) -> str:
        return f"webhookEndpoints/{self.endpoint_id}/deliveries/{self.delivery_id}"


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(message_id: str, now: datetime, body: bytes, keys: Sequence[str]) -> dict[str, str]:
    """What goes with a message, signed with each of the secrets; `now` is in UTC."""
    signatures = (Webhook(key).sign(message_id, now, body.decode()) for key in keys)
    return {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def delay_s(tries: int, schedule: Sequence[float], random: Random, retry_after_s: float = 0.0) -> float | None:
    """How long to wait after so many failed tries; None: give it up.

    schedule: the waits before the first try, the second, and so on, in seconds. Up to a tenth more is waited, so that
    what failed together does not come back together. What the endpoint asks for (`retry-after`) is waited, up to a day.
    """
    if tries >= len(schedule):
        return None
    wait = schedule[tries] * (1 + JITTER * random.random())
    return max(wait, min(retry_after_s, RETRY_AFTER_MAX_S))


def retry_after_s(answered: Mapping[str, str]) -> float:
    """What an answer's `retry-after` asks for, where that is a number of seconds; else 0."""
    text = answered.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0
