"""How near a composed picture comes to the truth, against the tutorial way of doing it.

    python -m bench.compositor [--rooms 100] [--side 768] [--sheet sheet.png]

Truth is physical: rooms of a seed that nothing was made for are rendered with their own floor or wall, and again
with the new material under the same light. The compositor gets the first picture, and the true mask, plane and lens.
"""

import argparse
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from bench import laying
from models.repository import versions
from models.rooms import MEASURED_VERSION
from models.rooms.cache import training_arrays
from models.rooms.labels import CEILING, FLOOR, WALL
from models.rooms.sample import Sample, develop, render_sample
from roomviz.imaging.codec import decode_grey, decode_rgb, encode_jpeg, encode_png
from roomviz.imaging.color import linear_from_rgb24, luminance, to_linear, to_srgb
from roomviz.imaging.colorimetry import delta_e00, lab
from roomviz.imaging.lens import Lens
from services.catalog.domain.demo_range import ITEMS, Item
from services.compositor.domain import kernel, splice
from services.compositor.domain.plate import box_of, plate
from services.compositor.domain.reference import Layer, compose
from services.compositor.domain.shading import light_in, shading
from services.compositor.domain.texture import Pyramid, pyramid
from services.segmentation.domain import labels, surfaces
from services.segmentation.domain.superpixels import superpixels

SEED = 901
GRID = 8  # by 8 samples a pixel of the new material's truth
PART_MIN = 0.06  # of the picture
KINDS = {"floor": FLOOR, "wall": WALL}


@dataclass(frozen=True)
class Truth:
    """photo, after (H, W, 3) uint8; mask (H, W) bool; light (H, W) luminance of the true irradiance."""

    photo: np.ndarray
    after: np.ndarray
    mask: np.ndarray
    light: np.ndarray
    white: np.ndarray
    kind: str
    item: Item
    pixel_from_plane: np.ndarray
    card: np.ndarray
    focal_length_px: float
    lens: Lens


@cache
def drawn(item: Item) -> tuple[np.ndarray, float, float] | None:
    return item.texture()


@cache
def material(item: Item) -> tuple[Pyramid | None, np.ndarray]:
    picture = drawn(item)
    if picture is None:
        assert item.color is not None
        r, g, b = item.color
        return None, linear_from_rgb24(r << 16 | g << 8 | b)
    return pyramid(*picture), np.zeros(3, np.float32)


def rays(s: Sample, offset: tuple[float, float]) -> np.ndarray:
    """(H, W, 3) unit, world frame, through the pixels' corners moved by offset."""
    h, w = s.label.shape
    x, y = np.meshgrid(np.arange(w) + offset[0], np.arange(h) + offset[1])
    d = s.rays(x, y) @ s.axes
    return d / np.linalg.norm(d, axis=-1, keepdims=True)


def truth(index: int, side: int) -> Truth | None:
    """A room, with one of its surfaces laid anew; None where no surface is large enough."""
    s = render_sample(MEASURED_VERSION, SEED, index, side, samples=8)
    rng = np.random.default_rng([SEED, index])
    kind = str(rng.choice(["floor", "floor", "wall"]))
    inside = s.label == KINDS[kind]
    ids, counts = np.unique(s.instance[inside], return_counts=True)
    if not len(ids) or counts.max() < PART_MIN * inside.size:
        return None
    mask = inside & (s.instance == ids[counts.argmax()])
    frame = s.camera[3:12].reshape(3, 3)  # rows: right, down, forward
    normal = np.median(s.normal[mask], 0) @ frame
    up = np.array([0.0, 0, 1])
    u_axis = np.array([1.0, 0, 0]) if kind == "floor" else np.cross(up, normal) / np.linalg.norm(np.cross(up, normal))
    v_axis = np.array([0.0, 1, 0]) if kind == "floor" else up
    position = s.camera[:3]
    point = np.median((position + rays(s, (0.5, 0.5)) * s.depth[..., None])[mask], 0)
    choice = [i for i in ITEMS if i.category.startswith("flooring" if kind == "floor" else ("wall", "paint"))]
    item = choice[rng.integers(len(choice))]
    texture, color = material(item)
    albedo = np.zeros((*mask.shape, 3), np.float32)
    for i in range(GRID):
        for j in range(GRID):
            d = rays(s, ((i + 0.5) / GRID, (j + 0.5) / GRID))
            t = ((point - position) @ normal) / np.minimum(d @ normal, -1e-6)
            at = position + t[..., None] * d - point
            albedo += (exact(texture, at @ u_axis, at @ v_axis) if texture else color) / GRID**2
    radiance = np.where(mask[..., None], albedo * s.shading, s.albedo * s.shading + s.extra)
    after = np.where(mask[..., None], develop(radiance, s.exposure), s.image)
    k = np.array([[s.camera[12], 0, s.camera[13]], [0, s.camera[12], s.camera[14]], [0, 0, 1]])
    plane = k @ np.column_stack([frame @ u_axis, frame @ v_axis, frame @ (point - position)])
    white = np.isin(s.label, (WALL, CEILING))
    card = training_arrays(s)["grey"]
    focal, cx, cy, k1 = map(float, s.camera[12:16])
    lens = Lens(cx, cy, k1 / focal**2, 4 * (cx * cx + cy * cy))
    return Truth(s.image, after, mask, luminance(s.shading), white, kind, item, plane, card, focal, lens)


