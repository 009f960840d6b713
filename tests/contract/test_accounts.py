"""Accounts, API keys and tenants against the running services."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf.field_mask_pb2 import FieldMask

from roomviz.client import Client, SessionToken
from roomviz.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from roomviz.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    api_keys_pb2,
    api_keys_pb2_grpc,
    rooms_pb2,
    rooms_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    tenants_pb2,
    tenants_pb2_grpc,
)
from tests.conftest import Running
from tests.contract.test_api import covers, parts, refusal, small_room

PASSWORD = "correct horse battery"
# For how long a credential that ended may still be remembered; and some.
REMEMBERED_S = 20.0


class Caller:
    """Raw stubs with a credential in the metadata."""

    def __init__(self, channel: grpc.Channel, bearer: str = "", key: str = ""):
        metadata = [("authorization", f"Bearer {bearer}")] * bool(bearer) + [("x-api-key", key)] * bool(key)

        def bind(stub: Any) -> Any:
            class Bound:
                def __getattr__(self, name: str) -> Callable[..., Any]:
                    return lambda request: getattr(stub, name)(request, timeout=30, metadata=metadata)

            return Bound()

        self.accounts = bind(accounts_pb2_grpc.AccountServiceStub(channel))
        self.keys = bind(api_keys_pb2_grpc.ApiKeyServiceStub(channel))
        self.tenants = bind(tenants_pb2_grpc.TenantServiceStub(channel))
        self.rooms = bind(rooms_pb2_grpc.RoomServiceStub(channel))
        self.system = bind(system_pb2_grpc.SystemServiceStub(channel))

    def works(self) -> bool:
        try:
            self.system.GetSystemStatus(system_pb2.GetSystemStatusRequest())
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:  # type: ignore[attr-defined]
                return False
            raise
        return True


@pytest.fixture(scope="module")
def channel(running: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running.address) as made:
        yield made


@pytest.fixture(scope="module")
def anybody(channel: grpc.Channel) -> Caller:
    return Caller(channel)


@pytest.fixture(scope="module")
def owner(channel: grpc.Channel, running: Running) -> Caller:
    return Caller(channel, running.key)


@pytest.fixture(scope="module")
def other_key(running: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An owner's key of another tenant."""
    key_file: Path = tmp_path_factory.mktemp("other") / "key"
    key_file.write_text("rv_other_shop_" + uuid.uuid4().hex)
    subprocess.run(
        [sys.executable, "-m", "services.gateway.keys", "--tenant", "other-shop", "--key-file", str(key_file)],
        env={**os.environ, **running.settings.service_environment("gateway")},
        check=True,
    )
    return key_file.read_text()


@pytest.fixture(scope="module")
def other(channel: grpc.Channel, other_key: str) -> Caller:
    return Caller(channel, other_key)


def address() -> str:
    return f"{uuid.uuid4().hex[:12]}@example.com"


def registered(caller: Caller, email: str = "") -> accounts_pb2.Session:
    request = accounts_pb2.RegisterRequest(email=email or address(), password=PASSWORD, display_name="Ada")
    return caller.accounts.Register(request).session


def login(caller: Caller, email: str, password: str = PASSWORD) -> accounts_pb2.Session:
    return caller.accounts.Login(accounts_pb2.LoginRequest(email=email, password=password)).session


def refreshed(caller: Caller, token: str) -> accounts_pb2.Session:
    return caller.accounts.RefreshTokens(accounts_pb2.RefreshTokensRequest(refresh_token=token)).session


def made_user(owner: Caller, role: accounts_pb2.Role.ValueType, email: str = "") -> accounts_pb2.User:
    user = accounts_pb2.User(email=email or address(), display_name="Someone", role=role)
    return owner.accounts.CreateUser(accounts_pb2.CreateUserRequest(user=user, password=PASSWORD)).user


def made_key(caller: Caller, role: str = "EDITOR", **fields: Any) -> api_keys_pb2.CreateApiKeyResponse:
    key = api_keys_pb2.ApiKey(role=f"ROLE_{role}", **fields)
    return caller.keys.CreateApiKey(api_keys_pb2.CreateApiKeyRequest(api_key=key))


def violations(failure: Any) -> set[str]:
    return {v.subject for v in failure.violations}


# --- people -----------------------------------------------------------------------------------------


