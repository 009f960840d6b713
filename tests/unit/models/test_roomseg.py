"""The network and its way to ONNX. Needs `make setup-models`."""

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

from models.export import PARITY_MAX, export, parity, rounded
from models.rooms.cache import fill
from models.roomseg.data import SHAPES, Batches, degrade
from models.roomseg.network import STRIDE, RoomSeg
from models.roomseg.residual import Beside, Residual
from models.train import losses


@pytest.fixture(scope="module")
def net() -> RoomSeg:
    torch.manual_seed(0)
    return RoomSeg(pyramid=16, top=32)


def test_outputs_have_the_shapes_of_the_wire_contract(net):
    surface, junction, normal, grey = net.eval()(torch.zeros(2, 96, 128, 3, dtype=torch.uint8))

    assert surface.shape == (2, 7, 48, 64)
    assert junction.shape == (2, 3, 24, 32)
    assert normal.shape == grey.shape == (2, 3, 24, 32)
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
        out, _ = degrade(image, image[::4, ::4], np.random.default_rng(seed))
        assert out.shape == image.shape
        assert out.dtype == np.uint8


def test_what_changes_the_light_of_a_picture_changes_that_of_the_grey_card():
    image = np.full((64, 96, 3), 120, np.uint8)

    for seed in range(20):
        out, card = degrade(image, image[::4, ::4], np.random.default_rng(seed))
        small = cv2.resize(out, (24, 16), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        assert np.abs(np.clip(card, 0, 1) - small).mean() < 0.03


def test_a_network_with_an_older_one_beside_it_is_served_as_one(tmp_path: Path):
    older = Residual(widths=(8, 16, 24, 32, 48), depths=(1, 1, 1, 1), pyramid=16)
    both = Beside(rounded(RoomSeg(pyramid=16, top=32)), [rounded(older)]).eval()
    path = tmp_path / "model.onnx"
    image = torch.zeros(1, 96, 128, 3, dtype=torch.uint8)

    surface, _, normal, grey = both(image)
    export(both, path)

    assert surface.shape == (1, 7, 48, 64)
    assert torch.allclose(surface.exp().sum(1), torch.ones(1, 48, 64), atol=1e-4)
    assert torch.allclose(normal.square().sum(1), torch.ones(1, 24, 32), atol=1e-2)
    assert torch.equal(grey, both.members[0](image)[3])
    assert parity(both, path) <= PARITY_MAX
