import math

import pytest
import torch
from torch.nn import functional

from pigan.models.discriminator import CoordConv, Discriminator, ResidualBlock, channels_at, regrown
from pigan.sections import DiscriminatorConfig


def config(kind: str, encoder: bool, width: float = 1.0, top: int = 400) -> DiscriminatorConfig:
    return DiscriminatorConfig(kind=kind, encoder=encoder, width=width, max_channels=top)


@pytest.mark.parametrize(
    ("kind", "encoder", "top", "parameters"),
    # the authors' strided network also holds 1,200 weights that nothing uses
    [
        ("progressive", True, 512, 12_825_523),
        ("ccs", True, 256, 13_291_075),
        ("strided", False, 256, 12_805_489 - 1200),
    ],
)
def test_paper_networks_have_the_published_sizes(kind, encoder, top, parameters):
    with torch.device("meta"):
        network = Discriminator(config(kind, encoder), 256, top)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_channels_follow_the_paper():
    sides = (512, 256, 128, 64, 32, 16, 8, 4)
    assert [channels_at(side, config("progressive", True)) for side in sides] == [16, 32, 64, 128, 256, 400, 400, 400]


@pytest.mark.parametrize("kind", ["progressive", "ccs", "strided"])
@pytest.mark.parametrize("side", [2, 4, 16, 32])
def test_every_resolution_gives_one_judgement_an_image(kind, side):
    network = Discriminator(config(kind, True, width=0.02, top=8), 5, 32)
    judged = network(torch.rand(3, 3, side, side), torch.tensor(0.3) if side > 2 else None)
    assert judged.logit.shape == (3,) and judged.latent.shape == (3, 5) and judged.pose.shape == (3, 2)


@pytest.mark.parametrize("kind", ["progressive", "ccs", "strided", "patch-pose"])
@pytest.mark.parametrize(("top", "wanted"), [(16, 64), (64, 16), (16, 16)])
def test_a_discriminator_for_another_highest_side_judges_the_sides_they_share_alike(kind, top, wanted):
    trained, other = (Discriminator(config(kind, True, width=0.02, top=8), 5, side) for side in (top, wanted))
    fresh = {name: value.clone() for name, value in other.state_dict().items()}
    weights = regrown(trained.state_dict(), top, other)
    other.load_state_dict(weights)
    for side in (8, 16):
        images = torch.rand(2, 3, side, side)
        assert torch.equal(trained(images, torch.tensor(0.3)).logit, other(images, torch.tensor(0.3)).logit)
    # what is above the sides that they share is as it was
    kept = {name for name, value in weights.items() if torch.equal(value, fresh[name])}
    lists = {name.rpartition("blocks.")[0] for name in fresh if "blocks." in name}
    above = {f"{part}{layer}.{level}." for part in lists for layer in ("blocks", "from_rgb") for level in (0, 1)}
    assert not kept if wanted <= top else all(name in kept for name in fresh if name.startswith(tuple(above)))


@pytest.mark.parametrize("lacking", ["final.bias", "blocks.0.network.0.conv.weight", "from_rgb.1.0.weight"])
def test_weights_that_a_regrown_discriminator_lacks_are_not_made_up(lacking):
    trained, other = (Discriminator(config("progressive", True, width=0.02, top=8), 5, side) for side in (16, 32))
    weights = {name: value for name, value in trained.state_dict().items() if name != lacking}
    assert len(regrown(weights, 16, other)) == len(other.state_dict()) - 1


def test_a_layer_that_has_not_grown_in_judges_like_the_resolution_below():
    network = Discriminator(config("progressive", True, width=0.02, top=8), 5, 32)
    images = torch.rand(2, 3, 32, 32)
    at_start, below = network(images, torch.tensor(0.0)), network(images[..., ::2, ::2])
    assert torch.allclose(at_start.logit, below.logit, atol=1e-6)
    assert not torch.allclose(network(images).logit, below.logit)


def test_fade_is_linear_in_the_features_that_enter():
    network = Discriminator(config("progressive", False, width=0.02, top=8), 5, 4).double()
    images = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    new = network.blocks[0](network.from_rgb[0](images))
    old = network.from_rgb[1](images[..., ::2, ::2])
    expected = network.final(0.25 * new + 0.75 * old).flatten()
    assert torch.allclose(network(images, torch.tensor(0.25)).logit, expected)


def test_coordinates_run_from_minus_one_to_one_across_and_down():
    layer = CoordConv(1, 2)
    with torch.no_grad():
        layer.conv.weight.zero_()
        layer.conv.bias.zero_()
        layer.conv.weight[0, 1, 1, 1] = 1  # passes on the first coordinate
        layer.conv.weight[1, 2, 1, 1] = 1  # and the second
    across, down = layer(torch.zeros(1, 1, 3, 5))[0]
    assert torch.allclose(across[0], torch.tensor([-1, -0.5, 0, 0.5, 1])) and torch.allclose(across[0], across[2])
    assert torch.allclose(down[:, 0], torch.tensor([-1.0, 0, 1])) and torch.allclose(down[:, 0], down[:, 4])


@pytest.mark.parametrize("kind", ["ccs", "strided"])
def test_first_weights_are_drawn_as_the_authors_draw_them(kind):
    """Kaiming's law (slope 0.2) for the two convolutions of a block, PyTorch's for shortcuts, input and last layers."""
    torch.manual_seed(0)
    network = Discriminator(config(kind, True, top=200), 256, 64)
    for name, weight in network.named_parameters():
        if weight.ndim == 4 and weight.numel() > 5000:
            # U(-1, 1) / sqrt(fan_in) is PyTorch's
            gain = 2 / 1.04 if ".network." in name else 1 / 3
            assert weight.detach().std() == pytest.approx(math.sqrt(gain / weight[0].numel()), rel=0.05), name


def test_residual_is_the_mean_of_both_branches_by_sqrt_two():
    block = ResidualBlock("progressive", 4, 4)
    x = torch.rand(1, 4, 8, 8)
    expected = functional.avg_pool2d(block.network(x) + x, 2) / math.sqrt(2)
    assert torch.allclose(block(x), expected, atol=1e-6)


def test_second_derivatives_that_r1_needs_are_right():
    network = Discriminator(config("progressive", False, width=0.01, top=3), 2, 4).double()
    images = torch.rand((1, 3, 4, 4), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: network(x, torch.tensor(0.6, dtype=torch.float64)).logit, (images,))
