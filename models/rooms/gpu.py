"""Rooms on a GPU: a thread for each pixel, which runs what `raycast` tells of one.

What is seen (albedo, labels, instances, normals, depth) is what a CPU finds, but for the last bit of a float; the noise of
the light is drawn by each pixel for itself, and so is another than a CPU's, which draws one number after the other.
Wants NVIDIA's `numba-cuda` (requirements/gpu.in): the CUDA target that Numba itself has is no longer kept.
"""

import importlib.util
from functools import cache

import numpy as np
from numba import config, cuda, njit, uint64

from models.rooms import raycast as rc

BLOCK = (8, 8)  # threads: rays of neighbours mostly meet the same things
TRACED, LIT = 0, 1  # which of a pixel's random streams


@cache
def here() -> bool:
    """Whether rooms can be rendered on a GPU."""
    return config.ENABLE_CUDASIM or (importlib.util.find_spec("numba_cuda") is not None and cuda.is_available())


@njit(cache=True)
def begin(state, seed, pixel, stream):
    """Give a pixel's stream its first state: numbers that follow each other become far apart (Steele et al., "Fast
    Splittable Pseudorandom Number Generators", 2014, figure 16)."""
    z = uint64(seed) * uint64(0x9E3779B97F4A7C15) + uint64(2 * pixel + stream) * uint64(0xD1342543DE82EF95)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    state[0] = z ^ (z >> uint64(31))


@cuda.jit(fastmath=True)
def trace(
    kinds,
    prims,
    matids,
    labels,
    instances,
    starts,
    bounds,
    materials,
    ambient,
    camera,
    seed,
    albedo,
    extra,
    label,
    instance,
    normal,
    depth,
    lit,
    place,
):
    """`raycast.trace` of every pixel; lit (H, W) uint8 and place (H, W, 6) float64 are what it returns."""
    y, x = cuda.grid(2)
    if y < label.shape[0] and x < label.shape[1]:
        state = cuda.local.array(1, uint64)
        begin(state, seed, y * label.shape[1] + x, TRACED)
        told, hx, hy, hz, nx, ny, nz = rc.trace(
            kinds, prims, matids, labels, instances, starts, bounds, materials, ambient, camera, y, x, state,
            albedo, extra, label, instance, normal, depth,
        )  # fmt: skip
        lit[y, x] = 1 if told else 0
        place[y, x, 0], place[y, x, 1], place[y, x, 2] = hx, hy, hz
        place[y, x, 3], place[y, x, 4], place[y, x, 5] = nx, ny, nz


@cuda.jit(fastmath=True)
def lighten(
    kinds,
    prims,
    matids,
    starts,
    bounds,
    materials,
    lights,
    sun,
    ambient,
    samples,
    seed,
    grid,
    lit,
    place,
    instance,
    normal,
    light,
    known,
):
    """`raycast.lighten` of every pixel that light falls on and that smoothing does not fill in."""
    y, x = cuda.grid(2)
    if y < lit.shape[0] and x < lit.shape[1] and lit[y, x] and not rc.lent(instance, normal, y, x, grid):
        state = cuda.local.array(1, uint64)
        begin(state, seed, y * lit.shape[1] + x, LIT)
        rc.lighten(
            kinds, prims, matids, starts, bounds, materials, lights, sun, ambient, y, x,
            place[y, x, 0], place[y, x, 1], place[y, x, 2], place[y, x, 3], place[y, x, 4], place[y, x, 5],
            samples, state, light, known,
        )  # fmt: skip


@cuda.jit(fastmath=True)
def smooth(light, normal, instance, known, step, out, reached):
    y, x = cuda.grid(2)
    if y < instance.shape[0] and x < instance.shape[1]:
        rc.smooth_pixel(light, normal, instance, known, step, y, x, out, reached)


def picture(arrays, camera, height, width, samples, seed, grid, steps):
    """As `raycast.picture`."""
    kinds, prims, matids, labels, instances, starts, bounds, materials, lights, sun, ambient = map(
        cuda.to_device, arrays
    )
    view = cuda.to_device(camera)

    def zeros(shape: tuple[int, ...], kind: type) -> np.ndarray:
        return cuda.to_device(np.zeros(shape, kind))

    size, three = (height, width), (height, width, 3)
    albedo, light, extra, normal = (zeros(three, np.float32) for _ in range(4))
    label, lit, known = (zeros(size, np.uint8) for _ in range(3))
    instance, depth, place = zeros(size, np.int32), zeros(size, np.float32), zeros((*size, 6), np.float64)
    blocks = tuple(-(-n // b) for n, b in zip(size, BLOCK, strict=True))
    trace[blocks, BLOCK](
        kinds, prims, matids, labels, instances, starts, bounds, materials, ambient, view, seed,
        albedo, extra, label, instance, normal, depth, lit, place,
    )  # fmt: skip
    if samples:
        lighten[blocks, BLOCK](
            kinds, prims, matids, starts, bounds, materials, lights, sun, ambient, samples, seed, grid,
            lit, place, instance, normal, light, known,
        )  # fmt: skip
    for step in steps:
        out, reached = zeros(three, np.float32), zeros(size, np.uint8)
        smooth[blocks, BLOCK](light, normal, instance, known, step, out, reached)
        light, known = out, reached
    return tuple(a.copy_to_host() for a in (albedo, light, extra, label, instance, normal, depth, known))