def exact(source: Pyramid, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The texture at points of the plane in metres, nearest texel."""
    image = source.levels[0]
    h, w = image.shape[:2]
    return image[(y / source.height_m * h).astype(int) % h, (x / source.width_m * w).astype(int) % w]


def ours(t: Truth, card: np.ndarray | None) -> np.ndarray:
    texture, color = material(t.item)
    alpha = t.mask.astype(np.uint8) * 255
    layer = Layer(t.kind, alpha, t.pixel_from_plane, texture, color)
    return compose(t.photo, [layer], t.white, card, exact=card is t.card, lens=t.lens)


def tutorial(t: Truth) -> np.ndarray:
    """The product's picture stretched over the photo, blended in by half through a blurred mask."""
    picture, color = drawn(t.item), np.array(t.item.color or (0, 0, 0), np.uint8)
    h, w = t.mask.shape
    product = cv2.resize(picture[0], (w, h)) if picture else np.broadcast_to(color, t.photo.shape)
    alpha = 0.5 * cv2.GaussianBlur(t.mask.astype(np.float32), (21, 21), 0)[..., None]
    return (t.photo * (1 - alpha) + product * alpha).astype(np.uint8)


@cache
def network(path: str) -> InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads = 1
    return InferenceSession(path, options, providers=["CPUExecutionProvider"])


def found_card(photo: np.ndarray, model: str) -> np.ndarray | None:
    """The card as the segmentation service finds it."""
    answers = (network(model).run(["grey_card"], {"image": image}) for image in labels.network_inputs(photo))
    (grey,) = labels.together(*answers)
    return labels.mean_grey_card(grey)


def psnr(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a[mask].astype(float) - b[mask]) ** 2))))


