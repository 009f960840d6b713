"""Our definition of the network against a published member of its family: the same weights, the same answer.

The reference is YOLOv8-seg of size n (int8 weights, dequantised), run operator by operator as its file says. It is
not part of the project: where `../shared/reference` is missing, this is skipped.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training packages are not installed: make setup-models")
pytest.importorskip("tflite", reason="training packages are not installed: make setup-models")

from models.fastsam.network import Conv, FastSam
from models.fold import fold
from tests.unit.models.tflite_graph import Graph, Node

SHARED = Path(__file__).resolve().parents[4] / "shared"
REFERENCE = SHARED / "reference" / "yolov8n-seg_coco_int8.tflite"
# In these the reference, which was trained on four classes of its own, sees something.
NAMES = ("kam-idris-_HqHX3LBN18-unsplash", "pexels-sharath-g-9209422", "sidekix-media-I_QC1JICzA0-unsplash")
PHOTOS = [path for name in NAMES if (path := SHARED / "photos" / f"{name}.jpg").exists()]

pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason=f"{REFERENCE} is missing")


def chain(graph: Graph, last: Node) -> list[Node]:
    """The convolutions that lead to `last` with nothing but an activation between them, `last` included."""
    producer = {n.outputs[0]: n for n in graph.nodes}
    found = [last]
    while True:
        before = producer.get(found[0].inputs[0])
        while before is not None and before.name in ("MUL", "LOGISTIC"):
            before = producer.get(before.inputs[0])
        if before is None or before.name != "CONV_2D" or len(found) == 3:
            return found
        found.insert(0, before)


def mapped(graph: Graph) -> FastSam:
    """The weights of the graph in our network; which is which follows from how the operators are joined."""
    convolutions = [n for n in graph.nodes if n.name == "CONV_2D"]
    readers = {i: [n for n in graph.nodes if i in n.inputs] for n in graph.nodes for i in n.outputs}
    shape = graph.shapes
    mean = next(n for n in convolutions if shape[n.inputs[1]] == (1, 1, 1, 16))
    ends = [n for n in convolutions if n is not mean and "LOGISTIC" not in {r.name for r in readers[n.outputs[0]]}]
    up = next(n for n in graph.nodes if n.name == "TRANSPOSE_CONV")
    into = next(
        n for n in convolutions if shape[n.outputs[0]] == shape[up.inputs[2]] and reaches(graph, n, up.inputs[2])
    )
    prototypes = chain(graph, next(n for n in convolutions if reaches(graph, n, graph.outputs[1])))
    classes = shape[graph.outputs[0]][1] - 36

    net = fold(FastSam("n", classes).eval())
    head = net.model[22]
    pairs: list[tuple[torch.nn.Module, Node]] = [(head.proto.cv1.conv, into), (head.proto.upsample, up)]
    pairs += list(zip((head.proto.cv2.conv, head.proto.cv3.conv), prototypes[-2:], strict=True))
    for end in ends:
        nodes, level = chain(graph, end), {28: 0, 14: 1, 7: 2}[shape[end.outputs[0]][1]]
        branch = {64: head.cv2, classes: head.cv3, 32: head.cv4}[shape[end.outputs[0]][3]][level]
        pairs += list(zip((branch[0].conv, branch[1].conv, branch[2]), nodes, strict=True))
    taken = {id(node) for _, node in pairs} | {id(mean)}
    pairs += list(zip(in_order(net), (n for n in convolutions if id(n) not in taken), strict=True))

    with torch.no_grad():
        for module, node in pairs:
            weight = torch.from_numpy(graph.constants[weight_of(node)]).float()
            bias = torch.from_numpy(graph.constants[node.inputs[3 if node is up else 2]]).float()
            weight = weight.permute(3, 0, 1, 2) if node is up else weight.permute(0, 3, 1, 2)
            assert module.weight.shape == weight.shape, (module, weight.shape)
            module.weight.copy_(weight)
            module.bias.copy_(bias)
    assert (
        len(pairs) == len([m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]) - 1
    )
    return net


def weight_of(node: Node) -> int:
    return node.inputs[1]


def reaches(graph: Graph, node: Node, tensor: int) -> bool:
    """Whether the tensor is the node's output, or that after its activation."""
    out = node.outputs[0]
    return out == tensor or any(n.name == "MUL" and out in n.inputs and n.outputs[0] == tensor for n in graph.nodes)


def in_order(net: FastSam) -> list[torch.nn.Module]:
    """Convolutions before the head, in the order in which they run."""
    found: list[torch.nn.Module] = []
    hooks = [
        m.conv.register_forward_hook(lambda module, *_: found.append(module))
        for layer in net.model[:22]
        for m in layer.modules()
        if isinstance(m, Conv)
    ]
    with torch.no_grad():
        net.raw(torch.zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    return found


@pytest.fixture(scope="module")
def graph() -> Graph:
    made = Graph(REFERENCE)
    dequantised = {n.outputs[0]: n.inputs[0] for n in made.nodes if n.name == "DEQUANTIZE"}
    made.constants |= {out: made.constants[given] for out, given in dequantised.items()}
    return made


@pytest.mark.skipif(not PHOTOS, reason=f"{SHARED / 'photos'} is missing")
def test_the_same_weights_give_the_same_answer_on_photos(graph):
    net = mapped(graph)
    _, height, width, _ = graph.shapes[graph.inputs[0]]
    worst = dict.fromkeys(("boxes", "scores", "coefficients", "prototypes"), 0.0)
    highest = 0.0
    for path in PHOTOS:
        photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        image = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)

        theirs, their_prototypes = graph.run(image[None] / 255)
        with torch.no_grad():
            ours, our_prototypes = (x.double().numpy() for x in net(torch.from_numpy(image[None])))

        ours[:, :4] /= np.array([width, height, width, height])[:, None]  # the file's boxes are parts of the input
        rows = {"boxes": slice(0, 4), "scores": slice(4, -32), "coefficients": slice(-32, None)}
        for name, part in rows.items():
            worst[name] = max(worst[name], np.abs(ours[:, part] - theirs[:, part]).max())
        difference = np.abs(our_prototypes - their_prototypes.transpose(0, 3, 1, 2)).max()
        worst["prototypes"] = max(worst["prototypes"], difference)
        highest = max(highest, theirs[:, 4:-32].max())

    print({name: f"{value:.1e}" for name, value in worst.items()}, f"highest score {highest:.2f}")
    assert all(value <= 1e-3 for value in worst.values()), worst
    assert highest > 0.4, "photos on which the reference sees nothing prove little"
