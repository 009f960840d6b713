"""How good the surfaces are, as one table: `make bench-segmentation`.

Runs the service's own functions on rooms that no training saw (seed 900), rendered large, and, where the
photos and their labels lie beside the repository, on real ones. The networks run in ONNX Runtime in this
process; the times that are compared alternate in one run. Numbers go into docs/accuracy.md.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime

from models.repository import add_to_card, versions
from models.rooms import MEASURED_VERSION
from models.rooms.cache import DEFAULT_ROOT
from models.rooms.sample import Sample, render_sample
from roomviz.imaging.homography import project
from roomviz.imaging.lens import Lens
from services.compositor.domain import perspective
from services.segmentation.domain import labels, surfaces
from services.segmentation.domain.labels import CEILING, FLOOR, KINDS, WALL
from services.segmentation.domain.superpixels import superpixels

SEED = 900
SHARED = Path(__file__).resolve().parents[2] / "shared"
POINT_KINDS = {"F": {1}, "W": {2}, "C": {3}, "X": {0, 4, 5, 6}}


class Answer(NamedTuple):
    """What a network gives for a photo, or for a photo and its mirror image."""

    surface_logits: np.ndarray
    normals: np.ndarray
    junction_logits: np.ndarray


class Runtime:
    """A model in ONNX Runtime."""

    def __init__(self, path: Path, threads: int = 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, image: np.ndarray) -> Answer:
        return Answer(*self.session.run(list(Answer._fields), {"image": image}))


class OpenVino:
    """The same model in OpenVINO, as the local stack has it."""

    def __init__(self, path: Path, precision: str, threads: int = 2):
        sys.path.append(str(Path(".local/servers").resolve()))
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.model = openvino.Core().compile_model(str(path), "CPU", settings)

    def __call__(self, image: np.ndarray) -> Answer:
        found = self.model(image)
        return Answer(*(np.array(found[name]) for name in Answer._fields))


def told(network: Callable[[np.ndarray], Answer], inputs: Sequence[np.ndarray]) -> Answer:
    """Of the photo and its mirror image, each at its own size."""
    return Answer(*labels.together(*map(network, inputs)))


def runtimes(path: Path, samples: list[Sample], rounds: int = 12) -> list[tuple[str, str, str]]:
    """Time of one photo and its mirror image, and IoU on the same rooms, in each runtime; rounds alternate."""
    candidates = {
        "ONNX Runtime float32": Runtime(path),
        "OpenVINO float32": OpenVino(path, "f32"),
        "OpenVINO bfloat16": OpenVino(path, "bf16"),
    }
    images = [labels.network_inputs(surfaces.working_copy(s.image)) for s in samples]
    fastest = dict.fromkeys(candidates, np.inf)
    for _ in range(rounds):
        for name, run in candidates.items():
            began = time.perf_counter()
            told(run, images[0])
            fastest[name] = min(fastest[name], time.perf_counter() - began)
    rows, first = [], next(iter(candidates))
    reference = None
    for name, run in candidates.items():
        inter, union = np.zeros(7), np.zeros(7)
        for s, image in zip(samples, images, strict=True):
            p = labels.probabilities(told(run, image).surface_logits)
            h, w = s.label.shape
            guess = np.stack([cv2.resize(q, (w, h)) for q in p]).argmax(0)
            for k in (FLOOR, WALL, CEILING):
                a, b = guess == k, s.label == k
                inter[k] += (a & b).sum()
                union[k] += (a | b).sum()
        iou = float(np.mean([inter[k] / union[k] for k in (FLOOR, WALL, CEILING)]))
        reference = iou if reference is None else reference
        ratio = fastest[first] / fastest[name]
        measured = f"{fastest[name] * 1e3:.0f} ms, {ratio:.1f}x, IoU {iou - reference:+.4f}"
        rows.append((f"{name}: least time of two pictures", measured, "" if name == first else "IoU falls ≤ 0.005"))
    return rows


def label_map(found: surfaces.Analysis, height: int, width: int) -> np.ndarray:
    """(H, W) uint8: the surface with the largest alpha at each pixel, as `roomviz analyze` writes labels.png."""
    label, best = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    for s in found.surfaces:
        inside = s.alpha > best
        label[inside] = KINDS.index(s.kind)
        best = np.maximum(best, s.alpha)
    return label


def rendered(root: Path, index: int, long_side: int) -> Sample:
    """Room `index` of the evaluation seed, rendered once and kept."""
    folder = root / f"bench-v{MEASURED_VERSION}-seed{SEED}-{long_side}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{index:04d}.npz"
    if not path.exists():
        s = render_sample(MEASURED_VERSION, SEED, index, long_side)
        np.savez(path, image=s.image, label=s.label, instance=s.instance, normal=s.normal.astype(np.float16),
                 depth=s.depth, camera=s.camera)  # fmt: skip
    with np.load(path) as a:
        empty = np.zeros((0,), np.float32)
        return Sample(
            a["image"], a["label"], a["instance"], a["normal"], a["depth"], empty, empty, a["camera"], empty, 1.0
        )


def boundary_f(guess: np.ndarray, truth: np.ndarray, tolerance: int) -> float:
    """F measure of the two masks' outlines within `tolerance` pixels (Martin et al., 2004)."""
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1,) * 2)
    cross = np.ones((3, 3), np.uint8)

    def outline(mask: np.ndarray) -> np.ndarray:
        m = mask.astype(np.uint8)
        edge = m - cv2.erode(m, cross, borderValue=1)
        return edge

    a, b = outline(guess), outline(truth)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    precision = (a & cv2.dilate(b, ball)).sum() / a.sum()
    recall = (b & cv2.dilate(a, ball)).sum() / b.sum()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


