import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from roomviz.errors import InvalidArgument, Unavailable
from roomviz.imaging import codec
from services.gateway.adapters.decoder import _take_in_file
from services.gateway.adapters.spool import Spool, spool
from services.gateway.domain.ingest import Limits, take_in
from services.gateway.domain.records import Spooled


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_an_upload_lies_in_a_folder_of_its_own_that_goes_with_it(tmp_path: Path):
    spool = Spool(tmp_path)

    async with spool.folder() as one, spool.folder() as other:
        came = await spool.write(one / "upload", chunks(b"ab", b"c"), 3)
        assert (one / "upload").read_bytes() == b"abc"
        assert [part async for part in spool.parts(one / "upload")] == [b"abc"]
        assert one != other

    assert came == Spooled(hashlib.sha256(b"abc").hexdigest(), 3)
    assert os.listdir(tmp_path) == []


async def test_what_is_too_long_is_refused_where_it_gets_too_long(tmp_path: Path):
    spool, read = Spool(tmp_path), list[int]()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(1)
            yield b"x" * 10

    with pytest.raises(InvalidArgument, match="more than 25 bytes"):
        async with spool.folder() as folder:
            await spool.write(folder / "upload", endless(), 25)

    assert len(read) == 3
    assert os.listdir(tmp_path) == []


async def test_without_a_place_to_lie_an_upload_comes_again_later(tmp_path: Path):
    with pytest.raises(Unavailable, match="no room for an upload"):
        async with Spool(tmp_path / "missing").folder():
            pass


def test_what_killed_processes_left_is_removed_and_what_others_use_is_not(tmp_path: Path):
    hold = "import sys; from services.gateway.adapters.spool import spool\nwith spool(sys.argv[1]): print(flush=True); input()"
    processes = [
        subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for folder in tmp_path.iterdir():
            os.utime(folder, (0, 0))  # they have been there for long
        with spool(str(tmp_path)):
            assert len(os.listdir(tmp_path)) == 3
        processes[0].kill()
        processes[0].wait()
        with spool(str(tmp_path)):
            assert len(os.listdir(tmp_path)) == 2
        assert len(os.listdir(tmp_path)) == 1
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("size", [(60, 80), (1400, 1800)])
def test_a_photo_in_files_is_the_photo_in_memory(tmp_path: Path, size: tuple[int, int]):
    limits = Limits(50_000_000, 48)
    data = codec.encode_jpeg(np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8))
    upload = tmp_path / "upload"
    upload.write_bytes(data)

    kept, expected = _take_in_file(upload, limits), take_in(data, limits)

    assert kept.photo.read_bytes() == expected.photo
    assert (kept.working.read_bytes() if kept.working else None) == expected.working
    assert (kept.told.width, kept.told.height, kept.told.photo) == (expected.width, expected.height, b"")
