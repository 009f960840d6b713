"""How true pieces are laid: where their edges are, what aliases, and what laying them costs.

python -m bench.laying
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np

from roomviz.imaging.codec import encode_jpeg
from roomviz.imaging.color import linear_from_rgb24, to_linear
from services.catalog.domain.demo_range import ITEMS
from services.compositor.domain import kernel, splice
from services.compositor.domain import layout as d
from services.compositor.domain.layout_plate import LayoutPlate, Pieces, joined, layout_plate
from services.compositor.domain.plate import Plate, plate
from services.compositor.domain.shading import light_in, scene_light
from services.compositor.domain.texture import Footprint, Pyramid, footprint, lay, pyramid

WIDTH, HEIGHT, FOCAL, EYE_M, DOWN_DEG = 2048, 1365, 1640.0, 1.4, 12.0
THREADS = 2


def camera() -> np.ndarray:
    """From metres on the floor, x to the right and y towards the camera that stands over its origin, to pixels."""
    a = np.deg2rad(DOWN_DEG)
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    k = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    return k @ turn @ np.array([[1.0, 0, 0], [0, 0, EYE_M], [0, -1, 0]])


def floor(nearer_than_m: float = 40.0) -> Plate:
    """The plate of a floor under even light."""
    photo = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    top = camera() @ (0, -nearer_than_m, 1)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[int(top[1] / top[2]) :] = 255
    card = np.full((18, 24, 3), 120, np.uint8)
    light = light_in(photo, np.zeros(alpha.shape, bool), card)
    return plate(photo, alpha, "floor", light, camera(), False)


def made(on: Plate, pieces: Pieces, pool: ThreadPoolExecutor | None = None) -> LayoutPlate:
    rows = list(pairwise(on.box[3] * k // THREADS for k in range(THREADS + 1)))
    work = lambda part: layout_plate(on, pieces, *part)  # noqa: E731
    return joined(list(pool.map(work, rows) if pool else map(work, rows)))


def light_of(on: Plate, face: Pyramid, pieces: Pieces, grout: int) -> np.ndarray:
    """(h, w) the light that the floor sends back, of the plate's box; grey materials."""
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    laid = kernel.Joined(made(on, pieces), linear_from_rgb24(grout))
    for part in kernel.lay(out, on, kernel.texels(face.levels), (face.width_m, face.height_m), 0.0, 1, laid):
        part()
    return scene_light(to_linear(out[on.box[1] :]))[..., 1]


def plain(value: int, side_m: float = 1.2) -> Pyramid:
    return pyramid(np.full((4, 4, 3), value, np.uint8), side_m, side_m)


def edge_errors(rotation_deg: float, tile_m: float = 0.3, grout_m: float = 0.004) -> tuple[np.ndarray, np.ndarray]:
    """For places along joints: how far the joint lies from where it should, pixels; its width over the true one."""
    on = floor(9.0)
    layout = d.Layout(d.Bond(tile_m, tile_m, grout_m), rotation_deg=rotation_deg)
    pieces = Pieces(layout, d.Source(1.2, 1.2))
    white = plain(225)
    face = light_of(on, white, Pieces(d.Layout(d.Carpet()), d.Source(1.2, 1.2)), 0)
    dark = 1 - light_of(on, white, pieces, 0) / face
    at = footprint(camera(), on.box)
    a = np.deg2rad(rotation_deg)
    u, v = np.cos(a) * at.x + np.sin(a) * at.y, np.cos(a) * at.y - np.sin(a) * at.x
    errors: list[tuple[float, float]] = []
    for across, along in ((u, v), (v, u)):
        dy, dx = np.gradient(across.astype(float))
        # Along rows of pixels where joints are steep in the picture, along columns where they are level.
        for turned in (False, True):
            arrays = (across, along, np.hypot(dx, dy), dx, dy, dark, at.long)
            errors += _along_rows(*(a.T if turned else a for a in arrays), turned, tile_m + grout_m, grout_m)
    offsets, widths = np.array(errors).T
    return offsets, widths


