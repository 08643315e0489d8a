import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pigan.models.discriminator import Discriminator
from pigan.models.patchpose import PatchNetwork, PoseProjection, place_of, pose_of, product_logit
from pigan.sections import DiscriminatorConfig

CONFIG = DiscriminatorConfig(kind="patch-pose", encoder=True, width=0.02, max_channels=6)


def network(top=32):
    return Discriminator(CONFIG, 5, top)


def naive_logit(whole, patches):
    """The logit of the product, as it is written."""
    p = torch.sigmoid(whole) * torch.sigmoid(patches).log().flatten(1).mean(1).exp()
    return torch.log(p / (1 - p))


logits = st.lists(st.floats(-12, 12), min_size=5, max_size=5)


@given(logits)
def test_score_is_the_product_of_both_probabilities(values):
    whole, patches = torch.tensor(values[:1]).double(), torch.tensor(values[1:]).double().reshape(1, 2, 2)
    expected = naive_logit(whole, patches)
    # what is written as it is loses digits where p is near 1
    assert torch.allclose(product_logit(whole, patches), expected, rtol=1e-9, atol=1e-8)
    single = product_logit(whole.float(), patches.float())
    assert single.dtype == torch.float32 and torch.allclose(single, expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("level", [-1000.0, -100.0, -15.1, -14.9, 0.0, 14.9, 15.1, 60.0, 1000.0])
def test_logit_and_its_derivatives_are_finite_however_sure_the_discriminator_is(level):
    whole, patches = torch.full((1,), level).requires_grad_(), torch.full((1, 3, 3), level).requires_grad_()
    logit = product_logit(whole, patches)
    first = torch.autograd.grad(logit.sum(), (whole, patches), create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), (whole, patches))
    assert all(bool(torch.isfinite(value).all()) for value in (logit, *first, *second))
    # two equal probabilities p: as p^2, so for small p twice the logit, for large p one half of the odds
    if abs(level) > 50:
        assert logit.item() == pytest.approx(2 * level if level < 0 else level - math.log(2), rel=1e-5)


def test_logit_of_16_bits_is_taken_in_32():
    whole, patches = torch.tensor([8.0]).bfloat16(), torch.tensor([[[9.0, 7.0]]]).bfloat16()
    assert float(product_logit(whole, patches)) == pytest.approx(
        float(naive_logit(whole.double(), patches.double())), rel=1e-4
    )


def test_derivatives_of_the_logit_are_those_of_finite_differences():
    for shift in (0.0, 20.0):
        values = [(torch.randn(shape, dtype=torch.float64) + shift).requires_grad_() for shape in ((2,), (2, 2, 2))]
        assert torch.autograd.gradcheck(product_logit, values)
        assert torch.autograd.gradgradcheck(product_logit, values)


@pytest.mark.parametrize("side", [8, 16, 32, 64, 128])
def test_map_of_patches_is_the_same_at_every_resolution(side):
    patches = PatchNetwork([128, 64, 32, 16, 8, 4, 2], [3] * 7)
    fade = torch.tensor(0.3)
    assert patches(torch.rand(2, 3, side, side), fade).shape == (2, 8, 8)


