"""A customer's own pattern, from a URL onto a wall."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from roomviz.client import Client
from roomviz.errors import FailedPrecondition, InvalidArgument
from roomviz.imaging.codec import decode_rgb
from roomviz.v1 import visualizations_pb2
from tests.conftest import Running, jpeg
from tests.contract.test_api import covers


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def shop(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A web server with pictures: its URL, and its folder."""
    folder = tmp_path_factory.mktemp("shop")
    port = running.settings.fetch_ports[0]
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{port}", folder
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def dots(shop: tuple[str, Path]) -> str:
    """Green dots on cream, cut off at the sides."""
    picture = np.full((240, 360, 3), (240, 232, 210), np.uint8)
    rng = np.random.default_rng(5)
    for _ in range(60):
        at = (int(rng.integers(0, 360)), int(rng.integers(0, 240)))
        cv2.circle(picture, at, 14, (40, 130, 70), -1, cv2.LINE_AA)
    (shop[1] / "dots.jpg").write_bytes(jpeg(picture))
    return f"{shop[0]}/dots.jpg"


@covers("roomviz.v1.ProductService/ImportPattern")
def test_from_a_url_onto_a_wall(client: Client, analyzed: Any, dots: str) -> None:
    made = client.import_pattern(dots, 0.9, "Green dots", seamless=True)
    assert made.sku.startswith("OWN-")
    assert made.display_name == "Green dots"
    # A sixth of each side went into the seam; the scale stayed.
    assert made.material.repeat_width_m == pytest.approx(0.75, abs=0.01)
    assert made.material.repeat_height_m == pytest.approx(0.5, abs=0.01)
    assert client.product(made.sku).material == made.material
    assert made.sku in {p.sku for p in client.products("custom")}
    wall = next(s for s in analyzed.surfaces if s.surface_id.startswith("wall"))
    on_wall = visualizations_pb2.Application(surface_id=wall.surface_id, product=made.name)
    after = decode_rgb(client.preview(analyzed.room, [on_wall])).astype(int)
    mask = cv2.imdecode(np.frombuffer(client.mask(wall.name), np.uint8), 0)
    mask = cv2.resize(mask, after.shape[1::-1], interpolation=cv2.INTER_AREA) > 250
    green = (after[..., 1] > after[..., 0] + 25)[mask].mean()
    assert 0.1 < green < 0.6


def test_the_same_again(client: Client, dots: str) -> None:
    first = client.import_pattern(dots, 0.9, "Green dots", seamless=True)
    assert client.import_pattern(dots, 0.9, "Green dots", seamless=True) == first
    plain = client.import_pattern(dots, 0.9, "Green dots")
    assert plain.sku != first.sku
    assert plain.material.repeat_width_m == pytest.approx(0.9)


def test_of_another_tenant(running: Running, client: Client, dots: str) -> None:
    sku = client.import_pattern(dots, 0.9).sku
    assert running.rows("SELECT tenant FROM catalog.products WHERE sku = $1", sku) == [{"tenant": "demo"}]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing.jpg", "URL_UNREACHABLE"), ("text.jpg", "IMAGE_FORMAT_UNSUPPORTED"), ("tiny.png", "PATTERN_TOO_SMALL")],
)
def test_what_cannot_be_used(client: Client, shop: tuple[str, Path], path: str, reason: str) -> None:
    (shop[1] / "text.jpg").write_text("no picture")
    (shop[1] / "tiny.png").write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    with pytest.raises((InvalidArgument, FailedPrecondition)) as failed:
        client.import_pattern(f"{shop[0]}/{path}", 0.5)
    assert failed.value.reason == reason


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "http://example.com/a.png", "http://10.0.0.1:{port}/a.png"]
)
def test_where_nothing_is_fetched_from(client: Client, running: Running, url: str) -> None:
    with pytest.raises(InvalidArgument) as failed:
        client.import_pattern(url.format(port=running.settings.fetch_ports[0]), 0.5)
    assert failed.value.reason == "URL_FORBIDDEN"


@pytest.mark.parametrize("width", [0.0, -1.0, 21.0, float("nan"), float("inf")])
def test_sizes(client: Client, dots: str, width: float) -> None:
    with pytest.raises(InvalidArgument) as failed:
        client.import_pattern(dots, width)
    assert failed.value.reason == "PATTERN_SIZE_INVALID"


def test_command(running: Running, dots: str) -> None:
    done = running.roomviz("import-pattern", dots, "--width", "0.9", "--seamless")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OWN-")
    refused = running.roomviz("import-pattern", "https://example.com/", "--width", "0.9")
    assert refused.returncode != 0
    assert "only http URLs are taken" in refused.stderr
