"""What is kept of somebody: taken along, removed, proved; and what goes by itself.

The somebody here is a shopper who leaves marks wherever one may be left.
"""

import dataclasses
import hashlib
import io
import json
import os
import secrets
import signal
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import numpy as np
import pytest
from google.longrunning import operations_pb2 as longrunning
from google.longrunning import operations_pb2_grpc as longrunning_grpc
from PIL import Image

from deploy.local.settings import ROOT
from roomviz.client import Client
from roomviz.errors import NotFound, PermissionDenied
from roomviz.internal.personal.v1 import personal_pb2, personal_pb2_grpc
from roomviz.v1 import (
    privacy_pb2,
    privacy_pb2_grpc,
    refinements_pb2,
    refinements_pb2_grpc,
    rooms_pb2,
    rooms_pb2_grpc,
    visualizations_pb2,
    visualizations_pb2_grpc,
)
from services.catalog.domain.personal import HOLDINGS as CATALOG
from services.compositor.domain.personal import HOLDINGS as COMPOSITOR
from services.gateway.domain.personal import HOLDINGS as GATEWAY
from services.segmentation.domain.personal import HOLDINGS as SEGMENTATION
from tests.conftest import Running
from tests.contract.personal import everything, marks_in, scan, store
from tests.contract.test_api import covers
from tests.fakes import fake_diffusion

MATERIALS = ["FLR-WALNUT", "FLR-ASH", "FLR-OAK-NATURAL", "TIL-CHECKER"]
DAY_S = 86_400


@dataclass
class Person:
    """A credential, and what somebody with it has done. marks: what must not be found once they are gone."""

    client: Client
    key: str
    subject: str
    marks: list[str] = field(default_factory=list)
    rooms: list[str] = field(default_factory=list)

    def metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.key}")]


def person(running: Running, role: str = "SHOPPER") -> Person:
    key, key_id = secrets.token_urlsafe(24), secrets.token_hex(8)
    running.rows(
        """INSERT INTO gateway.api_keys (key_hash, key_id, prefix, tenant, role) VALUES ($1, $2, 'test', 'demo', $3)""",
        hashlib.sha256(key.encode()).digest(),
        key_id,
        role,
    )
    return Person(Client(running.address, key), key, f"apiKeys/{key_id}")


def photo_of(name: str) -> bytes:
    """The sample room as nobody else has sent it, with a name in its metadata."""
    with Image.open(ROOT / "samples" / "living-room.jpg") as image:
        small = np.asarray(image.convert("RGB").resize((800, 600)))
        noise = np.random.default_rng(uuid.uuid4().int % 2**32).integers(0, 3, small.shape, np.uint8)
        exif = image.getexif()
        exif[0x013B] = name  # Artist
        out = io.BytesIO()
        Image.fromarray(np.clip(small.astype(int) + noise, 0, 255).astype(np.uint8)).save(out, "JPEG", exif=exif)
    return out.getvalue()


def busy(running: Running, who: Person) -> Person:
    """Have somebody do all that leaves something behind."""
    name = f"mark{secrets.token_hex(12)}"
    photo = photo_of(name)
    room = who.client.upload(photo, f"{name} at home.jpg")
    surfaces = who.client.analyze(room.name).surfaces
    floor = next(s for s in surfaces if s.surface_id.startswith("floor"))
    with grpc.insecure_channel(running.address) as channel:
        refinements_pb2_grpc.RefinementServiceStub(channel).RefineSurface(
            refinements_pb2.RefineSurfaceRequest(
                name=floor.name, strokes=[Client.point(400, 560)], request_id=f"{name}-refine"
            ),
            timeout=30,
            metadata=who.metadata(),
        )
    who.client.preview(room.name, [who.client.apply("FLR-WALNUT", kind="floor")])
    export = who.client.export(room.name, [who.client.apply("FLR-ASH", kind="floor")])
    target = visualizations_pb2.Application(kind="SURFACE_KIND_FLOOR")
    with running.client() as owner:  # shoppers make none, but others may of their photos
        batch = owner.start_batch(room.name, target, MATERIALS, long_side_px=256)
        assert owner.finish_batch(batch).succeeded == len(MATERIALS)
    ids = [n.rpartition("/")[2] for n in (room.name, export.name, batch)]
    who.marks += [name, hashlib.sha256(photo).hexdigest(), *ids]
    who.rooms.append(room.name)
    return who


