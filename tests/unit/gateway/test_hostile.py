"""Hostile files through the decoder as it runs: in a child process within its limits."""

import csv
import os
import resource
from pathlib import Path

import pytest
import pytest_asyncio

from roomviz.errors import InvalidArgument
from roomviz.runtime.admission import Turns
from roomviz.runtime.metrics import SANDBOX_LOST
from roomviz.runtime.sandbox import Sandbox, sandbox
from services.gateway.adapters.decoder import SandboxedDecoder
from services.gateway.domain.ingest import Limits, Photo
from services.gateway.settings import Settings

HOSTILE = Path(__file__).resolve().parents[4] / "shared" / "hostile"
# Those of protos/roomviz/v1/rooms.proto, UploadRoom.
REASONS = {"IMAGE_EMPTY", "IMAGE_CORRUPT", "IMAGE_FORMAT_UNSUPPORTED", "IMAGE_TOO_LARGE"}
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}
LIMITS = Limits(DEFAULTS["upload_bytes_max"], DEFAULTS["upload_megapixels_max"])
MEMORY_GROWTH_MAX = 200 << 20  # what the corpus allows its bombs


def rows() -> list[dict[str, str]]:
    manifest = HOSTILE / "MANIFEST.csv"
    return list(csv.DictReader(manifest.read_text().splitlines())) if manifest.exists() else []


def memory() -> tuple[int, int]:
    """The process, and the most memory in bytes that it ever had resident."""
    return os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def lost() -> float:
    return sum(s.value for m in SANDBOX_LOST.collect() for s in m.samples if s.name.endswith("_total"))


@pytest_asyncio.fixture(scope="module")
async def box():
    async with sandbox(
        1, DEFAULTS["decode_limit_s"], DEFAULTS["decode_memory_bytes"], ["services.gateway.domain.ingest"]
    ) as made:
        yield made


@pytest.mark.skipif(not rows(), reason="the folder of hostile files, ../shared/hostile, is missing")
async def test_each_hostile_file_is_taken_or_refused_as_its_manifest_says_and_no_worker_is_lost(box: Sandbox):
    decoder, wrong = SandboxedDecoder(box, LIMITS, Turns("test", 1, 1, 1, 1.0)), []
    before = lost()
    process, began = await box.run(memory)
    for row in rows():
        photo: Photo | None = None
        reason = ""
        try:
            photo = await decoder.take_in((HOSTILE / row["file"]).read_bytes())
        except InvalidArgument as refusal:
            reason = refusal.reason
        verdict = "reject" if photo is None else "accept"
        right = row["expect"] in ("either", verdict) and reason in REASONS | {""}
        if photo is not None and row["upright_size"]:
            right &= f"{photo.width}x{photo.height}" == row["upright_size"]
        if photo is None and "IMAGE_TOO_LARGE" in row["expect_reason"]:
            right &= reason in ("IMAGE_TOO_LARGE", "IMAGE_FORMAT_UNSUPPORTED")
        if photo is not None and row["gps"]:
            right &= "LOCATION" in photo.removed
        if not right:
            wrong.append((row["id"], row["expect"], row["expect_reason"], verdict, reason))

    assert wrong == []
    same, most = await box.run(memory)
    assert (same, lost()) == (process, before)
    assert most - began < MEMORY_GROWTH_MAX


def gluttonous(data: bytes, limits: Limits) -> int:
    return len(bytearray(DEFAULTS["decode_memory_bytes"]))


def crashing(data: bytes, limits: Limits) -> int:
    os.abort()


@pytest.mark.parametrize(("work", "ended"), [(gluttonous, 0), (crashing, 1)])
async def test_what_breaks_the_decoder_is_refused_and_the_next_picture_is_served(box: Sandbox, work, ended: int):
    before = lost()

    with pytest.raises(InvalidArgument) as caught:
        await box.run(work, b"", LIMITS)

    assert caught.value.reason == "IMAGE_CORRUPT"
    assert lost() - before == ended
    assert (await box.run(memory))[0] > 0


async def test_what_takes_too_long_is_refused_and_ended():
    import time

    async with sandbox(1, 0.3, DEFAULTS["decode_memory_bytes"], []) as box:
        await box.run(memory)
        before = lost()

        with pytest.raises(InvalidArgument, match="within"):
            await box.run(time.sleep, 30.0)

        assert lost() - before == 1
        assert (await box.run(memory))[0] > 0
