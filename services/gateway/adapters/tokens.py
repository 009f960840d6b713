"""Access tokens: JWTs (RFC 9068) signed with Ed25519 by keys in a folder.

Each `*.pem` in the folder is a private key. The last by name signs; the others still verify what they signed, until they are
taken away. The folder is read again every few seconds, so keys rotate without a restart.

What a token says of how to verify it counts for nothing: its header must be the very one that we write, and `kid` is
looked up among our keys alone.
"""

import json
import re
import secrets
import time
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.utils import base64url_decode, base64url_encode

from roomviz.errors import FailedPrecondition, Unauthenticated
from services.gateway.domain.accounts import Claims, User

log = structlog.get_logger()

ALGORITHM, TYPE = "EdDSA", "at+jwt"
LEEWAY_S = 10
TOKEN_MAX = 4096
_READ_AGAIN_S = 5.0
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED = ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid", "tenant", "role"]


def make_key(folder: Path) -> Path:
    """Put a new signing key into the folder; from then on it signs."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.pem"
    path.touch(mode=0o600)
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def public_jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    """The public half (RFC 8037); `kid` is its thumbprint (RFC 7638), so it can name no other key."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": base64url_encode(raw).decode()}
    thumbprint = sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest()
    return jwk | {"kid": urlsafe_b64encode(thumbprint).rstrip(b"=").decode(), "alg": ALGORITHM, "use": "sig"}


class SigningKeys:
    """The keys of the folder by kid, oldest first. A folder that cannot be read leaves what was read before."""

    def __init__(self, folder: Path | None):
        self._folder, self._read_at, self._stamp = folder, -_READ_AGAIN_S, ""
        self._keys: dict[str, Ed25519PrivateKey] = {}

    def all(self) -> dict[str, Ed25519PrivateKey]:
        if self._folder is not None and time.monotonic() - self._read_at >= _READ_AGAIN_S:
            self._read_at = time.monotonic()
            try:
                self._keys = dict(map(self._load, sorted(self._folder.glob("*.pem"), key=lambda p: p.name)))
            except (OSError, ValueError, TypeError) as error:
                log.error("token keys cannot be read", folder=str(self._folder), error=str(error))
        return self._keys

    @staticmethod
    def _load(path: Path) -> tuple[str, Ed25519PrivateKey]:
        key = load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path.name} is no Ed25519 key")
        return public_jwk(key)["kid"], key


class JwtTokens:
    def __init__(self, keys: SigningKeys, issuer: str, audience: str, lifetime_s: float):
        self._keys, self._issuer, self._audience = keys, issuer, audience
        self._lifetime = timedelta(seconds=lifetime_s)

    def issue(self, user: User, session_id: str) -> tuple[str, datetime]:
        """Raises FailedPrecondition where there is no key to sign with."""
        keys = self._keys.all()
        if not keys:
            raise FailedPrecondition("ACCOUNTS_OFF", "nobody can sign in here: no signing key is set up")
        kid, key = list(keys.items())[-1]
        now = datetime.now(UTC)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user.name,
            "tenant": user.tenant,
            "role": user.role.value,
            "sid": session_id,
            "jti": secrets.token_hex(16),
            "iat": now,
            "nbf": now,
            "exp": now + self._lifetime,
        }
        return jwt.encode(claims, key, ALGORITHM, {"typ": TYPE, "kid": kid}), now + self._lifetime

    def read(self, token: str) -> Claims:
        """What a token says, once it is proved. Raises Unauthenticated, in the same words whatever is wrong with it."""
        try:
            claims = self._verified(token)
            collection, _, user_id = claims["sub"].partition("/")
            if collection != "users":
                raise ValueError("another kind of subject")
            return Claims(str(claims["tenant"]), user_id, str(claims["sid"]))
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
            raise Unauthenticated("TOKEN_INVALID", "this access token is not valid") from None

    def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_MAX or not _SHAPE.fullmatch(token):
            raise ValueError("no JWT")
        parts = token.split(".")
        # Base64 can write the same bytes in several ways; a token is one text.
        if any(base64url_encode(base64url_decode(p)).decode() != p for p in parts):
            raise ValueError("not the canonical form")
        header = json.loads(base64url_decode(parts[0]))
        key = self._keys.all().get(str(header.get("kid")))
        if key is None or header != {"alg": ALGORITHM, "typ": TYPE, "kid": header["kid"]}:
            raise ValueError("not a header of ours")
        return jwt.decode(
            token,
            key.public_key(),
            [ALGORITHM],
            {"require": _REQUIRED, "strict_aud": True},
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY_S,
        )

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys, for whoever verifies our tokens (RFC 7517)."""
        return {"keys": [public_jwk(key) for key in self._keys.all().values()]}
