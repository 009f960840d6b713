"""Access tokens: what we issue is read, and every forgery is refused in the same words."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from roomviz.errors import FailedPrecondition, Unauthenticated
from services.gateway.adapters import tokens as module
from services.gateway.adapters.tokens import TOKEN_MAX, JwtTokens, SigningKeys, make_key, public_jwk
from services.gateway.domain.accounts import Claims, User
from services.gateway.domain.principal import Role

NOW = datetime.now(UTC)
USER = User("u1", "shop", "ada@example.com", "Ada", Role.EDITOR, False, NOW, NOW, "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_key(tmp_path)
    return tmp_path


@pytest.fixture
def key(folder: Path) -> Ed25519PrivateKey:
    loaded = load_pem_private_key(next(folder.glob("*.pem")).read_bytes(), None)
    assert isinstance(loaded, Ed25519PrivateKey)
    return loaded


@pytest.fixture
def tokens(folder: Path) -> JwtTokens:
    return JwtTokens(SigningKeys(folder), "issuer", "audience", 900.0)


@pytest.fixture
def parts(tokens: JwtTokens) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a good token."""
    token, _ = tokens.issue(USER, "s1")
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


def segment(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: Any, claims: Any, key: Ed25519PrivateKey) -> str:
    """A token signed as it should be, whatever it says."""
    text = f"{segment(header)}.{segment(claims)}"
    return f"{text}.{segment(key.sign(text.encode()))}"


def refused(tokens: JwtTokens, token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        tokens.read(token)
    assert (caught.value.reason, caught.value.message) == ("TOKEN_INVALID", "this access token is not valid")
    assert caught.value.__suppress_context__


def test_what_is_issued_is_read_again(tokens: JwtTokens, parts: tuple[dict[str, Any], dict[str, Any]]):
    token, expire_time = tokens.issue(USER, "s1")

    assert tokens.read(token) == Claims("shop", "u1", "s1")
    header, claims = parts
    assert set(header) == {"alg", "typ", "kid"}
    assert (claims["sub"], claims["tenant"], claims["role"]) == ("users/u1", "shop", "EDITOR")
    assert claims["exp"] - claims["iat"] == 900
    assert 890 < (expire_time - datetime.now(UTC)).total_seconds() <= 900
    assert claims["jti"] != jwt.decode(token, options={"verify_signature": False})["jti"]


def test_a_token_made_as_the_tests_make_them_is_good(
    tokens: JwtTokens, key: Ed25519PrivateKey, parts: tuple[dict[str, Any], dict[str, Any]]
):
    """Or what follows would prove nothing."""
    assert tokens.read(signed(*parts, key)) == Claims("shop", "u1", "s1")


HEADERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "alg none": lambda h: h | {"alg": "none"},
    "alg None": lambda h: h | {"alg": "None"},
    "alg of another kind": lambda h: h | {"alg": "HS256"},
    "alg with another case": lambda h: h | {"alg": "eddsa"},
    "no alg": lambda h: {k: v for k, v in h.items() if k != "alg"},
    "no kid": lambda h: {k: v for k, v in h.items() if k != "kid"},
    "kid of nobody": lambda h: h | {"kid": "A" * 43},
    "kid as a path": lambda h: h | {"kid": "../../../../dev/null"},
    "kid as SQL": lambda h: h | {"kid": "x' UNION SELECT 'key'--"},
    "kid as a URL": lambda h: h | {"kid": "https://attacker.example/key"},
    "kid as a list": lambda h: h | {"kid": [h["kid"]]},
    "kid as null": lambda h: h | {"kid": None},
    "jku": lambda h: h | {"jku": "https://attacker.example/jwks.json"},
    "x5u": lambda h: h | {"x5u": "https://attacker.example/chain.pem"},
    "x5c": lambda h: h | {"x5c": ["MIIB"]},
    "jwk": lambda h: h | {"jwk": public_jwk(Ed25519PrivateKey.generate())},
    "crit": lambda h: h | {"crit": ["exp"], "exp": 1},
    "b64": lambda h: h | {"b64": False, "crit": ["b64"]},
    "zip": lambda h: h | {"zip": "DEF"},
    "typ of another kind": lambda h: h | {"typ": "JWT"},
    "typ of a refresh token": lambda h: h | {"typ": "rt+jwt"},
    "no typ": lambda h: {k: v for k, v in h.items() if k != "typ"},
    "a list": lambda h: [h],
    "no JSON": lambda h: b"{",
    "no UTF-8": lambda h: b"\xff\xfe",
    "nested without end": lambda h: b"[" * 2000,
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_not_ours_is_refused_though_the_key_is(
    change: Callable[[dict[str, Any]], Any],
    tokens: JwtTokens,
    key: Ed25519PrivateKey,
    parts: tuple[dict[str, Any], dict[str, Any]],
):
    header, claims = parts

    refused(tokens, signed(change(header), claims, key))


T = int(time.time())
CLAIMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "expired": lambda c: c | {"iat": T - 1000, "nbf": T - 1000, "exp": T - 100},
    "not yet": lambda c: c | {"nbf": T + 86_400},
    "issued in the future": lambda c: c | {"iat": T + 86_400},
    "another audience": lambda c: c | {"aud": "another"},
    "audiences": lambda c: c | {"aud": ["audience", "another"]},
    "another issuer": lambda c: c | {"iss": "another"},
    "issuers": lambda c: c | {"iss": ["issuer"]},
    "exp in words": lambda c: c | {"exp": "tomorrow"},
    "exp without end": lambda c: c | {"exp": float("inf")},
    "exp as null": lambda c: c | {"exp": None},
    "sub of a key": lambda c: c | {"sub": "apiKeys/u1"},
    "sub as a number": lambda c: c | {"sub": 1},
    "a list": lambda c: [c],
    "no JSON": lambda c: b"{",
} | {
    f"no {name}": lambda c, name=name: {k: v for k, v in c.items() if k != name}  # type: ignore[misc]
    for name in ("iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid", "tenant", "role")
}


