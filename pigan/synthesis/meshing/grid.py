"""A field's density on a cubic grid of world units, slab by slab, so that no more than a slab is in memory."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32

from pigan.progress import Progress
from pigan.rendering.render import Field
from pigan.sections import Camera

# points that the field is asked about at a time
POINTS_A_PASS = 1 << 18
# densities of one slab: 16 MB
VALUES_A_SLAB = 1 << 22

Slab = Float32[np.ndarray, "layer side side"]
"""Densities at neighbouring x (first axis), all y and z."""


def box_side(camera: Camera) -> float:
    """Side (world units) of the cube around the origin that holds what the cameras see.

    It reaches as far as the rays are sampled before and behind the origin, and as far as images reach beside it.
    """
    beside = camera.radius * math.tan(camera.fov / 2)
    return 2 * max(camera.radius - camera.near, camera.far - camera.radius, beside)


def density_slabs(
    field: Field,
    side: float,
    resolution: int,
    device: torch.device,
    values_a_slab: int = VALUES_A_SLAB,
    label: str | None = None,
) -> Iterator[Slab]:
    """Raw densities at `resolution`^3 points of the cube, its faces included; `label` shows progress.

    Slabs of about `values_a_slab` densities follow one another along x.
    """
    ticks = (torch.arange(resolution, dtype=torch.float64) / (resolution - 1) - 0.5) * side
    axis = ticks.float().to(device)
    layers = max(1, values_a_slab // resolution**2)
    with Progress(resolution if label else 0, label or "", "layer") as progress:
        for start in range(0, resolution, layers):
            some = axis[start : start + layers]
            yield _densities(field, some, axis)
            if label:
                progress.advance(len(some))


@torch.no_grad()
def _densities(
    field: Field, x: Float32[torch.Tensor, "layer"], axis: Float32[torch.Tensor, "side"]
) -> Float32[np.ndarray, "layer side side"]:
    across = len(axis) ** 2
    values = np.empty(len(x) * across, np.float32)
    plane = torch.cartesian_prod(axis, axis)
    for start in range(0, len(values), POINTS_A_PASS):
        number = torch.arange(start, min(start + POINTS_A_PASS, len(values)), device=axis.device)
        points = torch.cat((x[number // across, None], plane[number % across]), -1)[None]
        ahead = torch.zeros_like(points)
        ahead[..., 2] = -1
        values[start : start + len(number)] = field(points, ahead)[1][0].float().cpu().numpy()
    return values.reshape(len(x), len(axis), len(axis))
