"""The secrets of an installation, as files: what is missing is made, what is there stays.

python -m deploy.secrets FOLDER | kubectl apply --namespace roomviz --filename -

prints Kubernetes' Secrets of what lies in FOLDER, for deploy/k8s. Whoever keeps secrets elsewhere makes them with the same
names. A password that somebody else chose, such as the administrator's at PostgreSQL, is put into its file beforehand.
"""

import argparse
import base64
import json
import secrets
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.permissions import ADMINISTRATOR, SERVICES, nats_users, s3_identities
from services.gateway.adapters.tokens import make_key

# Of the administrator, and, but for NATS where a service does not use it, of each service.
PASSWORDS = ("postgres_password", "nats_password", "s3_secret_key")


def write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def secret(folder: Path, name: str) -> str:
    """A random secret, made once."""
    path = folder / name
    if not path.exists() or not path.read_text().strip():
        write_private(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def nats_passwords(folder: Path) -> dict[str, str]:
    """Of all users, by their names."""
    services = {name: secret(folder, f"{name}/nats_password") for name, may in SERVICES.items() if may.publishes}
    return {ADMINISTRATOR: secret(folder, "nats_password")} | services


def s3_secret_keys(folder: Path) -> dict[str, str]:
    """Of all identities, by their access keys."""
    services = {name: secret(folder, f"{name}/s3_secret_key") for name in SERVICES}
    return {ADMINISTRATOR: secret(folder, "s3_secret_key")} | services


def gateway_keys(folder: Path) -> None:
    """What the gateway signs and encrypts with, made once."""
    gateway = folder / "gateway"
    secret(gateway, "share_key")
    if not any((gateway / "token_keys").glob("*.pem")):
        make_key(gateway / "token_keys")
    webhook = gateway / "webhook_key"
    if not webhook.exists() or not webhook.read_text().strip():
        write_private(webhook, Fernet.generate_key().decode() + "\n")
    receipt = gateway / "receipt_key.pem"
    if not receipt.exists():
        key = Ed25519PrivateKey.generate()
        write_private(receipt, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def prepare(folder: Path) -> None:
    """Make what is missing."""
    for holder in (folder, *(folder / name for name in SERVICES)):
        secret(holder, "postgres_password")
    nats_passwords(folder)
    s3_secret_keys(folder)
    gateway_keys(folder)


def manifests(folder: Path) -> dict[str, Any]:
    """Secrets of what `prepare` made: one a service, which it alone mounts, and those of the administrator and of NATS."""
    held = {name: _files(folder / name) for name in SERVICES}
    held["gateway-token-keys"] = _files(folder / "gateway" / "token_keys")
    held["administrator"] = {name: (folder / name).read_bytes() for name in PASSWORDS}
    users = json.dumps({"authorization": {"users": nats_users(nats_passwords(folder))}}, indent=1)
    held["nats-users"] = {"users.json": users.encode()}
    return {"apiVersion": "v1", "kind": "List", "items": [_manifest(name, held[name]) for name in sorted(held)]}


def _files(folder: Path) -> dict[str, bytes]:
    """Certificates are not among them: cert-manager makes those."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file() and p.stem not in ("tls", "public")}


def _manifest(name: str, files: dict[str, bytes]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "roomviz"}},
        "type": "Opaque",
        "data": {file: base64.b64encode(content).decode() for file, content in files.items()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    prepare(folder)
    # SeaweedFS reads it; other stores have users and policies of their own: python -m deploy.permissions SERVICE.
    write_private(folder / "s3.json", json.dumps({"identities": s3_identities(s3_secret_keys(folder))}, indent=1))
    print(json.dumps(manifests(folder), indent=1))
