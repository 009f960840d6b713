"""The network and its way to ONNX. Needs `make setup-models`."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

from safetensors.torch import save_file

from models.average import mean
from models.digest import digest
from models.export import PARITY_MAX, export, load, parity, rounded, with_level
from models.failure import Failure
from models.fold import fold
from models.level import errors, fit, truth, view
from models.repository import versions
from models.rooms.cache import fill
from models.roomseg.data import SHAPES, Batches, degrade
from models.roomseg.level import Level, developed, log_luminance, scene_light
from models.roomseg.network import STRIDE, RoomSeg, Transformer
from models.roomseg.residual import Beside, Residual
from models.roomseg.served import read
from models.train import losses

ROOT = Path(__file__).resolve().parents[3]


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


def test_the_parts_of_a_batch_are_together_the_batch(tmp_path: Path):
    fill(tmp_path, seed=3, count=4, workers=2)

    whole = Batches(tmp_path, 3, 4, 4, 10)[6]
    even, odd = (Batches(tmp_path, 3, 4, 4, 10, part=part, parts=2)[6] for part in range(2))

    for name in whole:
        np.testing.assert_array_equal(even[name], whole[name][::2])
        np.testing.assert_array_equal(odd[name], whole[name][1::2])


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

    told = 0
    for seed in range(20):
        out, card = degrade(image, image[::4, ::4], np.random.default_rng(seed))
        small = cv2.resize(out, (24, 16), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        if card.any():  # not of a picture too bright or too dark
            assert np.abs(np.clip(card, 0, 1) - small).mean() < 0.03
            told += 1
    assert told > 10


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


def _seen(net):
    """The network, folded, after it has seen pictures: no two of its tensors are the same."""
    for p in net.whole.parameters() if isinstance(net, RoomSeg) else ():
        torch.nn.init.normal_(p, 0, 0.05)  # new, some are zero
    net.train()(torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)))
    return rounded(net)


OLDER = {"widths": (8, 16, 24, 32, 48), "depths": (1, 1, 1, 1), "pyramid": 16}


def test_networks_are_read_out_of_the_file_that_serves_them(tmp_path: Path):
    both = Beside(_seen(RoomSeg(pyramid=16, top=32)), [_seen(Residual(**OLDER))]).eval()
    export(both, tmp_path / "model.onnx")
    image = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), np.uint8))

    first = read(tmp_path / "model.onnx", RoomSeg(pyramid=16, top=32))
    second = read(tmp_path / "model.onnx", Residual(**OLDER), member=1)

    for mine, theirs in zip(
        (*first(image), *second(image)), (*both.members[0](image), *both.members[1](image)), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)


def test_what_a_network_got_later_changes_nothing_until_it_is_trained(tmp_path: Path):
    before = _seen(RoomSeg(pyramid=16, top=32))
    before.whole = torch.nn.Identity()
    export(before, tmp_path / "model.onnx")
    image = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), np.uint8))

    now = read(tmp_path / "model.onnx", RoomSeg(pyramid=16, top=32))

    assert len(list(now.whole.parameters())) > 0
    for mine, theirs in zip(now(image), before(image), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)


def test_a_place_far_away_is_seen():
    """A corner changes what is told of the opposite one."""
    torch.manual_seed(0)
    block = Transformer(64).eval()
    for p in block.parameters():
        torch.nn.init.normal_(p, 0, 0.3)
    x = torch.randn(1, 64, 12, 16)
    y = x.clone()
    y[..., 0, 0] *= -1

    with torch.no_grad():
        changed = (block(x) - block(y))[..., -1, -1].abs().max()

    assert changed > 1e-3


def test_a_network_of_another_shape_is_not_read_out_of_a_file(tmp_path: Path):
    export(_seen(RoomSeg(pyramid=16, top=32)), tmp_path / "model.onnx")

    with pytest.raises(Failure, match="lateral"):
        read(tmp_path / "model.onnx", RoomSeg(pyramid=24, top=32))
    with pytest.raises(Failure, match="no context"):
        read(tmp_path / "model.onnx", Residual(**OLDER))


def test_what_is_no_model_is_not_read(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"something else")

    with pytest.raises(Failure, match="no ONNX model"):
        read(tmp_path / "model.onnx", RoomSeg())


def test_training_can_go_on_from_what_is_shipped():
    import onnxruntime

    newest = versions(ROOT / "model_repository" / "roomseg")[-1]
    image = np.random.default_rng(0).integers(0, 256, (1, 256, 320, 3), np.uint8)
    session = onnxruntime.InferenceSession(str(newest), providers=["CPUExecutionProvider"])

    with torch.no_grad():
        ours = read(newest, RoomSeg())(torch.from_numpy(image))

    junction, normals = session.run(["junction_logits", "normals"], {"image": image})
    assert ours[1].shape == junction.shape
    assert float((ours[2] * torch.from_numpy(normals)).sum(1).mean()) > 0.8


def _trained(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    few = ["--count", "4", "--batch", "4", "--evaluate", "2", "--every", "1", "--cache", str(folder / "rooms")]
    command = [sys.executable, "-m", "models.train", "--out", str(folder / "run"), *few, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


def test_training_goes_on_from_what_is_shipped_in_two_processes(tmp_path: Path):
    newest = versions(ROOT / "model_repository" / "roomseg")[-1]
    begin = ["--init", str(newest), "--processes", "2", "--steps"]

    first, second = _trained(tmp_path, *begin, "1"), _trained(tmp_path, *begin, "2")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "resumed at step 1" in second.stdout
    about = json.loads((tmp_path / "run" / "training.json").read_text())
    assert about["steps"] == 2
    assert about["init"] == digest(newest)
    assert about["before"] == json.loads(newest.with_name("card.json").read_text())["training"]
    begun, trained = read(newest, RoomSeg()), load(tmp_path / "run" / "weights.pt", RoomSeg())
    assert 0 < (begun.head.weight - trained.head.weight).abs().max() < 0.1
    other = _trained(tmp_path, "--steps", "3")  # from an encoder: another run
    assert other.returncode == 1
    assert "did not begin from" in other.stderr


def test_the_mean_of_runs_lies_between_them():
    first, second, other = (fold(RoomSeg(pyramid=n, top=32).eval()).state_dict() for n in (16, 16, 24))

    between = fold(RoomSeg(pyramid=16, top=32).eval())
    between.load_state_dict(mean([first, second]))

    name = "head.weight"
    torch.testing.assert_close(between.state_dict()[name], (first[name] + second[name]) / 2)
    with pytest.raises(Failure, match="not of one network"):
        mean([first, other])


def test_training_from_an_encoder_ends_in_weights_that_are_served_folded(tmp_path: Path):
    save_file(RoomSeg().encoder.state_dict(), tmp_path / "encoder.safetensors")

    done = _trained(tmp_path, "--encoder", str(tmp_path / "encoder.safetensors"), "--steps", "1", "--processes", "1")

    assert done.returncode == 0, done.stderr
    net = load(tmp_path / "run" / "weights.pt", RoomSeg())
    assert isinstance(net.neck[1], torch.nn.Identity)
    assert all(torch.isfinite(p).all() for p in net.parameters())


def measured(level: Level, image: np.ndarray) -> tuple[torch.Tensor, ...]:
    """What is known of a picture whose upper half is wall and whose lower half is floor, the card as grey as 0.4."""
    _, h, w, _ = image.shape
    surface = torch.full((1, 7, h // 2, w // 2), -20.0)
    surface[:, 2, : h // 4], surface[:, 1, h // 4 :] = 20.0, 20.0
    normal = torch.zeros(1, 3, h // 4, w // 4)
    given = torch.from_numpy(image).permute(0, 3, 1, 2) / 127.5 - 1
    return given, surface, torch.zeros(1, 8, h // 4, w // 4), normal, torch.full_like(normal, 0.4)


def test_scene_light_undoes_what_the_camera_did():
    light = torch.logspace(-2, 0.25, 50)[None, :, None, None].expand(1, 50, 3, 1).permute(0, 2, 1, 3)

    torch.testing.assert_close(scene_light(developed(light)), light, rtol=2e-3, atol=1e-3)


def test_the_card_of_each_kind_of_surface_moves_as_a_whole():
    level = Level(channels=8).eval()
    with torch.no_grad():
        level.body[-1].bias.copy_(torch.atanh(torch.tensor([0.5, -0.3, 0.0])))
        level.body[-1].weight.zero_()
    given = measured(level, np.full((1, 64, 96, 3), 120, np.uint8))

    moved = log_luminance(scene_light(level(*given)))[0, 0] - log_luminance(scene_light(given[-1]))[0, 0]

    torch.testing.assert_close(moved[:8], torch.full((8, 24), -0.3), rtol=0, atol=0.02)
    torch.testing.assert_close(moved[8:], torch.full((8, 24), 0.5), rtol=0, atol=0.02)


def test_a_card_without_floor_walls_or_ceiling_stays_as_it_is():
    level = Level(channels=8).eval()
    with torch.no_grad():
        level.body[-1].bias.fill_(1.0)
    image, surface, *rest = measured(level, np.full((1, 64, 96, 3), 120, np.uint8))
    surface = surface.roll(3, 1)  # furniture and a window

    torch.testing.assert_close(level(image, surface, *rest), rest[-1], rtol=0, atol=0.01)


def test_a_fit_learns_what_the_card_gets_wrong():
    """Cards that are too dark by what the photo is bright: a rule that the summary shows."""
    torch.manual_seed(0)
    level, rng, rows = Level(channels=8), np.random.default_rng(0), []
    for _ in range(300):
        grey = rng.integers(40, 220)
        told, card = level.summary(*measured(level, np.full((1, 64, 96, 3), grey, np.uint8)))
        truth = card[:, :3] + float(grey - 130) / 200
        rows.append((told, card, truth, torch.tensor([[0.5, 0.5, 0.0]])))
    rows = tuple(torch.cat(column) for column in zip(*rows, strict=True))

    fit(level, rows, epochs=30, rate=3e-3, batch=32)

    told, card, truth, shares = rows
    with torch.no_grad():
        after = errors(level.levels(told, card), truth, shares)
    assert after["rms"] < 0.3 * errors(card[:, :3], truth, shares)["rms"]


def test_a_network_that_moves_its_card_is_exported_as_one(tmp_path: Path):
    torch.manual_seed(0)
    level = Level(channels=16)
    save_file(level.state_dict(), tmp_path / "level.safetensors")
    net = with_level(rounded(RoomSeg(pyramid=16, top=32)), tmp_path / "level.safetensors")
    plain = RoomSeg(pyramid=16, top=32)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), np.uint8))
    path = tmp_path / "model.onnx"

    together, alone = net(image), net(image[1:])
    export(net, path)

    assert together[3].shape == (2, 3, 24, 32)
    assert ((together[3] >= 0) & (together[3] <= 2)).all()
    torch.testing.assert_close(together[3][1:], alone[3], rtol=0, atol=1e-4)
    assert parity(net, path) <= PARITY_MAX
    assert plain.level is None


def test_a_view_shows_what_its_truth_tells():
    label = np.repeat(np.repeat(np.random.default_rng(0).integers(1, 7, (6, 8), np.uint8), 64, 0), 64, 1)
    grey = np.repeat(40 * label[::4, ::4, None], 3, 2)
    sizes = set()

    for seed in range(16):
        s = view({"image": np.repeat(40 * label[..., None], 3, 2), "label": label, "grey": grey},
                 np.random.default_rng(seed))  # fmt: skip
        sizes.add(max(s["label"].shape))
        assert (s["image"][..., 0] == 40 * s["label"]).mean() > 0.9
        assert (s["grey"][..., 0] == 40 * s["label"][2::4, 2::4]).mean() > 0.9

    assert sizes == {448, 640}


def test_the_truth_of_a_surface_is_left_out_where_the_card_is_clipped():
    label = np.zeros((1, 64, 96), np.uint8)
    label[:, :32], label[:, 32:] = 2, 1
    grey = np.full((1, 16, 24, 3), 0.5, np.float32)
    grey[:, :8] = 1.0

    levels, shares = truth({"label": label, "grey": grey})

    assert shares.tolist() == [[0.5, 0.0, 0.0]]
    expected = log_luminance(scene_light(torch.full((1, 3, 1, 1), 0.5)))
    torch.testing.assert_close(levels[0, :1], expected.flatten())