@covers(
    "roomviz.v1.AccountService/Register",
    "roomviz.v1.AccountService/Login",
    "roomviz.v1.AccountService/GetProfile",
    "roomviz.v1.AccountService/UpdateProfile",
)
def test_who_registers_is_a_shopper_of_the_public_tenant_and_signs_in_again(anybody: Caller, channel: grpc.Channel):
    email = address()

    session = registered(anybody, email.upper())

    assert (session.user.email, session.user.role) == (email, accounts_pb2.ROLE_SHOPPER)
    again = login(anybody, email.title())
    assert again.user == session.user
    assert again.refresh_token != session.refresh_token
    me = Caller(channel, again.access_token)
    assert me.accounts.GetProfile(accounts_pb2.GetProfileRequest()).user == session.user
    # They make rooms of their own, and manage nobody.
    room = me.rooms.UploadRoom(parts(small_room(501))).room
    assert me.rooms.GetRoom(rooms_pb2.GetRoomRequest(name=room.name)).room == room
    assert refusal(lambda: me.accounts.ListUsers(accounts_pb2.ListUsersRequest())).reason == "PERMISSION_MISSING"
    stranger = Caller(channel, registered(anybody).access_token)
    assert isinstance(refusal(lambda: stranger.rooms.GetRoom(rooms_pb2.GetRoomRequest(name=room.name))), NotFound)

    named = accounts_pb2.UpdateProfileRequest(user=accounts_pb2.User(display_name="Bea", etag=session.user.etag))
    assert me.accounts.UpdateProfile(named).user.display_name == "Bea"
    assert refusal(lambda: me.accounts.UpdateProfile(named)).reason == "ETAG_MISMATCH"
    role = accounts_pb2.UpdateProfileRequest(
        user=accounts_pb2.User(role=accounts_pb2.ROLE_OWNER), update_mask=FieldMask(paths=["role"])
    )
    assert refusal(lambda: me.accounts.UpdateProfile(role)).reason == "UPDATE_MASK_INVALID"


@covers("roomviz.v1.AccountService/Register")
@pytest.mark.parametrize(
    ("email", "password", "reason", "field"),
    [
        ("nobody", PASSWORD, "EMAIL_INVALID", "email"),
        ("", PASSWORD, "EMAIL_INVALID", "email"),
        ("a@example.com\nb@example.com", PASSWORD, "EMAIL_INVALID", "email"),
        ("short@example.com", "ninechars", "PASSWORD_INVALID", "password"),
        ("long@example.com", "x" * 257, "PASSWORD_INVALID", "password"),
    ],
)
def test_what_is_no_address_or_no_password_is_refused(
    anybody: Caller, email: str, password: str, reason: str, field: str
):
    request = accounts_pb2.RegisterRequest(email=email, password=password)

    failure = refusal(lambda: anybody.accounts.Register(request))

    assert isinstance(failure, InvalidArgument)
    assert (failure.reason, violations(failure)) == (reason, {field})


@covers("roomviz.v1.AccountService/Register")
def test_two_tenants_have_an_account_each_with_one_address(anybody: Caller, channel: grpc.Channel, other_key: str):
    email = address()
    shop = Caller(channel, key=other_key)
    here = registered(anybody, email)

    there = registered(shop, email)

    assert here.user.name != there.user.name
    assert isinstance(refusal(lambda: registered(anybody, email)), AlreadyExists)
    assert login(shop, email).user == there.user
    assert login(anybody, email).user == here.user
    failure = refusal(lambda: login(Caller(channel, key="rvk_wrong"), email))
    assert isinstance(failure, Unauthenticated)


@covers("roomviz.v1.AccountService/Login")
def test_a_failed_login_does_not_tell_why(anybody: Caller, owner: Caller):
    known, disabled = address(), made_user(owner, accounts_pb2.ROLE_VIEWER)
    registered(anybody, known)
    off = accounts_pb2.UpdateUserRequest(user=accounts_pb2.User(name=disabled.name, disabled=True))
    owner.accounts.UpdateUser(off)

    failures = [
        refusal(lambda: login(anybody, known, "wrong password")),
        refusal(lambda: login(anybody, address(), "wrong password")),
        refusal(lambda: login(anybody, "no address", "wrong password")),
        refusal(lambda: login(anybody, known, "x" * 100_000)),
        refusal(lambda: login(anybody, known, "")),
        refusal(lambda: login(anybody, disabled.email)),
    ]

    assert {(f.kind, f.reason, f.message) for f in failures} == {
        ("UNAUTHENTICATED", "LOGIN_FAILED", failures[0].message)
    }


@covers("roomviz.v1.AccountService/Login")
def test_who_guesses_is_slowed_down_and_then_let_in_again(anybody: Caller):
    email, bystander = address(), address()
    registered(anybody, email)
    registered(anybody, bystander)

    failures = [refusal(lambda: login(anybody, email, "wrong password")) for _ in range(5)]

    assert {f.reason for f in failures} == {"LOGIN_FAILED"}
    for _ in range(5):  # each wait is twice as long as the one before: no machine is too slow to meet one
        slowed = refusal(lambda: login(anybody, email, "wrong password"))
        if isinstance(slowed, ResourceExhausted):
            break
    assert slowed.reason == "TRIES_TOO_MANY"
    assert slowed.retry_after_s
    # Nobody is let in before it is time, whether they know the password or not; then, who knows it is.
    assert refusal(lambda: login(anybody, email)).reason == "TRIES_TOO_MANY"
    assert login(anybody, bystander).access_token
    time.sleep(slowed.retry_after_s + 1)
    assert login(anybody, email).access_token


