"""Where an upload lies while it comes in and is decoded: in files, so that its size does not matter to memory."""

import asyncio
import fcntl
import hashlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from roomviz.errors import InvalidArgument, Unavailable
from roomviz.runtime.rpc import CHUNK_BYTES
from services.gateway.domain.records import Spooled

_PREFIX = "roomviz-spool-"
_NEW_S = 60.0  # a folder as young as this may be one that is just being made


@contextmanager
def spool(parent: str) -> Iterator["Spool"]:
    """A folder of this process under `parent` (empty: the system's for temporary files), which is locked as long as it
    lives. Those that processes left behind which were killed are removed."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent or None) as made:
        own = Path(made)
        with (own / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for other in own.parent.glob(f"{_PREFIX}*"):
                if _abandoned(other):
                    shutil.rmtree(other, ignore_errors=True)
            yield Spool(own)


def _abandoned(folder: Path) -> bool:
    try:
        if time.time() - folder.stat().st_mtime < _NEW_S:
            return False
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return folder.exists()
    except OSError:  # somebody holds it, or it is not ours to look at
        return False
    return True


class Spool:
    """A folder an upload, in the folder of this process."""

    def __init__(self, parent: Path):
        self._parent = parent

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """A folder of one's own, gone at the end with all that is in it."""
        with _room_for():
            made = await asyncio.to_thread(tempfile.TemporaryDirectory, dir=self._parent)
        try:
            yield Path(made.name)
        finally:
            await asyncio.shield(asyncio.to_thread(made.cleanup))

    async def write(self, path: Path, chunks: AsyncIterator[bytes], bytes_max: int) -> Spooled:
        """Keep chunks as they come; what came. Refused as soon as there are more than
        `bytes_max` bytes."""
        digest, size = hashlib.sha256(), 0
        with _room_for():
            file = await asyncio.to_thread(path.open, "wb")
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > bytes_max:
                    raise InvalidArgument(
                        "IMAGE_TOO_LARGE", f"the file has more than {bytes_max} bytes", {"bytes_max": str(bytes_max)}
                    )
                digest.update(chunk)
                with _room_for():
                    await asyncio.to_thread(file.write, chunk)
        finally:
            with _room_for():
                await asyncio.to_thread(file.close)
        return Spooled(digest.hexdigest(), size)

    async def parts(self, path: Path) -> AsyncIterator[bytes]:
        """What was kept, in chunks."""
        file = await asyncio.to_thread(path.open, "rb")
        try:
            while part := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield part
        finally:
            file.close()


@contextmanager
def _room_for() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("SPOOL_UNAVAILABLE", "there is no room for an upload now; try again", None, 10.0) from error
