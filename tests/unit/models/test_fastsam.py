"""The fastsam network and what trains it. Needs `make setup-models`."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")

from models.fastsam.data import Batches, collate, crop, instances
from models.fastsam.losses import WEIGHTS, assign, complete_iou, losses, side_loss
from models.fastsam.network import BINS, FastSam, initialize
from models.fastsam.train import best_ious
from models.rooms.cache import folder


def room(seed: int, height: int = 96, width: int = 128) -> dict[str, np.ndarray]:
    """Rectangles on a wall and a floor, as the cache of rendered rooms holds them."""
    rng = np.random.default_rng(seed)
    image, instance = np.empty((height, width, 3), np.uint8), np.ones((height, width), np.uint16)
    image[:], instance[height * 2 // 3 :] = (190, 180, 170), 2
    image[instance == 2] = (120, 80, 50)
    for number in range(3, 9):
        y, x = rng.integers(0, height - 24), rng.integers(0, width - 24)
        window = (slice(y, y + rng.integers(8, 24)), slice(x, x + rng.integers(8, 24)))
        image[window], instance[window] = rng.integers(0, 256, 3), 40 * number
    return {"image": image, "label": np.zeros((height, width), np.uint8), "instance": instance}


def cached(root: Path, seed: int, count: int) -> Path:
    folder(root, seed).mkdir(parents=True)
    for index in range(count):
        np.savez(folder(root, seed) / f"{index:06d}.npz", **room(index))
    return root


@pytest.fixture(scope="module")
def net() -> FastSam:
    torch.manual_seed(0)
    return initialize(FastSam("n"))


@pytest.mark.parametrize(
    ("size", "classes", "count"), [("n", 80, 3_409_968), ("s", 1, 11_790_483), ("x", 1, 71_751_811)]
)
def test_sizes_have_the_published_number_of_parameters(size, classes, count):
    with torch.device("meta"):
        built = FastSam(size, classes)

    assert sum(p.numel() for p in built.parameters()) == count


def test_parameters_are_named_as_in_the_published_checkpoints(net):
    names = net.state_dict()

    for name, shape in {
        "model.0.conv.weight": (16, 3, 3, 3),
        "model.2.m.0.cv1.bn.running_mean": (16,),
        "model.9.cv2.conv.weight": (256, 512, 1, 1),
        "model.22.cv2.0.0.conv.weight": (64, 64, 3, 3),
        "model.22.cv3.2.2.weight": (1, 64, 1, 1),
        "model.22.dfl.conv.weight": (1, 16, 1, 1),
        "model.22.proto.upsample.bias": (64,),
        "model.22.cv4.1.2.bias": (32,),
    }.items():
        assert tuple(names[name].shape) == shape, name


@pytest.mark.parametrize(("height", "width"), [(64, 96), (160, 64)])
def test_outputs_have_the_shapes_of_the_wire_contract(net, height, width):
    with torch.no_grad():
        predictions, prototypes = net.eval()(torch.zeros(2, height, width, 3, dtype=torch.uint8))

    cells = height * width * (1 / 64 + 1 / 256 + 1 / 1024)
    assert predictions.shape == (2, 37, cells)
    assert prototypes.shape == (2, 32, height // 4, width // 4)
    assert predictions.dtype == prototypes.dtype == torch.float32
    assert 0 <= predictions[:, 4].min() <= predictions[:, 4].max() <= 1


def test_sides_that_are_sure_put_the_box_where_they_say(net):
    """The cell in row 1, column 2 of stride 8 has its middle at (20, 12); sides 1, 0, 2, 1 strides."""
    raw = net.eval().raw(torch.zeros(1, 3, 32, 64))
    sides = torch.zeros(1, 4, BINS, raw.sides.shape[2])
    for side, strides in enumerate((1, 0, 2, 1)):
        sides[:, side, strides] = 100

    boxes = net.boxes(raw._replace(sides=sides.flatten(1, 2)))

    np.testing.assert_allclose(boxes[0, :, 8 + 2].detach(), (20 - 8, 12, 20 + 16, 12 + 8), atol=1e-4)


def test_a_picture_alone_and_in_a_batch_gets_the_same_answer(net):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8))

    with torch.no_grad():
        alone, together = net.eval()(images[1:2]), net(images)

    for a, b in zip(alone, together, strict=True):
        assert torch.allclose(a, b[1:2], atol=1e-4)


def test_each_instance_is_given_cells_inside_its_box_and_the_best_of_them_its_overlap():
    y, x = (g.flatten() * 8 + 4.0 for g in torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"))
    centres = torch.stack([x, y], 1)
    truth = torch.tensor([[[0.0, 0, 32, 32], [32, 32, 64, 64], [0, 0, 0, 0]]])
    boxes = torch.cat([centres - 14, centres + 14], 1)[None]
    boxes[0, 9] = truth[0, 0]

    found = assign(torch.full((1, 64), 0.5), boxes, centres, truth, torch.tensor([[True, True, False]]))

    assert found.positive.sum() == 20
    inside_first = (centres < 32).all(1)
    assert (found.index[0, found.positive[0] & inside_first] == 0).all()
    assert (found.index[0, found.positive[0] & ~inside_first] == 1).all()
    assert not found.positive[0, (x < 32) != (y < 32)].any()
    assert found.score[0, 9] == pytest.approx(1.0, abs=1e-5)
    assert found.score[0, 9] == found.score.max()


def test_a_picture_without_instances_is_all_background(net):
    batch = {
        "image": torch.zeros(2, 64, 64, 3, dtype=torch.uint8),
        "boxes": torch.zeros(2, 0, 4),
        "exists": torch.zeros(2, 0, dtype=torch.bool),
        "instance": torch.zeros(2, 16, 16, dtype=torch.int64),
    }

    parts = losses(net.train(), batch)

    assert all(torch.isfinite(v) for v in parts.values())
    assert parts["box"] == parts["mask"] == 0
    sum(parts.values()).backward()


def test_complete_iou_is_one_on_the_box_itself_and_falls_with_distance():
    box = torch.tensor([10.0, 10, 50, 30])
    moved = [float(complete_iou(box, box + d)) for d in (0.0, 5.0, 20.0, 100.0)]

    assert moved[0] == pytest.approx(1, abs=1e-5)
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < 0


def test_the_loss_of_a_side_is_least_for_the_two_bins_around_it():
    target = torch.tensor([[2.25, 2.25, 2.25, 2.25]])
    right = torch.full((1, 4, BINS), -30.0)
    right[..., 2], right[..., 3] = np.log(0.75), np.log(0.25)
    wrong = right.roll(1, -1)

    assert side_loss(right.flatten(1), target) == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25), abs=1e-4)
    assert side_loss(wrong.flatten(1), target) > 5


def test_instances_have_tight_boxes_and_small_ones_are_background():
    instance = np.zeros((100, 100), np.uint16)
    instance[10:30, 20:60] = 700
    instance[50:52, 50:52] = 3  # 0.04 % of the picture
    instance[90:, 95:] = 9

    boxes, places = instances(instance)

    np.testing.assert_array_equal(boxes, [[95, 90, 100, 100], [20, 10, 60, 30]])
    assert (places[9], places[700], places[3], places[0]) == (1, 2, 0, 0)


def test_crops_keep_boxes_and_masks_together():
    rng = np.random.default_rng(1)
    for seed in range(20):
        s = crop(room(seed), (96, 128), rng)

        assert s["image"].shape == (96, 128, 3)
        assert s["instance"].shape == (24, 32)
        assert s["instance"].max() <= len(s["boxes"])
        for place in range(len(s["boxes"])):
            y, x = np.nonzero(s["instance"] == place + 1)
            x0, y0, x1, y1 = s["boxes"][place] / 4
            if len(y):
                assert x0 - 1 <= x.min() <= x.max() < x1 + 1
                assert y0 - 1 <= y.min() <= y.max() < y1 + 1


def test_batches_are_a_function_of_seed_and_step(tmp_path: Path):
    root = cached(tmp_path, 3, 4)

    a, b = (Batches(root, 3, 4, 2, 10)[6] for _ in range(2))

    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
    assert all(d % 32 == 0 for d in a["image"].shape[1:3])


def test_rooms_cached_without_instances_say_what_to_do(tmp_path: Path):
    folder(tmp_path, 3).mkdir(parents=True)
    np.savez(folder(tmp_path, 3) / "000000.npz", image=room(0)["image"], label=room(0)["label"])

    with pytest.raises(RuntimeError, match="make rooms"):
        Batches(tmp_path, 3, 1, 1, 10)[0]


def test_steps_of_training_lower_the_loss():
    torch.manual_seed(0)
    net = initialize(FastSam("n")).train()
    arrays = collate([crop(room(k), (96, 128), np.random.default_rng(k)) for k in range(2)])
    batch = {k: torch.as_tensor(v) for k, v in arrays.items()}
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], 1e-3)
    values = []
    for _ in range(25):
        loss = sum(WEIGHTS[k] * v for k, v in losses(net, batch).items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))

    assert min(values[-5:]) < 0.6 * values[0]


def test_the_best_mask_of_each_instance_is_what_evaluation_counts():
    instance = np.zeros((20, 20), np.uint16)
    instance[:10], instance[10:, :10] = 5, 6
    masks = np.zeros((2, 20, 20), bool)
    masks[0, :5], masks[1, 10:, :10] = True, True

    best = best_ious(masks, instance, instances(instance)[1])

    np.testing.assert_allclose(best, [0.5, 1.0])