@covers("roomviz.v1.AccountService/RefreshTokens")
def test_a_refresh_token_works_once_and_a_replayed_one_ends_its_session(anybody: Caller, channel: grpc.Channel):
    email = address()
    first = registered(anybody, email)
    aside = login(anybody, email)

    second = refreshed(anybody, first.refresh_token)

    assert second.user == first.user
    assert Caller(channel, second.access_token).works()
    assert refusal(lambda: refreshed(anybody, first.refresh_token)).reason == "REFRESH_TOKEN_INVALID"
    assert refusal(lambda: refreshed(anybody, second.refresh_token)).reason == "REFRESH_TOKEN_INVALID"
    assert refreshed(anybody, aside.refresh_token).access_token  # another session, on another device
    for junk in ("", "rvr_", "rvr_" + "A" * 43, second.access_token, "x" * 100_000):
        failure = refusal(lambda junk=junk: refreshed(anybody, junk))  # type: ignore[misc]
        assert (failure.kind, failure.reason) == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")


@covers("roomviz.v1.AccountService/RefreshTokens")
def test_of_two_who_use_a_refresh_token_at_once_one_gets_tokens_at_most(anybody: Caller):
    session = registered(anybody)

    def use() -> bool:
        try:
            return bool(refreshed(anybody, session.refresh_token))
        except grpc.RpcError:
            return False

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: use(), range(4)))

    assert got.count(True) == 1


def test_a_session_that_nobody_goes_on_with_ends_and_is_cleared_away(
    anybody: Caller, channel: grpc.Channel, running: Running
):
    session, user_id = (made := registered(anybody)), made.user.name.removeprefix("users/")
    running.rows("UPDATE gateway.sessions SET expire_time = now() - interval '1 s' WHERE user_id = $1", user_id)

    assert refusal(lambda: refreshed(anybody, session.refresh_token)).reason == "REFRESH_TOKEN_INVALID"
    assert not Caller(channel, session.access_token).works()
    registered(anybody)

    assert not running.rows("SELECT FROM gateway.sessions WHERE user_id = $1", user_id)


@covers("roomviz.v1.AccountService/RefreshTokens")
def test_only_hashes_of_tokens_and_passwords_are_kept(anybody: Caller, running: Running):
    session = refreshed(anybody, registered(anybody).refresh_token)

    kept = str(running.rows("SELECT * FROM gateway.refresh_tokens")) + str(running.rows("SELECT * FROM gateway.users"))

    assert session.refresh_token not in kept
    assert session.refresh_token.removeprefix("rvr_") not in kept
    assert PASSWORD not in kept
    assert "$argon2id$" in kept


@covers("roomviz.v1.AccountService/ChangePassword")
def test_a_new_password_ends_the_other_sessions(anybody: Caller, channel: grpc.Channel):
    email, new = address(), "another password entirely"
    session, aside = registered(anybody, email), login(anybody, email)
    me = Caller(channel, session.access_token)

    def change(current: str, to: str = new) -> Any:
        return me.accounts.ChangePassword(accounts_pb2.ChangePasswordRequest(current_password=current, new_password=to))

    assert refusal(lambda: change("wrong password")).reason == "LOGIN_FAILED"
    assert violations(refusal(lambda: change(PASSWORD, "short"))) == {"new_password"}
    change(PASSWORD)

    assert refusal(lambda: login(anybody, email)).reason == "LOGIN_FAILED"
    assert login(anybody, email, new).user.name == session.user.name
    assert not Caller(channel, aside.access_token).works()
    assert refusal(lambda: refreshed(anybody, aside.refresh_token)).reason == "REFRESH_TOKEN_INVALID"
    assert refreshed(anybody, session.refresh_token).access_token


