"""What `python -m deploy.secrets` makes."""

import base64
import json
from pathlib import Path

from deploy.permissions import SERVICES, s3_policy
from deploy.secrets import manifests, prepare
from services.gateway.adapters.vault import Vault


def made(folder: Path) -> dict[str, dict[str, bytes]]:
    prepare(folder)
    return {
        item["metadata"]["name"]: {name: base64.b64decode(value) for name, value in item["data"].items()}
        for item in manifests(folder)["items"]
    }


def test_each_service_has_a_secret_of_its_own_with_what_it_needs(tmp_path: Path):
    secrets = made(tmp_path)

    common = {"postgres_password", "s3_secret_key"}
    bus = common | {"nats_password"}
    assert {name: set(secrets[name]) for name in SERVICES} == {
        "catalog": common,
        "segmentation": bus,
        "compositor": bus,
        "gateway": bus | {"share_key", "webhook_key", "receipt_key.pem"},
    }
    assert len({bytes(v) for s in secrets.values() for v in s.values()}) == sum(len(s) for s in secrets.values())
    assert len(secrets["gateway-token-keys"]) == 1
    assert Vault(tmp_path / "gateway" / "webhook_key").encrypt("x")


def test_what_is_there_stays_and_what_is_added_goes_along(tmp_path: Path):
    first = made(tmp_path)
    (tmp_path / "postgres_password").write_text("chosen by the database's operator\n")
    (tmp_path / "gateway" / "gemini_key").write_text("somebody's\n")

    second = made(tmp_path)

    assert second["administrator"].pop("postgres_password") == b"chosen by the database's operator\n"
    assert second["gateway"].pop("gemini_key") == b"somebody's\n"
    first["administrator"].pop("postgres_password")
    assert first == second


def test_nobody_else_can_read_the_files(tmp_path: Path):
    prepare(tmp_path)

    assert all(p.stat().st_mode & 0o077 == 0 for p in tmp_path.rglob("*"))


def test_the_users_of_nats_are_those_of_the_table(tmp_path: Path):
    secrets = made(tmp_path)

    users = {u["user"]: u for u in json.loads(secrets["nats-users"]["users.json"])["authorization"]["users"]}
    assert users.keys() == {"roomviz", *(name for name, may in SERVICES.items() if may.publishes)}
    assert "permissions" not in users.pop("roomviz")
    for name, user in users.items():
        assert user["password"].encode() == secrets[name]["nats_password"].strip()
        assert "jobs.*.*" not in user["permissions"]["publish"]["allow"] or name == "gateway"


def test_a_policy_allows_what_the_table_allows():
    policy = s3_policy("catalog", "rooms")

    allowed = {(action, where) for s in policy["Statement"] for action in s["Action"] for where in s["Resource"]}
    assert ("s3:GetObject", "arn:aws:s3:::rooms/probe") in allowed
    assert ("s3:PutObject", "arn:aws:s3:::rooms/textures/*") in allowed
    assert not any(where.endswith("rooms/*") for _, where in allowed)
    assert not any("patterns" in where for action, where in allowed if action != "s3:GetObject")
