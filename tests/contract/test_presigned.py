"""URLs that open one object for a while, at the real object store."""

import os
import time
from collections.abc import AsyncIterator
from unittest.mock import patch

import httpx
import pytest
import pytest_asyncio

from roomviz.runtime import objects
from roomviz.runtime.objects import Objects
from services.compositor.settings import Settings
from tests.conftest import Running

KEY, OTHER = "generated/presigned-test.png", "generated/presigned-other.png"


@pytest.fixture(scope="module")
def settings(running: Running) -> Settings:
    with patch.dict(os.environ, running.settings.service_environment("compositor")):
        return Settings()


@pytest_asyncio.fixture(scope="module")
async def store(settings: Settings) -> AsyncIterator[Objects]:
    """The object store as the compositor has it, with two pictures."""
    async with objects.connect(settings) as opened:
        await opened.put(KEY, b"oak", "application/octet-stream")
        await opened.put(OTHER, b"ash", "application/octet-stream")
        yield opened


def test_whoever_has_the_url_reads_the_picture_as_what_it_was_said_to_be(store: Objects):
    answer = httpx.get(store.presigned(KEY, "image/png", filename="oak.png"))

    assert (answer.status_code, answer.content) == (200, b"oak")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == "attachment; filename=oak.png"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_it_reads_and_does_nothing_else(store: Objects, method: str):
    url = store.presigned(KEY, "image/png")

    assert httpx.request(method, url, content=b"beech").status_code == 403
    assert httpx.get(url).content == b"oak"


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (KEY, OTHER),
        ("presigned-test.png", ""),
        ("X-Amz-Expires=60", "X-Amz-Expires=900"),
        ("response-content-type=image%2Fpng", "response-content-type=text%2Fhtml"),
        ("response-content-disposition=inline", "response-content-disposition=attachment"),
        ("&response-content-type=image%2Fpng", ""),
        ("Credential=compositor", "Credential=gateway"),
    ],
)
def test_a_url_that_was_changed_opens_nothing(store: Objects, part: str, other: str):
    url = store.presigned(KEY, "image/png", expires_s=60)
    assert part in url

    answer = httpx.get(url.replace(part, other))

    assert answer.status_code == 403
    assert answer.content not in (b"oak", b"ash")


def test_without_a_signature_nothing_opens(store: Objects):
    assert httpx.get(store.presigned(KEY, "image/png").partition("?")[0]).status_code == 403


def test_it_opens_no_more_once_it_has_expired(store: Objects):
    url = store.presigned(KEY, "image/png", expires_s=1)
    end = time.monotonic() + 60

    while (answer := httpx.get(url)).status_code == 200 and time.monotonic() < end:
        time.sleep(0.2)

    assert answer.status_code == 403
    assert httpx.get(store.presigned(KEY, "image/png")).status_code == 200


async def test_it_is_signed_for_where_the_outside_reaches_the_store(settings: Settings, store: Objects):
    outside = settings.s3_endpoint.replace("127.0.0.1", "localhost")
    async with objects.connect(settings.model_copy(update={"s3_public_url": f"http://{outside}"})) as opened:
        url = opened.presigned(KEY, "image/png")

    assert url.startswith(f"http://{outside}/")
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"oak"
        assert (await client.get(url.replace(outside, settings.s3_endpoint))).status_code == 403


@pytest.mark.parametrize("arguments", [{"expires_s": 0}, {"expires_s": 901}, {"filename": 'a"; x=.png'}])
def test_what_would_live_long_or_break_a_header_is_not_signed(store: Objects, arguments: dict):
    with pytest.raises(ValueError, match=r"seconds|file name"):
        store.presigned(KEY, "image/png", **arguments)