@covers(
    "roomviz.v1.AccountService/CreateUser",
    "roomviz.v1.AccountService/GetUser",
    "roomviz.v1.AccountService/ListUsers",
    "roomviz.v1.AccountService/UpdateUser",
    "roomviz.v1.AccountService/DeleteUser",
)
def test_owners_manage_users(owner: Caller, anybody: Caller, channel: grpc.Channel):
    user = made_user(owner, accounts_pb2.ROLE_VIEWER)
    viewer = Caller(channel, login(anybody, user.email).access_token)

    assert owner.accounts.GetUser(accounts_pb2.GetUserRequest(name=user.name)).user == user
    # Authorisation comes before validation: not even an invalid request tells a viewer more.
    for requests in (iter([]), parts(small_room(502))):
        failure = refusal(lambda requests=requests: viewer.rooms.UploadRoom(requests))  # type: ignore[misc]
        assert isinstance(failure, PermissionDenied)
        assert failure.metadata["permission"] == "rooms.create"
    assert isinstance(refusal(lambda: viewer.accounts.GetUser(accounts_pb2.GetUserRequest(name="!"))), PermissionDenied)

    def update(mask: list[str] | None = None, validate_only: bool = False, **fields: Any) -> accounts_pb2.User:
        return owner.accounts.UpdateUser(
            accounts_pb2.UpdateUserRequest(
                user=accounts_pb2.User(name=user.name, **fields),
                update_mask=FieldMask(paths=mask) if mask else None,
                validate_only=validate_only,
            )
        ).user

    tried = update(role=accounts_pb2.ROLE_EDITOR, validate_only=True)
    assert tried.role == accounts_pb2.ROLE_EDITOR
    assert owner.accounts.GetUser(accounts_pb2.GetUserRequest(name=user.name)).user == user
    edited = update(role=accounts_pb2.ROLE_EDITOR, etag=user.etag)
    assert (edited.role, edited.display_name) == (accounts_pb2.ROLE_EDITOR, "Someone")
    assert isinstance(refusal(lambda: update(role=accounts_pb2.ROLE_OWNER, etag=user.etag)), Aborted)
    assert update(["display_name"]).display_name == ""
    assert refusal(lambda: update(["role"])).reason == "ROLE_INVALID"
    assert refusal(lambda: update(["email"], email="x@example.com")).reason == "UPDATE_MASK_INVALID"
    assert refusal(lambda: update()).reason == "UPDATE_MASK_INVALID"

    seen, token = [], ""
    while True:
        page = owner.accounts.ListUsers(accounts_pb2.ListUsersRequest(page_size=2, page_token=token))
        seen += [u.email for u in page.users]
        token = page.next_page_token
        if not token:
            break
    assert user.email in seen
    assert seen == sorted(set(seen))
    owner.accounts.DeleteUser(accounts_pb2.DeleteUserRequest(name=user.name))
    assert (
        refusal(lambda: owner.accounts.GetUser(accounts_pb2.GetUserRequest(name=user.name))).reason == "USER_NOT_FOUND"
    )
    assert refusal(lambda: login(anybody, user.email)).reason == "LOGIN_FAILED"


@covers("roomviz.v1.AccountService/GetProfile")
def test_an_api_key_has_no_profile(owner: Caller):
    failure = refusal(lambda: owner.accounts.GetProfile(accounts_pb2.GetProfileRequest()))

    assert isinstance(failure, FailedPrecondition)
    assert failure.reason == "CALLER_NO_USER"


# --- keys -------------------------------------------------------------------------------------------


@covers(
    "roomviz.v1.ApiKeyService/CreateApiKey",
    "roomviz.v1.ApiKeyService/GetApiKey",
    "roomviz.v1.ApiKeyService/ListApiKeys",
    "roomviz.v1.ApiKeyService/UpdateApiKey",
)
def test_a_key_may_what_its_scopes_say_and_its_secret_is_told_once(
    owner: Caller, channel: grpc.Channel, running: Running
):
    made = made_key(owner, scopes=["rooms.get", "rooms.*", "rooms.get"], store="berlin-1", display_name="web")

    key, secret = made.api_key, made.secret
    assert list(key.scopes) == ["rooms.get", "rooms.*"]
    assert secret.startswith(key.prefix + "_")
    assert owner.keys.GetApiKey(api_keys_pb2.GetApiKeyRequest(name=key.name)).api_key == key
    kept = str(running.rows("SELECT * FROM gateway.api_keys WHERE key_id = $1", key.name.removeprefix("apiKeys/")))
    assert secret.removeprefix(key.prefix + "_") not in kept
    for caller in (Caller(channel, secret), Caller(channel, key=secret)):
        assert caller.rooms.UploadRoom(parts(small_room(503))).room.name
        status = refusal(lambda c=caller: c.system.GetSystemStatus(system_pb2.GetSystemStatusRequest()))  # type: ignore[misc]
        assert isinstance(status, PermissionDenied)
        assert isinstance(refusal(lambda c=caller: made_key(c)), PermissionDenied)  # type: ignore[misc]
    for wrong in (secret[:-1] + ("A" if secret[-1] != "A" else "B"), secret + "A", key.prefix, f"{key.prefix}_"):
        assert not Caller(channel, wrong).works()

    narrowed = owner.keys.UpdateApiKey(
        api_keys_pb2.UpdateApiKeyRequest(
            api_key=api_keys_pb2.ApiKey(name=key.name, scopes=["rooms.get"], etag=key.etag)
        )
    ).api_key
    assert (list(narrowed.scopes), narrowed.store) == (["rooms.get"], "berlin-1")
    stale = api_keys_pb2.UpdateApiKeyRequest(api_key=api_keys_pb2.ApiKey(name=key.name, store="x", etag=key.etag))
    assert isinstance(refusal(lambda: owner.keys.UpdateApiKey(stale)), Aborted)
    names, token = [], ""
    while True:
        page = owner.keys.ListApiKeys(api_keys_pb2.ListApiKeysRequest(page_size=2, page_token=token))
        names += [k.name for k in page.api_keys]
        token = page.next_page_token
        if not token:
            break
    assert names.count(key.name) == 1
    assert len(set(names)) == len(names) > 1


