"""Where along a ray the field is asked: stratified depths, then importance sampling (arXiv 2012.00926, section 3.2)."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

EPSILON = 1e-5


def stratified_depths(
    near: float, far: float, jitter: Float[Tensor, "*batch sample"]
) -> Float[Tensor, "*batch sample"]:
    """Evenly spaced depths from `near` to `far`, each moved by `jitter` (in -0.5..0.5) spacings."""
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
    """Coarse and fine depths in one ascending row, and where each stands in their concatenation."""
    depths, order = torch.sort(torch.cat((coarse, fine), dim=-1), dim=-1, stable=True)
    return depths, order
