import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pigan.models.discriminator import Judgement
from pigan.models.patchpose import place_of, pose_of
from pigan.rendering.volume import Rendering
from pigan.training.losses import (
    discriminator_loss,
    generator_loss,
    identity_loss,
    opacity_loss,
    r1_penalty,
    top_fraction,
)


def test_adversarial_losses_are_the_log_likelihoods():
    real, fake = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 0.2])
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    expected = (
        -sum(math.log(1 - sigmoid(x)) for x in (1.0, 0.2)) / 2 - sum(math.log(sigmoid(x)) for x in (0.3, -2.0)) / 2
    )
    assert float(discriminator_loss(real, fake)) == pytest.approx(expected)
    weights = torch.tensor([0.5, 0.5])
    assert float(generator_loss(fake, weights)) == pytest.approx(-sum(math.log(sigmoid(x)) for x in (1.0, 0.2)) / 2)


def test_log_loss_of_the_generator_is_the_formula_and_fades_where_the_discriminator_is_sure():
    fake, weights = torch.tensor([1.0, 0.2, -3.0], requires_grad=True), torch.tensor([0.5, 0.25, 0.25])
    sigmoid = 1 / (1 + torch.exp(-fake.detach().double()))
    loss = generator_loss(fake, weights, "log")
    assert loss.item() == pytest.approx(float((weights * torch.log(1 - sigmoid)).sum()))
    (gradient,) = torch.autograd.grad(loss, fake)
    assert torch.allclose(gradient, -(weights * sigmoid).float())
    for logit in (-200.0, 200.0):
        assert math.isfinite(float(generator_loss(torch.tensor([logit]), torch.ones(1), "log")))


def test_pose_error_of_a_place_has_no_seam():
    pose = torch.tensor([[1.0, math.pi - 0.01], [0.5, 0.3]])
    for turn in (0.0, 2 * math.pi):
        place = place_of(pose + torch.tensor([0.0, turn]))
        judged = Judgement(torch.zeros(2), torch.zeros(2, 3), pose_of(place), place)
        assert float(identity_loss(judged, torch.zeros(2, 3), pose, 0.0, 1.0)) == pytest.approx(0, abs=1e-10)
    opposite = Judgement(torch.zeros(2), torch.zeros(2, 3), pose, -place_of(pose))
    assert float(identity_loss(opposite, torch.zeros(2, 3), pose, 0.0, 3.0)) == pytest.approx(4)


def rays(opacity, colour):
    """Renderings of rays of so much opacity, grey."""
    places = torch.zeros((len(opacity), 1), dtype=opacity.dtype)
    return Rendering(
        torch.as_tensor(colour, dtype=opacity.dtype)[:, None].expand(-1, 3), opacity, opacity, places, places
    )


def test_opacity_prior_is_the_formula_and_pulls_to_the_nearer_end():
    opacity = torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0], dtype=torch.float64, requires_grad=True)
    loss = opacity_loss(rays(opacity, [0.0] * 5), "white")
    expected = [math.log(0.1 + a) + math.log(1.1 - a) - math.log(0.1) - math.log(1.1) for a in opacity.tolist()]
    assert loss.item() == pytest.approx(sum(expected) / 5) and expected[0] == pytest.approx(expected[4], abs=1e-12)
    assert expected[2] == pytest.approx(math.log(1 + 25 / 11))
    (gradient,) = torch.autograd.grad(loss, opacity)
    assert gradient[2].abs() < 1e-12 and bool((gradient[:2] > 0).all()) and bool((gradient[3:] < 0).all())


@pytest.mark.parametrize(("background", "plain", "other"), [("white", 1.0, 0.0), ("none", 0.0, 1.0)])
def test_opacity_prior_pulls_what_looks_like_the_background_to_nothing(background, plain, other):
    opacity = torch.tensor([0.0, 0.5, 0.9, 1.0], dtype=torch.float64, requires_grad=True)
    loss = opacity_loss(rays(opacity, [plain] * 4), background)
    assert loss.item() == pytest.approx(sum(math.log((0.1 + a) / 0.1) for a in opacity.tolist()) / 4)
    (gradient,) = torch.autograd.grad(loss, opacity)
    assert torch.allclose(gradient, 0.25 / (0.1 + opacity.detach()))
    unlike, last = (opacity_loss(rays(opacity, [other] * 4), way) for way in (background, "last"))
    assert unlike.item() == pytest.approx(last.item(), abs=1e-9) and unlike < loss
    # a colour that is a tenth away is a deviation away
    near, share = opacity_loss(rays(opacity, [abs(plain - 0.1)] * 4), background), math.exp(-0.5)
    assert near.item() == pytest.approx(share * loss.item() + (1 - share) * last.item())


@given(st.floats(0.01, 0.99), st.floats(0.0, 1.0), st.sampled_from(["white", "none", "last"]))
def test_opacity_prior_has_the_gradient_of_its_value_and_none_for_the_colour(opacity, grey, background):
    opacities = torch.full((3,), opacity, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: opacity_loss(rays(a, [grey] * 3), background), opacities)
    seen = rays(opacities, [grey] * 3)
    seen = seen._replace(colour=seen.colour.clone().requires_grad_())
    loss = opacity_loss(seen, background)
    assert torch.autograd.grad(loss, seen.colour, allow_unused=True) == (None,)
    assert -1e-12 <= loss.item() <= math.log(11) + 1e-12


@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_r1_of_a_quadratic_is_the_closed_form(scale):
    images = torch.rand((3, 3, 2, 2), dtype=torch.float32, requires_grad=True)
    logits = (images**2).flatten(1).sum(1)  # gradient 2 x
    expected = (4 * images.detach() ** 2).flatten(1).sum(1).mean()
    penalty = r1_penalty(logits, images, scale)
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(penalty, images)
    assert torch.allclose(gradient, 8 * images.detach() / 3, rtol=1e-4)


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=20, unique=True), st.floats(0.01, 1.0))
def test_top_fraction_averages_over_the_best(values, fraction):
    weights = top_fraction(torch.tensor(values), fraction)
    count = math.ceil(fraction * len(values))
    best = sorted(values, reverse=True)[:count]
    assert float((weights * torch.tensor(values)).sum()) == pytest.approx(sum(best) / count, abs=1e-4)
    assert int((weights > 0).sum()) == count and float(weights.sum()) == pytest.approx(1, abs=1e-5)


def test_identity_loss_weighs_latent_and_pose():
    judged = Judgement(torch.zeros(2), torch.zeros(2, 3), torch.full((2, 2), 3.0))
    latent, pose = torch.full((2, 3), 2.0), torch.zeros(2, 2)
    assert float(identity_loss(judged, latent, pose, 0.5, 3.0)) == pytest.approx(0.5 * 4 + 3.0 * 9)
    assert float(identity_loss(judged, latent, pose, 0.0, 0.0)) == 0
    assert float(identity_loss(Judgement(torch.zeros(2), None, None), latent, pose, 1.0, 1.0)) == 0
