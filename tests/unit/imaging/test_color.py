import numpy as np

from roomviz.imaging.color import linear_from_rgb24, luminance, to_linear, to_srgb


def test_every_8_bit_value_survives_linear_light_to_the_bit():
    image = np.stack([np.arange(256, dtype=np.uint8)] * 3, -1)[None]

    np.testing.assert_array_equal(to_srgb(to_linear(image)), image)


def test_mid_grey_has_the_luminance_of_the_standard():
    grey = np.full((1, 1, 3), 188, np.uint8)

    # IEC 61966-2-1: sRGB 188/255 is 0.5029 in linear light.
    np.testing.assert_allclose(luminance(to_linear(grey)), 0.5029, atol=2e-4)


def test_a_24_bit_colour_is_read_red_first():
    np.testing.assert_allclose(linear_from_rgb24(0xFF0000), [1, 0, 0], atol=1e-6)
