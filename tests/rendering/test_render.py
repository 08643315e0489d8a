import math

import pytest
import torch

from pigan.rendering.render import (
    RaySettings,
    as_images,
    draw_randomness,
    no_randomness,
    render_rays,
)

CPU = torch.device("cpu")


def ball(points, directions):
    """An opaque ball of radius 0.2 whose colour is its position."""
    return (points + 0.5).clamp(0, 1), 1e6 * (points.norm(dim=-1) < 0.2)


def rays():
    """Four cameras one ray each, parallel to -z, at growing heights; the last one misses the ball."""
    heights = torch.tensor([0.0, 0.1, 0.19, 0.5])
    origins = torch.stack((torch.zeros(4), heights, torch.ones(4)), dim=-1)
    return origins, torch.tensor([0.0, 0.0, -1.0]).expand(4, 1, 3)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_depth_of_a_ball_is_the_closed_form(hierarchical):
    origins, directions = rays()
    settings = RaySettings(0.6, 1.4, 128, hierarchical, "relu", "white")
    seen = render_rays(ball, origins, directions, settings, no_randomness(4, 1, settings, CPU))
    exact = [1 - math.sqrt(0.04 - h**2) for h in (0.0, 0.1, 0.19)]
    assert seen.distance[:3, 0].tolist() == pytest.approx(exact, abs=1.01 * 0.8 / 127)
    assert seen.opacity[3, 0] == 0 and torch.equal(seen.colour[3, 0], torch.ones(3))


def test_importance_pass_is_sharper_than_as_many_even_samples():
    heights = torch.linspace(0, 0.19, 64)
    origins = torch.stack((torch.zeros(64), heights, torch.ones(64)), dim=-1)
    directions = torch.tensor([0.0, 0.0, -1.0]).expand(64, 1, 3)
    exact = 1 - torch.sqrt(0.04 - heights**2)
    errors = {}
    for hierarchical, samples in ((False, 24), (True, 12)):
        settings = RaySettings(0.6, 1.4, samples, hierarchical, "relu", "white")
        seen = render_rays(ball, origins, directions, settings, no_randomness(64, 1, settings, CPU))
        errors[hierarchical] = float((seen.distance[:, 0] - exact).abs().mean())
    assert errors[True] < 0.8 * errors[False]


@pytest.mark.parametrize("hierarchical", [False, True])
def test_a_batch_in_parts_is_the_batch(hierarchical):
    origins, directions = rays()
    settings = RaySettings(0.6, 1.4, 16, hierarchical, "softplus", "last")
    randomness = draw_randomness(4, 1, settings, 0.5, torch.Generator().manual_seed(3))
    whole = render_rays(ball, origins, directions, settings, randomness)
    parts = [
        render_rays(ball, origins[s], directions[s], settings, randomness.part(s)).colour
        for s in (slice(0, 1), slice(1, 4))
    ]
    assert torch.equal(whole.colour, torch.cat(parts))


def test_gradient_reaches_both_passes():
    origins, directions = rays()
    settings = RaySettings(0.6, 1.4, 8, True, "relu", "none")
    gains: list[torch.Tensor] = []

    def field(points, _):
        gain = torch.ones(points.shape[:2], requires_grad=True)
        gains.append(gain)
        rgb, density = ball(points, _)
        return rgb * gain[..., None], density

    render_rays(field, origins, directions, settings, no_randomness(4, 1, settings, CPU)).colour.sum().backward()
    assert len(gains) == 2 and all(gain.grad is not None and gain.grad.abs().sum() > 0 for gain in gains)


def test_density_noise_has_the_asked_spread():
    settings = RaySettings(0.6, 1.4, 16, True, "relu", "none")
    drawn = draw_randomness(4, 100, settings, 0.25, torch.Generator().manual_seed(0))
    assert float(drawn.noise.std()) == pytest.approx(0.25, rel=0.05) and drawn.noise.shape[-1] == 32
    assert drawn.jitter.abs().max() <= 0.5
    assert draw_randomness(4, 100, settings, 0.0, torch.Generator().manual_seed(0)).noise is None


def test_without_randomness_importance_samples_are_the_middles_of_equal_shares():
    still = no_randomness(2, 1, RaySettings(0.6, 1.4, 4, True, "relu", "none"), CPU)
    assert still.uniform.tolist() == [[[0.125, 0.375, 0.625, 0.875]]] * 2 and not still.jitter.any()


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_copied_part_has_the_same_numbers_in_its_own_memory(noise):
    drawn = draw_randomness(4, 2, RaySettings(0.6, 1.4, 3, True, "relu", "none"), noise, torch.Generator())
    part = drawn.part(slice(1, 3))
    for values, copied in zip(part, part.copy(), strict=True):
        assert (values is None) == (copied is None)
        if values is not None:
            assert torch.equal(values, copied) and copied.untyped_storage().nbytes() == 4 * copied.numel()


def test_rays_become_rows_of_pixels():
    colours = torch.arange(12.0).reshape(1, 4, 3) / 12
    images = as_images(colours)
    assert images.shape == (1, 3, 2, 2)
    assert torch.allclose(images[0, :, 0, 1], 2 * colours[0, 1] - 1)