@covers("roomviz.v1.ApiKeyService/CreateApiKey")
@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"scopes": ["rooms.get", "rooms.fly"]}, "SCOPES_INVALID", "api_key.scopes[1]"),
        ({"scopes": ["r*.get"]}, "SCOPES_INVALID", "api_key.scopes[0]"),
        ({"scopes": [""]}, "SCOPES_INVALID", "api_key.scopes[0]"),
        ({"scopes": ["public"]}, "SCOPES_INVALID", "api_key.scopes[0]"),
        ({"store": "a b"}, "STORE_INVALID", "api_key.store"),
        ({"role": "UNSPECIFIED"}, "ROLE_INVALID", "api_key.role"),
        ({"expire_time": datetime(2020, 1, 1, tzinfo=UTC)}, "EXPIRE_TIME_INVALID", "api_key.expire_time"),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_its_field(owner: Caller, fields: dict[str, Any], reason: str, field: str):
    failure = refusal(lambda: made_key(owner, **fields))

    assert isinstance(failure, InvalidArgument)
    assert (failure.reason, violations(failure)) == (reason, {field})


@covers("roomviz.v1.ApiKeyService/CreateApiKey", "roomviz.v1.ApiKeyService/RotateApiKey")
def test_nobody_hands_out_more_than_they_have(owner: Caller, channel: grpc.Channel):
    full = made_key(owner, "OWNER").api_key
    manager = Caller(channel, made_key(owner, "OWNER", scopes=["keys.*", "users.*", "rooms.get"], store="s1").secret)

    calls: list[Callable[[], Any]] = [
        lambda: made_key(manager, "OWNER"),
        lambda: made_key(manager, "VIEWER"),
        lambda: made_key(manager, "OWNER", scopes=["rooms.*"]),
        lambda: made_key(manager, "OWNER", scopes=["rooms.get"], store="s2"),
        # Who rotates a key holds it, and who widens a key that they hold has widened their own.
        lambda: manager.keys.RotateApiKey(api_keys_pb2.RotateApiKeyRequest(name=full.name)),
        lambda: manager.keys.UpdateApiKey(
            api_keys_pb2.UpdateApiKeyRequest(api_key=api_keys_pb2.ApiKey(name=full.name, scopes=["rooms.get"]))
        ),
        lambda: made_user(manager, accounts_pb2.ROLE_OWNER),
    ]

    assert {refusal(call).reason for call in calls} == {"GRANT_TOO_WIDE"}
    assert made_key(manager, "OWNER", scopes=["rooms.get"]).api_key.store == "s1"


@covers("roomviz.v1.ApiKeyService/RotateApiKey", "roomviz.v1.ApiKeyService/RevokeApiKey")
def test_an_old_secret_works_for_the_overlap_alone(owner: Caller, channel: grpc.Channel, running: Running):
    made = made_key(owner)

    def rotated(seconds: int) -> api_keys_pb2.RotateApiKeyResponse:
        request = api_keys_pb2.RotateApiKeyRequest(name=made.api_key.name)
        request.overlap.FromSeconds(seconds)
        return owner.keys.RotateApiKey(request)

    second = rotated(3600)
    assert second.api_key.overlap_expire_time.ToDatetime(UTC) > datetime.now(UTC) + timedelta(minutes=50)
    assert Caller(channel, made.secret).works()
    assert Caller(channel, second.secret).works()
    third = rotated(0)
    assert not Caller(channel, key=second.secret + " ").works()
    assert Caller(channel, third.secret).works()
    assert not third.api_key.HasField("overlap_expire_time")
    fourth = rotated(0)
    assert not Caller(channel, third.secret[:20] + "x" * len(third.secret[20:])).works()
    assert Caller(channel, fourth.secret).works()
    assert refusal(lambda: rotated(-1)).reason == refusal(lambda: rotated(31 * 86400)).reason == "OVERLAP_INVALID"

    revoked = owner.keys.RevokeApiKey(api_keys_pb2.RevokeApiKeyRequest(name=made.api_key.name)).api_key
    assert revoked.HasField("revoke_time")
    again = owner.keys.RevokeApiKey(api_keys_pb2.RevokeApiKeyRequest(name=made.api_key.name)).api_key
    assert again == revoked
    assert refusal(lambda: rotated(0)).reason == "API_KEY_REVOKED"


