"""Damaged pictures through the sandboxed decoder and, with an address, through a gateway's uploads.

    python -m bench.fuzz_ingest [--minutes 10] [--seed 0] [--address 127.0.0.1:8443 --key-file .local/secrets/api_key]

Begins with the sample photos in each format that is taken and, where they are, the hostile files of ../shared/hostile;
damages them at random, and tells what became of them. What ends as an error of ours, rather than with a picture or a
refusal, is kept under --keep, and the exit is 1; what ended a decoding process is kept too.
"""

import argparse
import asyncio
import io
import random
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
from PIL import Image

from deploy.local.settings import ROOT
from roomviz.errors import InvalidArgument
from roomviz.runtime.metrics import SANDBOX_LOST
from roomviz.runtime.sandbox import sandbox
from roomviz.v1 import rooms_pb2
from services.gateway.adapters.decoder import SandboxedDecoder
from services.gateway.domain.ingest import HEIC, Limits
from services.gateway.settings import Settings

HOSTILE = ROOT.parent / "shared" / "hostile"
FORMATS = ["JPEG", "PNG", "WEBP", "AVIF", *(["HEIF"] if HEIC else [])]
SIDE = 160
BYTES_MAX = 1 << 20
TOLD_MAX = 20
METHOD = "/roomviz.v1.RoomService/UploadRoom"
# Lengths, counts and sizes at their ends.
EDGES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
OURS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}


def seeds() -> list[bytes]:
    """Pictures to begin with."""
    found = [p.read_bytes() for p in sorted(HOSTILE.rglob("*")) if p.is_file() and p.suffix != ".csv"]
    for path in sorted((ROOT / "samples").glob("*.jpg")):
        exif = Image.Exif()
        exif[0x0112], exif.get_ifd(0x8825)[1], exif.get_ifd(0x8769)[0xA405] = 6, "N", 26
        with Image.open(path) as photo:
            photo.thumbnail((SIDE, SIDE))
            for mode in ("RGB", "L", "RGBA", "CMYK", "P"):
                for format in FORMATS:
                    out = io.BytesIO()
                    try:
                        photo.convert(mode).save(out, format, exif=exif.tobytes(), xmp=b"<x tiff:Orientation='3'/>")
                    except (OSError, ValueError):
                        continue  # not every format has every mode
                    found.append(out.getvalue())
    return [d for d in found if len(d) <= BYTES_MAX]


