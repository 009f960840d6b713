"""Send the HTTP API of a running stack what its OpenAPI document allows and what it does not; no answer may be a fault.

python -m bench.fuzz_http --minutes 10 [--url http://127.0.0.1:8080] [--key-file .local/secrets/api_key]

Schemathesis makes the requests to paths; those to RPCs over Connect are made here. Every second id in them is one that
exists, and every second file a picture, so that they get beyond the first check. The answers are counted by the
server's own metrics.
"""

import argparse
import json
import os
import random
import re
import struct
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

from services.gateway.app import PUBLIC

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


def message(rng: random.Random, of: Any, names: list[str], depth: int = 0) -> dict[str, Any]:
    """Something like a message of this descriptor, as JSON."""
    out: dict[str, Any] = {}
    for field in of.fields:
        if rng.random() < 0.3 or (field.message_type is not None and depth > 3):
            continue

        def value(field: Any = field) -> Any:
            if field.message_type is not None:
                return message(rng, field.message_type, names, depth + 1)
            if field.enum_type is not None:
                return rng.choice([v.number for v in field.enum_type.values] + [-1, 99])
            if field.cpp_type == field.CPPTYPE_STRING:
                return rng.choice([*names, *names, "", "\0", "é" * 300, "../..", "rooms/none", "AAAA"])
            if field.cpp_type == field.CPPTYPE_BOOL:
                return rng.random() < 0.5
            return rng.choice([0, 1, -1, 7, 0.5, 1e308, "NaN", "Infinity", 2**31 - 1, -(2**31)])

        out[field.json_name] = [value() for _ in range(rng.randint(0, 3))] if field.is_repeated else value()
    return out


def connect(url: str, key: str, names: list[str], rounds: int) -> Counter[str]:
    """Call each public RPC with what is nearly right, and with noise; how often each status and code came."""
    rng, found = random.Random(1), Counter[str]()
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=60) as web:
        for turn in range(rounds):
            for service in PUBLIC:
                for method in service.methods:
                    streams = method.client_streaming or method.server_streaming
                    body = json.dumps(message(rng, method.input_type, names)).encode()
                    kind = "json"
                    if turn % 3 == 2:
                        body, kind = rng.randbytes(rng.randint(0, 200)), rng.choice(["json", "proto"])
                    if streams and rng.random() < 0.9:
                        body = struct.pack(">BI", 0, len(body)) + body
                    media = f"application/connect+{kind}" if streams else f"application/{kind}"
                    headers = {"Content-Type": media, "Connect-Timeout-Ms": "5000"}
                    answer = web.post(f"/{service.full_name}/{method.name}", content=body, headers=headers)
                    codes = re.findall(rb'"code": "([a-z_]+)"', answer.content[-4000:]) if answer.content else []
                    code = codes[-1].decode() if codes else "ok"
                    found[f"{answer.status_code} {code}"] += 1
                    if code in ("internal", "unknown") or answer.status_code == 500:
                        print("fault:", service.full_name, method.name, body[:500], answer.text[:500])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--key-file", type=Path, default=Path(".local/secrets/api_key"))
    parser.add_argument("--rounds", type=int, default=30, help="How often each RPC is called over Connect.")
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
    ids = json.loads(environment[_LIVE])
    names = [f"visualizations/{ids['visualization_id']}", "products/FLR-WALNUT", *ids.values()]
    rpcs = connect(a.url, key, names, a.rounds)
    print(f"{rpcs.total()} RPCs over Connect:", ", ".join(f"{code}: {n}" for code, n in rpcs.most_common()))
    failed |= any(code.endswith(("internal", "unknown")) for code in rpcs)
    print(f"{answers.total()} answers:", ", ".join(f"{code}: {answers[code]}" for code in sorted(answers)))
    raise SystemExit(failed or any(code.startswith("5") for code in answers))


if __name__ == "__main__":
    main()
elif _LIVE in os.environ:  # loaded by Schemathesis
    import schemathesis

    _ids = json.loads(os.environ[_LIVE])

    def _swapped(value: Any, files: bool) -> Any:
        """The same with every second id and file made good: by its content, so that what failed fails again."""
        if isinstance(value, list):
            return [_swapped(v, files) for v in value]
        if not isinstance(value, dict):
            return value
        out = {}
        for name, given in value.items():
            mark = zlib.crc32(repr(given).encode())
            if mark % 2 and name in _ids:
                out[name] = _ids[name]
            elif mark % 2 and files and name in _FILES:
                out[name] = [picture(mark)] if name == "files" else picture(mark)
            else:
                out[name] = _swapped(given, files)
        return out

    @schemathesis.hook
    def map_case(context: Any, case: Any) -> Any:
        case.path_parameters = _swapped(case.path_parameters, False)
        case.body = _swapped(case.body, case.media_type == "multipart/form-data")
        return case