def kept_of(running: Running, who: Person) -> dict[str, bytes]:
    """Rows and objects that mention somebody. Rows are numbered, as they have no names."""
    found = [(w, d) for w, d in everything(running) if not w.startswith("message") and marks_in(d, who.marks)]
    return {f"{w} {n}" if w.startswith("rows") else w: d for n, (w, d) in enumerate(sorted(found))}


def nothing_left(running: Running, who: Person) -> None:
    """Acknowledgements of the last messages may be on their way still."""
    for _ in range(20):
        left = scan(running, who.marks)
        if not any(f.where.startswith("message") for f in left):
            break
        time.sleep(0.25)
    assert left == []


@pytest.fixture(scope="module")
def shopper(running: Running) -> Person:
    return busy(running, person(running))


def unpacked(receipt: privacy_pb2.DeletionReceipt) -> dict:
    return json.loads(receipt.document)


def without(row: dict, field: str) -> dict:
    return {k: v for k, v in row.items() if k != field}


def test_every_table_is_in_the_registry_of_its_service(running: Running):
    for holdings in (GATEWAY, SEGMENTATION, COMPOSITOR, CATALOG):
        # A partition's rows are those of its table.
        rows = running.rows(
            """SELECT table_name AS name FROM information_schema.tables
               WHERE table_schema = $1 AND NOT EXISTS (
                   SELECT FROM pg_class c WHERE c.oid = format('%I.%I', $1, table_name)::regclass AND c.relispartition)""",
            holdings.schema,
        )

        assert {r["name"] for r in rows} == {t.name for t in holdings.tables}
        for table in holdings.tables:
            assert table.what
            assert table.kept


def test_every_object_lies_under_a_prefix_that_the_registry_knows(running: Running, shopper: Person):
    known = {o.prefix.partition("/")[0] for h in (GATEWAY, SEGMENTATION, COMPOSITOR, CATALOG) for o in h.objects}
    kinds = {w.removeprefix("object ").partition("/")[0] for w, _ in everything(running) if w.startswith("object")}

    # The probe is what readiness looks at.
    assert {"rooms", "masks", "renders", "batches", "plates"} <= kinds - {"probe"} <= known


@covers("roomviz.v1.PrivacyService/ExportPersonalData", "roomviz.v1.PrivacyService/DownloadExport")
def test_an_export_has_all_that_is_found_of_somebody(running: Running, shopper: Person, tmp_path: Path):
    before = kept_of(running, shopper)

    made = shopper.client.export_personal_data()
    path = tmp_path / "mine.zip"
    path.write_bytes(b"".join(shopper.client.download_export(made.export)))

    assert path.stat().st_size == made.size_bytes
    assert hashlib.sha256(path.read_bytes()).hexdigest() == made.content_digest
    assert made.expire_time.ToSeconds() - time.time() > 6 * DAY_S
    with zipfile.ZipFile(path) as zipped:
        assert zipped.testzip() is None
        lines = {line for n in zipped.namelist() if n.startswith("data/") for line in zipped.read(n).splitlines()}
        manifest = json.loads(zipped.read("manifest.json"))
        assert manifest["subject"] == shopper.subject
        for where, data in before.items():
            if where.startswith("rows"):
                assert json.loads(data) in [without(json.loads(line), "decoded") for line in lines], where
            else:
                key = where.removeprefix("object ")
                assert zipped.read(f"objects/{key}") == data.removeprefix(key.encode() + b" "), where
        (shown,) = map(json.loads, zipped.read("data/gateway.visualizations.jsonl").splitlines())
        assert shown["decoded"]["message"]["room"] == shopper.rooms[0]
        recipes = [json.loads(line) for line in zipped.read("data/compositor.recipes.jsonl").splitlines()]
        assert (
            {r["decoded"]["recipe"]["spec"]["room"] for r in recipes}
            == {r["room"] for r in recipes}
            <= set(shopper.rooms)
        )
        for o in manifest["objects"]:
            assert hashlib.sha256(zipped.read(f"objects/{o['key']}")).hexdigest() == o["content_sha256"]
    assert {w.split()[1] for w in before if w.startswith("rows")} >= {
        "gateway.rooms",
        "gateway.operations",
        "gateway.visualizations",
        "segmentation.analyses",
        "segmentation.refinements",
        "compositor.renders",
        "compositor.recipes",
        "compositor.batches",
        "compositor.batch_items",
    }