@pytest.mark.parametrize("change", CLAIMS.values(), ids=CLAIMS)
def test_claims_that_are_not_right_are_refused_though_the_signature_is(
    change: Callable[[dict[str, Any]], Any],
    tokens: JwtTokens,
    key: Ed25519PrivateKey,
    parts: tuple[dict[str, Any], dict[str, Any]],
):
    header, claims = parts

    refused(tokens, signed(header, change(claims), key))


def test_clocks_may_differ_by_seconds_alone(
    tokens: JwtTokens, key: Ed25519PrivateKey, parts: tuple[dict[str, Any], dict[str, Any]]
):
    header, claims = parts

    assert tokens.read(signed(header, claims | {"exp": int(time.time()) - 3}, key))
    refused(tokens, signed(header, claims | {"exp": int(time.time()) - 31}, key))


def test_another_key_and_no_key_are_refused(
    tokens: JwtTokens, key: Ed25519PrivateKey, parts: tuple[dict[str, Any], dict[str, Any]]
):
    header, claims = parts
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{segment(header)}.{segment(claims)}"

    refused(tokens, signed(header, claims, Ed25519PrivateKey.generate()))
    refused(tokens, f"{text}.")
    refused(tokens, f"{text}.{segment(bytes(64))}")
    refused(tokens, jwt.encode(claims, None, "none", header | {"alg": "none"}))
    # The public key as the secret of an HMAC.
    text = f"{segment(header | {'alg': 'HS256'})}.{segment(claims)}"
    refused(tokens, f"{text}.{segment(hmac.digest(public, text.encode(), hashlib.sha256))}")
    refused(tokens, jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", header | {"alg": "ES256"}))
    refused(tokens, jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256", header | {"alg": "RS256"}))


def test_a_token_is_one_text(tokens: JwtTokens, parts: tuple[dict[str, Any], dict[str, Any]]):
    token, _ = tokens.issue(USER, "s1")
    head, body, signature = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes leave four bits of the last letter over: its neighbour says the same bytes.
    twin = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]

    assert base64.urlsafe_b64decode(twin + "==") == base64.urlsafe_b64decode(signature + "==")
    for bad in (
        f"{head}.{body}.{twin}",
        f" {token}",
        f"{token} ",
        f"{token}\n",
        f"{token}=",
        f"{head}.{body}.{signature}!",
        f"{head}.{body}",
        f"{head}.{body}.{signature}.{signature}",
        f"{token},{token}",
        "..",
        "",
        "a.b.c",
        token + "\0",
        "é" + token,
    ):
        refused(tokens, bad)
    for at in range(0, len(token), 7):  # a letter changed anywhere
        if token[at] != ".":
            refused(tokens, token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :])


def test_a_token_that_is_too_long_is_not_looked_at(
    tokens: JwtTokens, key: Ed25519PrivateKey, parts: tuple[dict[str, Any], dict[str, Any]]
):
    header, claims = parts

    refused(tokens, signed(header, claims | {"more": "x" * TOKEN_MAX}, key))


def test_the_newest_key_signs_and_older_ones_verify_until_they_are_taken_away(
    folder: Path, tokens: JwtTokens, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_READ_AGAIN_S", 0.0)
    old, _ = tokens.issue(USER, "s1")
    (first,) = folder.glob("*.pem")

    make_key(folder)

    new, _ = tokens.issue(USER, "s1")
    kids = [jwt.get_unverified_header(t)["kid"] for t in (old, new)]
    assert kids == [k["kid"] for k in tokens.jwks()["keys"]]
    assert len(set(kids)) == 2
    assert tokens.read(old) == tokens.read(new)
    first.unlink()
    refused(tokens, old)
    assert tokens.read(new)


def test_a_folder_that_cannot_be_read_leaves_the_keys_there_were(
    folder: Path, tokens: JwtTokens, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_READ_AGAIN_S", 0.0)
    token, _ = tokens.issue(USER, "s1")

    rsa_key = rsa.generate_private_key(65537, 2048)
    (folder / "z.pem").write_bytes(rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert tokens.read(token)
    (folder / "z.pem").write_text("half a file")
    assert tokens.read(token)


def test_keys_are_private_and_the_jwks_public(folder: Path, tokens: JwtTokens, key: Ed25519PrivateKey):
    (path,) = folder.glob("*.pem")
    (jwk,) = tokens.jwks()["keys"]

    assert path.stat().st_mode & 0o777 == 0o600
    assert set(jwk) == {"kty", "crv", "x", "kid", "alg", "use"}
    # Whoever has the document can verify, with nothing of ours.
    token, _ = tokens.issue(USER, "s1")
    found = jwt.PyJWKSet.from_dict(tokens.jwks())[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, found, ["EdDSA"], audience="audience", issuer="issuer")["sub"] == "users/u1"


def test_without_a_key_nobody_signs_in_and_no_token_is_good(tmp_path: Path, tokens: JwtTokens):
    token, _ = tokens.issue(USER, "s1")
    for keys in (SigningKeys(None), SigningKeys(tmp_path / "nothing")):
        off = JwtTokens(keys, "issuer", "audience", 900.0)
        with pytest.raises(FailedPrecondition) as caught:
            off.issue(USER, "s1")
        assert caught.value.reason == "ACCOUNTS_OFF"
        refused(off, token)
        assert off.jwks() == {"keys": []}
