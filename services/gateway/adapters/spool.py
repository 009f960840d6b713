"""Where an upload lies while it comes in and is decoded: in files, so that its size does not matter to memory."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from roomviz.errors import InvalidArgument, Unavailable
from services.gateway.domain.records import Spooled


class Spool:
    """Folders under `parent` (empty: the system's for temporary files), a folder an upload."""

    def __init__(self, parent: str):
        self._parent = parent or None

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """A folder of one's own, gone at the end with all that is in it."""
        try:
            made = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="roomviz-upload-", dir=self._parent)
        except OSError as error:
            raise _full() from error
        try:
            yield Path(made.name)
        finally:
            await asyncio.shield(asyncio.to_thread(made.cleanup))

    async def write(self, path: Path, chunks: AsyncIterator[bytes], bytes_max: int) -> Spooled:
        """Keep chunks as they come; what came. Refused as soon as there are more than
        `bytes_max` bytes."""
        digest, size = hashlib.sha256(), 0
        file = await asyncio.to_thread(path.open, "wb")
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > bytes_max:
                    raise InvalidArgument(
                        "IMAGE_TOO_LARGE", f"the file has more than {bytes_max} bytes", {"bytes_max": str(bytes_max)}
                    )
                digest.update(chunk)
                try:
                    await asyncio.to_thread(file.write, chunk)
                except OSError as error:
                    raise _full() from error
        finally:
            await asyncio.to_thread(file.close)
        return Spooled(digest.hexdigest(), size)


def _full() -> Unavailable:
    return Unavailable("SPOOL_UNAVAILABLE", "there is no room for an upload now; try again", None, 10.0)