def _along_rows(
    across: np.ndarray,
    along: np.ndarray,
    gradient: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    dark: np.ndarray,
    long: np.ndarray,
    turned: bool,
    pitch: float,
    grout_m: float,
) -> list[tuple[float, float]]:
    step = dy if turned else dx
    out = []
    for row in range(0, len(across), 5):
        for x in np.flatnonzero(np.diff(np.floor(across[row] / pitch))):
            if abs(step[row, x]) < 0.75 * gradient[row, x]:
                continue
            reach = int(np.ceil(grout_m / abs(step[row, x]) / 2 + 4))
            low, high = x - reach, x + reach + 2
            # Far from other joints, so that this one is alone.
            if low < 0 or high > across.shape[1] or abs(pitch / step[row, x]) < 4 * reach:
                continue
            span = along[row, low:high]
            clear = np.abs(span / pitch - np.round(span / pitch)).min() * pitch
            if clear < grout_m / 2 + 3 * long[row, x]:
                continue
            joint = np.round(across[row, x : x + 2].mean() / pitch) * pitch
            places = np.arange(low, high) + 0.5
            ideal = np.interp(0, *_rising(across[row, low:high].astype(float) - joint, places))
            weight = dark[row, low:high]
            offset = (weight * places).sum() / weight.sum() - ideal
            # Across the joint, not along the row.
            slope = abs(step[row, x]) / gradient[row, x]
            out.append((offset * slope, (weight * np.abs(step[row, low:high])).sum() / grout_m))
    return out


def _rising(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (x, y) if x[-1] > x[0] else (x[::-1], y[::-1])


def sampled(layout: d.Layout, source: d.Source, face: Pyramid, at: Footprint, grout: np.ndarray) -> np.ndarray:
    """The layout at points, unfiltered: what an infinitely small pixel sees."""
    found = d.locate(layout, at.x.astype(np.float64), at.y.astype(np.float64))
    s, t = d.sample(source, found, d.window(layout, found, source))
    point = np.full(s.shape, 1e-6, np.float32)
    none = np.zeros_like(point)
    shown = lay(face, Footprint(s.astype(np.float32), t.astype(np.float32), none, none, point, point))
    return np.where((found.distance < 0)[..., None], grout, shown)[..., 1]


def supersampled(
    layout: d.Layout, source: d.Source, face: Pyramid, box: tuple[int, int, int, int], side: int, grout: np.ndarray
) -> np.ndarray:
    total = np.zeros(box[3:1:-1])
    for i in range(side):
        for j in range(side):
            move = np.array([[1, 0, 0.5 - (i + 0.5) / side], [0, 1, 0.5 - (j + 0.5) / side], [0, 0, 1]])
            total += sampled(layout, source, face, footprint(move @ camera(), box), grout)
    return total / side**2


def high_energy(picture: np.ndarray) -> float:
    """Energy above half of the Nyquist frequency, where what lies above Nyquist folds to; of a patch, windowed."""
    h, w = picture.shape
    window = np.outer(np.hanning(h), np.hanning(w))
    spectrum = np.abs(np.fft.fft2((picture / picture.mean() - 1) * window)) ** 2
    y, x = np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None]
    return float(spectrum[np.maximum(np.abs(y), np.abs(x)) > 0.25].sum() / (window**2).sum())


