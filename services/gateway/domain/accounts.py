"""People with accounts, their sessions, and what an e-mail address and a password must be."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

from email_validator import EmailNotValidError, validate_email

from roomviz.errors import InvalidArgument, Violation
from services.gateway.domain.principal import Role

PASSWORD_MIN, PASSWORD_MAX = 10, 256


@dataclass(frozen=True)
class User:
    """Somebody with an account. The etag changes whenever the account does."""

    user_id: str
    tenant: str
    email: str
    display_name: str
    role: Role
    disabled: bool
    create_time: datetime
    update_time: datetime
    etag: str

    @property
    def name(self) -> str:
        return f"users/{self.user_id}"


@dataclass(frozen=True)
class Session:
    """What signing in gives. `expire_time` is the access token's; the refresh token gives the next ones, once."""

    user: User
    access_token: str
    expire_time: datetime
    refresh_token: str


@dataclass(frozen=True)
class Claims:
    """What a verified access token says."""

    tenant: str
    user_id: str
    session_id: str


def normal_email(email: str) -> str:
    """The address as it is kept: NFC, in lower case. Raises InvalidArgument where it is none; asks no DNS."""
    try:
        return validate_email(email, check_deliverability=False).normalized.lower()
    except EmailNotValidError as error:
        raise InvalidArgument(
            "EMAIL_INVALID", "this is no e-mail address", violations=[Violation("email", str(error))]
        ) from None


def normal_password(password: str, field: str = "password") -> str:
    """The password as it is hashed: NFC, as keyboards differ in how they write one letter."""
    normal = unicodedata.normalize("NFC", password)
    if not PASSWORD_MIN <= len(normal) <= PASSWORD_MAX:
        said = f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters"
        raise InvalidArgument("PASSWORD_INVALID", said, violations=[Violation(field, said)])
    return normal