def test_an_export_is_for_whom_it_is_about_and_the_owner(running: Running, client: Client, shopper: Person):
    made = shopper.client.export_personal_data()
    other = person(running)

    with pytest.raises(NotFound) as refused:
        list(other.client.download_export(made.export))
    assert refused.value.reason == "EXPORT_NOT_FOUND"
    assert sum(map(len, client.download_export(made.export))) == made.size_bytes
    with pytest.raises(NotFound) as refused:
        list(client.download_export("exports/none"))
    assert refused.value.reason == "EXPORT_NOT_FOUND"


def test_a_foreign_subject_is_not_found(running: Running, client: Client, shopper: Person):
    other = person(running)
    calls: list[Callable[[], object]] = [
        lambda: other.client.delete_personal_data(shopper.subject),
        lambda: other.client.export_personal_data(shopper.subject),
        lambda: client.delete_personal_data("users/nobody"),
        lambda: client.anonymize("users/nobody"),
    ]
    for call in calls:
        with pytest.raises(NotFound) as refused:
            call()
        assert refused.value.reason == "SUBJECT_NOT_FOUND"
    with pytest.raises(PermissionDenied):
        other.client.anonymize(other.subject)
    with pytest.raises(PermissionDenied):
        person(running, "EDITOR").client.delete_personal_data(shopper.subject)


@covers("roomviz.v1.PrivacyService/DeletePersonalData", "roomviz.v1.PrivacyService/VerifyDeletionReceipt")
def test_after_a_deletion_nothing_is_found_and_others_keep_what_they_have(running: Running, client: Client):
    gone, neighbour = busy(running, person(running)), busy(running, person(running))
    gone.client.export_personal_data()
    # The owner makes something of the shopper's photo, too; and a model, of a prompt.
    client.export(gone.rooms[0], [client.apply("FLR-WALNUT", kind="floor")], "png")
    with fake_diffusion(urlsplit(running.settings.generative_url).port or 0):
        client.generate(gone.rooms[0], client.surfaces(gone.rooms[0])[0].surface_id, f"red {gone.marks[0]}")
    objects = {w.removeprefix("object ") for w in kept_of(running, gone) if w.startswith("object")}
    others = kept_of(running, neighbour)
    assert objects

    receipt = gone.client.delete_personal_data()

    nothing_left(running, gone)
    assert kept_of(running, neighbour) == others
    told = unpacked(receipt)
    assert told["action"] == "delete"
    digests = {o["key_sha256"] for o in told["objects"]}
    assert {hashlib.sha256(k.encode()).hexdigest() for k in objects} <= digests
    kinds = {"rooms", "masks", "renders", "batches", "plates", "generated", "exports"}
    assert {o["kind"] for o in told["objects"]} == kinds
    assert told["rows_removed"]["gateway.rooms"] == 1
    assert told["rows_removed"]["segmentation.refinements"] == 1
    assert told["rows_removed"]["compositor.batch_items"] == len(MATERIALS)
    assert told["rows_removed"]["compositor.renders"] == 3
    assert told["rows_removed"]["compositor.recipes"] >= 3
    for mark in gone.marks:
        assert mark.encode() not in receipt.document
    # Whoever knows the subject finds it in the receipt; nobody else does.
    assert told["subject"] == f"subjects/{hashlib.sha256(f'demo/{gone.subject}'.encode()).hexdigest()}"
    with pytest.raises(NotFound):
        gone.client.photo(gone.rooms[0])

    # Signed, and only as it is.
    assert client.verify_deletion_receipt(receipt).genuine
    assert receipt.document == json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    changed = privacy_pb2.DeletionReceipt()
    changed.CopyFrom(receipt)
    changed.document = receipt.document.replace(b'"gateway.rooms":1', b'"gateway.rooms":0')
    assert not client.verify_deletion_receipt(changed).genuine
    changed.CopyFrom(receipt)
    changed.public_key = bytes(32)
    assert not client.verify_deletion_receipt(changed).genuine

    # Again: the same; and after something new, another one.
    assert gone.client.delete_personal_data() == receipt
    again = gone.client.upload(photo_of("again"))
    other = gone.client.delete_personal_data()
    assert other != receipt
    assert unpacked(other)["rows_removed"]["gateway.rooms"] == 1
    with pytest.raises(NotFound):
        gone.client.photo(again.name)


