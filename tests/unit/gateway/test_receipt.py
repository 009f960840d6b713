"""Deletion receipts."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.gateway.domain.receipt import ErasedObject, Signer, document

FIRST, SECOND = ErasedObject(b"\1" * 32, "rooms", 7, "a"), ErasedObject(b"\2" * 32, "masks", 9, "b")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def pem(key: object) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]


def made(*objects: ErasedObject, removed: dict[str, int] | None = None, at: datetime = AT) -> bytes:
    removed = {"gateway.rooms": 1} if removed is None else removed
    return document("DELETE", "operations/o", "demo", "subjects/x", at, at, removed, {}, objects)


def test_a_receipt_is_the_same_in_whatever_order_things_went():
    here = timezone(timedelta(hours=2))

    assert made(FIRST, SECOND) == made(SECOND, FIRST, at=AT.astimezone(here))
    assert made(FIRST, removed={"b": 1, "a": 2}) == made(FIRST, removed={"a": 2, "b": 1, "c": 0})


def test_a_document_is_canonical_and_tells_all():
    text = made(FIRST).decode()

    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(text)["objects"] == [{"etag": "a", "key_sha256": "01" * 32, "kind": "rooms", "size_bytes": 7}]
    assert json.loads(text)["begin_time"] == "2026-03-01T12:00:00Z"


def test_a_signature_holds_for_its_document_alone_and_without_us():
    signer = Signer(pem(Ed25519PrivateKey.generate()))

    receipt = signer.sign(made(FIRST))

    assert signer.objection(receipt) == ""
    Ed25519PublicKey.from_public_bytes(receipt.public_key).verify(receipt.signature, receipt.document)
    for changed in (
        replace(receipt, document=made(SECOND)),
        replace(receipt, signature=bytes(64)),
        replace(receipt, signature=b"short"),
        replace(receipt, public_key=bytes(32)),
        Signer(pem(Ed25519PrivateKey.generate())).sign(receipt.document),
    ):
        assert signer.objection(changed)


def test_another_kind_of_key_is_refused_at_the_start():
    with pytest.raises(ValueError, match="Ed25519"):
        Signer(pem(generate_private_key(SECP256R1())))