def test_a_key_that_was_made_elsewhere_rotates_too(running: Running, channel: grpc.Channel, tmp_path: Path):
    old = f"rv_elsewhere_{uuid.uuid4().hex}"
    (tmp_path / "key").write_text(old)
    command = [sys.executable, "-m", "services.gateway.keys", "--tenant", "elsewhere", "--key-file", tmp_path / "key"]
    environment = {**os.environ, **running.settings.service_environment("gateway")}
    subprocess.run(command, env=environment, check=True)
    (name,) = [k["key_id"] for k in running.rows("SELECT key_id FROM gateway.api_keys WHERE tenant = 'elsewhere'")]

    fresh = Caller(channel, old).keys.RotateApiKey(api_keys_pb2.RotateApiKeyRequest(name=f"apiKeys/{name}")).secret

    assert Caller(channel, fresh).works()
    subprocess.run(command, env=environment, check=True)  # as each start of the stack does
    rows = running.rows("SELECT key_id FROM gateway.api_keys WHERE tenant = 'elsewhere'")
    assert [r["key_id"] for r in rows] == [name]


# --- what ended ends soon ---------------------------------------------------------------------------


@covers("roomviz.v1.AccountService/Logout")
def test_what_ended_is_worth_nothing_within_ten_seconds(owner: Caller, anybody: Caller, channel: grpc.Channel):
    """Credentials that were used a moment before, and so are remembered."""
    rotating, revoking = made_key(owner), made_key(owner)
    expiring = made_key(owner, expire_time=datetime.now(UTC) + timedelta(seconds=3))
    leaving, everywhere = registered(anybody), registered(anybody)
    elsewhere = login(anybody, everywhere.user.email)
    disabled = made_user(owner, accounts_pb2.ROLE_EDITOR)
    deleted = made_user(owner, accounts_pb2.ROLE_EDITOR)
    sessions = [login(anybody, u.email) for u in (disabled, deleted)]
    ended = {
        "rotated": Caller(channel, rotating.secret),
        "revoked": Caller(channel, revoking.secret),
        "expired": Caller(channel, expiring.secret),
        "signed out": Caller(channel, leaving.access_token),
        "signed out here": Caller(channel, everywhere.access_token),
        "signed out elsewhere": Caller(channel, elsewhere.access_token),
        "disabled": Caller(channel, sessions[0].access_token),
        "deleted": Caller(channel, sessions[1].access_token),
    }
    assert all(c.works() for c in ended.values())

    owner.keys.RotateApiKey(api_keys_pb2.RotateApiKeyRequest(name=rotating.api_key.name))
    owner.keys.RevokeApiKey(api_keys_pb2.RevokeApiKeyRequest(name=revoking.api_key.name))
    ended["signed out"].accounts.Logout(accounts_pb2.LogoutRequest())
    ended["signed out here"].accounts.Logout(accounts_pb2.LogoutRequest(everywhere=True))
    owner.accounts.UpdateUser(accounts_pb2.UpdateUserRequest(user=accounts_pb2.User(name=disabled.name, disabled=True)))
    owner.accounts.DeleteUser(accounts_pb2.DeleteUserRequest(name=deleted.name))
    for session in (leaving, elsewhere, *sessions):
        failure = refusal(lambda s=session: refreshed(anybody, s.refresh_token))  # type: ignore[misc]
        assert failure.reason == "REFRESH_TOKEN_INVALID"

    limit = time.monotonic() + REMEMBERED_S
    while working := [name for name, c in ended.items() if c.works()]:
        assert time.monotonic() < limit, working
        time.sleep(0.5)


# --- tokens -----------------------------------------------------------------------------------------