def test_the_owner_deletes_for_somebody(running: Running, client: Client):
    gone = busy(running, person(running))

    receipt = client.delete_personal_data(gone.subject)

    nothing_left(running, gone)
    assert scan(running, [gone.subject], lambda where: where == "rows gateway.api_keys") == []
    assert client.delete_personal_data(gone.subject) == receipt


def started(running: Running, who: Person, subject: str = "") -> str:
    with grpc.insecure_channel(running.address) as channel:
        operation = privacy_pb2_grpc.PrivacyServiceStub(channel).DeletePersonalData(
            privacy_pb2.DeletePersonalDataRequest(subject=subject), timeout=20, metadata=who.metadata()
        )
    return str(operation.name)


def ended(running: Running, who: Person, name: str, limit_s: float = 90) -> longrunning.Operation:
    """However often the gateway goes away meanwhile."""
    end = time.monotonic() + limit_s
    while True:
        try:
            with grpc.insecure_channel(running.address) as channel:
                found = longrunning_grpc.OperationsStub(channel).GetOperation(
                    longrunning.GetOperationRequest(name=name), timeout=5, metadata=who.metadata()
                )
            if found.done:
                return found
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
        assert time.monotonic() < end
        time.sleep(0.2)


def test_what_runs_is_cancelled_and_what_comes_late_is_thrown_away(running: Running):
    gone = busy(running, person(running))
    floor = [gone.client.apply("FLR-WALNUT", kind="floor")]
    with grpc.insecure_channel(running.address) as channel:
        rooms = rooms_pb2_grpc.RoomServiceStub(channel)
        pictures = visualizations_pb2_grpc.VisualizationServiceStub(channel)
        for _ in range(3):
            request = visualizations_pb2.ExportVisualizationRequest(room=gone.rooms[0], applications=floor, format=2)
            operation = pictures.ExportVisualization(request, timeout=20, metadata=gone.metadata())
            gone.marks.append(operation.name.rpartition("/")[2])
        operation = rooms.AnalyzeRoom(
            rooms_pb2.AnalyzeRoomRequest(name=gone.rooms[0], reanalyze=True), timeout=20, metadata=gone.metadata()
        )
        gone.marks.append(operation.name.rpartition("/")[2])

    receipt = gone.client.delete_personal_data()

    assert unpacked(receipt)["rows_removed"]["gateway.operations"] >= 7
    # Work that was in hand ends within seconds; each trace of it goes with it.
    end = time.monotonic() + 30
    while scan(running, gone.marks) and time.monotonic() < end:
        time.sleep(0.5)
    assert scan(running, gone.marks) == []
    time.sleep(3)
    assert scan(running, gone.marks) == []


