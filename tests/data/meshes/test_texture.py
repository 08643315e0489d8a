import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pigan.data.meshes.texture import LEVELS, decode, linear_to_srgb, pack, side_for, srgb_to_linear


def test_srgb_is_the_standard_curve() -> None:
    codes = np.arange(256) / 255
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(codes)), codes, atol=1e-6)
    # IEC 61966-2-1: mid grey, and the straight part near black
    assert srgb_to_linear(np.array([0.5]))[0] == pytest.approx(0.21404, abs=1e-5)
    assert srgb_to_linear(np.array([0.02]))[0] == pytest.approx(0.02 / 12.92)


@given(st.integers(1, 9), st.integers(1, 9), st.floats(-3, 3), st.floats(-3, 3))
@settings(max_examples=50, deadline=None)
def test_lookup_is_bilinear_and_repeats(width: int, height: int, u: float, v: float) -> None:
    image = np.random.default_rng(0).random((height, width, 4)).astype(np.float32)
    textures = pack([image])
    got = textures.sample(np.array([1]), np.array([0]), np.array([[u, v]]))[0]
    x, y = u * width - 0.5, (1 - v) * height - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    expected = sum(
        image[(top + down) % height, (left + right) % width] * (1 - abs(x - left - right)) * (1 - abs(y - top - down))
        for down in (0, 1)
        for right in (0, 1)
    )
    np.testing.assert_allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(8, 8), (5, 3), (1, 16)])
def test_halvings_end_in_one_texel(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random((*shape, 4)).astype(np.float32)
    textures = pack([image, image[::-1]])
    assert (textures.width[:, -1] == 1).all()
    assert (textures.height[:, -1] == 1).all()
    coarsest = textures.sample(np.array([0, 1, 2]), np.full(3, LEVELS - 1), np.full((3, 2), 0.3))
    np.testing.assert_allclose(coarsest[0], 1)
    if shape == (8, 8):
        np.testing.assert_allclose(coarsest[1:], [image.mean((0, 1))] * 2, rtol=1e-5)


def test_alpha_counts_as_the_material_says() -> None:
    picture = Image.fromarray(np.array([[[255, 0, 0, 100], [0, 255, 0, 200]]], np.uint8))
    opaque, blended, cut = (decode(picture, 16, alpha)[0] for alpha in (None, 0.0, 0.5))
    np.testing.assert_allclose(opaque, [[1, 0, 0, 1], [0, 1, 0, 1]])
    np.testing.assert_allclose(blended, [[100 / 255, 0, 0, 100 / 255], [0, 200 / 255, 0, 200 / 255]], rtol=1e-6)
    np.testing.assert_allclose(cut, [[0, 0, 0, 0], [0, 1, 0, 1]])
    # alpha 0 everywhere is an exporter's slip
    assert (decode(Image.new("RGBA", (2, 2), (9, 9, 9, 0)), 16, 0.0)[..., 3] == 1).all()


def test_large_pictures_shrink_in_linear_light_and_all_modes_are_read() -> None:
    board = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))
    assert decode(board, 32, None).shape == (32, 32, 4)
    # half the light, not half the code
    np.testing.assert_allclose(decode(board, 32, None)[..., 0], 0.5, atol=1e-6)
    assert decode(board, 4, None).shape == (4, 4, 4)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
        assert decode(Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode), 16, None).min() == 1
    deep = Image.fromarray(np.full((4, 4), 65535, np.uint16))
    assert decode(deep, 16, None).min() == 1


@given(st.integers(1, 5000))
def test_all_textures_fit_into_their_memory(count: int) -> None:
    side = side_for(count)
    assert side & (side - 1) == 0
    assert side <= 2048
    assert count * side**2 <= 2**23 or side == 16
