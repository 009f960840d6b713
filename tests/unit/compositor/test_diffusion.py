"""The adapter to a diffusion service, against a fake of one over real HTTP."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np
import pytest

from roomviz.errors import FailedPrecondition, Unavailable
from services.compositor.adapters.diffusion import DiffusionHttp, diffusion
from tests.fakes import fake_diffusion

PICTURE = np.random.default_rng(0).integers(0, 255, (100, 150, 3)).astype(np.uint8)
MASK = np.zeros((100, 150), np.uint8)
MASK[20:80, 30:120] = 255


@asynccontextmanager
async def speaking(url: str, limit_s: float = 5.0) -> AsyncIterator[DiffusionHttp]:
    with ThreadPoolExecutor(1) as cpu:
        async with diffusion(url, "secret", limit_s, 20, cpu) as made:
            yield made


async def test_what_is_asked_and_what_comes() -> None:
    with fake_diffusion() as (url, asked):
        async with speaking(url) as backend:
            made = await backend.inpaint(PICTURE, MASK, "a red carpet", 7)
    assert made.shape == PICTURE.shape
    assert made.dtype == np.uint8
    assert np.abs(made[40:60, 60:90].astype(int) - (200, 30, 30)).max() <= 1
    question = asked[0]
    assert question["path"] == "/sdapi/v1/img2img"
    assert question["authorization"] == "Bearer secret"
    assert (question["prompt"], question["seed"], question["steps"]) == ("a red carpet", 7, 20)
    assert question["width"] % 8 == question["height"] % 8 == 0


async def test_another_size_is_brought_back() -> None:
    with fake_diffusion() as (url, _):
        async with speaking(url) as backend:
            assert (await backend.inpaint(PICTURE, MASK, "small", 0)).shape == PICTURE.shape


@pytest.mark.parametrize(("prompt", "reason"), [("refused", "GENERATION_REFUSED"), ("garbage", "GENERATION_REFUSED")])
async def test_refusals(prompt: str, reason: str) -> None:
    with fake_diffusion() as (url, _):
        async with speaking(url) as backend:
            with pytest.raises(FailedPrecondition) as failed:
                await backend.inpaint(PICTURE, MASK, prompt, 0)
    assert failed.value.reason == reason


@pytest.mark.parametrize("prompt", ["busy", "slow"])
async def test_what_may_be_tried_again(prompt: str) -> None:
    with fake_diffusion() as (url, _):
        async with speaking(url, 0.4) as backend:
            with pytest.raises(Unavailable) as failed:
                await backend.inpaint(PICTURE, MASK, prompt, 0)
    assert failed.value.reason == "GENERATION_UNAVAILABLE"


async def test_nobody_there() -> None:
    async with speaking("http://127.0.0.1:1") as backend:
        with pytest.raises(Unavailable):
            await backend.inpaint(PICTURE, MASK, "red", 0)
