"""The object store: plain S3 through the `minio` client, which is synchronous and so runs in threads."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import stamina
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from roomviz.errors import NotFound, RoomvizError, Unavailable
from roomviz.runtime.settings import ServiceSettings

R = TypeVar("R")
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


class Objects:
    """Bytes under keys. Keys are made by us from ids and digests, never from what a user typed."""

    def __init__(self, client: Minio, bucket: str, threads: ThreadPoolExecutor):
        self._client, self._bucket, self._threads = client, bucket, threads

    async def _run(self, call: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        def call() -> None:
            with _our_words(key):
                self._client.put_object(self._bucket, key, io.BytesIO(data), len(data), content_type)

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

    async def delete(self, key: str) -> None:
        """What is not there is deleted."""

        def call() -> None:
            with _our_words(key):
                self._client.remove_object(self._bucket, key)

        await self._run(call)

    async def ensure_bucket(self) -> None:
        def call() -> None:
            with _our_words(self._bucket):
                if not self._client.bucket_exists(self._bucket):
                    try:
                        self._client.make_bucket(self._bucket)
                    except S3Error as error:  # another service was faster
                        if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                            raise

        await self._run(call)

    async def probe(self) -> str:
        def call() -> None:
            with _our_words(self._bucket):
                if not self._client.bucket_exists(self._bucket):
                    raise Unavailable("OBJECT_STORE_UNAVAILABLE", f"there is no bucket {self._bucket}")

        await self._run(call)
        return "S3"


@asynccontextmanager
async def connect(settings: ServiceSettings) -> AsyncIterator[Objects]:
    """A store with its bucket; waits for a server that is starting."""
    http = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=2, read=20),
        maxsize=16,
        retries=urllib3.Retry(2, backoff_factor=0.1, status_forcelist=(502, 503, 504)),
    )
    client = Minio(
        settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        secure=settings.s3_secure,
        region="us-east-1",
        http_client=http,
    )
    with ThreadPoolExecutor(8, thread_name_prefix="s3") as threads:
        objects = Objects(client, settings.s3_bucket, threads)
        async for attempt in stamina.retry_context(on=RoomvizError, attempts=None, timeout=60.0, wait_max=1.0):
            with attempt:
                await objects.ensure_bucket()
        yield objects
        http.clear()