@pytest.mark.parametrize("victim", ["gateway", "compositor", "segmentation"])
def test_a_deletion_whose_server_is_killed_ends_all_the_same(running: Running, victim: str):
    gone = busy(running, person(running))
    objects = {w.removeprefix("object ") for w in kept_of(running, gone) if w.startswith("object")}
    name = started(running, gone)

    if victim == "gateway":  # as soon as it has begun
        query = "SELECT 1 FROM gateway.erasures WHERE operation_id = $1"
        running.stack.wait_for(lambda: running.rows(query, name.rpartition("/")[2]), 20, "the deletion to begin")
    os.kill(running.pid(victim), signal.SIGKILL)
    found = ended(running, gone, name)
    running.until_ready(victim)

    answer = privacy_pb2.DeletePersonalDataResponse()
    assert found.response.Unpack(answer), found
    digests = {o["key_sha256"] for o in unpacked(answer.receipt)["objects"]}
    assert {hashlib.sha256(k.encode()).hexdigest() for k in objects} <= digests
    nothing_left(running, gone)


@covers("roomviz.v1.PrivacyService/AnonymizeSubject")
def test_anonymised_is_counted_and_nobodys(running: Running, client: Client):
    gone = busy(running, person(running))
    # Those that others asked for of the room, too.
    query = """SELECT verb, state, create_time, end_time FROM gateway.operations WHERE owner = $1 OR subject = $2
               ORDER BY create_time"""
    before = running.rows(query, gone.subject, gone.rooms[0])

    receipt = client.anonymize(gone.subject)

    nothing_left(running, gone)
    assert unpacked(receipt)["action"] == "anonymize"
    kept = unpacked(receipt)["rows_kept"]
    assert kept.keys() == {"gateway.operations", "gateway.events"}
    assert kept["gateway.operations"] == len(before)
    owners = running.rows("SELECT DISTINCT owner FROM gateway.operations WHERE owner LIKE 'anonymous/%'")
    assert before in [running.rows(query, o["owner"], "rooms/none") for o in owners]
    assert scan(running, [gone.subject], lambda where: where == "rows gateway.api_keys") == []


def test_a_room_goes_when_it_was_not_used_for_as_long_as_its_tenant_keeps_rooms(running: Running):
    unused, used, shared = (busy(running, person(running)) for _ in range(3))
    share = shared.client.share(f"visualizations/{shared.marks[3]}", days=60)
    age(running, unused, 31)
    age(running, used, 29)
    age(running, shared, 31)

    running.stack.wait_for(lambda: not scan(running, unused.marks), 60, "the purge of an unused room")

    assert used.client.photo(used.rooms[0])
    # Looking at it was using it.
    (row,) = running.rows(
        "SELECT use_time > now() - interval '1 minute' AS now FROM gateway.rooms WHERE room_id = $1",
        used.rooms[0].removeprefix("rooms/"),
    )
    assert row["now"]

    assert shared.client.shared_picture(share.token)
    shared.client.revoke_share(share.name)
    age(running, shared, 31)
    running.stack.wait_for(lambda: not scan(running, shared.marks), 60, "the purge of a room that is no longer shared")


def test_what_was_deleted_goes_when_its_time_has_come(running: Running):
    deleted, waiting = busy(running, person(running)), busy(running, person(running))
    for who, when in ((deleted, "-1 second"), (waiting, "1 day")):
        running.rows(
            "UPDATE gateway.rooms SET delete_time = now(), purge_time = now() + $2::text::interval WHERE owner = $1",
            who.subject,
            when,
        )

    running.stack.wait_for(lambda: not scan(running, deleted.marks), 60, "the purge of a deleted room")

    assert scan(running, waiting.marks)


def test_a_deleted_picture_goes_and_its_room_stays(running: Running):
    who = busy(running, person(running))
    picture = who.marks[3]  # the export's
    running.rows(
        "UPDATE gateway.visualizations SET delete_time = now(), purge_time = now() WHERE visualization_id = $1", picture
    )

    running.stack.wait_for(lambda: not scan(running, [picture]), 60, "the purge of a picture")

    assert who.client.surfaces(who.rooms[0])