def damaged(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The same with one to eight things wrong; headers more often than what follows them."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        size = len(out) or 1
        at = chance.randrange(min(size, chance.choice([32, 256, 2048, size])))
        what = chance.randrange(8)
        if what == 0 and out:
            out[at % size] ^= 1 << chance.randrange(8)
        elif what == 1 and out:
            out[at % size] = chance.randrange(256)
        elif what == 2:
            width = chance.choice([1, 2, 4])
            edge = chance.choice(EDGES) & (256**width - 1)
            out[at : at + width] = edge.to_bytes(width, chance.choice(["big", "little"]))
        elif what == 3:
            del out[at : at + chance.randint(1, 64)]
        elif what == 4:
            out[at:at] = chance.randbytes(chance.randint(1, 64))
        elif what == 5:
            out[at:at] = out[at : at + chance.randint(1, 1024)]
        elif what == 6:
            other = chance.choice(others)
            begin = chance.randrange(max(1, len(other)))
            out[at:] = other[begin : begin + BYTES_MAX]
        elif chance.random() < 0.3:
            del out[chance.randrange(size) :]
    if chance.random() < 0.8:
        out[:12] = data[:12]  # what the format is told by: without it nothing is tried
    return bytes(out[:BYTES_MAX])


def upload(data: bytes, chance: random.Random) -> list[bytes]:
    """The messages of an upload of `data`, most of the time with something wrong about them."""
    header = rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader(display_name="fuzz")).SerializeToString()
    step = max(1, chance.choice([len(data), 1 << 16, 1 + len(data) // 3]))
    parts = [
        header,
        *(rooms_pb2.UploadRoomRequest(chunk=data[a : a + step]).SerializeToString() for a in range(0, len(data), step)),
    ]
    for _ in range(chance.randrange(3)):
        at = chance.randrange(len(parts) + 1)
        wrong = [
            b"",
            header,
            chance.randbytes(chance.randint(1, 40)),
            b"\x0a\x02\x0a\xff",  # not UTF-8
            b"\x12\xff\xff\xff\xff\x0f",  # a length beyond the end
            b"\x0a" * 2000,  # headers in headers
            b"\x98\x3f\x01",  # a field of a later version
            b"\x08\x01",  # a number where a message belongs
            rooms_pb2.UploadRoomRequest(chunk=bytes((1 << 20) + 1)).SerializeToString(),
            rooms_pb2.UploadRoomRequest(header=rooms_pb2.UploadRoomHeader(display_name="n" * 300)).SerializeToString(),
        ]
        parts[at:at] = [chance.choice(wrong)]
    if chance.random() < 0.2:
        chance.shuffle(parts)
    if chance.random() < 0.1:
        del parts[chance.randrange(len(parts)) :]
    return parts


def lost() -> int:
    """How many processes were lost so far."""
    return int(sum(s.value for m in SANDBOX_LOST.collect() for s in m.samples if s.name.endswith("_total")))


async def fuzz(arguments: argparse.Namespace) -> int:
    chance, begin = random.Random(arguments.seed), seeds()
    fields = Settings.model_fields
    verdicts: Counter[str] = Counter()
    told = wrong = 0

    gone = lost()

    def keep(data: bytes, error: str) -> None:
        nonlocal told
        told += 1
        arguments.keep.mkdir(parents=True, exist_ok=True)
        path = arguments.keep / f"{arguments.seed}-{sum(verdicts.values())}"
        path.write_bytes(data)
        if told <= TOLD_MAX:
            print(f"{path}: {error}", flush=True)

    async with AsyncExitStack() as stack:
        limits = Limits(fields["upload_bytes_max"].default, fields["upload_megapixels_max"].default)
        box = await stack.enter_async_context(
            sandbox(
                1,
                fields["decode_limit_s"].default,
                fields["decode_memory_bytes"].default,
                ["services.gateway.domain.ingest"],
            )
        )
        decoder, call = SandboxedDecoder(box, limits), None
        if arguments.address:
            channel = stack.enter_context(grpc.insecure_channel(arguments.address))
            call = channel.stream_unary(METHOD, request_serializer=bytes, response_deserializer=bytes)
        metadata = [("authorization", f"Bearer {arguments.key_file.read_text().strip()}")] if call else []
        end = time.monotonic() + 60 * arguments.minutes
        while time.monotonic() < end:
            data = damaged(chance.choice(begin), begin, chance)
            if call is not None and chance.random() < 0.3:
                parts = upload(data, chance)
                try:
                    await asyncio.to_thread(call, iter(parts), metadata=metadata, timeout=60)
                    verdicts["upload: taken"] += 1
                except grpc.RpcError as error:
                    verdicts[f"upload: {error.code().name}"] += 1
                    if error.code() in OURS:
                        wrong += 1
                        keep(b"".join(parts), f"{error.code().name} {error.details()}")
                continue
            try:
                await decoder.take_in(data)
                verdicts["taken"] += 1
            except InvalidArgument as refusal:
                verdicts[refusal.reason] += 1
                if lost() > gone:  # no error of ours, but worth a look
                    gone = lost()
                    keep(data, refusal.message)
            except Exception as error:
                verdicts["error of ours"] += 1
                wrong += 1
                keep(data, f"{type(error).__name__}: {error}")
    print(f"{sum(verdicts.values())} executions, seed {arguments.seed}, {len(begin)} pictures to begin with")
    for verdict, count in verdicts.most_common():
        print(f"{count:8} {verdict}")
    print(f"processes lost, each refused as IMAGE_CORRUPT: {lost()}; errors of ours: {wrong}")
    return min(wrong, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--address", default="", help="of a gateway, to fuzz its uploads too")
    parser.add_argument("--key-file", type=Path, default=ROOT / ".local" / "secrets" / "api_key")
    parser.add_argument("--keep", type=Path, default=ROOT / ".local" / "fuzz")
    sys.exit(asyncio.run(fuzz(parser.parse_args())))


if __name__ == "__main__":
    main()
