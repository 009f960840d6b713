"""Deletion receipts: a signed account of what was removed, which names everything by digest.

The document is JSON with sorted keys, no white space, strings and whole numbers only, in UTF-8: the canonical form of RFC
8785 for such values. The signature is Ed25519 (RFC 8032) over these bytes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

TYPE = "roomviz.deletion-receipt.v1"


@dataclass(frozen=True)
class ErasedObject:
    """key_digest: SHA-256 of the key; kind: the first part of the key; etag: the store's own mark of the content."""

    key_digest: bytes
    kind: str
    size_bytes: int
    etag: str


@dataclass(frozen=True)
class Receipt:
    document: bytes
    signature: bytes
    public_key: bytes


class Signer:
    def __init__(self, pem: bytes):
        """pem: an Ed25519 key, PKCS #8 without a password. Raises ValueError where it is none."""
        key = load_pem_private_key(pem, None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("receipts are signed with an Ed25519 key")
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()

    def sign(self, document: bytes) -> Receipt:
        return Receipt(document, self._key.sign(document), self.public_key)

    def objection(self, receipt: Receipt) -> str:
        """What speaks against a receipt; empty where nothing does."""
        if receipt.public_key != self.public_key:
            return "another key than this installation's signed it"
        try:
            Ed25519PublicKey.from_public_bytes(receipt.public_key).verify(receipt.signature, receipt.document)
        except (InvalidSignature, ValueError):
            return "the signature is not that of this document: one of them was changed"
        return ""


def document(
    kind: str,
    operation: str,
    tenant: str,
    pseudonym: str,
    begun: datetime,
    ended: datetime,
    removed: Mapping[str, int],
    kept: Mapping[str, int],
    objects: Iterable[ErasedObject],
) -> bytes:
    """removed and kept: rows by table."""
    listed = [
        {"etag": o.etag, "key_sha256": o.key_digest.hex(), "kind": o.kind, "size_bytes": o.size_bytes}
        for o in sorted(objects, key=lambda o: o.key_digest)
    ]
    return canonical(
        {
            "type": TYPE,
            "action": kind.lower(),
            "operation": operation,
            "tenant": tenant,
            "subject": pseudonym,
            "begin_time": _time(begun),
            "end_time": _time(ended),
            "rows_removed": {k: v for k, v in removed.items() if v},
            "rows_kept": {k: v for k, v in kept.items() if v},
            "objects": listed,
        }
    )


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
