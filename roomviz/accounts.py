"""People, API keys and the tenant, for the SDK: `client.accounts`, `client.users`, `client.keys`, `client.tenant`."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from roomviz.errors import InvalidArgument
from roomviz.runtime.rpc import from_call
from roomviz.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    api_keys_pb2,
    api_keys_pb2_grpc,
    tenants_pb2,
    tenants_pb2_grpc,
)

ROLES = [name.removeprefix("ROLE_").lower() for name, value in accounts_pb2.Role.items() if value]
# An access token that ends within this is not used any more.
EARLY_S = 30.0
_PAGE_SIZE = 200


class Call(Protocol):
    """How a client calls: with its credential, and again where no server answered."""

    def __call__(
        self, method: Any, request: Callable[[], Any], read: Callable[[Any], Any], attempts: int = 4
    ) -> Any: ...


def _role(role: str) -> Any:
    if role not in ROLES:
        raise InvalidArgument("ROLE_INVALID", f"a role is one of {', '.join(ROLES)}")
    return accounts_pb2.Role.Value(f"ROLE_{role.upper()}")


def _all(call: Call, method: Any, request: Any, field: str) -> list[Any]:
    """What a list has, page after page."""
    found: list[Any] = []
    while True:
        page = call(method, lambda: request, lambda a: a)
        found += getattr(page, field)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


class Accounts:
    """One's own account. The first three need no credential; a client's API key tells which tenant it is about."""

    def __init__(self, channel: grpc.Channel, call: Call, api_key: str, timeout_s: float):
        self._stub, self._call, self._timeout = accounts_pb2_grpc.AccountServiceStub(channel), call, timeout_s
        # An access token has dots and tells nothing here.
        self._metadata = [("x-api-key", api_key)] if api_key and "." not in api_key else []

    def register(self, email: str, password: str, display_name: str = "") -> accounts_pb2.Session:
        """Make an account for a customer, and sign in."""
        request = accounts_pb2.RegisterRequest(email=email, password=password, display_name=display_name)
        return self._once(self._stub.Register, request)

    def login(self, email: str, password: str) -> accounts_pb2.Session:
        return self._once(self._stub.Login, accounts_pb2.LoginRequest(email=email, password=password))

    def refresh(self, refresh_token: str) -> accounts_pb2.Session:
        """The next tokens. Never tried again: a refresh token that comes twice ends its session."""
        return self._once(self._stub.RefreshTokens, accounts_pb2.RefreshTokensRequest(refresh_token=refresh_token))

    def logout(self, everywhere: bool = False) -> None:
        """End the session that the client's access token is of; or all of its user."""
        self._call(self._stub.Logout, lambda: accounts_pb2.LogoutRequest(everywhere=everywhere), lambda a: a)

    def profile(self) -> accounts_pb2.User:
        user: accounts_pb2.User = self._call(
            self._stub.GetProfile, lambda: accounts_pb2.GetProfileRequest(), lambda a: a.user
        )
        return user

    def rename(self, display_name: str) -> accounts_pb2.User:
        request = accounts_pb2.UpdateProfileRequest(
            user=accounts_pb2.User(display_name=display_name), update_mask=FieldMask(paths=["display_name"])
        )
        user: accounts_pb2.User = self._call(self._stub.UpdateProfile, lambda: request, lambda a: a.user)
        return user

    def change_password(self, current_password: str, new_password: str) -> None:
        """Other sessions end, this one goes on."""
        request = accounts_pb2.ChangePasswordRequest(current_password=current_password, new_password=new_password)
        self._call(self._stub.ChangePassword, lambda: request, lambda a: a)

    def _once(self, method: Any, request: Any) -> accounts_pb2.Session:
        try:
            session: accounts_pb2.Session = method(request, timeout=self._timeout, metadata=self._metadata).session
        except grpc.RpcError as error:
            raise from_call(error) from error  # type: ignore[arg-type]
        return session


class SessionToken:
    """The access token of a session, refreshed before it ends: give it to a `Client` as its credential.

    with Client(address, api_key) as shop:
        session = SessionToken(shop.accounts, shop.accounts.login(email, password))
        with Client(address, session) as ada: ...
    """

    def __init__(self, accounts: Accounts, session: accounts_pb2.Session):
        self._accounts, self.session, self._lock = accounts, session, threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            if ends_soon(self.session):
                self.session = self._accounts.refresh(self.session.refresh_token)
            return self.session.access_token


def ends_soon(session: accounts_pb2.Session) -> bool:
    return session.expire_time.ToMilliseconds() / 1000 < time.time() + EARLY_S


