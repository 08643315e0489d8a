"""Where along a ray the field is asked: stratified depths, then importance sampling (arXiv 2012.00926, section 3.2)."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

EPSILON = 1e-5


def stratified_depths(
    near: float, far: float, jitter: Float[Tensor, "*batch sample"]
) -> Float[Tensor, "*batch sample"]:
    """Evenly spaced depths from `near` to `far`, each moved by `jitter` (in -0.5..0.5) spacings.

    >>> stratified_depths(1.0, 2.0, torch.tensor([0.0, 0.5, 0.0, -0.5, 0.0]))
    tensor([1.0000, 1.3750, 1.5000, 1.6250, 2.0000])
    """
    count = jitter.shape[-1]
    depths = torch.linspace(near, far, count, device=jitter.device)
    return depths + jitter * ((far - near) / (count - 1))


def importance_depths(
    depths: Float[Tensor, "*batch coarse"],
    weights: Float[Tensor, "*batch coarse"],
    uniform: Float[Tensor, "*batch fine"],
) -> Float[Tensor, "*batch fine"]:
    """Depths drawn where the coarse pass put its weight: the inverse distribution function at `uniform` (0..1).

    As in the authors' code the bins lie between the midpoints of neighbouring depths, a bin's probability is the
    weight of the sample in it, and the outermost samples have no bin. No gradient flows through.

    With all weight on the sample at 2 all depths fall into its bin, from 1.5 to 2.5:

    >>> depths = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    >>> importance_depths(depths, torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]), torch.tensor([0.1, 0.5, 0.9]))
    tensor([1.6000, 2.0000, 2.4000])
    """
    with torch.no_grad():
        edges = 0.5 * (depths[..., 1:] + depths[..., :-1])
        mass = weights[..., 1:-1] + 2 * EPSILON
        cumulative = torch.cumsum(mass / mass.sum(-1, keepdim=True), dim=-1)
        cumulative = torch.cat((torch.zeros_like(cumulative[..., :1]), cumulative), dim=-1)
        above = torch.searchsorted(cumulative, uniform.contiguous(), right=True).clamp(1, cumulative.shape[-1] - 1)
        low, high = cumulative.gather(-1, above - 1), cumulative.gather(-1, above)
        share = (uniform - low) / torch.where(high - low < EPSILON, 1.0, high - low)
        left, right = edges.gather(-1, above - 1), edges.gather(-1, above)
        return left + share * (right - left)


def merge_order(
    coarse: Float[Tensor, "*batch coarse"], fine: Float[Tensor, "*batch fine"]
) -> tuple[Float[Tensor, "*batch total"], Int64[Tensor, "*batch total"]]:
    """Coarse and fine depths in one ascending row, and where each stands in their concatenation.

    >>> depths, order = merge_order(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.9, 2.1]))
    >>> depths, order
    (tensor([1.0000, 1.9000, 2.0000, 2.1000, 3.0000]), tensor([0, 3, 1, 4, 2]))
    """
    depths, order = torch.sort(torch.cat((coarse, fine), dim=-1), dim=-1, stable=True)
    return depths, order
