"""The object store: plain S3 through the `minio` client, which is synchronous and so runs in threads."""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import stamina
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from roomviz.errors import NotFound, RoomvizError, Unavailable
from roomviz.runtime.settings import ServiceSettings

PRESIGNED_S_MAX = 900
R = TypeVar("R")
# A small object that whoever made the bucket put there. Reading it shows that the store works and knows us, and needs
# rights on nothing else, as looking at the bucket itself would.
PROBE = "probe"
_PART = 1 << 20
_DOWN = (urllib3.exceptions.HTTPError, InvalidResponseError, ServerError, OSError)


@contextmanager
def _our_words(key: str) -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in ("NoSuchKey", "NoSuchObject"):
            raise NotFound("OBJECT_NOT_FOUND", "the stored picture is gone", {"key": key}) from error
        raise Unavailable("OBJECT_STORE_UNAVAILABLE", f"the object store refused: {error.code}") from error
    except _DOWN as error:
        raise Unavailable("OBJECT_STORE_UNAVAILABLE", "the object store does not answer; try again") from error


@dataclass(frozen=True)
class Stored:
    """An object as a listing has it; etag: the store's own mark of its content; write_time: None where it does not say."""

    key: str
    size_bytes: int
    etag: str
    write_time: datetime | None = None


class Objects:
    """Bytes under keys. Keys are made by us from ids and digests, never from what a user typed."""

    def __init__(self, client: Minio, bucket: str, threads: ThreadPoolExecutor, public: Minio):
        self._client, self._bucket, self._threads, self._public = client, bucket, threads, public

    async def _run(self, call: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        def call() -> None:
            with _our_words(key):
                self._client.put_object(self._bucket, key, io.BytesIO(data), len(data), content_type)

        await self._run(call)

    async def put_file(self, key: str, path: Path, content_type: str) -> None:
        """As `put`, in parts that are read one after the other: 5 MiB of memory, whatever the size."""

        def call() -> None:
            with _our_words(key):
                self._client.fput_object(self._bucket, key, str(path), content_type, num_parallel_uploads=1)

        await self._run(call)

    async def get(self, key: str) -> bytes:
        def call() -> bytes:
            with _our_words(key):
                response = self._client.get_object(self._bucket, key)
                try:
                    return bytes(response.read())
                finally:
                    response.close()
                    response.release_conn()

        return await self._run(call)

    async def parts(self, key: str) -> AsyncIterator[bytes]:
        """The bytes in parts of at most 1 MiB, so that none has to hold all of them."""

        def opened() -> urllib3.BaseHTTPResponse:
            with _our_words(key):
                return self._client.get_object(self._bucket, key)

        def next_part() -> bytes:
            with _our_words(key):
                return bytes(response.read(_PART))

        response = await self._run(opened)
        try:
            while part := await self._run(next_part):
                yield part
        finally:
            response.close()
            response.release_conn()

    async def under(self, prefix: str, after: str = "", limit: int | None = None) -> list[Stored]:
        """The objects whose keys begin so, in the order of their keys: those after a key, all or so many."""

        def call() -> list[Stored]:
            with _our_words(prefix):
                found = self._client.list_objects(self._bucket, prefix, recursive=True, start_after=after or None)
                return [
                    Stored(o.object_name or "", o.size or 0, (o.etag or "").strip('"'), o.last_modified)
                    for o in islice(found, limit)
                ]

        return await self._run(call)

    async def remove(self, key: str) -> None:
        """Remove an object, or none where there is none."""

        def call() -> None:
            with _our_words(key):
                self._client.remove_object(self._bucket, key)

        await self._run(call)

    def presigned(self, key: str, content_type: str, expires_s: int = 300, filename: str = "") -> str:
        """A URL with which anybody may read this one object until it expires; nothing is asked of the store.

        Args:
            key: the object's. Whether it is there is seen only when the URL is used.
            content_type: what the answer is said to be, whatever the object was stored as.
            expires_s: 1 to 900 seconds.
            filename: under which a browser saves the object; of ours, ASCII. Empty: the browser shows it.

        Raises:
            ValueError: `expires_s` is out of bounds, or `filename` would have to be quoted.
        """
        if not 1 <= expires_s <= PRESIGNED_S_MAX:
            raise ValueError(f"a URL is valid for 1 to {PRESIGNED_S_MAX} seconds, not {expires_s}")
        if not re.fullmatch(r"[A-Za-z0-9._-]*", filename):
            raise ValueError(f"{filename!r} is no file name for a header")
        headers: dict[str, str | list[str] | tuple[str]] = {
            "response-content-type": content_type,
            "response-content-disposition": f"attachment; filename={filename}" if filename else "inline",
        }
        return str(self._public.get_presigned_url("GET", self._bucket, key, timedelta(seconds=expires_s), headers))

    async def probe(self) -> str:
        def call() -> None:
            try:
                with _our_words(PROBE):
                    self._client.stat_object(self._bucket, PROBE)
            except NotFound as error:
                raise Unavailable(
                    "OBJECT_STORE_UNAVAILABLE", f"there is no object {PROBE} in the bucket {self._bucket}"
                ) from error

        await self._run(call)
        return "S3"


@asynccontextmanager
async def connect(settings: ServiceSettings) -> AsyncIterator[Objects]:
    """A store that works; waits for a server that is starting."""
    http = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=2, read=20),
        maxsize=16,
        retries=urllib3.Retry(2, backoff_factor=0.1, status_forcelist=(502, 503, 504)),
    )

    def client(endpoint: str, secure: bool) -> Minio:
        return Minio(
            endpoint,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key,
            secure=secure,
            region="us-east-1",
            http_client=http,
        )

    inner = client(settings.s3_endpoint, settings.s3_secure)
    outer = urlsplit(settings.s3_public_url)  # the host is part of what is signed
    public = client(outer.netloc, outer.scheme == "https") if settings.s3_public_url else inner
    with ThreadPoolExecutor(8, thread_name_prefix="s3") as threads:
        objects = Objects(inner, settings.s3_bucket, threads, public)
        async for attempt in stamina.retry_context(on=RoomvizError, attempts=None, timeout=60.0, wait_max=1.0):
            with attempt:
                await objects.probe()
        yield objects
        http.clear()