def test_a_forged_token_is_refused_in_the_same_words_as_any(anybody: Caller, channel: grpc.Channel, running: Running):
    """Signed with the key of the stack, but for another audience; with a key of one's own; with none; and so on."""
    real = registered(anybody).access_token
    pem = max((running.settings.secrets / "gateway" / "token_keys").glob("*.pem")).read_bytes()
    ours: Any = load_pem_private_key(pem, None)
    header, claims = jwt.get_unverified_header(real), jwt.decode(real, options={"verify_signature": False})
    past = {"iat": 1, "nbf": 1, "exp": 2}
    assert Caller(channel, jwt.encode(claims, ours, "EdDSA", header)).works()
    forged = [
        jwt.encode(claims, None, "none", header | {"alg": "none"}),
        jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", header),
        jwt.encode(claims, "a secret of thirty-two characters", "HS256", header | {"alg": "HS256"}),
        jwt.encode(claims | past, ours, "EdDSA", header),
        jwt.encode(claims | {"aud": "another"}, ours, "EdDSA", header),
        jwt.encode(claims, ours, "EdDSA", header | {"kid": "../../../dev/null"}),
        jwt.encode(claims | {"tenant": "other-shop"}, ours, "EdDSA", header),
        jwt.encode(claims | {"sub": "users/somebody"}, ours, "EdDSA", header),
        jwt.encode(claims | {"sid": "nothing"}, ours, "EdDSA", header),
        real[:-4],
        ".".join([real] * 2),
    ]

    failures = [
        refusal(lambda t=t: Caller(channel, t).accounts.GetProfile(accounts_pb2.GetProfileRequest()))  # type: ignore[misc]
        for t in forged
    ]

    assert {(f.kind, f.reason, f.message) for f in failures} == {
        ("UNAUTHENTICATED", "TOKEN_INVALID", "this access token is not valid")
    }


# --- tenants ----------------------------------------------------------------------------------------


@covers("roomviz.v1.TenantService/GetTenant", "roomviz.v1.TenantService/UpdateTenant")
def test_a_tenant_is_seen_and_changed_by_its_own(other: Caller, owner: Caller):
    mine = other.tenants.GetTenant(tenants_pb2.GetTenantRequest(name="tenants/-")).tenant
    assert mine.name == "tenants/other-shop"

    def update(**fields: Any) -> tenants_pb2.Tenant:
        asked = {"name": mine.name} | fields
        return other.tenants.UpdateTenant(
            tenants_pb2.UpdateTenantRequest(tenant=tenants_pb2.Tenant(**asked))  # type: ignore[arg-type]
        ).tenant

    changed = update(display_name="The other shop", retention_days=7, etag=mine.etag)

    assert (changed.display_name, changed.retention_days) == ("The other shop", 7)
    assert refusal(lambda: update(retention_days=8, etag=mine.etag)).reason == "ETAG_MISMATCH"
    for days in (-1, 4000):
        failure = refusal(lambda days=days: update(retention_days=days))  # type: ignore[misc]
        assert violations(failure) == {"tenant.retention_days"}
    for name in ("tenants/demo", "tenants/nobody"):
        assert refusal(lambda name=name: update(name=name, retention_days=8)).reason == "TENANT_NOT_FOUND"  # type: ignore[misc]
        assert isinstance(
            refusal(lambda name=name: other.tenants.GetTenant(tenants_pb2.GetTenantRequest(name=name))),  # type: ignore[misc]
            NotFound,
        )


def test_what_is_another_tenants_answers_like_what_is_not_there(other: Caller, owner: Caller):
    user, key = made_user(owner, accounts_pb2.ROLE_VIEWER), made_key(owner).api_key
    calls: list[Callable[[str, str], Any]] = [
        lambda u, k: other.accounts.GetUser(accounts_pb2.GetUserRequest(name=u)),
        lambda u, k: other.accounts.DeleteUser(accounts_pb2.DeleteUserRequest(name=u)),
        lambda u, k: other.accounts.UpdateUser(
            accounts_pb2.UpdateUserRequest(user=accounts_pb2.User(name=u, disabled=True))
        ),
        lambda u, k: other.keys.GetApiKey(api_keys_pb2.GetApiKeyRequest(name=k)),
        lambda u, k: other.keys.RotateApiKey(api_keys_pb2.RotateApiKeyRequest(name=k)),
        lambda u, k: other.keys.RevokeApiKey(api_keys_pb2.RevokeApiKeyRequest(name=k)),
        lambda u, k: other.keys.UpdateApiKey(
            api_keys_pb2.UpdateApiKeyRequest(api_key=api_keys_pb2.ApiKey(name=k, store="x"))
        ),
    ]

    for call in calls:
        foreign = refusal(lambda call=call: call(user.name, key.name))  # type: ignore[misc]
        missing = refusal(lambda call=call: call("users/none", "apiKeys/none"))  # type: ignore[misc]
        assert isinstance(foreign, NotFound)
        assert foreign.reason == missing.reason
        assert foreign.message.replace(user.name, "").replace(key.name, "") == missing.message.replace(
            "users/none", ""
        ).replace("apiKeys/none", "")
    assert owner.accounts.GetUser(accounts_pb2.GetUserRequest(name=user.name)).user == user
    assert owner.keys.GetApiKey(api_keys_pb2.GetApiKeyRequest(name=key.name)).api_key == key
    listed = other.accounts.ListUsers(accounts_pb2.ListUsersRequest(page_size=200)).users
    assert user.name not in {u.name for u in listed}
    # A page's token is worth nothing to another tenant.
    page = owner.accounts.ListUsers(accounts_pb2.ListUsersRequest(page_size=1))
    request = accounts_pb2.ListUsersRequest(page_size=1, page_token=page.next_page_token)
    assert refusal(lambda: other.accounts.ListUsers(request)).reason == "PAGE_TOKEN_INVALID"


