import numpy as np
import pytest

from roomviz.imaging.color import linear_from_rgb24
from roomviz.imaging.colorimetry import WHITE, XYZ_FROM_RGB, adaptation, delta_e00, lab, linear, white_of

# Sharma, Wu & Dalal, "The CIEDE2000 Color-Difference Formula: Implementation Notes, Supplementary Test Data, and
# Mathematical Observations", 2005, table 1.
PAIRS = """
50.0000 2.6772 -79.7751 50.0000 0.0000 -82.7485 2.0425
50.0000 3.1571 -77.2803 50.0000 0.0000 -82.7485 2.8615
50.0000 2.8361 -74.0200 50.0000 0.0000 -82.7485 3.4412
50.0000 -1.3802 -84.2814 50.0000 0.0000 -82.7485 1.0000
50.0000 -1.1848 -84.8006 50.0000 0.0000 -82.7485 1.0000
50.0000 -0.9009 -85.5211 50.0000 0.0000 -82.7485 1.0000
50.0000 0.0000 0.0000 50.0000 -1.0000 2.0000 2.3669
50.0000 -1.0000 2.0000 50.0000 0.0000 0.0000 2.3669
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0009 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0010 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0011 7.2195
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0012 7.2195
50.0000 -0.0010 2.4900 50.0000 0.0009 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0010 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0011 -2.4900 4.7461
50.0000 2.5000 0.0000 50.0000 0.0000 -2.5000 4.3065
50.0000 2.5000 0.0000 73.0000 25.0000 -18.0000 27.1492
50.0000 2.5000 0.0000 61.0000 -5.0000 29.0000 22.8977
50.0000 2.5000 0.0000 56.0000 -27.0000 -3.0000 31.9030
50.0000 2.5000 0.0000 58.0000 24.0000 15.0000 19.4535
50.0000 2.5000 0.0000 50.0000 3.1736 0.5854 1.0000
50.0000 2.5000 0.0000 50.0000 3.2972 0.0000 1.0000
50.0000 2.5000 0.0000 50.0000 1.8634 0.5757 1.0000
50.0000 2.5000 0.0000 50.0000 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


@pytest.mark.parametrize("row", PAIRS.strip().splitlines())
def test_differences_are_those_that_were_published(row: str):
    *colors, expected = map(float, row.split())

    assert delta_e00(colors[:3], colors[3:]) == pytest.approx(expected, abs=5e-5)
    assert delta_e00(colors[3:], colors[:3]) == pytest.approx(expected, abs=5e-5)


def test_lab_of_known_colors():
    found = [lab(linear_from_rgb24(c)) for c in (0xFFFFFF, 0x000000, 0xFF0000, 0x777777)]

    np.testing.assert_allclose(found[0], [100, 0, 0], atol=0.01)
    np.testing.assert_allclose(found[1], [0, 0, 0], atol=0.01)
    np.testing.assert_allclose(found[2], [53.24, 80.09, 67.20], atol=0.05)
    np.testing.assert_allclose(found[3][1:], [0, 0], atol=0.01)


@pytest.mark.parametrize(
    ("kelvin", "x", "y"),
    # Published: CIE 15:2004 for D50, D65, D75; the Planckian locus at 2856 K is illuminant A.
    [(5003, 0.3457, 0.3585), (6504, 0.3127, 0.3290), (7504, 0.2990, 0.3149), (2856, 0.4476, 0.4074)],
)
def test_lights_have_their_published_chromaticity(kelvin: float, x: float, y: float):
    white = white_of(kelvin)

    np.testing.assert_allclose(white[:2] / white.sum(), [x, y], atol=6e-4)


def test_a_color_is_the_same_after_lab_and_back():
    rgb = np.random.default_rng(0).uniform(0, 1, (200, 3)) ** 3  # dark ones too

    np.testing.assert_allclose(linear(lab(rgb)), rgb, atol=1e-12)


def test_adaptation_takes_one_white_to_the_other_and_back():
    lamp = white_of(2700)

    there, back = adaptation(WHITE, lamp), adaptation(lamp, WHITE)

    np.testing.assert_allclose(XYZ_FROM_RGB @ there @ np.ones(3), lamp, atol=1e-9)
    np.testing.assert_allclose(back @ there, np.eye(3), atol=1e-9)