def ssim(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    """Mean structural similarity of luma inside the mask (Wang et al., 2004, eq. 13; Gaussian window of 1.5)."""
    x, y = (cv2.cvtColor(i, cv2.COLOR_RGB2GRAY).astype(np.float64) for i in (a, b))
    blur = lambda i: cv2.GaussianBlur(i, (11, 11), 1.5)  # noqa: E731
    mx, my = blur(x), blur(y)
    sxx, syy, sxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = (2 * mx * my + c1) * (2 * sxy + c2) / ((mx * mx + my * my + c1) * (sxx + syy + c2))
    return float(value[cv2.erode(mask.astype(np.uint8), np.ones((11, 11))) > 0].mean()) if mask.any() else 1.0


def light_scores(t: Truth, card: np.ndarray | None) -> tuple[float, float]:
    """Correlation of the found with the true shading, and the error of log shading where the light is dim."""
    alpha = t.mask.astype(np.uint8) * 255
    x, y, w, h = box = box_of(alpha)
    part = (slice(y, y + h), slice(x, x + w))
    light = light_in(t.photo, t.white, card, card is t.card)(box)
    mask = t.mask[part]
    found = np.log(np.maximum(shading(t.photo[part], alpha[part], t.kind, light, 0.0)[0][mask], 1e-4))
    true = np.log(np.maximum(t.light[part][mask], 1e-4))
    correlation = float(np.corrcoef(found, true)[0, 1]) if true.std() > 0.02 else 1.0
    dim = true < np.median(true) - 0.25
    error = np.abs((found - np.median(found)) - (true - np.median(true)))
    return correlation, float(error[dim].mean()) if dim.sum() > 50 else 0.0


def color_error(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    """CIEDE2000 between the mean colours of two pictures inside the mask."""
    return delta_e00(*(lab(to_linear(i)[mask].mean(0)) for i in (a, b)))


def as_found(photo: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """What segmentation makes, at the photo's size, of true shares of each pixel (K, H, W) that it is told at the network's."""
    # The size of the network's answer.
    h, w = (n // 2 for n in labels.network_input(photo, max(labels.LONG_SIDES)).shape[1:3])
    parts = superpixels(photo)
    p = np.stack([cv2.resize(share, (w, h), interpolation=cv2.INTER_AREA) for share in shares])
    return labels.refine(parts.means_of(p), photo, parts)


def edge_picture(index: int, side: int) -> float | None:
    """PSNR within 3 pixels of a surface's edge, by a mask as segmentation makes it, the light being known: a room of twice the
    size, halved, tells what each pixel of the edge should show."""
    t = truth(index, 2 * side)
    if t is None:
        return None
    halved = lambda i: to_srgb(cv2.resize(to_linear(i), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))  # noqa: E731
    photo, after = halved(t.photo), halved(t.after)
    share = cv2.resize(t.mask.astype(np.float32), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    refined = as_found(photo, np.stack([1 - share, share]))
    mine = refined.argmax(0) == 1
    texture, color = material(t.item)
    plane = np.diag([0.5, 0.5, 1]) @ t.pixel_from_plane
    layer = Layer(t.kind, surfaces.soft(refined[1], mine, mine), plane, texture, color)
    out = compose(photo, [layer], t.white[::2, ::2], t.card, exact=True, lens=t.lens.scaled(0.5, 0.5))
    outer, inner = (share > 0.02).astype(np.uint8), (share > 0.98).astype(np.uint8)
    return psnr(out, after, cv2.dilate(outer, np.ones((7, 7))) != cv2.erode(inner, np.ones((7, 7)), borderValue=1))


def edge_error(index: int, side: int) -> float | None:
    """Mean error of the soft mask within 8 pixels of its edge, where the surface itself is rightly found: the true labels
    at the network's size go through what segmentation makes of them at the photo's. None where the same room at
    twice the size, which tells how much of each pixel is covered, is not of the same shape."""
    s, fine = (render_sample(MEASURED_VERSION, SEED, index, side * n, samples=4 // n) for n in (1, 2))
    h, w = s.label.shape
    if fine.label.shape != (2 * h, 2 * w):
        return None
    refined = as_found(s.image, np.stack([(s.label == k).astype(np.float32) for k in range(7)]))
    label, errors = refined.argmax(0), []
    for kind in (FLOOR, WALL, CEILING):
        covered = cv2.resize((fine.label == kind).astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
        inside = (covered > 0.5).astype(np.uint8)
        band = cv2.dilate(inside, np.ones((17, 17))) != cv2.erode(inside, np.ones((17, 17)), borderValue=1)
        if band.any():
            alpha = surfaces.soft(refined[kind], label == kind, label == kind) / 255
            errors.append(float(np.abs(alpha - covered)[band].mean()))
    return float(np.mean(errors)) if errors else None


def _framed(image: np.ndarray, width: int = 360, height: int = 270) -> np.ndarray:
    scale = min(width / image.shape[1], height / image.shape[0])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    right, below = width - small.shape[1], height - small.shape[0]
    return cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT)


def measure(job: tuple[int, int, str]) -> dict | None:
    cv2.setNumThreads(1)
    t = truth(job[0], job[1])
    if t is None:
        return None
    card = {"none": None, "true": t.card}.get(job[2]) if job[2] in ("none", "true") else found_card(t.photo, job[2])
    a, b = ours(t, card), tutorial(t)
    correlation, dim = light_scores(t, card)
    row = {"index": job[0], "kind": t.kind, "sku": t.item.sku, "psnr": psnr(a, t.after, t.mask)}
    row |= {"tutorial": psnr(b, t.after, t.mask), "ssim": ssim(a, t.after, t.mask)}
    row |= {"correlation": correlation, "dim": dim, "changed": int((a != t.photo)[~t.mask].sum())}
    row["bias"] = float(np.log(to_linear(a)[t.mask].mean() / max(1e-6, to_linear(t.after)[t.mask].mean())))
    row["color"] = color_error(a, t.after, t.mask)
    row["edge"] = edge_error(job[0], job[1]) if job[0] % 4 == 0 else None  # rendering twice takes its time
    row["edge dB"] = edge_picture(job[0], job[1] * 3 // 4) if job[0] % 8 == 1 else None
    row["pictures"] = [_framed(i) for i in (t.photo, t.after, a, b)]
    return row


def least(run: Callable[[], object], times: int = 15) -> float:
    """Seconds of the fastest of several runs, by the wall clock."""
    best = math.inf
    for _ in range(times):
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return best


def _files(t: Truth) -> tuple[bytes, bytes, bytes]:
    """What the tutorial way is given at each call: the photo, the mask and the product."""
    picture = drawn(t.item)
    product = picture[0] if picture else np.full((64, 64, 3), t.item.color, np.uint8)
    return encode_jpeg(t.photo), encode_png(t.mask.astype(np.uint8) * 255), encode_jpeg(product)


def _from_files(t: Truth, photo: bytes, mask: bytes, product: bytes) -> bytes:
    decode_rgb(product)
    return encode_jpeg(tutorial(replace(t, photo=decode_rgb(photo), mask=decode_grey(mask) > 127)), 88)


def swap_times(side: int = 1680, threads: int = 2, finish: str = "matte") -> None:
    """A product swapped on a warm plate of a 2 MP picture, beside one JPEG of the same picture and the tutorial way."""
    cv2.setNumThreads(1)
    t = next(t for t in (truth(i, side) for i in range(100)) if t and t.kind == "floor" and t.mask.mean() > 0.15)
    texture, color = material(t.item)
    alpha = t.mask.astype(np.uint8) * 255
    light = light_in(t.photo, t.white, t.card)
    on = plate(t.photo, alpha, t.kind, light, t.pixel_from_plane, False, finish, t.focal_length_px, t.lens)
    laid = kernel.texels(texture.levels) if texture else kernel.paint(color)
    repeat = (texture.width_m, texture.height_m) if texture else (1.0, 1.0)
    height, width = t.mask.shape
    whole = splice.padded(t.photo)
    base, clean = splice.tiles(whole, height, width, 88), whole.copy()
    with ThreadPoolExecutor(threads) as pool:

        def swap() -> None:
            np.copyto(whole, clean)
            list(pool.map(lambda part: part(), kernel.lay(whole[:height, :width], on, laid, repeat, 0.0, threads)))
            splice.pad_again(whole, height, width)
            chosen = splice.changed(base, on.touched)
            fresh = pool.map(partial(splice.encoded, base, whole), np.array_split(chosen, threads))
            splice.spliced(base, chosen, list(chain.from_iterable(fresh)))

        jpeg, swapped = least(lambda: encode_jpeg(t.photo, 88), 100), least(swap, 100)
    slow = least(lambda: encode_jpeg(tutorial(t), 88), 15)
    files = least(partial(_from_files, t, *_files(t)), 15)
    print(
        f"2 MP ({t.photo.shape[1]} x {t.photo.shape[0]}), {t.mask.mean():.0%} of it laid with {t.item.sku}, {finish}:"
    )
    print(
        f"one JPEG {jpeg * 1e3:.1f} ms, a swap with its JPEG {swapped * 1e3:.1f} ms: {swapped / jpeg:.2f}x (bar 1.5x)"
    )
    print(
        f"the tutorial way {slow * 1e3:.0f} ms with its pictures in memory: {slow / swapped:.1f}x a swap; {files * 1e3:.0f} ms "
        f"from files, as it is written: {files / swapped:.1f}x (bar 20x)"
    )


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rooms", type=int, default=100)
    p.add_argument("--side", type=int, default=768)
    p.add_argument("--sheet", help="PNG: photo, truth, ours, tutorial of the worst and some others")
    p.add_argument("--light", default=str(versions(Path("model_repository/roomseg"))[-1]), help="model, `true`, `none`")
    p.add_argument("--workers", type=int, default=1)
    a = p.parse_args()
    rows: list[dict] = []
    with ProcessPoolExecutor(a.workers) as pool:
        for row in pool.map(measure, [(i, a.side, a.light) for i in range(a.rooms)]):
            if row:
                rows.append(row)
                print(f"\r{len(rows)} rooms", end="", flush=True)
    print()
    rows.sort(key=lambda r: r["psnr"])
    column = lambda k: np.array([r[k] for r in rows if r[k] is not None])  # noqa: E731
    gain = column("psnr") - column("tutorial")
    print(f"{len(rows)} surfaces, light: {a.light}")
    for k, bar in (
        ("psnr", ">= 28"),
        ("ssim", ">= 0.92"),
        ("correlation", ">= 0.95"),
        ("dim", "<= 0.10"),
        ("bias", ""),
        ("color", "<= 6"),
        ("edge", "<= 0.06"),
        ("edge dB", ""),
    ):
        c = column(k)
        low, high = np.quantile(c, (0.1, 0.9))
        print(f"{k:12} mean {c.mean():7.3f}  median {np.median(c):7.3f}  10 to 90 % {low:.3f} to {high:.3f}  {bar}")
    better = (gain > 0).mean()
    print(
        f"over the tutorial: median {np.median(gain):.1f} dB (>= 6), worst {gain.min():.1f} dB, better on {better:.0%} (100 %)"
    )
    print(f"pixels changed outside of the mask: {column('changed').sum()} (0)")
    swap_times()
    laying.main()
    swap_times(finish="polished")
    if a.sheet:
        picked = rows[:6] + rows[6 :: max(1, len(rows) // 6)][:6]
        cv2.imwrite(a.sheet, np.vstack([np.hstack(r["pictures"]) for r in picked])[..., ::-1])


if __name__ == "__main__":
    main()
