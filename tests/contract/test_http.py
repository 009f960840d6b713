"""The HTTP API and Connect against the running services, as an integration of an older visualizer calls them."""

import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from google.longrunning import operations_pb2 as longrunning
from openapi_spec_validator import validate

from roomviz.imaging.codec import decode_grey, decode_rgb
from roomviz.runtime.rpc import CHUNK_BYTES
from roomviz.v1 import operations_pb2, rooms_pb2
from tests.conftest import ROOT, Running, jpeg

LINK = re.compile(r"/api/files/[^?]+\?expires=\d+&signature=[0-9a-f]{64}")
ID = re.compile(r"[0-9a-f]{30}")
COLOR = re.compile(r"#[0-9A-F]{6}")
LABELS = {"floor", "wall", "ceiling", "furniture", "window", "door", "other"}


@pytest.fixture(scope="module")
def base(running: Running) -> str:
    return running.settings.web


@pytest.fixture(scope="module")
def web(running: Running, base: str) -> Iterator[httpx.Client]:
    """The owner's key, as X-API-Key."""
    with httpx.Client(base_url=base, headers={"X-API-Key": running.key}, timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def anybody(base: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def stranger(running: Running, base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An owner of another tenant."""
    key_file: Path = tmp_path_factory.mktemp("stranger") / "key"
    key_file.write_text("rv_stranger_" + uuid.uuid4().hex)
    command = [sys.executable, "-m", "services.gateway.keys", "--tenant", "stranger", "--key-file", str(key_file)]
    environment = running.environment() | running.settings.service_environment("gateway")
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key_file.read_text()}"}, timeout=60) as made:
        yield made


def fresh(photo: bytes) -> bytes:
    """A photo that no other test has sent."""
    image = decode_rgb(photo)
    image[:4, :8] = np.frombuffer(uuid.uuid4().bytes * 6, np.uint8).reshape(4, 8, 3)
    return jpeg(image)


def problem(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The failure that was answered, once its form is as it should be."""
    body = answer.json()
    assert (answer.status_code, body["reason"]) == (status, reason), body
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(body) == {"type", "title", "status", "detail", "reason", "requestId", "metadata", "violations"}
    assert body["status"] == status
    assert body["requestId"] == answer.headers["x-request-id"]
    return dict(body)


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def check_masks(masks: list[dict[str, Any]]) -> None:
    assert masks
    for mask in masks:
        assert set(mask) == {"id", "label", "color", "maskUrl", "areaPercent", "confidence"}
        assert mask["id"].startswith(mask["label"])
        assert mask["label"] in LABELS
        assert COLOR.fullmatch(mask["color"])
        assert LINK.fullmatch(mask["maskUrl"])
        assert 0 <= mask["areaPercent"] <= 100
        assert 0 <= mask["confidence"] <= 1


def check_visualization(body: dict[str, Any]) -> None:
    assert set(body) == {
        *("visualizationId", "name", "imageUrl", "imageWidth", "imageHeight"),
        *("appliedProducts", "isFavorite", "createdAt", "savedAt"),
    }
    assert LINK.fullmatch(body["imageUrl"])
    for applied in body["appliedProducts"]:
        assert set(applied) == {*("productId", "color", "surfaceLabel", "productName", "productPrice", "productImage")}


# --- the flow of web shops --------------------------------------------------------------------------


@pytest.mark.parametrize("time", ["first", "second"])
def test_a_shopper_goes_the_whole_way(anybody: httpx.Client, base: str, photo: bytes, time: str):
    email, password = f"{uuid.uuid4().hex}@example.com", "correct horse battery staple"
    registered = ok(anybody.post("/api/auth/register", json={"email": email, "password": password, "name": "Ann"}), 201)
    assert set(registered) == {"token", "tokenType", "expiresAt", "refreshToken", "user"}
    signed_in = ok(anybody.post("/api/auth/login", json={"email": email, "password": password}))
    assert set(signed_in) == set(registered)
    profile = {"id", "email", "name", "role", "createdAt"}
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {signed_in['token']}"}, timeout=60) as shopper:
        me = ok(shopper.get("/api/auth/profile"))
        assert set(me) == profile
        assert (me["email"], me["name"], me["role"]) == (email, "Ann", "shopper")
        assert signed_in["user"] == me

        uploaded = ok(shopper.post("/api/upload", files={"image": ("living room.jpg", photo, "image/jpeg")}))
        assert set(uploaded) == {"sessionId", "imageUrl", "imageWidth", "imageHeight"}
        session_id = uploaded["sessionId"]
        picture = anybody.get(uploaded["imageUrl"])  # which needs no header
        assert picture.headers["content-type"] == "image/png"
        assert decode_rgb(picture.content).shape == (uploaded["imageHeight"], uploaded["imageWidth"], 3)

        before = ok(shopper.get(f"/api/sessions/{session_id}"))
        assert set(before) == {
            *("sessionId", "status", "progress", "message", "fileName", "masks", "createdAt"),
            *("imageUrl", "imageWidth", "imageHeight"),
        }
        assert (before["status"], before["progress"], before["masks"]) == ("uploaded", 0, [])
        assert before["fileName"] == "living room.jpg"

        analyzed = ok(shopper.post("/api/analyze", json={"sessionId": session_id}))
        assert set(analyzed) == {*uploaded, "masks"}
        check_masks(analyzed["masks"])
        masks = {m["id"]: m for m in analyzed["masks"]}
        floor = decode_grey(anybody.get(masks["floor-1"]["maskUrl"]).content)
        assert floor.shape == (uploaded["imageHeight"], uploaded["imageWidth"])
        assert 100 * floor.mean() / 255 == pytest.approx(masks["floor-1"]["areaPercent"], abs=1)
        after = ok(shopper.get(f"/api/sessions/{session_id}"))
        assert (after["status"], after["progress"]) == ("completed", 100)
        assert [m["id"] for m in after["masks"]] == [m["id"] for m in analyzed["masks"]]

        inside = np.pad((floor == 255).astype(np.uint8), 1)  # the picture's border is an edge too
        deepest = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1].argmax()
        y, x = (int(v) for v in np.unravel_index(deepest, floor.shape))
        change = {"sessionId": session_id, "maskId": "floor-1", "erase": True}
        refined = ok(shopper.post("/api/refine", json=change | {"type": "point", "points": [{"x": x, "y": y}]}))
        check_masks(refined["masks"])
        clicked = next(m for m in refined["masks"] if m["id"] == "floor-1")
        assert clicked["areaPercent"] < masks["floor-1"]["areaPercent"]
        line = [{"x": x - 20, "y": y}, {"x": x + 20, "y": y}]
        scribbled = ok(
            shopper.post("/api/refine", json=change | {"type": "scribble", "points": line, "width": 12, "erase": False})
        )
        drawn = next(m for m in scribbled["masks"] if m["id"] == "floor-1")
        assert drawn["areaPercent"] > clicked["areaPercent"]

        asked = {"sessionId": session_id, "applications": [{"productId": "FLR-WALNUT", "surfaceLabel": "floor"}]}
        made = ok(shopper.post("/api/visualize", json=asked))
        check_visualization(made)
        assert made["savedAt"] is None
        (applied,) = made["appliedProducts"]
        assert applied["productName"] == "American walnut plank"
        assert applied["productPrice"] == 79.0
        assert anybody.get(applied["productImage"]).headers["content-type"] == "image/png"
        shown = anybody.get(made["imageUrl"])
        assert shown.headers["content-type"] == "image/jpeg"
        assert decode_rgb(shown.content).shape == (made["imageHeight"], made["imageWidth"], 3)
        assert ok(shopper.get("/api/visualizations"))["visualizations"] == []

        saved = ok(shopper.post("/api/save", json={"visualizationId": made["visualizationId"], "name": "Walnut"}))
        assert set(saved) == {"visualizationId", "name", "savedAt"}
        page = ok(shopper.get("/api/visualizations"))
        assert set(page) == {"visualizations", "skip", "limit", "hasMore"}
        (listed,) = page["visualizations"]
        check_visualization(listed)
        assert (listed["visualizationId"], listed["name"]) == (made["visualizationId"], "Walnut")
        assert listed["savedAt"]
        assert ok(shopper.get(f"/api/visualizations/{made['visualizationId']}")) == listed

        problem(shopper.get("/api/metrics"), 403, "PERMISSION_MISSING")


def test_products_are_listed_with_category_type_skip_and_limit(web: httpx.Client):
    page = ok(web.get("/api/products", params={"category": "flooring", "limit": 3}))
    assert set(page) == {"products", "skip", "limit", "hasMore"}
    assert (len(page["products"]), page["skip"], page["limit"], page["hasMore"]) == (3, 0, 3, True)
    for product in page["products"]:
        assert set(product) == {
            *("id", "name", "category", "type", "price", "currency", "image", "color", "widthM", "heightM"),
        }
        assert product["category"].startswith("flooring")
        assert product["type"] == "material"
        assert COLOR.fullmatch(product["color"])

    later = ok(web.get("/api/products", params={"category": "flooring", "limit": 2, "skip": 1}))["products"]
    things = ok(web.get("/api/products", params={"type": "thing", "limit": 100}))
    every = ok(web.get("/api/products", params={"limit": 100}))

    assert later == page["products"][1:]
    assert {p["type"] for p in things["products"]} == {"thing"}
    assert not every["hasMore"]
    assert ok(web.get(f"/api/products/{later[0]['id']}")) == later[0]
    problem(web.get("/api/products", params={"limit": 101}), 400, "REQUEST_INVALID")
    problem(web.get("/api/products/NO-SUCH"), 404, "PRODUCT_NOT_FOUND")


# --- the flow of demo pages -------------------------------------------------------------------------


def check_results(body: dict[str, Any], pixels: int) -> None:
    assert set(body) == {
        *("session_id", "input_image_url", "output_image_url", "segments", "ai_description", "technical_summary"),
        *("processing_time", "model_used", "confidence_score"),
    }
    assert body["ai_description"]
    assert body["technical_summary"]
    assert body["processing_time"] > 0
    assert body["model_used"].startswith("roomseg/")
    assert 0 < body["confidence_score"] <= 1
    for segment in body["segments"]:
        assert set(segment) == {"class", "label", "confidence", "mask", "area", "bbox"}
        assert segment["class"] in LABELS
        assert segment["label"].startswith(segment["class"])
        assert 0 < segment["area"] <= pixels
        assert len(segment["bbox"]) == 4
        assert LINK.fullmatch(segment["mask"])


def begin(anybody: httpx.Client) -> tuple[str, dict[str, str]]:
    session = ok(anybody.post("/api/demo-sessions"))
    assert set(session) == {"session_id", "token", "expires_at"}
    return session["session_id"], {"Authorization": f"Bearer {session['token']}"}


def test_a_visitor_tries_a_photo_and_the_same_photo_again_is_answered_from_what_was_kept(
    anybody: httpx.Client, running: Running, photo: bytes
):
    data, answers = fresh(photo), []
    for _ in range(2):
        session_id, mine = begin(anybody)
        status = ok(anybody.get(f"/api/sessions/{session_id}/status", headers=mine))
        assert status == {"status": "created", "progress": 0, "message": "waiting for a photo"}
        problem(anybody.get(f"/api/sessions/{session_id}/results", headers=mine), 409, "RESULTS_NOT_READY")

        files = {"name": (None, "my room"), "file": ("a.jpg", data, "image/jpeg")}
        uploaded = ok(anybody.post(f"/api/sessions/{session_id}/upload", files=files, headers=mine))
        assert set(uploaded) == {"session_id", "name", "input_image_url", "width", "height", "status"}
        assert uploaded["name"] == "my room"

        body = ok(anybody.post("/api/image-segmentation", json={"session_id": session_id}, headers=mine))
        check_results(body, uploaded["width"] * uploaded["height"])
        assert ok(anybody.get(f"/api/sessions/{session_id}/results", headers=mine)) == body
        status = ok(anybody.get(f"/api/sessions/{session_id}/status", headers=mine))
        assert status == {"status": "completed", "progress": 100, "message": "done"}
        tinted = anybody.get(body["output_image_url"])
        assert tinted.headers["content-type"] == "image/jpeg"
        assert max(decode_rgb(tinted.content).shape) == 1600
        answers.append(body)

    first, second = answers
    assert first["input_image_url"] != second["input_image_url"]  # each has a room of their own
    for field in ("segments", "ai_description", "processing_time", "output_image_url"):
        assert first[field] == second[field]
    # The second one was answered before its own room was analyzed, and is shown in another material all the same.
    paint = {"color": "#A3B1C2", "finish": "eggshell", "surfaceLabel": "wall"}
    asked = {
        "sessionId": session_id,
        "applications": [{"productId": "FLR-WALNUT", "surfaceLabel": "floor"}, paint],
    }
    made = ok(anybody.post("/api/visualize", json=asked, headers=mine))
    check_visualization(made)
    told = [(a["productId"], a["color"], a["productName"]) for a in made["appliedProducts"]]
    assert told == [("FLR-WALNUT", None, "American walnut plank"), ("", "#A3B1C2", None)]
    rooms = [b["input_image_url"].split("/")[4] for b in answers]
    count = "SELECT count(*) FROM gateway.operations WHERE subject = $1 AND verb = 'analyze'"
    assert [running.rows(count, f"rooms/{room}")[0]["count"] for room in rooms] == [1, 1]


def test_what_takes_long_goes_on_after_the_request_gave_up(web: httpx.Client, running: Running, photo: bytes):
    session = ok(web.post("/api/upload", files={"file": fresh(photo)}))["sessionId"]
    segmentation = running.pid("segmentation")
    os.kill(segmentation, signal.SIGSTOP)
    try:
        late = problem(web.post("/api/image-segmentation", json={"session_id": session}), 504, "STILL_RUNNING")
        status = ok(web.get(f"/api/sessions/{session}/status"))
        problem(web.get(f"/api/sessions/{session}/results"), 409, "RESULTS_NOT_READY")
    finally:
        os.kill(segmentation, signal.SIGCONT)

    assert late["metadata"]["operation"].startswith("operations/")
    assert status["status"] == "processing"
    assert status["progress"] < 100
    body = ok(web.post("/api/image-segmentation", json={"session_id": session}))  # which finds the work under way
    assert body["segments"]
    count = "SELECT count(*) FROM gateway.operations WHERE operation_id = $1 AND state = 'SUCCEEDED'"
    operation = late["metadata"]["operation"].removeprefix("operations/")
    assert running.rows(count, operation)[0]["count"] == 1


def test_a_visitor_sees_nothing_of_another(anybody: httpx.Client, photo: bytes):
    (first, _), (_, second) = begin(anybody), begin(anybody)

    for answer in (
        anybody.get(f"/api/sessions/{first}", headers=second),
        anybody.get(f"/api/sessions/{first}/status", headers=second),
        anybody.post(f"/api/sessions/{first}/upload", files={"file": photo}, headers=second),
        anybody.post("/api/image-segmentation", json={"session_id": first}, headers=second),
    ):
        problem(answer, 404, "SESSION_NOT_FOUND")


# --- batches ----------------------------------------------------------------------------------------


def test_a_batch_tells_of_each_file_and_is_downloaded(web: httpx.Client, photo: bytes):
    files = [
        ("files", ("one.jpg", fresh(photo), "image/jpeg")),
        ("files", ("../two/höle.png", fresh(photo), "image/png")),
        ("files", ("three.jpg", b"no picture", "image/jpeg")),
    ]
    batch = ok(web.post("/api/batches", files=files), 202)
    assert set(batch) == {"batchId", "files", "eventsUrl", "downloadUrl"}
    fields = {"sessionId", "fileName", "status", "progress", "message", "reason", "downloadUrl"}
    assert all(set(f) == fields for f in batch["files"])
    assert [f["fileName"] for f in batch["files"]] == ["one.jpg", "höle.png", "three.jpg"]
    assert batch["files"][2]["reason"] == "IMAGE_FORMAT_UNSUPPORTED"

    told: dict[str, list[dict[str, Any]]] = {}
    event = ""
    with web.stream("GET", batch["eventsUrl"]) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event == "file":
                body = json.loads(line.removeprefix("data: "))
                assert set(body) == fields
                told.setdefault(body["sessionId"], []).append(body)
    assert event == "done"
    assert set(told) == {f["sessionId"] for f in batch["files"]}
    for file in batch["files"][:2]:
        percents = [t["progress"] for t in told[file["sessionId"]]]
        assert percents == sorted(percents)
        assert percents[-1] == 100
        assert len(set(percents)) > 2, "the workers' steps are told"
        assert told[file["sessionId"]][-1]["status"] == "completed"
    assert [t["status"] for t in told[batch["files"][2]["sessionId"]]] == ["failed"]

    now = ok(web.get(f"/api/batches/{batch['batchId']}"))
    one = web.get(now["files"][0]["downloadUrl"])
    assert one.headers["content-type"] == "application/zip"
    inside = zipfile.ZipFile(io.BytesIO(one.content))
    assert inside.testzip() is None
    names = set(inside.namelist())
    found = json.loads(inside.read("surfaces.json"))
    assert {"surfaces.json", "overlay.jpg"} | {f"masks/{s['surfaceId']}.png" for s in found["surfaces"]} == names
    every = zipfile.ZipFile(io.BytesIO(web.get(batch["downloadUrl"]).content))
    assert {n.partition("/")[0] for n in every.namelist()} == {"01-one", "02-höle"}
    assert every.testzip() is None
    failed = f"/api/batches/{batch['batchId']}/files/{batch['files'][2]['sessionId']}/download"
    problem(web.get(failed), 415, "IMAGE_FORMAT_UNSUPPORTED")


def test_a_batch_has_at_most_25_files_and_at_least_one(web: httpx.Client):
    many = [("files", (f"{i}.jpg", b"x", "image/jpeg")) for i in range(26)]
    problem(web.post("/api/batches", files=many), 400, "BATCH_TOO_LARGE")
    problem(web.post("/api/batches", files={"other": b"x"}), 400, "FILE_MISSING")


# --- what is refused --------------------------------------------------------------------------------


def test_what_is_no_photo_is_refused_in_words(web: httpx.Client, running: Running, photo: bytes):
    bomb = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()
    for data, status, reason in (
        (b"", 400, "IMAGE_EMPTY"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "IMAGE_FORMAT_UNSUPPORTED"),
        (photo[:3000], 400, "IMAGE_CORRUPT"),
        (bomb, 413, "IMAGE_TOO_LARGE"),
        (b"\xff\xd8\xff" + bytes(running.settings.upload_bytes_max), 413, "IMAGE_TOO_LARGE"),
    ):
        problem(web.post("/api/upload", files={"image": ("a.jpg", data, "image/jpeg")}), status, reason)
    problem(
        web.post("/api/upload", content=photo, headers={"Content-Type": "image/jpeg"}), 415, "MEDIA_TYPE_UNSUPPORTED"
    )
    problem(web.post("/api/upload", files={"wrong": photo}), 400, "FILE_MISSING")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(web.post("/api/upload", content=b"--x\r\nnonsense", headers=kind), 400, "MULTIPART_INVALID")


def test_bodies_are_checked_against_their_shape_and_their_limit(web: httpx.Client):
    wrong = problem(web.post("/api/analyze", json={"sessionId": "no/id"}), 400, "REQUEST_INVALID")
    assert [v["field"] for v in wrong["violations"]] == ["sessionId"]
    applications = {"sessionId": "a", "applications": [{"productId": "b", "maskId": "c", "surfaceLabel": "floor"}]}
    wrong = problem(web.post("/api/visualize", json=applications), 400, "REQUEST_INVALID")
    assert wrong["violations"][0]["field"] == "applications[0]"
    for covering in ({}, {"productId": "b", "color": "#000000"}, {"color": "red"}):
        applications = {"sessionId": "a", "applications": [covering | {"surfaceLabel": "floor"}]}
        problem(web.post("/api/visualize", json=applications), 400, "REQUEST_INVALID")
    problem(
        web.post("/api/analyze", content=b"{", headers={"Content-Type": "application/json"}), 400, "REQUEST_INVALID"
    )
    problem(web.post("/api/analyze", content=b"x" * (1 << 21)), 415, "MEDIA_TYPE_UNSUPPORTED")
    large = {"content": b" " * (1 << 20) + b"{}", "headers": {"Content-Type": "application/json"}}
    problem(web.post("/api/analyze", **large), 413, "BODY_TOO_LARGE")  # type: ignore[arg-type]


def test_a_caller_is_let_in_before_its_request_is_looked_at(anybody: httpx.Client, running: Running):
    for method, path in (
        ("POST", "/api/upload"),
        ("POST", "/api/analyze"),
        ("GET", "/api/products?limit=none"),
        ("GET", "/api/metrics"),
        ("GET", "/api/sessions/x"),
        ("POST", "/api/batches"),
    ):
        answer = anybody.request(method, path, content=b"nonsense")
        problem(answer, 401, "CREDENTIAL_MISSING")
        assert answer.headers["www-authenticate"] == "Bearer"
    problem(anybody.get("/api/products", headers={"X-API-Key": "wrong"}), 401, "API_KEY_INVALID")


def test_a_key_that_may_only_look_may_not_upload(web: httpx.Client, base: str):
    made = web.post(
        "/roomviz.v1.ApiKeyService/CreateApiKey", json={"apiKey": {"displayName": "viewer", "role": "ROLE_VIEWER"}}
    )
    with httpx.Client(base_url=base, headers={"X-API-Key": ok(made)["secret"]}) as viewer:
        denied = problem(viewer.post("/api/upload", content=b"nonsense"), 403, "PERMISSION_MISSING")
        assert denied["metadata"] == {"permission": "rooms.create", "role": "VIEWER"}
        ok(viewer.get("/api/products"))


def test_another_tenant_finds_nothing(web: httpx.Client, stranger: httpx.Client, photo: bytes):
    session = ok(web.post("/api/upload", files={"file": photo}))["sessionId"]
    ok(web.post("/api/analyze", json={"sessionId": session}))
    asked = {"sessionId": session, "applications": [{"productId": "FLR-ASH", "surfaceLabel": "floor"}]}
    made = ok(web.post("/api/visualize", json=asked))["visualizationId"]
    batch = ok(web.post("/api/batches", files={"files": ("a", b"x")}), 202)["batchId"]

    point = {"sessionId": session, "maskId": "floor-1", "type": "point", "points": [{"x": 1, "y": 1}]}
    for answer, reason in (
        (stranger.get(f"/api/sessions/{session}"), "SESSION_NOT_FOUND"),
        (stranger.get(f"/api/sessions/{session}/results"), "SESSION_NOT_FOUND"),
        (stranger.post("/api/analyze", json={"sessionId": session}), "SESSION_NOT_FOUND"),
        (stranger.post("/api/refine", json=point), "SESSION_NOT_FOUND"),
        (stranger.post("/api/visualize", json=asked), "SESSION_NOT_FOUND"),
        (stranger.post("/api/save", json={"visualizationId": made}), "VISUALIZATION_NOT_FOUND"),
        (stranger.get(f"/api/visualizations/{made}"), "VISUALIZATION_NOT_FOUND"),
        (stranger.get(f"/api/batches/{batch}"), "BATCH_NOT_FOUND"),
        (stranger.get(f"/api/batches/{batch}/events"), "BATCH_NOT_FOUND"),
        (stranger.get(f"/api/batches/{batch}/download"), "BATCH_NOT_FOUND"),
    ):
        problem(answer, 404, reason)
    assert ok(stranger.get("/api/products"))["products"] == []
    # The same photo is analyzed anew: nothing is told across tenants.
    assert (
        ok(stranger.get(f"/api/sessions/{ok(stranger.post('/api/upload', files={'file': photo}))['sessionId']}"))[
            "masks"
        ]
        == []
    )


def test_too_many_demo_sessions_are_told_when_to_come_again(web: httpx.Client, running: Running, anybody: httpx.Client):
    for _ in range(60):
        answer = anybody.post("/api/demo-sessions")
        if answer.status_code != 200:
            break
    body = problem(answer, 429, "DEMO_SESSIONS_EXHAUSTED")
    assert int(answer.headers["retry-after"]) > 0
    assert body["title"] == "Too Many Requests"


# --- files, headers, the document -------------------------------------------------------------------


def test_links_to_pictures_are_signed_and_what_they_lead_to_is_harmless(
    web: httpx.Client, anybody: httpx.Client, photo: bytes
):
    link = ok(web.post("/api/upload", files={"file": photo}))["imageUrl"]

    answer = anybody.get(link)
    again = anybody.get(link, headers={"If-None-Match": answer.headers["etag"]})

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["content-disposition"] == 'inline; filename="photo.png"'
    assert answer.headers["cache-control"].startswith("private, max-age=")
    assert (again.status_code, again.content) == (304, b"")
    path, _, query = link.partition("?")
    expires, signature = (part.partition("=")[2] for part in query.split("&"))
    for bad in (
        f"{path}?expires={int(expires) + 1}&signature={signature}",
        f"{path.replace('photo', 'working')}?{query}",
        f"{path}?expires={expires}&signature={'0' * 64}",
        f"{path}?expires={expires}&signature=é",
    ):
        problem(anybody.get(bad), 403, "LINK_INVALID")
    problem(anybody.get(path), 400, "REQUEST_INVALID")


def test_every_answer_is_safe_to_show_in_a_browser(anybody: httpx.Client):
    for path in ("/api/health", "/api/nowhere", "/"):
        answer = anybody.get(path, headers={"Origin": "https://elsewhere.example", "X-Request-Id": "mine-1"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-request-id"] == "mine-1"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
    problem(anybody.get("/api/nowhere"), 404, "PATH_NOT_FOUND")
    problem(anybody.delete("/api/products"), 405, "METHOD_NOT_ALLOWED")


def test_health_and_keys_and_metrics(anybody: httpx.Client, web: httpx.Client, running: Running):
    health = ok(anybody.get("/api/health"))
    assert set(health) == {"status", "version", "checks"}
    assert health["status"] == "ok"
    assert {c["name"] for c in health["checks"]} == {"nats", "postgresql", "s3"}
    (key,) = ok(anybody.get("/.well-known/jwks.json"))["keys"]
    assert "d" not in key  # which would be the secret
    metrics = web.get("/api/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'roomviz_http_seconds_count{code="200",route="/api/health"}' in metrics.text


def test_the_document_is_served_and_is_valid(anybody: httpx.Client):
    served = ok(anybody.get("/api/openapi.json"))

    validate(served)
    assert served == json.loads((ROOT / "docs" / "openapi.json").read_text())
    for path, methods in served["paths"].items():
        for name, operation in methods.items():
            permission = operation["x-roomviz-permission"]
            assert (operation["security"] == []) == (permission == "public"), (path, name)


# --- Connect ----------------------------------------------------------------------------------------


def framed(body: bytes) -> bytes:
    return struct.pack(">BI", 0, len(body)) + body


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        flags, size = struct.unpack(">BI", data[:5])
        found.append((flags, data[5 : 5 + size]))
        data = data[5 + size :]
    return found


def test_rpcs_are_answered_over_connect_in_json_and_binary(web: httpx.Client, analyzed: rooms_pb2.AnalyzeRoomResponse):
    path = "/roomviz.v1.RoomService/GetRoom"
    request = rooms_pb2.GetRoomRequest(name=analyzed.room)

    as_json = web.post(path, json={"name": analyzed.room}, headers={"Connect-Protocol-Version": "1"})
    binary = web.post(path, content=request.SerializeToString(), headers={"Content-Type": "application/proto"})

    assert as_json.headers["content-type"] == "application/json"
    assert as_json.json()["room"]["name"] == analyzed.room
    assert binary.headers["content-type"] == "application/proto"
    assert rooms_pb2.GetRoomResponse.FromString(binary.content).room.name == analyzed.room


def test_refusals_over_connect_carry_the_reason(web: httpx.Client, anybody: httpx.Client):
    missing = web.post("/roomviz.v1.RoomService/GetRoom", json={"name": "rooms/none"})
    unknown = anybody.post(
        "/roomviz.v1.RoomService/GetRoom", content=b"nonsense", headers={"Content-Type": "application/json"}
    )
    wrong = web.post(
        "/roomviz.v1.RoomService/GetRoom", content=b"nonsense", headers={"Content-Type": "application/json"}
    )
    large = web.post("/roomviz.v1.RoomService/GetRoom", json={"name": "x" * (CHUNK_BYTES * 2)})
    grpc = web.post("/roomviz.v1.RoomService/GetRoom", content=b"", headers={"Content-Type": "application/grpc"})
    late = web.post(
        "/google.longrunning.Operations/WaitOperation",
        json={"name": "operations/none"},
        headers={"Connect-Timeout-Ms": "0"},
    )

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert missing.json()["details"][0]["debug"]["reason"] == "ROOM_NOT_FOUND"
    assert (unknown.status_code, unknown.json()["code"]) == (401, "unauthenticated")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_argument")
    assert (large.status_code, large.json()["code"]) == (429, "resource_exhausted")
    problem(grpc, 415, "MEDIA_TYPE_UNSUPPORTED")
    assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")


def test_streams_come_in_envelopes_over_connect(web: httpx.Client, photo: bytes):
    kind = {"Content-Type": "application/connect+proto"}
    header = rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader(display_name="by Connect"))
    data = fresh(photo)
    body = framed(header.SerializeToString())
    for at in range(0, len(data), CHUNK_BYTES):
        body += framed(rooms_pb2.UploadRoomRequest(chunk=data[at : at + CHUNK_BYTES]).SerializeToString())
    (flags, message), (end, trailer) = frames(
        web.post("/roomviz.v1.RoomService/UploadRoom", content=body, headers=kind).content
    )
    room = rooms_pb2.UploadRoomResponse.FromString(message).room
    assert (flags, end, json.loads(trailer).get("error")) == (0, 2, None)
    assert room.display_name == "by Connect"

    started = web.post(
        "/roomviz.v1.RoomService/AnalyzeRoom",
        content=rooms_pb2.AnalyzeRoomRequest(name=room.name).SerializeToString(),
        headers={"Content-Type": "application/proto"},
    )
    operation = longrunning.Operation.FromString(started.content)
    watched = web.post(
        "/roomviz.v1.OperationService/WatchOperation",
        content=framed(operations_pb2.WatchOperationRequest(name=operation.name).SerializeToString()),
        headers=kind,
    )
    *told, (end, trailer) = frames(watched.content)
    seen = [operations_pb2.WatchOperationResponse.FromString(m).operation for _, m in told]
    assert (end, json.loads(trailer).get("error")) == (2, None)
    assert [o.done for o in seen] == [False] * (len(seen) - 1) + [True]

    missing = web.post(
        "/roomviz.v1.RoomService/DownloadPhoto",
        content=framed(json.dumps({"name": "rooms/none"}).encode()),
        headers={"Content-Type": "application/connect+json"},
    )
    ((flags, trailer),) = frames(missing.content)
    assert (missing.status_code, flags) == (200, 2)
    assert json.loads(trailer)["error"]["code"] == "not_found"