@dataclass
class Rooms:
    """Sums over rendered rooms."""

    inter: np.ndarray = field(default_factory=lambda: np.zeros(7))
    union: np.ndarray = field(default_factory=lambda: np.zeros(7))
    guessed: np.ndarray = field(default_factory=lambda: np.zeros(7))
    boundary: dict[int, list[float]] = field(default_factory=lambda: {FLOOR: [], WALL: [], CEILING: []})
    # Of each wall that is found: its part that faces so, and its part of the picture.
    facing: list[tuple[float, float]] = field(default_factory=list)
    horizon: list[float] = field(default_factory=list)
    corner: list[float] = field(default_factory=list)
    scale: list[tuple[float, float, float]] = field(default_factory=list)
    with_reference: list[float] = field(default_factory=list)

    def add(self, s: Sample, found: surfaces.Analysis) -> None:
        h, w = s.label.shape
        guess = label_map(found, h, w)
        tolerance = max(1, round(2 * max(h, w) / 1024))
        for k in range(7):
            a, b = guess == k, s.label == k
            self.inter[k] += (a & b).sum()
            self.union[k] += (a | b).sum()
            self.guessed[k] += a.sum()
            if k in self.boundary and b.mean() > 0.01:
                self.boundary[k].append(boundary_f(a, b, tolerance))
        for wall in found.surfaces:
            if wall.kind != "wall" or wall.plane is None:
                continue
            inside = (wall.alpha > 127) & (s.label == WALL)
            if inside.any():
                good = s.normal[inside] @ wall.plane.normal > np.cos(np.radians(15))
                self.facing.append((float(good.mean()), float(inside.mean())))
        self._geometry(s, found)

    def _geometry(self, s: Sample, found: surfaces.Analysis) -> None:
        h, w = s.label.shape
        true_up = -s.camera[6:9] * 0 + np.array([s.camera[5], s.camera[8], s.camera[11]])
        up = found.camera.up
        if hidden_edges(s) >= 0.3:
            # The horizon's height in the picture is where up is perpendicular to the ray.
            self.horizon.append(float(np.degrees(np.arccos(np.clip(true_up @ up, -1, 1)))))
        for surface in found.surfaces:
            if surface.surface_id != "floor-1" or surface.plane is None or (s.label == FLOOR).mean() < 0.03:
                continue
            ours, lens = surface.plane.pixel_from_plane, found.camera.lens
            y, x = np.nonzero((s.label == FLOOR) & (surface.alpha > 127))
            if len(x) < 200:
                continue
            # A square metre of floor in the middle of what is seen, along our plane's axes.
            metres = floor_points(s, x + 0.5, y + 0.5)
            centre = np.median(metres, 0)
            nearest = int(np.argmin(np.linalg.norm(metres - centre, axis=1)))
            ends = np.array([[x[nearest] + 0.5, y[nearest] + 0.5]])
            mine = project(np.linalg.inv(ours), lens.straight(ends))[0]
            # True metres per stated metre, near that point.
            step = np.array(
                [
                    [mine[0] - 0.25, mine[1]],
                    [mine[0] + 0.25, mine[1]],
                    [mine[0], mine[1] - 0.25],
                    [mine[0], mine[1] + 0.25],
                ]
            )
            pixels = lens.bent(project(ours, step))
            truth = floor_points(s, pixels[:, 0], pixels[:, 1])
            ratio = float(np.mean([np.linalg.norm(truth[1] - truth[0]), np.linalg.norm(truth[3] - truth[2])]) / 0.5)
            if not 0.2 < ratio < 5:
                continue
            self.scale.append((ratio, *surface.plane.scale_range))
            # With a reference: two points a metre apart in the truth, clicked to the pixel.
            a = floor_points(s, *ends.T)[0]
            end = floor_pixel(s, a + np.array([0.7, 0.7]))
            if end is not None:
                clicked = np.round(np.vstack([ends[0], end])).tolist()
                line = perspective.Reference("floor-1", *clicked, float(np.hypot(0.7, 0.7)))
                stated = {"floor-1": perspective.Plane(tuple(ours.ravel().tolist()))}
                (fixed,) = perspective.corrected(stated, (), line, (h, w), found.camera.focal, lens).values()
                pixel_from_plane = np.array(fixed.homography).reshape(3, 3)
                step = project(
                    pixel_from_plane,
                    project(np.linalg.inv(pixel_from_plane), lens.straight(ends))
                    + np.array([[-0.15, 0], [0.15, 0], [0, -0.15], [0, 0.15]]),
                )
                truth = floor_points(s, *lens.bent(step).T)
                size = np.mean([np.linalg.norm(truth[1] - truth[0]), np.linalg.norm(truth[3] - truth[2])]) / 0.3
                self.with_reference.append(abs(float(size) - 1))
            # Corners of a square of true size, laid along our axes, against where they truly are.
            square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) / ratio
            drawn = lens.bent(project(ours, mine + square))
            axis = truth_axis(s, ours, lens, mine)
            real = [floor_pixel(s, a + axis @ (q * ratio)) for q in square]
            if all(r is not None for r in real):
                self.corner.append(float(np.mean(np.linalg.norm(drawn - np.array(real), axis=1)) / np.hypot(h, w)))


