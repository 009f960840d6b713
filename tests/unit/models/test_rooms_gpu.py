"""Rooms on a GPU, as far as they can be known without one: the kernels under Numba's simulator, each pixel against the
code that a CPU runs, and their machine code. Needs `make setup-models`; the last also requirements/gpu.in."""

import inspect
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba", reason="training packages are not installed: make setup-models")

from numba import njit, types

from models.rooms import gpu
from models.rooms import raycast as rc
from models.rooms.photo import living_room

HEIGHT, WIDTH, SAMPLES, SEED, GRID, STEPS = 24, 36, 2, 7, 2, (1, 2)
SEEN = {"albedo": 0, "label": 3, "instance": 4, "normal": 5, "depth": 6}

SIMULATED = f"""
import sys
import numpy as np
from models.rooms import gpu
from tests.unit.models.test_rooms_gpu import room
assert gpu.here()
arrays, camera = room()
np.savez(sys.argv[1], *gpu.picture(arrays, camera, {HEIGHT}, {WIDTH}, {SAMPLES}, {SEED}, {GRID}, {STEPS}))
"""


def room(width: int = WIDTH) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    scene, camera = living_room()
    camera = camera.copy()
    camera[12:15] *= width
    return scene.arrays(), camera


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> list[np.ndarray]:
    path = tmp_path_factory.mktemp("simulated") / "picture.npz"
    # The simulator hands kernels arrays that only Python knows: nothing is compiled there.
    simulator = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", SIMULATED, str(path)], env=os.environ | simulator, check=True, timeout=240)
    with np.load(path) as kept:
        return list(kept.values())


def test_a_gpu_sees_what_a_cpu_sees(simulated):
    arrays, camera = room()

    here = rc.picture(arrays, camera, HEIGHT, WIDTH, SAMPLES, SEED, GRID, STEPS)

    for name, i in SEEN.items():
        np.testing.assert_allclose(simulated[i], here[i], atol=1e-4, err_msg=name)
        assert simulated[i].dtype == here[i].dtype
    assert (simulated[7] == here[7]).all()  # where light is known


def test_each_pixel_draws_its_own_light(simulated):
    arrays, camera = room()
    kinds, prims, matids, labels, instances, starts, bounds, materials, lights, sun, ambient = arrays
    albedo, light, extra, normal = (np.zeros((HEIGHT, WIDTH, 3), np.float32) for _ in range(4))
    label, known = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    instance, depth = np.zeros((HEIGHT, WIDTH), np.int32), np.zeros((HEIGHT, WIDTH), np.float32)
    state = np.zeros(1, np.uint64)
    for y, x in np.ndindex(HEIGHT, WIDTH):
        gpu.begin(state, SEED, y * WIDTH + x, gpu.TRACED)
        lit, *place = rc.trace(
            kinds, prims, matids, labels, instances, starts, bounds, materials, ambient, camera, y, x, state,
            albedo, extra, label, instance, normal, depth,
        )  # fmt: skip
        if lit and not rc.lent(instance, normal, y, x, GRID):
            gpu.begin(state, SEED, y * WIDTH + x, gpu.LIT)
            rc.lighten(
                kinds, prims, matids, starts, bounds, materials, lights, sun, ambient, y, x, *place,
                SAMPLES, state, light, known,
            )  # fmt: skip
    for step in STEPS:
        light, known = rc.smooth_light(light, normal, instance, known, step)

    # A ray that grazes an edge may go either way in the last bit.
    assert (np.abs(simulated[1] - light) < 1e-3).all(-1).mean() > 0.98
    assert (np.abs(simulated[2] - extra) < 1e-3).all(-1).mean() > 0.98
    other = rc.picture(arrays, camera, HEIGHT, WIDTH, SAMPLES, SEED, GRID, STEPS)
    assert (np.abs(simulated[1] - other[1]) < 1e-3).all(-1).mean() < 0.5


def test_numbers_of_a_stream_are_even_and_streams_have_nothing_to_do_with_each_other():
    draw, streams = njit(rc._next), np.empty((400, 256))
    state = np.zeros(1, np.uint64)
    for pixel in range(len(streams)):
        gpu.begin(state, 3, pixel, gpu.LIT)
        streams[pixel] = [draw(state) for _ in range(streams.shape[1])]

    assert streams.min() >= 0
    assert streams.max() < 1
    counts = np.histogram(streams, 64, (0, 1))[0]
    expected = streams.size / 64
    assert ((counts - expected) ** 2 / expected).sum() < 120  # chi squared of 63 degrees: 1 in 50 000 by chance
    assert abs(np.corrcoef(streams[:, :-1].ravel(), streams[:, 1:].ravel())[0, 1]) < 0.015
    assert abs(np.corrcoef(streams[:-1].ravel(), streams[1:].ravel())[0, 1]) < 0.015
    assert np.abs(streams.mean(0) - 0.5).max() < 0.08  # the first of all pixels too


@pytest.mark.parametrize("capability", [(7, 5), (9, 0)], ids=["sm_75", "sm_90"])
def test_kernels_compile_for_gpus(capability, monkeypatch):
    pytest.importorskip("numba_cuda", reason="pip install -r requirements/gpu.in")
    from numba import cuda
    from numba.cuda import dispatcher

    # What is asked of a device while compiling is this number alone.
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=capability))
    lists = dict.fromkeys(("kinds", "matids", "labels", "instances", "starts"), (types.int64, 1))
    tables = dict.fromkeys(("prims", "bounds", "materials", "lights"), (types.float64, 2))
    rows = dict.fromkeys(("sun", "ambient", "camera"), (types.float64, 1))
    colors = dict.fromkeys(("albedo", "extra", "light", "normal", "out"), (types.float32, 3))
    flags = dict.fromkeys(("label", "lit", "known", "reached"), (types.uint8, 2))
    others = {"instance": (types.int32, 2), "depth": (types.float32, 2), "place": (types.float64, 3)}
    kinds = lists | tables | rows | colors | flags | others

    for kernel in (gpu.trace, gpu.lighten, gpu.smooth):
        names = inspect.signature(kernel.py_func).parameters
        signature = tuple(types.Array(*kinds[n], "C") if n in kinds else types.int64 for n in names)
        ptx, _ = cuda.compile_ptx(kernel.py_func, signature, cc=capability, fastmath=True)
        assert f".target sm_{capability[0]}{capability[1]}" in ptx
        assert ".extern .func" not in ptx  # nothing that only a CPU has
