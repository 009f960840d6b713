"""What outputs cost: exports in time and memory, receipts in bytes that must be the same, swaps in page faults.

    python -m bench.exports [--megapixels 12 48] [--receipts 200]

Every part runs in a child process of its own, with the allocator set as for the services, so that peak memory and what is remembered are its own. The photo is
the sample room, enlarged and with noise; its floor and wall are roughly where they are laid.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from deploy.local.settings import LocalSettings
from roomviz.errors import InvalidArgument
from roomviz.imaging.codec import decode_grey, decode_rgb, encode_jpeg, encode_png, preview_size, resize
from roomviz.internal.compositor.v1 import compositor_pb2
from roomviz.runtime.memory import Memory
from roomviz.v1 import layouts_pb2, rooms_pb2, visualizations_pb2
from services.compositor.adapters.plates import StoredPlates
from services.compositor.domain.encode import TYPES, check_output, encode_as
from services.compositor.ports import Order
from services.compositor.transport.messages import order_from_recipe, order_of
from services.compositor.usecases.budget import Budget
from services.compositor.usecases.picture import MakePicture
from services.compositor.usecases.renderer import Renderer
from services.compositor.usecases.things import Staging

SAMPLE = Path(__file__).parents[1] / "samples" / "living-room.jpg"
TEXTURES = 8
THREADS = 2


class Files:
    """Pictures from files, decoded anew each time or, where they are kept, once."""

    def __init__(self, folder: Path, keep: bool):
        self._folder, self._kept = folder, {} if keep else None

    def _read(self, key: str, decode: Callable[[bytes], np.ndarray]) -> np.ndarray:
        if self._kept is None:
            return decode((self._folder / key).read_bytes())
        if key not in self._kept:
            self._kept[key] = decode((self._folder / key).read_bytes())
        return self._kept[key]

    async def rgb(self, key: str) -> np.ndarray:
        return await asyncio.get_running_loop().run_in_executor(None, self._read, key, decode_rgb)

    async def sized(self, key: str, height: int, width: int) -> np.ndarray:
        return await asyncio.get_running_loop().run_in_executor(None, resize, await self.rgb(key), height, width)

    async def grey(self, key: str) -> np.ndarray:
        return await asyncio.get_running_loop().run_in_executor(None, self._read, key, decode_grey)

    async def rgba(self, key: str) -> np.ndarray:
        raise NotImplementedError

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        raise NotImplementedError


class Forgotten:
    """Recipes that nobody asks for again."""

    async def keep(self, order: Order) -> None:
        order.receipt  # noqa: B018  what it costs belongs to the picture

    async def get(self, receipt: str) -> Order | None:
        return None


def room(folder: Path, megapixels: float) -> compositor_pb2.RenderSpec:
    """The sample room at this size, a floor and a wall of it with soft edges."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5 / 16) * 16
    height = round(width * 3 / 4)
    rng = np.random.default_rng(0)
    sample = decode_rgb(SAMPLE.read_bytes())
    photo = np.asarray(cv2.resize(sample, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    for top in range(0, height, 512):  # what a sensor adds
        part = photo[top : top + 512]
        part[:] = np.clip(part + rng.normal(0, 3, part.shape), 0, 255)
    floor, wall = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    edge = [[0, 1], [0, 0.75], [0.2, 0.55], [0.8, 0.55], [1, 0.75], [1, 1]]
    cv2.fillPoly(floor, [(np.array(edge) * (width, height)).astype(int)], 255)
    cv2.rectangle(wall, (width // 5, height // 10), (width * 4 // 5, int(height * 0.55)), 255, -1)
    for name, mask in (("floor", floor), ("wall", wall)):
        (folder / name).write_bytes(encode_png(cv2.GaussianBlur(mask, (5, 5), 0)))
    (folder / "photo").write_bytes(encode_png(photo))
    (folder / "working").write_bytes(encode_png(resize(photo, *preview_size(height, width))))
    (folder / "light").write_bytes(encode_png(np.full((48, 64, 3), 90, np.uint8)))
    (folder / "textures").mkdir(exist_ok=True)
    for k in range(TEXTURES):
        texture = cv2.resize(rng.integers(40, 220, (64, 64, 3), np.uint8), (1024, 1024), interpolation=cv2.INTER_CUBIC)
        (folder / f"textures/{k}.png").write_bytes(encode_png(texture))
    spec = compositor_pb2.RenderSpec(
        room="rooms/bench",
        photo_key="photo",
        working_key="working",
        width_px=width,
        height_px=height,
        light_key="light",
    )
    for name in ("floor", "wall"):
        layer = spec.layers.add(mask_key=name)
        layer.surface.surface_id = f"{name}-1"
        layer.surface.kind = rooms_pb2.SurfaceKind.Value(f"SURFACE_KIND_{name.upper()}")
    f, cx, cy = width * 0.8, width / 2, height * 0.35
    plane = np.array([[f, 0, cx], [0, f, cy], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, 0, 1.4], [0, -1, 3.0]])
    spec.layers[0].surface.plane.homography.extend(plane.ravel().tolist())
    m = spec.layers[0].material
    m.texture_digest, m.repeat_width_m, m.repeat_height_m = "0", 1.2, 1.2
    spec.layers[1].material.color_rgb = 0x7D8F86
    return spec


PATTERNS = (
    "GRID",
    "RUNNING_BOND",
    "RANDOM_BOND",
    "HERRINGBONE",
    "CHEVRON",
    "BASKET_WEAVE",
    "VERSAILLES",
    "HEXAGON",
    "PLANK",
)


def in_pieces(spec: compositor_pb2.RenderSpec, pattern: str) -> None:
    """Lay the floor in boards of 45 x 9 cm, or in what else the pattern makes of them, with joints of 2 mm."""
    layer = spec.layers[0]
    m = layer.material
    m.face_digest, m.face_width_m, m.face_height_m = m.texture_digest, 1.2, 1.2
    m.piece_length_m, m.piece_width_m = 0.45, 0.09
    layer.layout.pattern = layouts_pb2.Pattern.Value(f"PATTERN_{pattern}")
    layer.layout.grout.width_m, layer.layout.grout.color_rgb, layer.layout.bevel_m = 0.002, 0x303030, 0.001


def maker(folder: Path, pool: ThreadPoolExecutor, keep: bool, threads: int = THREADS) -> MakePicture:
    files, memory = Files(folder, keep), [Memory(1 << 29 if keep else 0) for _ in range(7)]
    plates, staging = StoredPlates(memory[0], None, pool), Staging(files, pool, *memory[4:])
    return MakePicture(Renderer(files, pool, threads, plates, *memory[1:4], staging), Forgotten(), Budget(4 << 30))


def peak_mb() -> float:
    # Not ru_maxrss: that begins with what the parent had.
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def least(function: Callable[[], object], times: int) -> tuple[float, float]:
    """Least wall and CPU seconds."""
    wall, cpu = [], []
    for _ in range(times):
        w, c = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    return min(wall), min(cpu)


def asked(spec: compositor_pb2.RenderSpec, format: str, view: str = "AFTER") -> Order:
    output = compositor_pb2.Output(format=f"IMAGE_FORMAT_{format.upper()}", view=f"VIEW_{view}")
    return order_of("bench", spec, output)


# --- children: each prints one line of JSON ---------------------------------------------------------


def child_peak(folder: Path, spec: compositor_pb2.RenderSpec, format: str, view: str) -> dict:
    """Peak memory of one export, and what there was before it."""
    before = peak_mb()
    with ThreadPoolExecutor(THREADS) as pool:
        made = asyncio.run(maker(folder, pool, keep=False)(asked(spec, format, view)))
    return {"before": before, "peak": peak_mb(), "size": len(made.data)}


def child_time(folder: Path, spec: compositor_pb2.RenderSpec, format: str, view: str) -> dict:
    """A stateless export over the decoding of what it reads and the encoding of what it writes, in turns."""
    keys = {"photo": decode_rgb, "floor": decode_grey, "wall": decode_grey, "light": decode_rgb}
    keys["textures/0.png"] = decode_rgb

    def decode() -> np.ndarray:
        return next(iter([read((folder / key).read_bytes()) for key, read in keys.items()]))

    photo, times = decode(), 2 if spec.width_px * spec.height_px > 2e7 else 4
    rows = {"decode": [], "encode": [], "export": [], "one": []}
    with ThreadPoolExecutor(THREADS) as pool, ThreadPoolExecutor(1) as one:
        order = asked(spec, format, view)
        for _ in range(times):
            rows["decode"].append(least(decode, 1))
            rows["encode"].append(least(lambda: encode_as(photo, format), 1))
            rows["export"].append(least(lambda: asyncio.run(maker(folder, pool, False)(order)), 1))
            rows["one"].append(least(lambda: asyncio.run(maker(folder, one, False, 1)(order)), 1))
    return {name: [min(v) for v in zip(*found, strict=True)] for name, found in rows.items()}


def orders(spec: compositor_pb2.RenderSpec, count: int) -> list[Order]:
    """As many different ones: products, turns, pieces, light, formats, views, previews."""
    rng, found = np.random.default_rng(5), []
    for _ in range(count):
        one = compositor_pb2.RenderSpec.FromString(spec.SerializeToString())
        one.layers[0].material.texture_digest = str(rng.integers(TEXTURES))
        one.layers[0].rotation_deg = float(rng.uniform(-180, 180))
        one.layers[1].material.color_rgb = int(rng.integers(1 << 24))
        if rng.integers(2):
            in_pieces(one, str(rng.choice(PATTERNS)))
        one.relight = visualizations_pb2.Relight.ValueType(int(rng.choice([0, 0, 1, 2, 3])))
        preview, view = bool(rng.integers(2)), str(rng.choice(["AFTER", "AFTER", "BEFORE", "SIDE_BY_SIDE", "LAYER"]))
        format = str(rng.choice(["PNG", "WEBP", "AVIF"] if view == "LAYER" else ["JPEG", "PNG", "WEBP", "AVIF"]))
        output = compositor_pb2.Output(format=f"IMAGE_FORMAT_{format}", view=f"VIEW_{view}")
        found.append(order_of("bench", one, compositor_pb2.Output(preview=True) if preview else output))
    return found


def child_render(folder: Path, recipes: list[str], threads: int) -> list[str]:
    """Digests of the pictures of these recipes."""

    async def all_of() -> list[str]:
        make = maker(folder, pool, keep=True, threads=threads)
        return [hashlib.sha256((await make(order_from_recipe(bytes.fromhex(r)))).data).hexdigest() for r in recipes]

    with ThreadPoolExecutor(threads) as pool:
        return asyncio.run(all_of())


def child_swap(folder: Path, spec: compositor_pb2.RenderSpec) -> dict:
    """Swaps of the floor in a warm preview, with the receipt and without, over one JPEG of that same picture."""

    async def run() -> dict:
        make = maker(folder, pool, keep=True)
        names = [str(k) for k in range(TEXTURES)]
        found = []
        for name in names:
            spec.layers[0].material.texture_digest = name
            order = order_of("bench", spec, compositor_pb2.Output(preview=True))
            found.append(order)
            await make(order)
        picture = decode_rgb((folder / "working").read_bytes())
        height, width = picture.shape[:2]
        spec_of = found[0].spec
        rows = {"jpeg": [], "swap": [], "bare": []}
        faults, swaps = 0, 0
        for _ in range(12):
            rows["jpeg"].append(least(lambda: encode_jpeg(picture, 88), 1)[0])
            for order in found[:4]:
                before, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
                await make(order)
                rows["swap"].append(time.perf_counter() - began)
                faults += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
                swaps += 1
                began = time.perf_counter()
                made = await make.renderer.picture(spec_of, "working", height, width, keep=True)
                await make.renderer.jpeg(made, "working")
                rows["bare"].append(time.perf_counter() - began)
        return {name: float(np.min(v)) for name, v in rows.items()} | {"faults": faults / swaps}

    with ThreadPoolExecutor(THREADS) as pool:
        return asyncio.run(run())


# --- the table --------------------------------------------------------------------------------------


def child(folder: Path, what: str, *arguments: str, given: str = "") -> dict | list:
    command = [sys.executable, "-m", "bench.exports", "--child", what, str(folder), *arguments]
    allocator = {k: v for k, v in LocalSettings().service_environment("compositor").items() if k.startswith("MALLOC_")}
    done = subprocess.run(command, input=given, env=os.environ | allocator, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def serve_child(what: str, folder: Path, *arguments: str) -> None:
    cv2.setNumThreads(1)
    if what == "render":
        print(json.dumps(child_render(folder, json.load(sys.stdin), int(arguments[0]))))
        return
    spec = compositor_pb2.RenderSpec.FromString((folder / arguments[0]).read_bytes())
    measure = {"swap": child_swap, "peak": child_peak, "time": child_time}[what]
    print(json.dumps(measure(folder, spec, *arguments[1:])))


def exports(megapixels: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = room(folder, megapixels)
        (folder / "spec").write_bytes(spec.SerializeToString())
        print(
            f"\n{spec.width_px} x {spec.height_px}, floor and wall; stateless; ratios of wall time with {THREADS} threads"
        )
        print("(with one; of CPU time) over decode + encode, one thread (bar for 12 MP JPEG: 1.6x, 600 MB)")
        in_pieces(spec, "HERRINGBONE")
        (folder / "pieces").write_bytes(spec.SerializeToString())
        print(_line(folder, "pieces", "jpeg", "AFTER", "jpeg  herringbone  "), flush=True)
        for format in TYPES:
            for view in ("AFTER", "SIDE_BY_SIDE", "LAYER"):
                width = spec.width_px * (2 if view == "SIDE_BY_SIDE" else 1)
                try:
                    check_output(format, spec.height_px, width, view == "LAYER")
                except InvalidArgument:
                    continue  # which no one is given
                print(_line(folder, "spec", format, view, f"{format:5} {view.lower():13}"), flush=True)


def _line(folder: Path, spec: str, format: str, view: str, name: str) -> str:
    peak = child(folder, "peak", spec, format, view)
    line = f"{name} peak {peak['peak']:5.0f} MB ({peak['before']:.0f} before)"
    if view != "AFTER":
        return line
    t = child(folder, "time", spec, format, view)
    own = [a + b for a, b in zip(t["decode"], t["encode"], strict=True)]
    line += f"  {t['export'][0] / own[0]:.2f}x ({t['one'][0] / own[0]:.2f}x; {t['one'][1] / own[1]:.2f}x)"
    return f"{line}  decode {t['decode'][0]:.2f} s, encode {t['encode'][0]:.2f} s, export {t['export'][0]:.2f} s"


def receipts(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = room(folder, 2.0)
        (folder / "spec").write_bytes(spec.SerializeToString())
        t = child(folder, "swap", "spec")
        print(
            f"\n2 MP preview, floor and wall: a swap {t['swap'] / t['jpeg']:.2f}x one JPEG of that picture (bar 1.5x),"
        )
        print(f"{t['bare'] / t['jpeg']:.2f}x without receipt; {t['faults']:.1f} page faults a swap (bar about 0)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asks = orders(room(folder, 0.4), count)
        given = json.dumps([o.recipe.hex() for o in asks])
        first, again = child(folder, "render", "2", given=given), child(folder, "render", "3", given=given[:])
        same = sum(a == b for a, b in zip(first, again, strict=True))
        print(f"\nreceipts re-rendered in another process: {same} of {count} byte for byte the same")


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        serve_child(sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
        return
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--megapixels", type=float, nargs="*", default=[12, 48])
    p.add_argument("--receipts", type=int, default=200)
    a = p.parse_args()
    if a.receipts:
        receipts(a.receipts)
    for megapixels in a.megapixels:
        exports(megapixels)


if __name__ == "__main__":
    main()