def test_an_export_goes_after_its_week(running: Running, shopper: Person):
    made = shopper.client.export_personal_data()
    export_id = made.export.removeprefix("exports/")
    running.rows("UPDATE gateway.exports SET expire_time = now() WHERE export_id = $1", export_id)

    query = "SELECT 1 FROM gateway.exports WHERE export_id = $1"
    running.stack.wait_for(lambda: not running.rows(query, export_id), 30, "the export to go")

    assert f"object exports/{export_id}.zip" not in {w for w, _ in everything(running)}
    with pytest.raises(NotFound):
        list(shopper.client.download_export(made.export))


def test_a_photo_whose_upload_was_cut_off_goes_after_a_day(running: Running):
    """Nothing makes an object older; what a listing says of it is all that the sweeper knows."""
    kept = f"rooms/{secrets.token_hex(15)}/photo.png"
    store(running).put_object("roomviz", kept, io.BytesIO(b"a photo"), 7)

    time.sleep(4)  # more than one sweep

    assert f"object {kept}" in {w for w, _ in everything(running)}
    store(running).remove_object("roomviz", kept)


def age(running: Running, who: Person, days: int) -> None:
    running.rows(
        "UPDATE gateway.operations SET create_time = create_time - make_interval(days => $2) WHERE subject = $1",
        who.rooms[0],
        days,
    )
    running.rows(
        "UPDATE gateway.rooms SET use_time = now() - make_interval(days => $2) WHERE owner = $1", who.subject, days
    )


@covers(
    "roomviz.internal.personal.v1.PersonalDataService/CollectPersonalData",
    "roomviz.internal.personal.v1.PersonalDataService/PurgePersonalData",
)
@pytest.mark.parametrize("service", ["segmentation", "compositor"])
def test_a_service_removes_its_own_part_and_none_of_another_tenants(running: Running, shopper: Person, service: str):
    scope = personal_pb2.Scope(rooms=shopper.rooms)
    with grpc.insecure_channel(f"127.0.0.1:{getattr(running.settings, service + '_port')}") as channel:
        stub = personal_pb2_grpc.PersonalDataServiceStub(channel)

        def collected(tenant: str) -> list[str]:
            request = personal_pb2.CollectPersonalDataRequest(scope=scope)
            answers = stub.CollectPersonalData(request, timeout=20, metadata=[("x-roomviz-tenant", tenant)])
            return [a.row.table for a in answers if a.HasField("row")]

        before = collected("demo")
        assert before
        assert collected("other") == []

        assert (
            list(
                stub.PurgePersonalData(
                    personal_pb2.PurgePersonalDataRequest(scope=personal_pb2.Scope(rooms=["rooms/none"])),
                    timeout=20,
                    metadata=[("x-roomviz-tenant", "other")],
                )
            )
            == []
        )
        assert collected("demo") == before


def test_the_command_takes_along_deletes_and_verifies(running: Running, tmp_path: Path):
    gone = busy(running, person(running))
    environment = running.environment() | {"ROOMVIZ_API_KEY": gone.key}
    alone = dataclasses.replace(running)
    object.__setattr__(alone, "environment", lambda: environment)

    taken = alone.roomviz("privacy", "export", "--out", tmp_path / "mine.zip")
    deleted = alone.roomviz("privacy", "delete", "--yes", "--out", tmp_path / "receipt.json")
    verified = alone.roomviz("privacy", "verify", tmp_path / "receipt.json")

    assert taken.returncode == deleted.returncode == verified.returncode == 0, (taken, deleted, verified)
    assert zipfile.ZipFile(tmp_path / "mine.zip").testzip() is None
    nothing_left(running, gone)
    text = (tmp_path / "receipt.json").read_text()
    (tmp_path / "changed.json").write_text(text.replace('\\"action\\":\\"delete\\"', '\\"action\\":\\"nothing\\"'))
    assert alone.roomviz("privacy", "verify", tmp_path / "changed.json").returncode == 1
