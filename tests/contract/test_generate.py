"""Surfaces made up by a generative service: a fake of one, which would cost money."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from roomviz.client import Client
from roomviz.errors import FailedPrecondition, InvalidArgument, NotFound
from roomviz.imaging.codec import decode_rgb
from roomviz.v1 import visualizations_pb2
from tests.conftest import Running
from tests.contract.test_api import covers
from tests.fakes import fake_diffusion


@pytest.fixture(scope="module")
def asked(running: Running) -> Iterator[list[dict[str, Any]]]:
    with fake_diffusion(urlsplit(running.settings.generative_url).port or 0) as (_, asked):
        yield asked


@covers("roomviz.v1.VisualizationService/GenerateVisualization")
def test_a_wall_made_up(client: Client, analyzed: Any, asked: list[dict[str, Any]]) -> None:
    wall = next(s for s in analyzed.surfaces if s.surface_id.startswith("wall"))
    made = client.generate(analyzed.room, wall.surface_id, "a red mural", seed=3, format="png")
    assert made.generated
    assert asked[-1]["seed"] == 3
    after, before = decode_rgb(client.picture(made.name)), decode_rgb(client.photo(analyzed.room))
    mask = cv2.imdecode(np.frombuffer(client.mask(wall.name), np.uint8), 0)
    assert np.array_equal(after[mask == 0], before[mask == 0])
    inside = cv2.erode(mask, np.ones((41, 41), np.uint8)) == 255
    assert np.abs(after[inside].astype(int) - (200, 30, 30)).max(1).mean() < 12
    # It is marked, kept, and proven by what was kept: nobody is asked twice.
    before_asked = len(asked)
    picture = client.picture(made.name)
    assert b"compositeWithTrainedAlgorithmicMedia" in picture
    assert client.rerender(made.receipt) == picture
    found = client.verify(picture)
    assert found.verdict == visualizations_pb2.RENDER_VERDICT_UNTOUCHED
    assert found.generated
    assert len(asked) == before_asked


@pytest.mark.parametrize("prompt", ["refused", "garbage"])
def test_a_service_that_will_not(client: Client, analyzed: Any, asked: list[dict[str, Any]], prompt: str) -> None:
    with pytest.raises(FailedPrecondition) as failed:
        client.generate(analyzed.room, analyzed.surfaces[0].surface_id, prompt)
    assert failed.value.reason == "GENERATION_REFUSED"


@pytest.mark.parametrize("prompt", ["", "  ", "x" * 501, "a\x00b"])
def test_prompts(client: Client, analyzed: Any, prompt: str) -> None:
    with pytest.raises(InvalidArgument) as failed:
        client.generate(analyzed.room, analyzed.surfaces[0].surface_id, prompt)
    assert failed.value.reason == "PROMPT_INVALID"


def test_surfaces(client: Client, analyzed: Any) -> None:
    with pytest.raises(NotFound) as failed:
        client.generate(analyzed.room, "roof-1", "red")
    assert failed.value.reason == "SURFACE_NOT_FOUND"
