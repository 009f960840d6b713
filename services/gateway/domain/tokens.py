"""Signed tokens of shares: an id that nobody else could have written.

`{share}.{signature}`, the signature an HMAC-SHA256 (RFC 2104) of the id under the gateway's key. When a share ends stands
in its record, which is read anyway since a share can be revoked; so the token need not say it.
"""

import base64
import hashlib
import hmac


def sign(key: bytes, share_id: str) -> str:
    return f"{share_id}.{_signature(key, share_id)}"


def verified(key: bytes, token: str) -> str | None:
    """The id in a token of ours; None where it is not."""
    share_id, _, signature = token.partition(".")
    if not token.isascii() or not hmac.compare_digest(signature, _signature(key, share_id)):
        return None
    return share_id


def _signature(key: bytes, share_id: str) -> str:
    # With what it is for, so that no other use of the key gives the same signature.
    made = hmac.new(key, b"roomviz share\0" + share_id.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")
