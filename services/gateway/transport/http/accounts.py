"""Accounts of shoppers."""

from datetime import UTC

from fastapi import APIRouter

from services.gateway.domain.accounts import Session, User
from services.gateway.transport.http import shapes
from services.gateway.transport.http.gate import asks
from services.gateway.transport.permissions import PUBLIC
from services.gateway.usecases.accounts import AccountCases

_SHOP = "The shop is that of the API key sent as X-API-Key; without one, the public one."


def accounts(router: APIRouter, cases: AccountCases) -> None:
    @router.post(
        "/api/auth/register",
        status_code=201,
        summary="Make an account, and sign in",
        description=f"{_SHOP} Fails with 400 (EMAIL_INVALID, PASSWORD_INVALID), 409 (…_EXISTS) and 429 (TRIES_TOO_MANY).",
        operation_id="register",
        **asks(PUBLIC),
    )
    async def register(body: shapes.RegisterAsked) -> shapes.SignedIn:
        return signed_in(await cases.register(body.email, body.password, body.name))

    @router.post(
        "/api/auth/login",
        summary="Sign in",
        description=f"{_SHOP} Fails with 401 (LOGIN_FAILED) and 429 (TRIES_TOO_MANY).",
        operation_id="login",
        **asks(PUBLIC),
    )
    async def login(body: shapes.LoginAsked) -> shapes.SignedIn:
        return signed_in(await cases.login(body.email, body.password))

    @router.get("/api/auth/profile", summary="Who is signed in", operation_id="getProfile", **asks("profile.get"))
    async def profile() -> shapes.Profile:
        """Fails with 409 (CALLER_NO_USER) for an API key."""
        return shown(await cases.profile())


def shown(user: User) -> shapes.Profile:
    return shapes.Profile(
        id=user.user_id,
        email=user.email,
        name=user.display_name,
        role=user.role.value.lower(),
        created_at=user.create_time.astimezone(UTC),
    )


def signed_in(session: Session) -> shapes.SignedIn:
    return shapes.SignedIn(
        token=session.access_token,
        expires_at=session.expire_time.astimezone(UTC),
        refresh_token=session.refresh_token,
        user=shown(session.user),
    )