def floor_points(s: Sample, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, 2) metres on the true floor that pixels show."""
    d = s.rays(np.asarray(x, float), np.asarray(y, float)) @ s.axes
    t = -s.camera[2] / np.minimum(d[:, 2], -1e-6)
    return s.camera[:2] + d[:, :2] * t[:, None]


def floor_pixel(s: Sample, metres: np.ndarray) -> np.ndarray | None:
    """The pixel of a point on the true floor; None behind the camera."""
    c = s.camera
    v = np.array([*metres, 0.0]) - c[:3]
    z = v @ c[9:12]
    if z < 0.1:
        return None
    a0, b0 = v @ c[3:6] / z, v @ c[6:9] / z
    a, b = a0, b0
    for _ in range(5):  # undo the distortion
        k = 1 + c[15] * (a * a + b * b)
        a, b = a0 / k, b0 / k
    return np.array([a * c[12] + c[13], b * c[12] + c[14]])


def truth_axis(s: Sample, ours: np.ndarray, lens: Lens, at: np.ndarray) -> np.ndarray:
    """(2, 2) rotation from our plane's axes to the true floor's, near `at`."""
    pixels = lens.bent(project(ours, at + np.array([[0.0, 0.0], [0.2, 0.0]])))
    p = floor_points(s, pixels[:, 0], pixels[:, 1])
    e = (p[1] - p[0]) / np.linalg.norm(p[1] - p[0])
    pixels = lens.bent(project(ours, at + np.array([[0.0, 0.0], [0.0, 0.2]])))
    q = floor_points(s, pixels[:, 0], pixels[:, 1])
    side = np.array([-e[1], e[0]])
    side *= np.sign(side @ (q[1] - q[0])) or 1
    return np.column_stack([e, side])


def hidden_edges(s: Sample) -> float:
    """Part of the floor's outline that is hidden by things: they, not walls, are what the floor ends at."""
    floor = (s.label == FLOOR).astype(np.uint8)
    ring = (cv2.dilate(floor, np.ones((3, 3), np.uint8)) > 0) & (floor == 0)
    if not ring.any():
        return 1.0
    return float((s.label[ring] != WALL).mean())


