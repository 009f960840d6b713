"""Rules of accounts and keys."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher
from google.protobuf.field_mask_pb2 import FieldMask

from roomviz.errors import InvalidArgument, ResourceExhausted
from roomviz.v1 import accounts_pb2
from services.gateway.adapters import passwords as module
from services.gateway.adapters.accounts import network
from services.gateway.adapters.passwords import Argon2Passwords, passwords
from services.gateway.domain.accounts import normal_email, normal_password
from services.gateway.domain.api_keys import check_scopes, key_id_of, new_key, new_key_id, prefix_of
from services.gateway.domain.principal import Principal, Role
from services.gateway.transport.accounts import host_of, role_of, role_to_proto
from services.gateway.transport.update_masks import updated

PERMISSIONS = frozenset({"rooms.get", "rooms.create", "keys.create", "users.create", "tenants.get"})


# --- addresses and passwords ---


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada+shop@example.com", "ada+shop@example.com"),
        ("u\u0308ber@example.com", "\u00fcber@example.com"),
        ("ada@B\u00fccher.example.com", "ada@b\u00fccher.example.com"),
    ],
)
def test_an_address_is_kept_in_one_form(given: str, kept: str):
    assert normal_email(given) == kept
    assert normal_email(kept) == kept


@pytest.mark.parametrize(
    "given", ["", "a", "a@b", "a@", "@b.com", "a b@c.com", "a@b.com\0", "a@b..com", "x" * 65 + "@b.com"]
)
def test_what_is_no_address_is_refused(given: str):
    with pytest.raises(InvalidArgument) as caught:
        normal_email(given)
    assert (caught.value.reason, caught.value.violations[0].subject) == ("EMAIL_INVALID", "email")


def test_a_password_has_10_to_256_characters_however_they_are_written():
    assert normal_password("x" * 10) == "x" * 10
    assert normal_password("u\u0308" * 10) == "\u00fc" * 10
    assert normal_password("\U0001f511" * 256)
    for wrong in ("", "x" * 9, "u\u0308" * 9, "x" * 257):
        with pytest.raises(InvalidArgument) as caught:
            normal_password(wrong, "new_password")
        assert (caught.value.reason, caught.value.violations[0].subject) == ("PASSWORD_INVALID", "new_password")


async def test_a_password_matches_its_hash_alone():
    async with passwords(1) as hasher:
        kept = await hasher.hash("correct horse")

        assert kept.startswith("$argon2id$")
        assert await hasher.match(kept, "correct horse")
        assert not await hasher.match(kept, "correct horse ")
        assert not await hasher.match("", "correct horse")
        assert not await hasher.match("", "")
        assert not await hasher.match("no hash", "correct horse")
        assert not hasher.outdated(kept)
        assert hasher.outdated(PasswordHasher(1, 8, 1).hash("correct horse"))


async def test_a_queue_of_passwords_has_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    with ThreadPoolExecutor(1) as pool:
        hasher = Argon2Passwords(pool)

        done = await asyncio.gather(*(hasher.hash("correct horse") for _ in range(4)), return_exceptions=True)

        assert [type(d) for d in done] == [str, str, ResourceExhausted, ResourceExhausted]
        assert await hasher.hash("correct horse")


# --- keys ---


def test_a_key_carries_its_id_and_256_random_bits():
    key_id = new_key_id()
    key = new_key(key_id)

    assert key_id_of(key) == key_id
    assert key.startswith(prefix_of(key_id) + "_")
    assert key != new_key(key_id)
    assert "." not in key  # or it would be taken for a JWT
    for other in ("", "rv_demo", key + "x", key[:-1], key.upper(), key + "\n", "rvk__" + "a" * 43):
        assert key_id_of(other) == ""


def test_scopes_are_patterns_of_permissions_that_there_are():
    assert check_scopes(["rooms.*", "rooms.get", "rooms.*"], PERMISSIONS) == ("rooms.*", "rooms.get")
    assert check_scopes(["*"], PERMISSIONS) == ("*",)
    assert check_scopes([], PERMISSIONS) == ()
    for wrong in (
        "rooms",
        "rooms.",
        "room.*",
        "rooms.fly",
        "*.get",
        "r*.get",
        "rooms.g*",
        "[a-z]*.get",
        "rooms.?et",
        "",
    ):
        with pytest.raises(InvalidArgument) as caught:
            check_scopes(["rooms.get", wrong], PERMISSIONS)
        assert [v.subject for v in caught.value.violations] == ["api_key.scopes[1]"]
    with pytest.raises(InvalidArgument):
        check_scopes([f"rooms.{'x' * i}" for i in range(1, 70)], PERMISSIONS)


def may_grant(giver: Principal, role: Role, *scopes: str, store: str = "") -> bool:
    return giver.may_grant(role, scopes, store, PERMISSIONS)


def test_nobody_grants_more_than_they_may():
    owner = Principal("shop", "users/a", Role.OWNER)
    narrow = Principal("shop", "apiKeys/k", Role.OWNER, ("keys.*", "rooms.get"))
    in_store = Principal("shop", "apiKeys/k", Role.OWNER, (), "berlin")

    assert all(may_grant(owner, role) for role in Role)
    assert not may_grant(narrow, Role.OWNER)
    assert not may_grant(narrow, Role.VIEWER)  # who may see the tenant
    assert may_grant(narrow, Role.OWNER, "rooms.get")
    assert not may_grant(narrow, Role.OWNER, "rooms.*")
    assert not may_grant(in_store, Role.VIEWER)
    assert may_grant(in_store, Role.VIEWER, store="berlin")


def test_who_sees_their_own_alone_grants_no_more_sight():
    kiosk = Principal("shop", "apiKeys/k", Role.KIOSK)

    assert may_grant(kiosk, Role.KIOSK)
    assert not may_grant(kiosk, Role.VIEWER, "rooms.get")


# --- between protos and records ---


def test_every_role_travels():
    assert {role_of(role_to_proto(r)) for r in Role} == set(Role)
    assert role_of(accounts_pb2.ROLE_UNSPECIFIED) is None
    assert role_of(99) is None


def test_an_update_changes_what_its_mask_names_or_what_is_there():
    user = accounts_pb2.User(name="users/u", display_name="Ada", etag="1")
    changeable = ["display_name", "disabled"]

    assert updated(user, FieldMask(), changeable) == {"display_name": "Ada"}
    assert updated(user, FieldMask(paths=["disabled"]), changeable) == {"disabled": False}
    for mask in (["name"], ["disabled", "*"], ["display_name.x"]):
        with pytest.raises(InvalidArgument) as caught:
            updated(user, FieldMask(paths=mask), changeable)
        assert caught.value.reason == "UPDATE_MASK_INVALID"
    with pytest.raises(InvalidArgument):
        updated(accounts_pb2.User(), FieldMask(), changeable)


@pytest.mark.parametrize(
    ("peer", "host"),
    [("ipv4:127.0.0.1:50000", "127.0.0.1"), ("ipv6:%5B::1%5D:50000", "::1"), ("unix:/tmp/x", ""), ("", "")],
)
def test_where_a_call_comes_from_is_read_from_its_peer(peer: str, host: str):
    assert host_of(peer) == host


def test_an_ipv6_customer_is_one_network():
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:1::1")
    assert network("192.0.2.1") != network("192.0.2.2")
    assert network("") == ""
