"""Accounts over gRPC: translates, and calls the use cases."""

from typing import Any
from urllib.parse import unquote

import grpc

from roomviz.runtime import paging
from roomviz.runtime.context import current
from roomviz.v1 import accounts_pb2, accounts_pb2_grpc
from services.gateway.domain.accounts import Session, User
from services.gateway.domain.principal import Role
from services.gateway.transport.update_masks import updated
from services.gateway.usecases import caller
from services.gateway.usecases.accounts import AccountCases
from services.gateway.usecases.users import UserCases

Context = grpc.aio.ServicerContext


def role_to_proto(role: Role) -> Any:
    return accounts_pb2.Role.Value(f"ROLE_{role.value}")


def role_of(value: int) -> Role | None:
    """The role of an enum's value; None where it is none that we know."""
    name = accounts_pb2.Role.Name(value) if value in accounts_pb2.Role.values() else ""
    return Role(name.removeprefix("ROLE_")) if value and name else None


def user_to_proto(u: User) -> accounts_pb2.User:
    out = accounts_pb2.User(
        name=u.name,
        email=u.email,
        display_name=u.display_name,
        role=role_to_proto(u.role),
        disabled=u.disabled,
        etag=u.etag,
    )
    out.create_time.FromDatetime(u.create_time)
    out.update_time.FromDatetime(u.update_time)
    return out


def session_to_proto(s: Session) -> accounts_pb2.Session:
    out = accounts_pb2.Session(user=user_to_proto(s.user), access_token=s.access_token, refresh_token=s.refresh_token)
    out.expire_time.FromDatetime(s.expire_time)
    return out


def host_of(peer: str) -> str:
    """The address in gRPC's words for a peer: `ipv4:127.0.0.1:50000`, `ipv6:%5B::1%5D:50000`."""
    kind, _, place = unquote(peer).partition(":")
    return place.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""


class AccountService(accounts_pb2_grpc.AccountServiceServicer):
    def __init__(self, accounts: AccountCases, users: UserCases):
        self._accounts, self._users = accounts, users

    async def Register(self, request: accounts_pb2.RegisterRequest, rpc: Context) -> accounts_pb2.RegisterResponse:
        caller.enter_address(host_of(rpc.peer()))
        session = await self._accounts.register(request.email, request.password, request.display_name)
        return accounts_pb2.RegisterResponse(session=session_to_proto(session))

    async def Login(self, request: accounts_pb2.LoginRequest, rpc: Context) -> accounts_pb2.LoginResponse:
        caller.enter_address(host_of(rpc.peer()))
        session = await self._accounts.login(request.email, request.password)
        return accounts_pb2.LoginResponse(session=session_to_proto(session))

    async def RefreshTokens(
        self, request: accounts_pb2.RefreshTokensRequest, rpc: Context
    ) -> accounts_pb2.RefreshTokensResponse:
        session = await self._accounts.refresh(request.refresh_token)
        return accounts_pb2.RefreshTokensResponse(session=session_to_proto(session))

    async def Logout(self, request: accounts_pb2.LogoutRequest, rpc: Context) -> accounts_pb2.LogoutResponse:
        await self._accounts.logout(request.everywhere)
        return accounts_pb2.LogoutResponse()

    async def GetProfile(
        self, request: accounts_pb2.GetProfileRequest, rpc: Context
    ) -> accounts_pb2.GetProfileResponse:
        return accounts_pb2.GetProfileResponse(user=user_to_proto(await self._accounts.profile()))

    async def UpdateProfile(
        self, request: accounts_pb2.UpdateProfileRequest, rpc: Context
    ) -> accounts_pb2.UpdateProfileResponse:
        changes = updated(request.user, request.update_mask, ["display_name"])
        user = await self._accounts.update_profile(changes, request.user.etag)
        return accounts_pb2.UpdateProfileResponse(user=user_to_proto(user))

    async def ChangePassword(
        self, request: accounts_pb2.ChangePasswordRequest, rpc: Context
    ) -> accounts_pb2.ChangePasswordResponse:
        caller.enter_address(host_of(rpc.peer()))
        await self._accounts.change_password(request.current_password, request.new_password)
        return accounts_pb2.ChangePasswordResponse()

    async def CreateUser(
        self, request: accounts_pb2.CreateUserRequest, rpc: Context
    ) -> accounts_pb2.CreateUserResponse:
        u = request.user
        user = await self._users.create(u.email, request.password, u.display_name, role_of(u.role))
        return accounts_pb2.CreateUserResponse(user=user_to_proto(user))

    async def GetUser(self, request: accounts_pb2.GetUserRequest, rpc: Context) -> accounts_pb2.GetUserResponse:
        return accounts_pb2.GetUserResponse(user=user_to_proto(await self._users.get(request.name)))

    async def ListUsers(self, request: accounts_pb2.ListUsersRequest, rpc: Context) -> accounts_pb2.ListUsersResponse:
        question = (current().tenant, "users")
        size = paging.page_size(request.page_size)
        found = await self._users.page(paging.after(request.page_token, *question), size + 1)
        more = paging.token(found[size - 1].email, *question) if len(found) > size else ""
        return accounts_pb2.ListUsersResponse(users=map(user_to_proto, found[:size]), next_page_token=more)

    async def UpdateUser(
        self, request: accounts_pb2.UpdateUserRequest, rpc: Context
    ) -> accounts_pb2.UpdateUserResponse:
        changes = updated(request.user, request.update_mask, ["role", "display_name", "disabled"])
        if "role" in changes:
            changes["role"] = role_of(changes["role"])
        user = await self._users.update(request.user.name, changes, request.user.etag, request.validate_only)
        return accounts_pb2.UpdateUserResponse(user=user_to_proto(user))

    async def DeleteUser(
        self, request: accounts_pb2.DeleteUserRequest, rpc: Context
    ) -> accounts_pb2.DeleteUserResponse:
        await self._users.delete(request.name, request.etag)
        return accounts_pb2.DeleteUserResponse()
