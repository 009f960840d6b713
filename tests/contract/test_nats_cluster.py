"""Three servers of NATS with the configuration of deploy/k8s: what services do with them, and what nobody else can."""

import asyncio
import json
import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest
import trustme

from deploy import provision
from deploy.local.programs import http_ok
from deploy.local.settings import ROOT
from deploy.permissions import nats_users
from deploy.secrets import nats_passwords
from roomviz.runtime import bus
from roomviz.runtime.settings import BusSettings
from tests.conftest import free_ports

BASE = ROOT / "deploy" / "k8s" / "base"
PEERS = re.compile(r"tls://nats-(\d)\.nats-peers:6222")


@dataclass(frozen=True)
class Servers:
    folder: Path
    ports: list[int]
    running: list[subprocess.Popen[bytes]]
    passwords: dict[str, str]

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"

    def settings(self, user: str, server: int = 0, password: str = "") -> BusSettings:
        file = self.folder / f"{user}.password"
        file.write_text(password or self.passwords[user])
        unused: dict[str, Any] = {"postgres_dsn": "", "s3_endpoint": "", "s3_access_key": ""}
        unused |= {"postgres_password_file": file, "s3_secret_key_file": file}
        url = f"tls://localhost:{self.ports[server]}"
        return BusSettings(nats_url=url, nats_user=user, nats_password_file=file, nats_ca_file=self.authority, **unused)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """What the pods have, with other ports and folders, and localhost for all their names."""
    folder = tmp_path_factory.mktemp("nats")
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    certificate.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    certificate.private_key_pem.write_to_path(folder / "tls.key")
    passwords = nats_passwords(folder / "secrets")
    users = json.dumps({"authorization": {"users": nats_users(passwords)}})
    ports, monitors, routes = (free_ports(9)[i::3] for i in range(3))
    running = []
    for i in range(3):
        own = folder / f"nats-{i}"
        own.mkdir()
        (own / "users.json").write_text(users)
        for name in ("nats.conf", "cluster.conf"):
            text = PEERS.sub(lambda m: f"tls://localhost:{routes[int(m[1])]}", (BASE / name).read_text())
            text = text.replace("port: 4222", f"port: {ports[i]}").replace("port: 8222", f"port: {monitors[i]}")
            text = text.replace("port: 6222", f"port: {routes[i]}").replace("/etc/nats-tls/", f"{folder}/")
            (own / name).write_text(text.replace('"/data"', f'"{own}/data"').replace("/run/nats/", f"{own}/"))
        with (own / "log").open("wb") as log:
            command = [ROOT / ".local" / "servers" / "bin" / "nats-server", "--config", own / "nats.conf"]
            running.append(subprocess.Popen(command, env=os.environ | {"POD_NAME": f"nats-{i}"}, stderr=log))
    try:
        limit = time.monotonic() + 60
        while not all(http_ok(f"http://127.0.0.1:{m}/healthz?js-server-only=true") for m in monitors):
            assert time.monotonic() < limit, (folder / "nats-0" / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield Servers(folder, ports, running, passwords)
    finally:
        for server in running:
            server.terminate()
        for server in running:
            server.wait(30)
        shutil.rmtree(folder)


async def provided(servers: Servers) -> None:
    url = f"tls://localhost:{servers.ports[0]}"
    await provision.streams(url, "roomviz", servers.passwords["roomviz"], servers.authority, 3)


async def test_a_job_outlives_a_server(servers: Servers):
    await provided(servers)
    async with bus.connect(servers.settings("gateway", 0)) as gateway:
        await gateway.publish("jobs.segmentation.analyze", b"room", "1")
    async with bus.connect(servers.settings("segmentation", 1)) as segmentation:
        await segmentation.stream.pull_subscribe(
            "jobs.segmentation.analyze", durable="segmentation-analyze", stream="JOBS"
        )

    servers.running[0].kill()
    servers.running[0].wait(10)

    async with bus.connect(servers.settings("segmentation", 2)) as segmentation, asyncio.timeout(60):
        while True:
            try:
                jobs = await segmentation.stream.pull_subscribe(
                    "jobs.segmentation.analyze", durable="segmentation-analyze", stream="JOBS"
                )
                [job] = await jobs.fetch(1, timeout=2)
                break
            except nats.errors.Error:  # the servers are choosing another leader; workers try again too
                await asyncio.sleep(0.2)
        assert job.data == b"room"


async def test_nobody_is_spoken_to_in_plaintext(servers: Servers):
    reader, writer = await asyncio.open_connection("localhost", servers.ports[1])
    writer.write(b"PING\r\n")

    async with asyncio.timeout(10):
        assert b"INFO" not in await reader.read()
    writer.close()


async def test_servers_of_another_authority_are_not_believed(servers: Servers):
    stranger = servers.folder / "stranger.crt"
    trustme.CA(key_type=trustme.KeyType.ECDSA).cert_pem.write_to_path(stranger)

    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("localhost", servers.ports[1], ssl=bus.secured(stranger)["tls"])


async def test_users_may_do_what_the_table_says(servers: Servers):
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def heard(error: Exception) -> None:
        if not refused.done():
            refused.set_result(str(error))

    settings = servers.settings("segmentation", 1)
    client = await nats.connect(
        settings.nats_url,
        user="segmentation",
        password=servers.passwords["segmentation"],
        error_cb=heard,
        **bus.secured(servers.authority),
    )
    await client.publish("jobs.compositor.export", b"")
    await client.flush()

    async with asyncio.timeout(10):
        assert await refused == 'nats: permissions violation for publish to "jobs.compositor.export"'
    await client.close()