def aliasing() -> tuple[float, float, float, float]:
    """Energies of ours, of 16 samples a pixel and of one; and our RMS difference from 256 samples over that of 16.

    A herringbone of 70 x 14 mm between 9 and 11 m away, where a pixel is 6 mm wide and 43 mm long.
    """
    item = next(i for i in ITEMS if i.sku == "FLR-HERRINGBONE-OAK")
    drawn = item.face()
    assert drawn is not None
    face, source = pyramid(*drawn), d.Source(*drawn[1:], variants=4096)
    layout = d.Layout(d.Herringbone(0.07, 0.014, 0.001), rotation_deg=45)
    on = floor()
    top, bottom = (int((camera() @ (0, -m, 1))[1] / (camera() @ (0, -m, 1))[2]) for m in (11, 9))
    box = (WIDTH // 4, top, WIDTH // 2, bottom - top)
    patch = (slice(top - on.box[1], bottom - on.box[1]), slice(box[0], box[0] + box[2]))
    grout = linear_from_rgb24(0x202020)
    light = light_of(on, plain(255), Pieces(d.Layout(d.Carpet()), d.Source(1.2, 1.2)), 0)[patch]
    ours = light_of(on, face, Pieces(layout, source), 0x202020)[patch] / light
    one, sixteen, many = (supersampled(layout, source, face, box, n, grout) for n in (1, 4, 16))
    rms = [float(np.sqrt(np.mean((p / p.mean() - many / many.mean()) ** 2))) for p in (ours, sixteen)]
    return high_energy(ours), high_energy(sixteen), high_energy(one), rms[0] / rms[1]


def least(run: Callable[[], object], times: int = 9) -> float:
    """Seconds of the processor, all threads together, of the cheapest of several runs."""
    best = math.inf
    for _ in range(times):
        began = time.process_time()
        run()
        best = min(best, time.process_time() - began)
    return best


def swaps() -> None:
    """A product in pieces swapped on warm plates of a 2 MP picture, beside its texture and one JPEG of the picture."""
    item = next(i for i in ITEMS if i.sku == "FLR-HERRINGBONE-OAK")
    texture, face = item.texture(), item.face()
    assert texture is not None
    assert face is not None
    on = floor(7.0)
    layout = d.Layout(d.Herringbone(0.45, 0.09, 0.0004), rotation_deg=45)
    pieces = Pieces(layout, d.Source(*face[1:], variants=4096), 0.0012)
    photo = np.random.default_rng(0).integers(90, 140, (HEIGHT // 3, WIDTH // 3, 3), np.uint8)
    photo = cv2.resize(photo, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    whole = splice.padded(photo)
    base, clean = splice.tiles(whole, HEIGHT, WIDTH, 88), whole.copy()
    with ThreadPoolExecutor(THREADS) as pool:
        cold = least(lambda: made(on, pieces, pool), 3)
        laid = kernel.Joined(made(on, pieces, pool), np.zeros(3, np.float32))
        times = []
        for picture, joints in ((texture, None), (face, laid)):
            levels, size = kernel.texels(pyramid(*picture).levels), picture[1:]

            def swap() -> None:
                np.copyto(whole, clean)
                parts = kernel.lay(whole[:HEIGHT, :WIDTH], on, levels, size, 0.0, THREADS, joints)  # noqa: B023
                list(pool.map(lambda part: part(), parts))
                splice.pad_again(whole, HEIGHT, WIDTH)
                chosen = splice.changed(base, on.touched)
                splice.spliced(base, chosen, splice.encoded(base, whole, chosen))

            times.append(least(swap))
    jpeg = least(lambda: encode_jpeg(np.ascontiguousarray(whole[:HEIGHT, :WIDTH]), 88))
    print(
        f"{WIDTH} x {HEIGHT}, {(on.alpha > 0).sum() / (WIDTH * HEIGHT):.0%} of it a floor of herringbone, with its JPEG:"
    )
    print(
        f"processor time, one JPEG {jpeg * 1e3:.1f} ms: as a texture {times[0] / jpeg:.2f}x, in pieces {times[1] / jpeg:.2f}x, "
        f"{times[1] / times[0]:.2f}x a texture; a layout made anew {cold / jpeg:.1f}x, {laid.plate.nbytes / 1e6:.0f} MB"
    )


def main() -> None:
    cv2.setNumThreads(1)
    for turned in (0.0, 17.0, 45.0):
        offsets, widths = edge_errors(turned)
        print(
            f"tiles turned by {turned:.0f}: joints off by {np.abs(offsets).mean():.2f} px in the mean, "
            f"{np.quantile(np.abs(offsets), 0.99):.2f} in 99 of 100, {np.abs(offsets).max():.2f} at most (bar 0.5); "
            f"grout {widths.mean():.3f} as wide as it is, 1 to 99 % {np.quantile(widths, 0.01):.3f} to "
            f"{np.quantile(widths, 0.99):.3f} (bar 0.95 to 1.05), {len(widths)} places"
        )
    ours, sixteen, one, truth = aliasing()
    print(
        f"herringbone of 70 x 14 mm at 10 m: energy near Nyquist {ours / sixteen:.2f} of 16 samples a pixel (bar 1.05); "
        f"one sample has {one / sixteen:.1f}; from 256 samples we differ {truth:.2f} times as much as 16 do"
    )
    swaps()


if __name__ == "__main__":
    main()
