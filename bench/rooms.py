"""How fast rooms are rendered on a CPU core, and on a GPU where there is one.

    python -m bench.rooms [--count 12] [--side 512]

The same rooms on both, one after the other; prints the ratio, and ends with 1 where they do not see the same.
"""

import argparse
import sys
import time

import numpy as np

from models.rooms import GENERATOR_VERSION, gpu
from models.rooms import raycast as rc
from models.rooms.cache import training_arrays
from models.rooms.sample import GRID, SAMPLES, STEPS, render_sample, shot, stream

SEED = 904
SEEN = ("albedo", "light", "highlights", "labels", "instances", "normals", "depth")
LIGHT = (1, 2)  # of these, what has noise
AGREE = 0.999  # of the pixels: a ray that grazes an edge may go either way


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--side", type=int, default=512)
    a = parser.parse_args()
    training_arrays(render_sample(GENERATOR_VERSION, SEED, 0, a.side))  # compiles
    began = time.perf_counter()
    shots = [shot(GENERATOR_VERSION, stream(GENERATOR_VERSION, SEED, i), a.side) for i in range(a.count)]
    built = (time.perf_counter() - began) / a.count

    def render(caster, s, seed):
        return caster.picture(s.arrays, s.camera, s.height, s.width, SAMPLES, seed, GRID, STEPS)

    def timed(caster) -> tuple[list, float]:
        render(caster, shots[0], 0)  # compiles
        began = time.perf_counter()
        return [render(caster, s, i) for i, s in enumerate(shots)], (time.perf_counter() - began) / a.count

    ours, cpu = timed(rc)
    began = time.perf_counter()
    for i in range(a.count):
        training_arrays(render_sample(GENERATOR_VERSION, SEED, i, a.side))
    whole = (time.perf_counter() - began) / a.count
    print(f"{a.count} rooms, {a.side} px, one core")
    print(f"  found and furnished        {built:6.3f} s")
    print(f"  rendered on the CPU        {cpu:6.3f} s")
    print(
        f"  whole, {'with the GPU' if gpu.here() else 'on the CPU  '}        {whole:6.3f} s   {1 / whole:.1f} a second"
    )
    if not gpu.here():
        print("  no GPU here, or not requirements/gpu.in")
        return
    theirs, device = timed(gpu)
    print(f"  rendered on the GPU        {device:6.3f} s   {cpu / device:.1f}x")
    fine = True
    for k, name in enumerate(SEEN):
        close, mean = [], []
        for mine, other in zip(ours, theirs, strict=True):
            x, y = np.asarray(mine[k], np.float64), np.asarray(other[k], np.float64)
            off = np.abs(x - y).reshape(*x.shape[:2], -1).max(-1)
            close.append((off < 1e-3).mean())
            mean.append(y.mean() / max(x.mean(), 1e-9))
        if k in LIGHT:
            fine &= abs(np.mean(mean) - 1) < 0.02
            print(f"  {name:12} GPU over CPU {np.mean(mean):.3f} in the mean")
        else:
            fine &= np.mean(close) > AGREE
            print(f"  {name:12} the same on {np.mean(close):.4%} of the pixels")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
