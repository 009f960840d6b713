"""API keys: how they look, and what may be asked of them.

A key is `rvk_<key_id>_<secret>`: the id finds its row, the secret has 256 random bits, the prefix tells scanners of source
code what they found. Keys that were made elsewhere (`services.gateway.keys`) may look otherwise.
"""

import hashlib
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from roomviz.errors import InvalidArgument, Violation
from services.gateway.domain.principal import Role

SCOPES_MAX = 64
_KEY = re.compile(r"rvk_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_SCOPE = re.compile(r"\*|[a-z]+\.(\*|[a-z]+)")
_STORE = re.compile(r"[A-Za-z0-9._-]{0,64}")


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret. `overlap_expire_time`: until when the secret before the last rotation works."""

    key_id: str
    tenant: str
    prefix: str
    display_name: str
    role: Role
    scopes: tuple[str, ...]
    store: str
    create_time: datetime
    update_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    overlap_expire_time: datetime | None
    etag: str

    @property
    def name(self) -> str:
        return f"apiKeys/{self.key_id}"


def new_key_id() -> str:
    return secrets.token_hex(8)


def prefix_of(key_id: str) -> str:
    return f"rvk_{key_id}"


def new_key(key_id: str) -> str:
    """A key with a fresh secret."""
    return f"{prefix_of(key_id)}_{secrets.token_urlsafe(32)}"


def key_id_of(key: str) -> str:
    """The id in a key; empty where it is not of this form."""
    match = _KEY.fullmatch(key)
    return match[1] if match else ""


def key_hash(key: str) -> bytes:
    """What is kept of a key. SHA-256 is enough for what nobody can guess: slow hashes protect what people choose."""
    return hashlib.sha256(key.encode()).digest()


def check_scopes(scopes: Iterable[str], permissions: Collection[str]) -> tuple[str, ...]:
    """Scopes without repetition. Raises InvalidArgument, naming each that is no pattern of a permission there is."""
    kept = tuple(dict.fromkeys(scopes))
    wrong = [
        Violation(f"api_key.scopes[{i}]", f"{s[:64]!r} is no permission, nor a pattern of some such as rooms.*")
        for i, s in enumerate(kept)
        if not _SCOPE.fullmatch(s) or not any(fnmatchcase(p, s) for p in permissions)
    ]
    if len(kept) > SCOPES_MAX:
        wrong = [Violation("api_key.scopes", f"a key has at most {SCOPES_MAX} scopes")]
    if wrong:
        raise InvalidArgument(
            "SCOPES_INVALID", "scopes name permissions such as rooms.get or rooms.*", violations=wrong
        )
    return kept


def check_store(store: str) -> str:
    if not _STORE.fullmatch(store):
        said = "a store's id has up to 64 letters, digits, dots, underscores and hyphens"
        raise InvalidArgument("STORE_INVALID", said, violations=[Violation("api_key.store", said)])
    return store
