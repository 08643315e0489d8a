"""Colours of a surface's vertices: the light that leaves there, as one camera sees it or as the mean over several."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from pigan.rendering.render import Field
from pigan.rendering.volume import render_weights
from pigan.sections import Activation

# points along all rays that the field is asked about at a time
POINTS_A_PASS = 1 << 18
# a ray into the object: so many samples, at this share of the distance at which images sample
SAMPLES, SHARE = 12, 0.25
# what a view from behind the surface counts beside one from the front
FROM_BEHIND = 1e-3


@torch.no_grad()
def vertex_colours(
    field: Field,
    vertices: Float64[np.ndarray, "vertex 3"],
    normals: Float32[np.ndarray, "vertex 3"],
    cameras: Float[Tensor, "view 3"],
    spacing: float,
    activation: Activation,
) -> Float32[np.ndarray, "vertex 3"]:
    """Colours (0..1) of `vertices` seen from `cameras` (positions, on the field's device); lengths are world units.

    What a ray from the camera gathers from the vertex on, divided by its opacity: on a hard surface the radiance
    there, in fog a mean over what lies behind. `spacing` is that of the samples of images. With several cameras it is
    the mean, in which each counts as much as the surface turns towards it; those behind it are not asked, unless no
    other is there.
    """
    place = torch.tensor(vertices, dtype=torch.float32, device=cameras.device)
    outward = torch.tensor(normals, dtype=torch.float32, device=cameras.device)
    colour, total = torch.zeros_like(place), torch.zeros_like(place[:, :1])
    ways = [torch.nn.functional.normalize(place - camera, dim=-1) for camera in cameras]
    facing = torch.stack([-(way * outward).sum(-1) for way in ways])
    unseen = (facing <= 0).all(0)
    for way, front in zip(ways, facing, strict=True):
        for some in ((front > 0) | unseen).nonzero()[:, 0].split(POINTS_A_PASS // SAMPLES):
            share = front[some, None].clamp_min(FROM_BEHIND)
            colour[some] += share * _gathered(field, place[some], way[some], spacing * SHARE, activation)
            total[some] += share
    return (colour / total).clamp(0, 1).cpu().numpy()


def _gathered(
    field: Field,
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    step: float,
    activation: Activation,
) -> Float[Tensor, "ray 3"]:
    """Colour along each ray, divided by the opacity."""
    along = step * torch.arange(SAMPLES, device=origins.device)
    points = origins[:, None] + directions[:, None] * along[:, None]
    rgb, density = field(points.reshape(1, -1, 3), directions.repeat_interleave(SAMPLES, 0)[None])
    weights = render_weights(density.reshape(points.shape[:2]).float(), along.expand(points.shape[:2]), activation)
    # the first sample's colour where there is nothing at all
    weights = weights + 1e-6 * torch.nn.functional.one_hot(torch.zeros_like(along[0], dtype=torch.int64), SAMPLES)
    return (weights[..., None] * rgb.reshape(points.shape)).sum(1) / weights.sum(1, keepdim=True)