class Users:
    """The users of the tenant, for its owners."""

    def __init__(self, channel: grpc.Channel, call: Call):
        self._stub, self._call = accounts_pb2_grpc.AccountServiceStub(channel), call

    def create(self, email: str, password: str, role: str, display_name: str = "") -> accounts_pb2.User:
        """role is one of ROLES."""
        user = accounts_pb2.User(email=email, role=_role(role), display_name=display_name)
        return self._user(self._stub.CreateUser, accounts_pb2.CreateUserRequest(user=user, password=password))

    def get(self, name: str) -> accounts_pb2.User:
        return self._user(self._stub.GetUser, accounts_pb2.GetUserRequest(name=name))

    def all(self) -> list[accounts_pb2.User]:
        """By address."""
        return _all(self._call, self._stub.ListUsers, accounts_pb2.ListUsersRequest(page_size=_PAGE_SIZE), "users")

    def update(
        self,
        name: str,
        role: str | None = None,
        display_name: str | None = None,
        disabled: bool | None = None,
        etag: str = "",
    ) -> accounts_pb2.User:
        """Change what is given."""
        given = {"role": role and _role(role), "display_name": display_name, "disabled": disabled}
        changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        request = accounts_pb2.UpdateUserRequest(
            user=accounts_pb2.User(name=name, etag=etag, **changes), update_mask=FieldMask(paths=list(changes))
        )
        return self._user(self._stub.UpdateUser, request)

    def delete(self, name: str, etag: str = "") -> None:
        request = accounts_pb2.DeleteUserRequest(name=name, etag=etag)
        self._call(self._stub.DeleteUser, lambda: request, lambda a: a)

    def _user(self, method: Any, request: Any) -> accounts_pb2.User:
        user: accounts_pb2.User = self._call(method, lambda: request, lambda a: a.user)
        return user


class Keys:
    """The API keys of the tenant. Secrets are told once, by `create` and `rotate`."""

    def __init__(self, channel: grpc.Channel, call: Call):
        self._stub, self._call = api_keys_pb2_grpc.ApiKeyServiceStub(channel), call

    def create(
        self,
        role: str,
        display_name: str = "",
        scopes: Sequence[str] = (),
        store: str = "",
        expire_time: datetime | None = None,
    ) -> tuple[api_keys_pb2.ApiKey, str]:
        """A key and its secret; role is one of ROLES."""
        key = api_keys_pb2.ApiKey(role=_role(role), display_name=display_name, scopes=scopes, store=store)
        if expire_time is not None:
            key.expire_time.FromDatetime(expire_time)
        return self._told(self._stub.CreateApiKey, api_keys_pb2.CreateApiKeyRequest(api_key=key))

    def get(self, name: str) -> api_keys_pb2.ApiKey:
        return self._key(self._stub.GetApiKey, api_keys_pb2.GetApiKeyRequest(name=name))

    def all(self) -> list[api_keys_pb2.ApiKey]:
        """Oldest first, revoked ones too."""
        request = api_keys_pb2.ListApiKeysRequest(page_size=_PAGE_SIZE)
        return _all(self._call, self._stub.ListApiKeys, request, "api_keys")

    def update(self, key: api_keys_pb2.ApiKey, *fields: str) -> api_keys_pb2.ApiKey:
        """Make these fields of a key as they are in `key`."""
        request = api_keys_pb2.UpdateApiKeyRequest(api_key=key, update_mask=FieldMask(paths=fields))
        return self._key(self._stub.UpdateApiKey, request)

    def rotate(self, name: str, overlap: timedelta = timedelta()) -> tuple[api_keys_pb2.ApiKey, str]:
        """The key and its new secret; the old one still works for the overlap."""
        request = api_keys_pb2.RotateApiKeyRequest(name=name)
        request.overlap.FromTimedelta(overlap)
        return self._told(self._stub.RotateApiKey, request)

    def revoke(self, name: str) -> api_keys_pb2.ApiKey:
        return self._key(self._stub.RevokeApiKey, api_keys_pb2.RevokeApiKeyRequest(name=name))

    def _key(self, method: Any, request: Any) -> api_keys_pb2.ApiKey:
        key: api_keys_pb2.ApiKey = self._call(method, lambda: request, lambda a: a.api_key)
        return key

    def _told(self, method: Any, request: Any) -> tuple[api_keys_pb2.ApiKey, str]:
        # Once: a second rotation would end the overlap of the first.
        told: tuple[api_keys_pb2.ApiKey, str] = self._call(
            method, lambda: request, lambda a: (a.api_key, a.secret), attempts=1
        )
        return told


class OwnTenant:
    """The tenant that the client's credential belongs to."""

    def __init__(self, channel: grpc.Channel, call: Call):
        self._stub, self._call = tenants_pb2_grpc.TenantServiceStub(channel), call

    def get(self) -> tenants_pb2.Tenant:
        request = tenants_pb2.GetTenantRequest(name="tenants/-")
        tenant: tenants_pb2.Tenant = self._call(self._stub.GetTenant, lambda: request, lambda a: a.tenant)
        return tenant

    def update(self, tenant: tenants_pb2.Tenant, *fields: str) -> tenants_pb2.Tenant:
        """Make these fields as they are in `tenant`."""
        request = tenants_pb2.UpdateTenantRequest(tenant=tenant, update_mask=FieldMask(paths=fields))
        changed: tenants_pb2.Tenant = self._call(self._stub.UpdateTenant, lambda: request, lambda a: a.tenant)
        return changed