def real_photos(read) -> tuple[dict[str, tuple[int, int]], float]:
    """(hits, points) of each letter and the balanced accuracy, with read(photo) -> label map."""
    points = json.loads((SHARED / "photos" / "points.json").read_text())
    hit, total = dict.fromkeys(POINT_KINDS, 0), dict.fromkeys(POINT_KINDS, 0)
    for photo, groups in points.items():
        if photo == "_":
            continue
        label = read(SHARED / "photos" / photo)
        h, w = label.shape
        for kind, places in groups.items():
            for x, y in places:
                total[kind] += 1
                hit[kind] += label[min(h - 1, int(y / 100 * h)), min(w - 1, int(x / 100 * w))] in POINT_KINDS[kind]
    recall = [hit[k] / total[k] for k in POINT_KINDS]
    return {k: (hit[k], total[k]) for k in POINT_KINDS}, float(np.mean(recall))


def ours_on(network: Runtime):
    def read(path: Path) -> np.ndarray:
        photo = cv2.imread(str(path))[..., ::-1].copy()
        return label_map(analyze(network, photo), *photo.shape[:2])

    return read


def deeplab_on(path: Path):
    """DeepLabV3-MobileNetV2 trained on ADE20K, for comparison only: see the notes beside the file."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    kinds = {1: WALL, 4: FLOOR, 6: CEILING}

    def read(photo_path: Path) -> np.ndarray:
        photo = cv2.imread(str(photo_path))[..., ::-1]
        h, w = photo.shape[:2]
        scale = 513 / max(h, w)
        small = cv2.resize(photo, (round(w * scale), round(h * scale)), interpolation=cv2.INTER_AREA)
        image = np.zeros((1, 3, 513, 513), np.float32)
        image[0, :, : small.shape[0], : small.shape[1]] = small.transpose(2, 0, 1) / 127.5 - 1
        logits = session.run(["logits/semantic/BiasAdd:0"], {"sub_7:0": image})[0][0]
        # Aligned corners: output (0, 0) and (64, 64) lie on the input's first and last pixel.
        y, x = np.mgrid[0 : small.shape[0], 0 : small.shape[1]].astype(np.float32) * 64 / 512
        full = np.stack([cv2.remap(c, x, y, cv2.INTER_LINEAR) for c in logits])
        ade = full.argmax(0)
        # Its first class is "nothing"; the numbers of the notes count it.
        label = np.zeros(ade.shape, np.uint8)
        for number, kind in kinds.items():
            label[ade == number] = kind
        return label

    return read


def analyze(network: Runtime, photo: np.ndarray) -> surfaces.Analysis:
    working = surfaces.working_copy(photo)
    found = told(network, labels.network_inputs(working))
    split = superpixels(working)
    layout = surfaces.layout(working, split, found.surface_logits, found.normals, junction_logits=found.junction_logits)
    return surfaces.analyze(photo, working, split, layout)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", type=Path, default=None, help="default: the newest that is served")
    p.add_argument("--rooms", type=int, default=100)
    p.add_argument("--long-side", type=int, default=1024)
    p.add_argument("--cache", type=Path, default=DEFAULT_ROOT)
    p.add_argument("--card", action="store_true", help="write the accuracy into the model's card")
    a = p.parse_args()
    a.model = a.model or versions(Path("model_repository/roomseg"))[-1]
    network = Runtime(a.model)
    rows: list[tuple[str, str, str]] = []
    rooms = Rooms()
    began = time.monotonic()
    for i in range(a.rooms):
        s = rendered(a.cache, i, a.long_side)
        rooms.add(s, analyze(network, s.image))
        if (i + 1) % 20 == 0:
            print(f"{i + 1}/{a.rooms} rooms, {time.monotonic() - began:.0f} s", flush=True)
    accuracy: dict[str, float] = {}  # of the card
    iou = rooms.inter / np.maximum(rooms.union, 1)
    leak = 1 - rooms.inter / np.maximum(rooms.guessed, 1)
    shell = (("wall", WALL, 0.93), ("floor", FLOOR, 0.95), ("ceiling", CEILING, 0.95))
    for name, k, bar in shell:
        rows.append((f"rendered rooms: IoU {name}", f"{iou[k]:.3f}", f"≥ {bar}"))
        accuracy[f"rendered_iou_{name}"] = iou[k]
    for name, k, _ in shell:
        accuracy[f"rendered_boundary_f_{name}"] = np.mean(rooms.boundary[k])
        rows.append((f"boundary F at 2 px of 1024, {name}", f"{np.mean(rooms.boundary[k]):.3f}", "≥ 0.80"))
    for name, k, _ in shell:
        accuracy[f"rendered_leak_{name}"] = leak[k]
        rows.append((f"leak of the {name}", f"{leak[k]:.1%}", "≤ 2 %"))
    facing, area = np.array(rooms.facing).T
    rows.append(("wall pixels on a wall that faces as they do", f"{np.average(facing, weights=area):.1%}", ""))
    rows.append((f"of {len(facing)} walls, facing otherwise than most of them", f"{(facing < 0.5).mean():.1%}", ""))
    accuracy["horizon_degrees"] = np.median(rooms.horizon)
    rows.append((f"horizon error, median of {len(rooms.horizon)}", f"{np.median(rooms.horizon):.2f}°", "≤ 1°"))
    rows.append(("plane corner error, median, of the diagonal", f"{np.median(rooms.corner):.2%}", "≤ 1 %"))
    scale = np.array(rooms.scale)
    rows.append(("size with a reference, median error", f"{np.median(rooms.with_reference):.1%}", "≤ 3 %"))
    accuracy["size_error"] = np.median(np.abs(scale[:, 0] - 1))
    rows.append(("size without, median error", f"{accuracy['size_error']:.1%}", "≤ 12 %"))
    inside = ((scale[:, 0] >= scale[:, 1]) & (scale[:, 0] <= scale[:, 2])).mean()
    rows.append(("its interval covers the truth", f"{inside:.0%}", "85–95 %"))
    rows += runtimes(a.model, [rendered(a.cache, i, a.long_side) for i in range(min(20, a.rooms))])
    if (SHARED / "photos" / "points.json").exists():
        counts, balanced = real_photos(ours_on(network))
        rows.append(("real photos: balanced", f"{balanced:.3f}", "≥ 0.95"))
        accuracy["photos_balanced"] = balanced
        names = {"F": "floor", "W": "wall", "C": "ceiling", "X": "other"}
        for k, (hit, total) in counts.items():
            rows.append((f"real photos: {names[k]}", f"{hit}/{total} = {hit / total:.2f}", "≥ 0.92"))
        reference = SHARED / "reference" / "deeplabv3_mnv2_ade20k_513.onnx"
        if reference.exists():
            counts, other = real_photos(deeplab_on(reference))
            hits = " ".join(f"{k} {hit}/{total}" for k, (hit, total) in counts.items())
            rows.append(("DeepLabV3-MobileNetV2 (ADE20K), same run", f"{other:.3f} ({hits})", "ours not below"))
    else:
        print("no real photos beside the repository: that part is left out")
    width = max(len(r[0]) for r in rows)
    for name, value, bar in rows:
        print(f"{name:<{width}}  {value:<36} {bar}")
    if a.card:
        measured = {"rooms": a.rooms} | {name: round(float(value), 4) for name, value in accuracy.items()}
        add_to_card(a.model.with_name("card.json"), accuracy=measured)


if __name__ == "__main__":
    main()
