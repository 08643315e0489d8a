import pytest
import torch
from scipy import stats

from pigan.models.generator import Generator
from pigan.models.mapping import MappingNetwork, draw_latents, truncate


def test_codes_at_the_start_have_the_spread_of_the_authors():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MappingNetwork(256, 256, 3, 4608)
    z = draw_latents(500, 256, "gaussian", torch.Generator().manual_seed(1))
    assert 0.28 < network(z).std().item() < 0.45


def test_network_is_the_formula_with_the_authors_slope_and_first_weights():
    network, z = MappingNetwork(256, 256, 2, 512), torch.randn(3, 256)
    first, _, second, _, last = network
    x = first(z)
    x = second(torch.where(x > 0, x, 0.2 * x))
    assert torch.allclose(network(z), last(torch.where(x > 0, x, 0.2 * x)), atol=1e-6)
    for linear, share in ((first, 1.0), (second, 1.0), (last, 0.25)):
        # Kaiming's law for that slope
        assert linear.weight.std().item() == pytest.approx(share * (2 / 1.04 / 256) ** 0.5, rel=0.01)


@pytest.mark.parametrize("law", ["gaussian", "uniform"])
def test_latents_are_those_of_their_generator(law):
    first, second = (draw_latents(3, 4, law, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)


def test_latent_laws():
    gaussian = draw_latents(200, 64, "gaussian", torch.Generator().manual_seed(0)).flatten().numpy()
    uniform = draw_latents(200, 64, "uniform", torch.Generator().manual_seed(0)).flatten().numpy()
    assert stats.kstest(gaussian, "norm").pvalue > 1e-3
    assert stats.kstest(uniform, "uniform", args=(-1, 2)).pvalue > 1e-3


@pytest.mark.parametrize(("psi", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_truncation_moves_codes_to_the_average(psi, share):
    code, average = torch.tensor([[4.0, 0.0]]), torch.tensor([2.0, 2.0])
    assert torch.allclose(truncate(code, average, psi) - average, share * (code - average))


def test_average_code_is_repeatable_and_central(tiny_params):
    generator = Generator(tiny_params.model)
    first, second = (generator.average_code(2000, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    other = generator.average_code(2000, torch.Generator().manual_seed(6))
    assert (first - other).abs().max().item() < 0.1
