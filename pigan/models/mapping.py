"""From latents to the codes that condition a field (arXiv 2012.00926, section 3.1)."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

SLOPE = 0.2


class MappingNetwork(nn.Sequential):
    """A leaky-ReLU MLP from z to raw frequencies and phases; z is not normalised (authors' code)."""

    def __init__(self, z_dim: int, hidden: int, layers: int, code_size: int) -> None:
        widths = [z_dim] + [hidden] * layers
        modules: list[nn.Module] = []
        for wide, wider in itertools.pairwise(widths):
            modules += [nn.Linear(wide, wider), nn.LeakyReLU(SLOPE)]
        last = nn.Linear(hidden, code_size)
        super().__init__(*modules, last)
        for module in self:
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, a=SLOPE, mode="fan_in", nonlinearity="leaky_relu")
        with torch.no_grad():
            last.weight.mul_(0.25)


def draw_latents(count: int, z_dim: int, distribution: str, generator: torch.Generator) -> Float[Tensor, "count z"]:
    """Latents from N(0, I) (`gaussian`) or U(-1, 1) (`uniform`), on the generator's device."""
    if distribution == "uniform":
        return 2 * torch.rand((count, z_dim), generator=generator, device=generator.device) - 1
    return torch.randn((count, z_dim), generator=generator, device=generator.device)


def truncate(
    code: Float[Tensor, "batch code"], average: Float[Tensor, "code"], psi: float
) -> Float[Tensor, "batch code"]:
    """Codes moved towards the average one: average + psi (code - average); psi = 1 changes nothing.

    >>> truncate(torch.tensor([[4.0, -4.0]]), average=torch.tensor([2.0, 0.0]), psi=0.5)
    tensor([[ 3., -2.]])
    """
    return average + psi * (code - average)
