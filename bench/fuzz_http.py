"""Send the HTTP API of a running stack what its OpenAPI document allows and what it does not; no answer may be a fault.

python -m bench.fuzz_http --minutes 10 [--url http://127.0.0.1:8080] [--key-file .local/secrets/api_key]

Schemathesis makes the requests. Every second id in them is one that exists, and every second file a picture, so that
they get beyond the first check. The answers are counted by the server's own metrics.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

_LIVE = "ROOMVIZ_FUZZ_LIVE"
_FILES = ("image", "file", "files")


def picture(seed: int) -> bytes:
    """A JPEG that may be analyzed, and is soon."""
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_CUBIC))[1].tobytes()


def live(url: str, key: str) -> dict[str, str]:
    """Ids that exist, by the names of fields and path parameters."""
    room = Path("samples/living-room.jpg").read_bytes()
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=90) as web:
        session = web.post("/api/upload", files={"image": room}).json()["sessionId"]
        web.post("/api/analyze", json={"sessionId": session}).raise_for_status()
        asked = {"sessionId": session, "applications": [{"productId": "FLR-WALNUT", "surfaceLabel": "floor"}]}
        made = web.post("/api/visualize", json=asked).json()["visualizationId"]
        batch = web.post("/api/batches", files={"files": ("a.jpg", room)}).json()["batchId"]
    ids = {"session": session, "visualization": made, "batch": batch, "product": "FLR-WALNUT", "mask": "wall-1"}
    return {form: value for k, value in ids.items() for form in (f"{k}_id", f"{k}Id")}


def codes(url: str, key: str) -> Counter[str]:
    """How many answers each status had so far."""
    text = httpx.get(f"{url}/api/metrics", headers={"X-API-Key": key}).text
    found: Counter[str] = Counter()
    for code, count in re.findall(r'roomviz_http_seconds_count\{code="(\d+)",route="[^"]*"\} (\S+)', text):
        found[code] += int(float(count))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--key-file", type=Path, default=Path(".local/secrets/api_key"))
    a = parser.parse_args()
    key = a.key_file.read_text().strip()
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "bench.fuzz_http", _LIVE: json.dumps(live(a.url, key))}
    before, end, seed = codes(a.url, key), time.monotonic() + 60 * a.minutes, 0
    failed = False
    while (left := end - time.monotonic()) > 5:
        seed += 1
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", "docs/openapi.json", "--url", a.url),
            *("--header", f"X-API-Key: {key}", "--checks", "not_a_server_error", "--phases", "coverage,fuzzing"),
            *("--mode", "all", "--max-examples", "200", "--max-time", str(int(left)), "--seed", str(seed)),
            *(
                "--request-timeout",
                "60",
                "--generation-with-security-parameters",
                "false",
                "--suppress-health-check",
                "all",
                "--no-color",
                "--continue-on-failure",
            ),
        ]
        failed |= subprocess.run(command, env=environment, check=False).returncode != 0
    answers = codes(a.url, key) - before
    print(f"{answers.total()} answers:", ", ".join(f"{code}: {answers[code]}" for code in sorted(answers)))
    raise SystemExit(failed or any(code.startswith("5") for code in answers))


if __name__ == "__main__":
    main()
elif _LIVE in os.environ:  # loaded by Schemathesis
    import schemathesis

    _ids = json.loads(os.environ[_LIVE])

    def _swapped(value: Any) -> Any:
        """The same with every second id and file made good: by its content, so that what failed fails again."""
        if isinstance(value, list):
            return [_swapped(v) for v in value]
        if not isinstance(value, dict):
            return value
        out = {}
        for name, given in value.items():
            mark = zlib.crc32(repr(given).encode())
            if mark % 2 and name in _ids:
                out[name] = _ids[name]
            elif mark % 2 and name in _FILES:
                out[name] = [picture(mark)] if name == "files" else picture(mark)
            else:
                out[name] = _swapped(given)
        return out

    @schemathesis.hook
    def map_path_parameters(context: Any, path_parameters: Any) -> Any:
        return _swapped(path_parameters)

    @schemathesis.hook
    def map_body(context: Any, body: Any) -> Any:
        return _swapped(body)
