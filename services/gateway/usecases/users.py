"""The users of a tenant, as its owners manage them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from roomviz.errors import Aborted, InvalidArgument, NotFound, PermissionDenied, Violation
from services.gateway.domain.accounts import User, normal_email, normal_password
from services.gateway.domain.principal import Role
from services.gateway.ports import Passwords, Sessions, Users
from services.gateway.usecases.caller import caller
from services.gateway.usecases.names import new_id, parse, printable


def etag_mismatch(name: str) -> Aborted:
    return Aborted("ETAG_MISMATCH", f"{name} was changed by somebody else; read it again", {"name": name})


def grant_too_wide() -> PermissionDenied:
    return PermissionDenied("GRANT_TOO_WIDE", "nobody hands out, or takes over, more than they may themselves")


async def changed(users: Users, user: User, changes: Mapping[str, Any], etag: str) -> User:
    """Write changes of a user who was there a moment ago."""
    found = await users.update(user.tenant, user.user_id, changes, etag)
    if found is None:
        raise etag_mismatch(user.name)
    return found


@dataclass(frozen=True)
class UserCases:
    """`permissions` are all that there are."""

    users: Users
    sessions: Sessions
    passwords: Passwords
    permissions: frozenset[str]

    async def create(self, email: str, password: str, display_name: str, role: Role | None) -> User:
        if role is None:
            raise role_invalid("user.role")
        self._check_grant(role)
        email, password, display_name = normal_email(email), normal_password(password), printable(display_name)
        kept = await self.passwords.hash(password)
        return await self.users.add(caller().tenant, new_id(), email, display_name, role, kept)

    async def get(self, name: str) -> User:
        (user_id,) = parse(name, "users")
        user = await self.users.get(caller().tenant, user_id)
        if user is None:
            raise NotFound("USER_NOT_FOUND", f"there is no user {name}", {"user": name})
        return user

    async def page(self, after: str, size: int) -> list[User]:
        """Users by address, those after this one."""
        return await self.users.page(caller().tenant, after, size)

    async def update(self, name: str, changes: Mapping[str, Any], etag: str, validate_only: bool) -> User:
        """Change `role`, `display_name` or `disabled`. Who was disabled is signed out."""
        user = await self.get(name)
        changes = dict(changes)
        if "role" in changes and changes["role"] is None:
            raise role_invalid("user.role")
        if "display_name" in changes:
            changes["display_name"] = printable(changes["display_name"])
        self._check_grant(user.role)
        self._check_grant(changes.get("role", user.role))
        if etag and etag != user.etag:
            raise etag_mismatch(name)
        if validate_only:
            return replace(user, **changes)
        user = await changed(self.users, user, changes, etag)
        if user.disabled:
            await self.sessions.end(user.tenant, user.user_id)
        return user

    async def delete(self, name: str, etag: str) -> None:
        """Delete a user, and their sessions with them."""
        user = await self.get(name)
        self._check_grant(user.role)
        if not await self.users.delete(user.tenant, user.user_id, etag):
            raise etag_mismatch(name)

    def _check_grant(self, role: Role) -> None:
        if not caller().may_grant(role, (), "", self.permissions):
            raise grant_too_wide()


def role_invalid(field: str) -> InvalidArgument:
    said = "a role is one of " + ", ".join(r.value.lower() for r in Role)
    return InvalidArgument("ROLE_INVALID", said, violations=[Violation(field, said)])
