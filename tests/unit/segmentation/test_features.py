import numpy as np
import pytest

from roomviz.errors import Internal
from services.segmentation.domain import features, hierarchy
from tests.unit.segmentation.refinable import CABINET, LEG, PHOTO, known, truth


def test_superpixels_keep_to_the_edges_of_things_and_of_thin_ones():
    f = known()
    kinds = np.stack([f.means(truth() == k) for k in range(7)])

    best = kinds.argmax(0)[f.node]

    assert f.node.shape == PHOTO
    assert (best == truth()).mean() > 0.985
    assert (best == truth())[LEG].mean() > 0.75


def test_each_border_is_there_once_and_stronger_where_there_is_an_edge():
    f = known()

    assert (f.edges[:, 0] < f.edges[:, 1]).all()
    assert len(np.unique(f.edges, axis=0)) == len(f.edges)
    inside = f.means(np.isin(np.arange(PHOTO[0] * PHOTO[1]).reshape(PHOTO), 0) | _cabinet())
    a, b = inside[f.edges].T > 0.5
    assert f.separate[a != b].mean() > 5 * f.separate[a & b].mean()


def _cabinet() -> np.ndarray:
    out = np.zeros(PHOTO, bool)
    out[CABINET] = True
    return out


def test_what_is_packed_comes_back():
    f = known()

    g = features.unpack(features.pack(f))

    for name in ("node", "grey", "size", "extent", "edges"):
        np.testing.assert_array_equal(getattr(g, name), getattr(f, name))
    np.testing.assert_allclose(g.lab, f.lab, atol=0.1)
    np.testing.assert_array_equal(g.regions.height, f.regions.height)
    assert features.pack(g) == features.pack(features.unpack(features.pack(g)))


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04" + bytes(50)])
def test_features_that_cannot_be_read_say_what_to_do(data: bytes):
    with pytest.raises(Internal, match="analyze the room again"):
        features.unpack(data)


def test_regions_grow_together_over_weak_borders_first():
    # Four in a row: a weak border, a strong one, a weak one.
    edges = np.array([[0, 1], [1, 2], [2, 3]], np.int32)
    h = hierarchy.build(4, edges, np.array([0.1, 0.9, 0.2]), np.ones(3), np.full(4, 100, np.int32))

    height, count = h.apart(0)

    assert height[0] == 0
    assert height[1] < height[2] == height[3]
    assert count.tolist() == [1, 2, 4, 4]


def test_a_gap_in_a_long_edge_does_not_join_two_regions():
    # Two pairs of nodes on each side of an edge of which one part in ten is missing.
    edges = np.array([[0, 1], [2, 3], [0, 2], [1, 3]], np.int32)
    strength, border = np.array([0.05, 0.05, 0.1, 0.9]), np.array([10.0, 10.0, 1.0, 9.0])

    height, _ = hierarchy.build(4, edges, strength, border, np.full(4, 1000, np.int32)).apart(1)

    assert height[3] > 0.5