@pytest.mark.parametrize(("side", "seen"), [(8, 3), (16, 8), (32, 18), (64, 38), (128, 78)])
def test_patches_overlap_and_see_as_much_as_they_say(side, seen):
    patches = PatchNetwork([128, 64, 32, 16, 8], [3] * 5).double()
    images = torch.rand((1, 3, side, side), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(patches(images)[0, 4, 4], images)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    assert 0.8 * seen < len(rows) <= seen and int(rows[-1] - rows[0]) < seen
    assert seen > side / 8  # of the neighbouring patch


def test_first_weights_of_the_patch_network_keep_the_spread():
    for name, weight in PatchNetwork([32, 16, 8], [100, 150, 200]).named_parameters():
        if weight.ndim == 4 and weight.numel() > 1000:
            # Kaiming's law for a slope of 0.2
            assert weight.std().item() == pytest.approx(math.sqrt(2 / 1.04 / weight[0].numel()), rel=0.05), name


def test_pose_is_told_by_the_scaled_product_of_two_embeddings():
    projection, x, place = PoseProjection(5), torch.rand(3, 5, 2, 2), torch.rand(3, 3)
    image = torch.einsum("bchw,dchw->bd", x, projection.image.weight) + projection.image.bias
    expected = torch.einsum("bd,bd->b", image, projection.camera(place)) / math.sqrt(5)
    assert torch.allclose(projection(x, place), expected, atol=1e-6)


@pytest.mark.parametrize("side", [8, 16, 32])
@pytest.mark.parametrize("fade", [None, 0.3])
def test_every_resolution_gives_one_judgement_an_image(side, fade):
    grown = None if fade is None else torch.tensor(fade)
    pose = torch.tensor([[1.0, 0.5]]).expand(3, 2)
    for told in (None, pose):
        judged = network()(torch.rand(3, 3, side, side), grown, told)
        assert judged.logit.shape == (3,) and judged.latent.shape == (3, 5)
        assert judged.pose.shape == (3, 2) and judged.place.shape == (3, 3)


@pytest.mark.parametrize("side", [16, 32])
def test_layers_that_have_not_grown_in_judge_like_the_resolution_below(side):
    judge, images = network(), torch.rand(2, 3, side, side)
    pose = torch.tensor([[1.0, 0.5], [0.7, 3.0]])
    at_start, below = judge(images, torch.tensor(0.0), pose), judge(images[..., ::2, ::2], None, pose)
    assert torch.allclose(at_start.logit, below.logit, atol=1e-5)
    assert not torch.allclose(judge(images, None, pose).logit, below.logit)


def test_score_depends_on_the_pose_and_by_itself_on_the_one_that_is_seen():
    judge, images = network().double(), torch.rand(4, 3, 16, 16).double()
    own = judge(images)
    assert torch.allclose(own.logit, judge(images, None, own.pose.detach()).logit)
    other = judge(images, None, own.pose.detach() + 1.0)
    assert not torch.allclose(own.logit, other.logit)
    assert torch.equal(own.latent, other.latent) and torch.equal(own.pose, other.pose)


def test_adversarial_loss_does_not_teach_what_poses_look_real():
    judge = network()
    judge(torch.rand(2, 3, 16, 16)).logit.sum().backward()
    of_logit, of_rest = judge.final.weight.grad[:1], judge.final.weight.grad[1:]
    assert of_logit.abs().max() > 0 and of_rest.abs().max() == 0
    assert all(p.grad is not None for p in judge.projection.parameters())


def test_poses_and_places_are_the_same_thing():
    pose = torch.stack((torch.rand(50) * 3 + 0.05, torch.rand(50) * 6.2 - 3.1), dim=1)
    assert torch.allclose(pose_of(place_of(pose)), pose, atol=1e-5)
    assert torch.allclose(pose_of(7 * place_of(pose)), pose, atol=1e-5)
    assert place_of(torch.tensor([[math.pi / 2, math.pi / 2]]))[0].tolist() == pytest.approx([0, 0, 1], abs=1e-6)
    assert torch.allclose(place_of(pose), place_of(pose + torch.tensor([0.0, 2 * math.pi])), atol=1e-5)


def test_second_derivatives_that_r1_needs_are_right():
    judge = Discriminator(DiscriminatorConfig(kind="patch-pose", encoder=True, width=0.01, max_channels=2), 2, 8)
    judge, images = judge.double(), torch.rand((1, 3, 8, 8), dtype=torch.float64, requires_grad=True)
    pose = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    fade = torch.tensor(0.6, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda x: judge(x, fade, pose).logit, (images,))


def test_weights_of_other_kinds_are_not_touched():
    assert not any(
        name.startswith(("patches", "projection"))
        for name in Discriminator(CONFIG.model_copy(update={"kind": "progressive"}), 5, 16).state_dict()
    )
