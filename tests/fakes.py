"""Fakes: each stands for a paid service outside, behind the same interface as the real one."""

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cv2
import numpy as np

Drawing = np.ndarray[Any, np.dtype[np.uint8]]


def decoded(text: str, flags: int) -> Drawing:
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), flags).astype(np.uint8)


class Fake(http.server.BaseHTTPRequestHandler):
    """Remembers what it was asked, and answers with JSON."""

    asked: list[dict[str, Any]]

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # nobody waited
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _serving(kind: type[Fake], port: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its URL, and what it was asked since."""
    handler = type("Handler", (kind,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


class FakeDiffusion(Fake):
    """Speaks `/sdapi/v1/img2img`: fills the mask with the colour that the prompt names, and takes no money for it.

    Prompts of its own: `busy` and `refused` answer with 503 and 422, `garbage` with no picture, `slow` after a while,
    `small` with half of the size.
    """

    colors = {"red": (200, 30, 30), "blue": (30, 60, 200)}  # noqa: RUF012

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append({**question, "path": self.path, "authorization": self.headers.get("Authorization")})
        prompt = question["prompt"]
        if prompt in ("busy", "refused"):
            return self.answer({"busy": 503, "refused": 422}[prompt], b"{}")
        if prompt == "garbage":
            return self.answer(200, b'{"images": ["bm8gcGljdHVyZQ=="]}')
        if prompt == "slow":
            threading.Event().wait(1.0)
        picture = decoded(question["init_images"][0], cv2.IMREAD_COLOR_RGB)
        inside = decoded(question["mask"], cv2.IMREAD_GRAYSCALE) > 127
        assert picture.shape == (question["height"], question["width"], 3)
        picture[inside] = next((c for word, c in self.colors.items() if word in prompt), (90, 90, 90))
        if prompt == "small":
            picture = picture[::2, ::2]
        png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
        return self.answer(200, json.dumps({"images": [base64.b64encode(png).decode()]}).encode())


@contextmanager
def fake_diffusion(port: int = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its URL, and what it was asked."""
    with _serving(FakeDiffusion, port) as found:
        yield found


class FakeGemini(Fake):
    """Speaks `generateContent`; what it answers is the model's name (`answers`). Names of its own: `slow` answers after a
    second, `broken` and `refused` with 500 and 400, `flaky` with 503 each first time."""

    answers = {  # noqa: RUF012
        "good": json.dumps({"description": "A bright room. A sofa stands before the wall."}),
        "html": json.dumps(
            {"description": "A room <script>alert(1)</script>with <b>a sofa</b>, see https://evil.example."}
        ),
        "garbage": "As a language model I cannot",
        "other": json.dumps({"text": "A room with a sofa in it."}),
        "number": json.dumps({"description": 7}),
        "short": json.dumps({"description": "<b></b>"}),
    }

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = self.path.rpartition("/")[2].partition(":")[0]
        asked = type(self).asked
        asked.append({**question, "path": self.path, "key": self.headers.get("x-goog-api-key")})
        if model == "slow":
            threading.Event().wait(1.0)
        code = {"broken": 500, "refused": 400, "flaky": 503 if len(asked) == 1 else 200}.get(model, 200)
        if code != 200:
            return self.answer(code, json.dumps({"error": {"code": code, "message": "no", "status": "NO"}}).encode())
        if model == "blocked":
            return self.answer(200, b'{"promptFeedback": {"blockReason": "SAFETY"}}')
        text = self.answers.get(model, self.answers["good"])
        answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}]}
        return self.answer(200, json.dumps(answer).encode())


@contextmanager
def fake_gemini(port: int = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its URL, and what it was asked."""
    with _serving(FakeGemini, port) as found:
        yield found
