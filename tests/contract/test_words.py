"""Rooms in words, by the built-in provider and by Gemini (a fake of it, which would cost money)."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.local.programs import grpc_serving
from deploy.local.settings import ROOT
from roomviz.client import Client
from roomviz.errors import FailedPrecondition, NotFound
from roomviz.v1 import rooms_pb2
from tests.conftest import Running, free_ports, jpeg
from tests.contract.test_api import covers, other_key
from tests.fakes import fake_gemini

__all__ = ["other_key"]
SAMPLE = ROOT / "samples" / "living-room.jpg"


@covers("roomviz.v1.RoomService/GetRoomDescription")
def test_a_room_is_described_and_only_once(running: Running, client: Client, analyzed: Any):
    found = client.describe(analyzed.room)

    assert (found.provider, found.fallback_reason) == ("built-in", "")
    assert found.description.startswith("The photo shows a floor")
    assert "three walls" in found.description
    assert "window" in found.description
    assert all(s.surface_id in found.technical_summary for s in analyzed.surfaces)
    assert client.describe(analyzed.room) == found
    room = analyzed.room.partition("/")[2]
    rows = running.rows("SELECT provider FROM gateway.descriptions WHERE room_id = $1 AND asked = 'built-in'", room)
    assert len(rows) >= 1  # one for each state of its masks that somebody asked for
    again = running.rows("SELECT provider FROM gateway.descriptions WHERE room_id = $1 AND asked = 'built-in'", room)
    assert len(again) == len(rows)


def test_a_room_that_was_not_analyzed_or_is_anothers_has_no_description(
    running: Running, client: Client, analyzed: Any, other_key: str
):
    grey = client.upload(jpeg(np.full((90, 120, 3), 111, np.uint8)), "grey")

    with pytest.raises(FailedPrecondition) as caught:
        client.describe(grey.name)
    assert caught.value.reason == "ROOM_NOT_ANALYZED"
    with Client(running.address, other_key) as other, pytest.raises(NotFound):
        other.describe(analyzed.room)


def test_the_command_tells_a_room(running: Running):
    done = running.roomviz("describe", SAMPLE)
    as_json = running.roomviz("describe", SAMPLE, "--json")

    assert done.returncode == 0, done.stderr
    assert "written by built-in" in done.stdout
    assert json.loads(as_json.stdout)["provider"] == "built-in"


@contextmanager
def gateway_with(running: Running, folder: Path, **settings: str) -> Iterator[Client]:
    """Another gateway of the same stack, with settings of its own."""
    port, metrics_port, http_port = free_ports(3)
    key = folder / "gemini_key"
    key.write_text("SECRET\n")
    environment = {
        **os.environ,
        **running.settings.service_environment("gateway"),
        "ROOMVIZ_GATEWAY_PORT": str(port),
        "ROOMVIZ_METRICS_PORT": str(metrics_port),
        "ROOMVIZ_HTTP_PORT": str(http_port),
        "ROOMVIZ_GEMINI_KEY_FILE": str(key),
        **settings,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.gateway"], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        for _ in range(200):
            if grpc_serving(running.settings, "gateway", f"127.0.0.1:{port}"):
                break
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        with Client(f"127.0.0.1:{port}", running.key) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def test_gemini_describes_and_our_own_words_stand_in_where_it_fails(running: Running, analyzed: Any, tmp_path: Path):
    def described(client: Client) -> rooms_pb2.GetRoomDescriptionResponse:
        return client.describe(analyzed.room)

    with fake_gemini() as (url, asked):
        with gateway_with(running, tmp_path, ROOMVIZ_GEMINI_BASE_URL=url, ROOMVIZ_GEMINI_MODEL="good") as client:
            found, again = described(client), described(client)
        assert (found.provider, found.fallback_reason) == ("gemini/good", "")
        assert found.description == "A bright room. A sofa stands before the wall."
        assert "floor-1" in found.technical_summary
        assert again == found
        assert len(asked) == 1
        assert "floor-1" in str(asked[0]["contents"])

        with gateway_with(running, tmp_path, ROOMVIZ_GEMINI_BASE_URL=url, ROOMVIZ_GEMINI_MODEL="garbage") as client:
            stands_in, again = described(client), described(client)
    assert (stands_in.provider, stands_in.fallback_reason) == ("built-in", "PROVIDER_ANSWER_INVALID")
    assert stands_in.description.startswith("The photo shows a floor")
    assert again == stands_in
    assert len(asked) == 2  # not asked again at once
    log = (tmp_path / "log").read_text()
    assert "SECRET" not in log
