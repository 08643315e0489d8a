import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pigan.rendering.volume import composite, distance_variance, render_weights, transmittance

DEPTHS = torch.tensor([1.0, 1.2, 1.5, 1.9], dtype=torch.float64)


def literal_weights(density, depths, activate):
    """The quadrature sample by sample."""
    through, weights = 1.0, []
    for i, sigma in enumerate(density):
        delta = depths[i + 1] - depths[i] if i + 1 < len(depths) else 1e10
        alpha = 1 - math.exp(-delta * activate(sigma))
        weights.append(alpha * through)
        through *= 1 - alpha + 1e-10
    return weights


@settings(max_examples=60, deadline=None)
@given(density=arrays.arrays(np.float64, (4,), elements=st.floats(-5, 30)))
def test_weights_equal_the_literal_sum_and_never_exceed_one(density):
    got = render_weights(torch.tensor(density), DEPTHS, "relu")
    assert got.tolist() == pytest.approx(literal_weights(density, DEPTHS.tolist(), lambda s: max(s, 0)), abs=1e-9)
    assert -1e-9 <= float(got.sum()) <= 1 + 1e-6
    soft = render_weights(torch.tensor(density), DEPTHS, "softplus")
    assert soft.tolist() == pytest.approx(literal_weights(density, DEPTHS.tolist(), lambda s: math.log1p(math.exp(s))))


def test_homogeneous_fog_follows_beer_lambert():
    depths = torch.linspace(0, 2, 400, dtype=torch.float64)
    weights = render_weights(torch.full((400,), 0.7, dtype=torch.float64), depths, "relu")
    assert float(weights[:-1].sum()) == pytest.approx(1 - math.exp(-0.7 * 2), abs=1e-6)


