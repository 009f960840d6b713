"""Pictures under links that are signed for a short while, so that `<img src>` works without a header."""

import hashlib
import hmac
import math
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from roomviz.errors import NotFound, PermissionDenied
from services.gateway.ports import Objects
from services.gateway.transport.http.gate import asks
from services.gateway.transport.permissions import PUBLIC

_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif"}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"description": "A picture", "content": {"image/*": {"schema": {"type": "string"}}}},
    304: {"description": "The picture that the browser has"},
}


@dataclass(frozen=True)
class Links:
    """`base` is the server's own URL (`https://rooms.example`); empty makes links without a host. A link is valid for
    one to two times `valid_s`, and the same within it, so that browsers keep what they fetched."""

    secret: bytes
    base: str
    valid_s: int

    def to(self, key: str) -> str:
        """A link to the object of this key."""
        expires = (math.floor(time.time() / self.valid_s) + 2) * self.valid_s
        return f"{self.base}/api/files/{quote(key)}?expires={expires}&signature={self._sign(key, expires)}"

    def check(self, key: str, expires: int, signature: str) -> None:
        """Raises PermissionDenied (LINK_INVALID, LINK_EXPIRED)."""
        if not hmac.compare_digest(self._sign(key, expires).encode(), signature.encode()):
            raise PermissionDenied("LINK_INVALID", "this link was not given by this server")
        if expires < time.time():
            raise PermissionDenied("LINK_EXPIRED", "this link was valid for a while only; ask for a new one")

    def _sign(self, key: str, expires: int) -> str:
        return hmac.new(self.secret, f"{key}\n{expires}".encode(), hashlib.sha256).hexdigest()


def files(router: APIRouter, links: Links, objects: Objects) -> None:
    @router.get(
        "/api/files/{key:path}",
        summary="A picture that another answer links to",
        operation_id="getFile",
        response_class=Response,
        **asks(PUBLIC, answers=_PICTURE),
    )
    async def get_file(request: Request, key: str, expires: int, signature: str) -> Response:
        """Fails with 403 (LINK_INVALID, LINK_EXPIRED) and 404."""
        links.check(key, expires, signature)
        name = key.rpartition("/")[2]
        kind = _TYPES.get(name.rpartition(".")[2])
        if kind is None:
            raise NotFound("OBJECT_NOT_FOUND", "there is no such picture")
        # What lies under a key never changes.
        etag = f'"{hashlib.sha256(key.encode()).hexdigest()[:32]}"'
        headers = {
            "ETag": etag,
            "Cache-Control": f"private, max-age={max(0, int(expires - time.time()))}",
            "Content-Disposition": f'inline; filename="{name}"',
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(await objects.get(key), media_type=kind, headers=headers)
