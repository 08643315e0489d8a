"""Volume rendering: density -> alpha -> transmittance -> weights -> colour, depth, opacity (NeRF's quadrature).

A field may give opacities instead of densities: then the activation is the sigmoid, and alpha is its value.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.sections import Activation, Background

LAST_INTERVAL = 1e10
# a ray of this opacity meets a surface, one of less does not
SOLID = 0.5


class Rendering(NamedTuple):
    """What rays see."""

    colour: Float[Tensor, "*batch 3"]
    distance: Float[Tensor, "*batch"]
    """Expected distance along the ray, sum of weight x depth; not divided by the opacity."""
    opacity: Float[Tensor, "*batch"]
    """Sum of the weights before the background takes its share."""
    weights: Float[Tensor, "*batch sample"]
    depths: Float[Tensor, "*batch sample"]


def render_weights(
    density: Float[Tensor, "*batch sample"],
    depths: Float[Tensor, "*batch sample"],
    activation: Activation,
) -> Float[Tensor, "*batch sample"]:
    """Share of each sample in its ray: w_i = T_i alpha_i, T_i = prod_{j<i} (1 - alpha_j).

    alpha_i = 1 - exp(-delta_i a(density_i)); the last interval is unbounded, so that any positive last density is
    opaque (authors' code). With `sigmoid` alpha_i = sigmoid(density_i) as it is, whatever the distance of samples.

    Half of the light is stopped by the first sample, the second is a wall, nothing is left for the third:

    >>> depths, half = torch.tensor([1.0, 2.0, 3.0]), torch.log(torch.tensor(2.0))
    >>> render_weights(torch.stack((half, 1000 * half, half)), depths, "relu").round(decimals=4)
    tensor([0.5000, 0.5000, 0.0000])
    """
    if activation == "sigmoid":
        # 1 - sigmoid(x) is sigmoid(-x), which does not round to 0 until the density is near 100
        clear = torch.sigmoid(-density[..., :-1]).clamp_min(torch.finfo(density.dtype).tiny)
        return torch.sigmoid(density) * transmittance(clear)
    delta = torch.cat((depths[..., 1:] - depths[..., :-1], torch.full_like(depths[..., :1], LAST_INTERVAL)), dim=-1)
    activated = torch.relu(density) if activation == "relu" else torch.nn.functional.softplus(density)
    alpha = 1 - torch.exp(-delta * activated)
    return alpha * transmittance(1 - alpha[..., :-1] + 1e-10)


def transmittance(clear: Float[Tensor, "*batch before"]) -> Float[Tensor, "*batch before+1"]:
    """Share of the light that reaches each sample, when `clear` (above 0) of it passes each one but the last.

    >>> transmittance(torch.tensor([0.5, 0.5]))
    tensor([1.0000, 0.5000, 0.2500])
    """
    through = torch.cat((clear.new_ones((*clear.shape[:-1], 1)), clear), dim=-1)
    reached: Tensor = _ProductOfPositive.apply(through)
    return reached


class _ProductOfPositive(torch.autograd.Function):
    """`torch.cumprod` over the last dimension, whose gradient waits for the device to say whether there are zeros."""

    @staticmethod
    def forward(ctx: Any, factors: Tensor) -> Tensor:
        products = torch.cumprod(factors, dim=-1)
        ctx.save_for_backward(factors, products)
        return products

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        factors, products = ctx.saved_tensors
        return (products * gradient).flip(-1).cumsum(-1).flip(-1) / factors


def composite(
    rgb: Float[Tensor, "*batch sample 3"],
    density: Float[Tensor, "*batch sample"],
    depths: Float[Tensor, "*batch sample"],
    activation: Activation,
    background: Background,
) -> Rendering:
    """Colour (0..1), distance (world units) and opacity of rays with samples at ascending `depths`.

    `background` receives the transmittance that is left: `none` is black, `last` gives it to the last sample,
    `white` adds it to every channel.

    Of a ray through nothing, in the three ways:

    >>> red, nothing, depths = torch.tensor([[1.0, 0.0, 0.0]] * 2), torch.zeros(2), torch.tensor([1.0, 2.0])
    >>> {way: composite(red, nothing, depths, "relu", way).colour.tolist() for way in ("none", "last", "white")}
    {'none': [0.0, 0.0, 0.0], 'last': [1.0, 0.0, 0.0], 'white': [1.0, 1.0, 1.0]}
    """
    weights = render_weights(density, depths, activation)
    opacity = weights.sum(-1)
    if background == "last":
        weights = torch.cat((weights[..., :-1], weights[..., -1:] + (1 - opacity)[..., None]), dim=-1)
    colour = (weights[..., None] * rgb).sum(-2)
    if background == "white":
        colour = colour + (1 - opacity)[..., None]
    return Rendering(colour, (weights * depths).sum(-1), opacity, weights, depths)


def distance_variance(rendering: Rendering) -> Float[Tensor, "*batch"]:
    """Variance of distance under a ray's normalised weights, world units squared: how blurred the surface is.

    What the background `last` gives to the last sample is no surface and does not count.
    """
    given = rendering.weights.sum(-1, keepdim=True) - rendering.opacity[..., None]
    own = torch.cat((rendering.weights[..., :-1], rendering.weights[..., -1:] - given), dim=-1)
    total = own.sum(-1).clamp_min(1e-8)
    mean = (own * rendering.depths).sum(-1) / total
    return (own * (rendering.depths - mean[..., None]) ** 2).sum(-1) / total