def test_opaque_wall_gives_its_own_depth_and_colour():
    rgb = torch.rand((1, 4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = composite(rgb, torch.tensor([[-1.0, 1e6, 5.0, 5.0]], dtype=torch.float64), DEPTHS[None], "relu", "none")
    assert torch.allclose(seen.colour, rgb[:, 1]) and float(seen.distance) == pytest.approx(1.2)
    assert float(seen.opacity) == pytest.approx(1) and float(distance_variance(seen)) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize(("background", "expected"), [("none", 0.0), ("white", 1.0), ("last", 0.25)])
def test_empty_ray_shows_its_background(background, expected):
    rgb = torch.full((4, 3), 0.25, dtype=torch.float64)
    seen = composite(rgb, torch.full((4,), -1.0, dtype=torch.float64), DEPTHS, "relu", background)
    assert seen.colour.tolist() == pytest.approx([expected] * 3)
    assert float(seen.opacity) == pytest.approx(0)
    assert float(seen.distance) == pytest.approx(1.9 if background == "last" else 0.0)


def test_two_half_transparent_layers():
    half = math.log(2)
    density = torch.tensor([half / 0.2, 0.0, half / 0.4, 0.0], dtype=torch.float64)
    weights = render_weights(density, DEPTHS, "relu")
    assert weights.tolist() == pytest.approx([0.5, 0, 0.25, 0], abs=1e-9)


def test_opacities_are_the_alphas_whatever_the_distance_of_samples():
    raw = torch.logit(torch.tensor([0.5, 0.2, 0.75, 0.1], dtype=torch.float64))
    expected = [0.5, 0.5 * 0.2, 0.5 * 0.8 * 0.75, 0.5 * 0.8 * 0.25 * 0.1]
    for depths in (DEPTHS, 100 * DEPTHS):
        assert render_weights(raw, depths, "sigmoid").tolist() == pytest.approx(expected)
    rgb = torch.rand((4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = composite(rgb, raw, DEPTHS, "sigmoid", "white")
    left = 0.5 * 0.8 * 0.25 * 0.9
    assert float(seen.opacity) == pytest.approx(1 - left)
    front_to_back = sum(weight * colour for weight, colour in zip(expected, rgb, strict=True)) + left
    assert torch.allclose(seen.colour, front_to_back)
    assert float(seen.distance) == pytest.approx(sum(np.array(expected) * DEPTHS.numpy()))


@settings(max_examples=60, deadline=None)
@given(raw=arrays.arrays(np.float32, (4,), elements=st.floats(-60, 60, width=32)))
def test_every_opacity_has_a_gradient_unless_it_is_hidden(raw):
    density = torch.tensor(raw, requires_grad=True)
    weights = render_weights(density, DEPTHS.float(), "sigmoid")
    assert bool(torch.isfinite(weights).all()) and weights.sum().item() <= 1 + 1e-6
    (gradient,) = torch.autograd.grad(weights[0], density)
    assert float(gradient[0]) > 0 or raw[0] > 16


@pytest.mark.parametrize("activation", ["softplus", "sigmoid"])
def test_gradients_are_those_of_finite_differences(activation):
    rgb = torch.rand((2, 4, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    density = torch.tensor([[1.0, 2.0, 0.5, -1.0], [0.3, -2.0, 4.0, -0.5]], dtype=torch.float64, requires_grad=True)

    def colour_and_distance(rgb, density):
        seen = composite(rgb, density, DEPTHS.expand(2, 4), activation, "white")
        return seen.colour, seen.distance

    assert torch.autograd.gradcheck(colour_and_distance, (rgb, density))


@settings(max_examples=60, deadline=None)
@given(clear=arrays.arrays(np.float32, (2, 5), elements=st.floats(2.0**-33, 1, width=32)))
def test_transmittance_has_the_bits_of_the_product_and_of_its_gradient(clear):
    own, plain = (torch.tensor(clear, requires_grad=True) for _ in range(2))
    got = transmittance(own)
    expected = torch.cumprod(torch.cat((torch.ones((2, 1)), plain), -1), -1)
    assert torch.equal(got, expected)
    towards = torch.linspace(-1, 1, 12).reshape(2, 6)
    got.backward(towards)
    expected.backward(towards)
    assert torch.equal(own.grad, plain.grad)


def test_transmittance_has_second_derivatives():
    clear = torch.tensor([[0.5, 0.9, 0.2], [1.0, 0.3, 0.7]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(transmittance, (clear,))
    assert torch.autograd.gradgradcheck(transmittance, (clear,))


def test_the_only_sample_of_a_ray_is_opaque():
    weights = render_weights(torch.ones((3, 1)), torch.ones((3, 1)), "relu")
    assert weights.tolist() == [[1.0]] * 3


def test_wall_of_opacity_one_has_no_gradient_that_is_not_a_number():
    density = torch.tensor([1000.0, 1.0, 1000.0, 1.0], requires_grad=True)
    weights = render_weights(density, DEPTHS.float(), "sigmoid")
    assert weights.tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0])
    weights.sum().backward()
    assert bool(torch.isfinite(density.grad).all())


def test_variance_of_two_equal_surfaces():
    half = math.log(2)
    density = torch.tensor([half / 0.2, 0.0, 0.0, 1e9], dtype=torch.float64)
    seen = composite(torch.zeros((4, 3), dtype=torch.float64), density, DEPTHS, "relu", "none")
    assert float(distance_variance(seen)) == pytest.approx(((1.9 - 1.0) / 2) ** 2)


def test_what_the_background_gives_to_the_last_sample_does_not_blur_the_surface():
    # the second sample stops nine tenths of the light, nothing stops the rest
    density = torch.tensor([0.0, math.log(10) / 0.3, 0.0, 0.0], dtype=torch.float64)
    for background in ("none", "last", "white"):
        seen = composite(torch.zeros((4, 3), dtype=torch.float64), density, DEPTHS, "relu", background)
        assert float(distance_variance(seen)) == pytest.approx(0, abs=1e-9)


def test_variance_is_that_of_the_part_of_a_ray_that_is_not_clear():
    half = math.log(2)
    density = torch.tensor([half / 0.2, 0.0, half / 0.4, 0.0], dtype=torch.float64)
    seen = composite(torch.zeros((4, 3), dtype=torch.float64), density, DEPTHS, "relu", "none")
    # a half at 1.0 and a quarter at 1.5: two thirds and one third
    assert float(distance_variance(seen)) == pytest.approx(2 / 9 * 0.5**2)


def test_last_sample_gets_all_the_light_that_the_others_left():
    density = torch.tensor([math.log(2) / 0.2, 0.0, 0.0, -1.0], dtype=torch.float64)
    seen = composite(torch.zeros((4, 3), dtype=torch.float64), density, DEPTHS, "relu", "last")
    assert seen.weights.tolist() == pytest.approx([0.5, 0, 0, 0.5]) and float(seen.opacity) == pytest.approx(0.5)
