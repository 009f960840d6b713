"""The probe as an orchestrator runs it: a process of its own, beside a real server."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
import trustme

from deploy.local.settings import ROOT
from roomviz.runtime import rpc, tls
from roomviz.runtime.health import Health
from tests.unit.runtime.test_tls import FILES, free_address, settings, write

AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)


async def broken() -> str:
    raise OSError("gone")


async def probed(health: Health, files: list[Path] | None, shown: list[Path] | None, *how: str) -> tuple[int, str]:
    """How the probe of a service ends, and what it says: `files` are the service's, `shown` those that the probe shows."""
    address = free_address()
    guarded = tls.for_services(settings([*files])) if files else None
    environment = dict(os.environ)
    for name, file in zip(FILES, shown or [], strict=False):
        environment[f"ROOMVIZ_{name.upper()}"] = str(file)
    async with (
        health.running(),
        rpc.serve(address, lambda _: [], rpc.trusted_tenant, 5, 0, False, health.servicer, tls=guarded),
    ):
        await asyncio.sleep(0.2)  # for the first round
        command = ("-m", "roomviz.runtime.probe", "catalog", address.split(":")[1], *how)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=environment, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        told = (await process.communicate())[1].decode()
    return process.returncode or 0, told


async def test_a_service_that_works_is_told_so_by_its_own_certificate(tmp_path: Path):
    files = write(tmp_path / "catalog", AUTHORITY, "catalog")

    assert await probed(Health({}), files, files) == (0, "")


async def test_a_service_without_tls_is_asked_in_plaintext():
    assert await probed(Health({}), None, None) == (0, "")


async def test_a_service_that_lacks_something_is_not_ready_but_alive(tmp_path: Path):
    files = write(tmp_path / "catalog", AUTHORITY, "catalog")
    lacking = Health({"postgresql": broken})

    assert await probed(lacking, files, files) == (1, "catalog: NOT_SERVING\n")
    assert await probed(lacking, files, files, "--alive") == (0, "")


@pytest.mark.parametrize("how", [(), ("--alive",)])
async def test_a_probe_without_a_certificate_is_refused(tmp_path: Path, how: tuple[str, ...]):
    status, told = await probed(Health({}), write(tmp_path / "catalog", AUTHORITY, "catalog"), None, *how)

    assert status == 1
    assert "UNAVAILABLE" in told
