"""The Gemini adapter with Google's own client, over HTTP to a fake of the service."""

import base64

import pytest

from services.gateway.adapters.breaker import Breaker, Open
from services.gateway.adapters.gemini import GeminiDescriptions, gemini
from services.gateway.ports import NoDescription
from tests.fakes import fake_gemini

PICTURE = b"\xff\xd8\xff a picture"
FACTS = "The photo shows a floor."


async def refused(provider: GeminiDescriptions) -> str:
    with pytest.raises(NoDescription) as caught:
        await provider.describe(FACTS, PICTURE)
    return caught.value.reason


async def test_a_description_and_what_was_asked_for_it():
    with fake_gemini() as (url, asked):
        async with gemini("SECRET", "good", url, 5.0, 3, 60.0) as provider:
            words = await provider.describe(FACTS, PICTURE)

    assert words == "A bright room. A sofa stands before the wall."
    assert provider.name == "gemini/good"
    (question,) = asked
    assert question["path"].endswith("/models/good:generateContent")
    assert question["key"] == "SECRET"
    picture, facts = question["contents"][0]["parts"]
    assert base64.b64decode(picture["inlineData"]["data"].replace("-", "+").replace("_", "/")) == PICTURE
    assert FACTS in facts["text"]
    assert question["generationConfig"]["responseMimeType"] == "application/json"
    assert "description" in str(question["generationConfig"]["responseJsonSchema"])


async def test_markup_and_links_of_an_answer_do_not_come_through():
    with fake_gemini() as (url, _):
        async with gemini("k", "html", url, 5.0, 3, 60.0) as provider:
            assert await provider.describe(FACTS, PICTURE) == "A room with a sofa, see"


@pytest.mark.parametrize("model", ["garbage", "other", "number", "short", "blocked"])
async def test_an_answer_that_is_none_is_told(model: str):
    with fake_gemini() as (url, asked):
        async with gemini("k", model, url, 5.0, 3, 60.0) as provider:
            assert await refused(provider) == "PROVIDER_ANSWER_INVALID"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("model", "reason", "tries"),
    [("broken", "PROVIDER_UNAVAILABLE", 3), ("refused", "PROVIDER_REFUSED", 1)],
)
async def test_only_what_may_pass_is_tried_again(model: str, reason: str, tries: int):
    with fake_gemini() as (url, asked):
        async with gemini("k", model, url, 10.0, 3, 60.0) as provider:
            assert await refused(provider) == reason
    assert len(asked) == tries


async def test_what_passed_is_not_told():
    with fake_gemini() as (url, asked):
        async with gemini("k", "flaky", url, 10.0, 3, 60.0) as provider:
            assert await provider.describe(FACTS, PICTURE)
    assert len(asked) == 2


async def test_who_does_not_answer_in_time_is_not_waited_for():
    with fake_gemini() as (url, _):
        async with gemini("k", "slow", url, 0.2, 3, 60.0) as provider:
            assert await refused(provider) in ("PROVIDER_TIMEOUT", "PROVIDER_UNAVAILABLE")


async def test_who_is_not_there_is_unavailable():
    async with gemini("k", "good", "http://127.0.0.1:9", 10.0, 3, 60.0) as provider:
        assert await refused(provider) == "PROVIDER_UNAVAILABLE"


async def test_who_fails_again_and_again_is_left_alone():
    with fake_gemini() as (url, asked):
        async with gemini("k", "refused", url, 5.0, 2, 60.0) as provider:
            reasons = [await refused(provider) for _ in range(4)]
    assert reasons == ["PROVIDER_REFUSED"] * 2 + ["PROVIDER_PAUSED"] * 2
    assert len(asked) == 2


def test_a_breaker_lets_one_try_after_its_rest_and_closes_when_that_succeeds():
    now = 0.0
    breaker = Breaker(2, 10.0, lambda: now)

    def call(fails: bool) -> str:
        try:
            with breaker.guard():
                if fails:
                    raise ValueError
        except (ValueError, Open) as error:
            return type(error).__name__
        return "passed"

    assert [call(True), call(True), call(False)] == ["ValueError", "ValueError", "Open"]
    now = 11.0
    assert [call(True), call(False)] == ["ValueError", "Open"]
    now = 22.0
    assert [call(False), call(True), call(False)] == ["passed", "ValueError", "passed"]