# --- the SDK and the command ------------------------------------------------------------------------


def test_the_sdk_signs_in_and_goes_on_by_itself(running: Running):
    email = address()
    with running.client() as shop:
        session = SessionToken(shop.accounts, shop.accounts.register(email, PASSWORD, "Ada"))
        with Client(running.address, session) as ada:
            assert ada.accounts.profile().email == email
            first = session.session.access_token
            session.session.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=5))

            assert ada.accounts.rename("Bea").display_name == "Bea"

            assert session.session.access_token != first
            ada.accounts.change_password(PASSWORD, PASSWORD + "!")
            ada.accounts.logout()
        with pytest.raises(Unauthenticated):
            shop.accounts.refresh(session.session.refresh_token)


def test_the_sdk_manages_users_keys_and_the_tenant(running: Running):
    with running.client() as shop:
        user = shop.users.create(address(), PASSWORD, "viewer")
        assert shop.users.update(user.name, role="editor", disabled=True).disabled
        assert shop.users.get(user.name).role == accounts_pb2.ROLE_EDITOR
        assert user.name in {u.name for u in shop.users.all()}
        shop.users.delete(user.name)
        with pytest.raises(InvalidArgument):
            shop.users.create(address(), PASSWORD, "emperor")

        key, secret = shop.keys.create("owner", "web", ["keys.get"], expire_time=datetime.now(UTC) + timedelta(days=1))
        with Client(running.address, secret) as program:
            assert program.keys.get(key.name) == key
        key.ClearField("expire_time")
        assert not shop.keys.update(key, "expire_time").HasField("expire_time")
        _, fresh = shop.keys.rotate(key.name, timedelta(minutes=1))
        assert fresh != secret
        assert shop.keys.revoke(key.name).HasField("revoke_time")
        assert key.name in {k.name for k in shop.keys.all()}

        tenant = shop.tenant.get()
        tenant.display_name = "Demo"
        assert shop.tenant.update(tenant, "display_name").display_name == "Demo"


def test_the_command_signs_in_and_manages_keys_and_users(
    running: Running, owner: Caller, monkeypatch: pytest.MonkeyPatch
):
    user = made_user(owner, accounts_pb2.ROLE_OWNER)
    kept = running.settings.secrets / "session.json"
    monkeypatch.setenv("ROOMVIZ_PASSWORD", PASSWORD)
    monkeypatch.setenv("ROOMVIZ_NEW_PASSWORD", PASSWORD)

    def told(*arguments: str) -> Any:
        done = running.roomviz(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    try:
        assert told("login", user.email)["name"] == user.name
        assert kept.stat().st_mode & 0o777 == 0o600
        # An access token that ends soon is refreshed, and the new tokens kept.
        session = json.loads(kept.read_text())
        kept.write_text(json.dumps(session | {"expireTime": "2020-01-01T00:00:00Z"}))
        key = told("keys", "create", "--role", "editor", "--scope", "rooms.*", "--store", "berlin", "--name", "web")
        assert json.loads(kept.read_text())["refreshToken"] != session["refreshToken"]
        assert key["secret"].startswith(key["prefix"])
        assert told("keys", "rotate", key["name"], "--overlap-hours", "1")["secret"] != key["secret"]
        assert key["name"] in running.roomviz("keys", "list").stdout
        assert "revoked" in running.roomviz("keys", "revoke", key["name"]).stdout
        made = told("users", "create", address(), "--role", "viewer")
        assert told("users", "update", made["name"], "--disable")["disabled"]
        assert made["email"] in running.roomviz("users", "list").stdout
        assert running.roomviz("users", "delete", made["name"]).returncode == 0
        assert made["name"] not in {u["name"] for u in told("users", "list")}
        wrong = running.roomviz("keys", "create", "--role", "editor", "--scope", "rooms.fly")
        assert (wrong.returncode, "SCOPES_INVALID" in wrong.stderr) == (1, True)
        assert "signed out" in running.roomviz("logout").stdout
        assert not kept.exists()
    finally:
        kept.unlink(missing_ok=True)
