"""The network and its way to ONNX. Needs `make setup-models`."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

from models.export import PARITY_MAX, export, parity, rounded
from models.rooms.cache import fill
from models.roomseg.data import SHAPES, Batches, degrade
from models.roomseg.network import STRIDE, Ensemble, RoomSeg
from models.train import losses


@pytest.fixture(scope="module")
def net() -> RoomSeg:
    torch.manual_seed(0)
    return RoomSeg(widths=(8, 16, 24, 32, 48), depths=(1, 1, 1, 1), pyramid=16)


def test_outputs_have_the_shapes_of_the_wire_contract(net):
    surface, junction, normal = net.eval()(torch.zeros(2, 96, 128, 3, dtype=torch.uint8))

    assert surface.shape == (2, 7, 48, 64)
    assert junction.shape == (2, 3, 24, 32)
    assert normal.shape == (2, 3, 24, 32)
    assert torch.allclose(normal.square().sum(1), torch.ones(2, 24, 32), atol=1e-2)


def test_the_exported_model_answers_as_pytorch_does(net, tmp_path: Path):
    shipped = rounded(net)
    path = tmp_path / "model.onnx"

    export(shipped, path)

    assert parity(shipped, path) <= PARITY_MAX


def test_a_picture_alone_and_in_a_batch_gets_the_same_answer(net):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8))

    alone, together = net.eval()(images[1:2])[0], net.eval()(images)[0][1:2]

    assert torch.allclose(alone, together, atol=1e-4)


def test_batches_are_a_function_of_seed_and_step(tmp_path: Path):
    fill(tmp_path, seed=3, count=4, workers=2)

    a, b = (Batches(tmp_path, 3, 4, 2, 10)[6] for _ in range(2))

    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
    assert a["image"].shape[1:3] in SHAPES
    assert all(d % STRIDE == 0 for shape in SHAPES for d in shape)


def test_a_step_of_training_lowers_the_loss(tmp_path: Path, net):
    fill(tmp_path, seed=3, count=4, workers=2)
    batch = {k: torch.as_tensor(v) for k, v in Batches(tmp_path, 3, 4, 4, 10)[0].items()}
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    values = []
    net.train()
    for _ in range(12):
        loss = sum(losses(net, batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))

    assert values[-1] < 0.8 * values[0]


def test_a_worse_camera_keeps_size_and_type():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)

    for seed in range(20):
        out = degrade(image, np.random.default_rng(seed))
        assert out.shape == image.shape
        assert out.dtype == np.uint8


def test_an_ensemble_of_two_strides_is_served_as_one_network(tmp_path: Path):
    coarse = RoomSeg(widths=(8, 16, 24, 32, 48), depths=(1, 1, 1, 1), pyramid=16, detail=1)
    fine = RoomSeg(widths=(8, 16, 24, 32, 48), depths=(1, 1, 1, 1), pyramid=16)
    both = Ensemble([rounded(fine), rounded(coarse)]).eval()
    path = tmp_path / "model.onnx"

    surface, _, normal = both(torch.zeros(1, 96, 128, 3, dtype=torch.uint8))
    export(both, path)

    assert surface.shape == (1, 7, 48, 64)
    assert torch.allclose(surface.exp().sum(1), torch.ones(1, 48, 64), atol=1e-4)
    assert torch.allclose(normal.square().sum(1), torch.ones(1, 24, 32), atol=1e-2)
    assert parity(both, path) <= PARITY_MAX
