"""Accounts of people: registering, signing in, going on, and what one may do with one's own."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roomviz.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unauthenticated, Violation
from roomviz.runtime.context import current
from services.gateway.domain.accounts import PASSWORD_MAX, Session, User, normal_email, normal_password
from services.gateway.domain.principal import Role
from services.gateway.ports import Passwords, Sessions, Tokens, Tries, Users
from services.gateway.usecases.caller import address, caller
from services.gateway.usecases.names import new_id, printable
from services.gateway.usecases.users import changed


def _login_failed() -> Unauthenticated:
    """The one answer to what is wrong with signing in: it does not tell whether there is an account."""
    return Unauthenticated("LOGIN_FAILED", "the e-mail address or the password is wrong")


@dataclass(frozen=True)
class AccountCases:
    """`public_tenant` is whose customers those are who send no API key; empty: nobody's."""

    users: Users
    sessions: Sessions
    passwords: Passwords
    tokens: Tokens
    tries: Tries
    public_tenant: str

    # --- without a credential ---

    async def register(self, email: str, password: str, display_name: str) -> Session:
        """Make an account and begin a session."""
        tenant = current().tenant or self.public_tenant
        if not tenant:
            raise FailedPrecondition("REGISTRATION_CLOSED", "send the API key of the shop as x-api-key")
        email, password, display_name = normal_email(email), normal_password(password), printable(display_name)
        await self._take("")
        user = await self.users.add(
            tenant, new_id(), email, display_name, Role.SHOPPER, await self.passwords.hash(password)
        )
        return await self._begin(user)

    async def login(self, email: str, password: str) -> Session:
        """Begin a session. Takes as long, and answers the same, whether or not there is such an account."""
        tenant = current().tenant or self.public_tenant
        if not tenant:
            raise FailedPrecondition("TENANT_MISSING", "send the API key of the shop as x-api-key")
        try:
            email = normal_email(email)
        except InvalidArgument:
            raise _login_failed() from None
        return await self._begin(await self._prove(tenant, email, password))

    async def refresh(self, refresh_token: str) -> Session:
        """The next tokens of a session. A refresh token that comes again ends its session: somebody copied it."""
        renewed = await self.sessions.renew(refresh_token)
        if renewed is None:
            raise Unauthenticated("REFRESH_TOKEN_INVALID", "this session is over; sign in again")
        user, session_id, token = renewed
        access_token, expire_time = self.tokens.issue(user, session_id)
        return Session(user, access_token, expire_time, token)

    # --- of the caller ---

    async def logout(self, everywhere: bool = False) -> None:
        """End the caller's session, or all of them."""
        user_id, session_id = self._self()
        await self.sessions.end(caller().tenant, user_id, only="" if everywhere else session_id)

    async def profile(self) -> User:
        user_id, _ = self._self()
        user = await self.users.get(caller().tenant, user_id)
        if user is None:  # deleted within the last seconds
            raise Unauthenticated("TOKEN_INVALID", "this access token is not valid")
        return user

    async def update_profile(self, changes: Mapping[str, Any], etag: str = "") -> User:
        """Change one's display name."""
        user = await self.profile()
        return await changed(self.users, user, {"display_name": printable(changes["display_name"])}, etag)

    async def change_password(self, current_password: str, new_password: str) -> None:
        """Replace one's password, and end one's other sessions."""
        user = await self.profile()
        new_password = normal_password(new_password, "new_password")
        await self._prove(user.tenant, user.email, current_password)
        await self.users.set_password(user.user_id, await self.passwords.hash(new_password))
        await self.sessions.end(user.tenant, user.user_id, but=self._self()[1])

    # --- how ---

    def _self(self) -> tuple[str, str]:
        """The ids of the calling user and of their session."""
        collection, _, user_id = caller().subject.partition("/")
        if collection != "users":
            raise FailedPrecondition("CALLER_NO_USER", "an API key has no account: sign in, and send the access token")
        return user_id, caller().session

    async def _take(self, account: str) -> None:
        """Count a try of this account from the caller's address; whoever failed often must wait before the next."""
        wait_s = await self.tries.take(account, address())
        if wait_s > 0:
            raise ResourceExhausted(
                "TRIES_TOO_MANY",
                f"too many tries; wait for {wait_s:.0f} s",
                retry_after_s=wait_s,
                violations=[Violation("tries", "tries to sign in or to register from one address")],
            )

    async def _prove(self, tenant: str, email: str, password: str) -> User:
        """Whose password this is."""
        account = f"{tenant}/{email}"
        await self._take(account)
        user, kept = await self.users.by_email(tenant, email) or (None, "")
        # What is too long for a password is not hashed, but something is, so that every answer takes as long.
        given = unicodedata.normalize("NFC", password) if len(password) <= PASSWORD_MAX else ""
        right = await self.passwords.match(kept, given)
        if user is None or not right or user.disabled:
            raise _login_failed()
        await self.tries.forget(account, address())
        if self.passwords.outdated(kept):
            await self.users.set_password(user.user_id, await self.passwords.hash(given))
        return user

    async def _begin(self, user: User) -> Session:
        session_id = new_id()
        refresh_token = await self.sessions.begin(user, session_id)
        access_token, expire_time = self.tokens.issue(user, session_id)
        return Session(user, access_token, expire_time, refresh_token)
