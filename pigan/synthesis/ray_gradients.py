"""What a loss of rays' colours says to the code, and to the cameras, of the objects that they see.

Points are independent of each other given the gradients of their colour and density. So the field is differentiated
only where there are any, in tiles (`pigan.training.fakes`): nothing is left out, and memory is that of a tile.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pigan.kernels.choose import EXACT, field_of
from pigan.kernels.threads import share_points
from pigan.models.generator import Generator
from pigan.rendering.render import Field, RayRandomness, RaySettings, sample_rays
from pigan.rendering.volume import composite
from pigan.training.fakes import tiles
from pigan.training.memory import Tile

Loss = Callable[[Float[Tensor, "view ray 3"]], Float[Tensor, "view"]]
"""Each view's loss from the colours (0..1) of its rays."""


class Cast(NamedTuple):
    """Rays of several views."""

    origins: Float[Tensor, "view 3"]
    directions: Float[Tensor, "view ray 3"]
    """Unit directions in world space."""
    further: Float[Tensor, "view"] | None = None
    """How much further along the rays than the settings say all samples lie, world units."""


class Towards(NamedTuple):
    """Each view's loss and its gradients; None: not asked for."""

    loss: Float[Tensor, "view"]
    code: Float[Tensor, "view code"]
    origins: Float[Tensor, "view 3"] | None
    directions: Float[Tensor, "view ray 3"] | None
    further: Float[Tensor, "view"] | None


def ray_gradients(
    generator: Generator,
    code: Float[Tensor, "view code"],
    rays: Cast,
    sampling: RaySettings,
    randomness: RayRandomness,
    loss: Loss,
    points_a_tile: int,
    cameras: bool = False,
) -> Towards:
    """Loss of each view's rays and its gradient for the view's code and, with `cameras`, for its rays.

    The depths of the importance samples count as given, as everywhere in training.
    """
    with torch.no_grad():
        field = moved(field_of(generator, code, EXACT), rays.further)
        samples = sample_rays(field, rays.origins, rays.directions, sampling, randomness)
    rgb, density = samples.rgb.requires_grad_(), samples.density.requires_grad_()
    error = loss(composite(rgb, density, samples.depths, sampling.activation, sampling.background).colour)
    towards_rgb, towards_density = torch.autograd.grad(error.sum(), (rgb, density))
    towards_rgb, towards_density = towards_rgb.flatten(1, 2), towards_density.flatten(1)
    depths, total = samples.depths.flatten(1), samples.depths.shape[-1]
    further = torch.zeros_like(depths[:, 0]) if rays.further is None else rays.further
    wanted = (code, rays.origins, rays.directions, further) if cameras else (code,)
    gradients = [torch.zeros_like(values) for values in wanted]
    tile = Tile(max(1, points_a_tile // depths.shape[1]), points_a_tile)

    def of_points(views: slice, chosen: Int64[Tensor, "view point"]) -> tuple[Tensor | None, ...]:
        triples = chosen[..., None].expand(-1, -1, 3)
        leaves = [values[views].detach().clone().requires_grad_() for values in wanted]
        origins, directions = leaves[1:3] if cameras else (rays.origins[views], rays.directions[views])
        along = directions.gather(1, torch.div(triples, total, rounding_mode="floor"))
        distances = depths[views].gather(1, chosen)[..., None]
        if rays.further is not None:
            distances = distances + (leaves[3] if cameras else further[views])[:, None, None]
        points = origins[:, None] + along * distances
        shares = towards_rgb[views].gather(1, triples), towards_density[views].gather(1, chosen)
        answer = field_of(generator, leaves[0], EXACT)(points, along)
        return torch.autograd.grad(answer, leaves, shares, allow_unused=True)

    for views, chosen in tiles((towards_density != 0) | (towards_rgb != 0).any(-1), tile):
        for found in share_points(partial(of_points, views), chosen):
            for gradient, part in zip(gradients, found, strict=True):
                if part is not None:
                    gradient[views] += part
    return Towards(error.detach(), gradients[0], *(gradients[1:] if cameras else (None, None, None)))


def moved(field: Field, further: Float[Tensor, "view"] | None) -> Field:
    """`field` asked so much `further` along each view's rays."""
    if further is None:
        return field
    return lambda points, directions: field(points + directions * further[:, None, None], directions)
