"""Between the pixels of a view with z-depth and the world."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.rendering.rays import pixel_directions

# a view whose object covers fewer pixels says nothing about its shape
SURFACE_PIXELS = 16


def unproject(
    depth: Float[Tensor, "side side"], cam2world: Float[Tensor, "4 4"], fov: float, align_corners: bool
) -> Float[Tensor, "point 3"]:
    """World positions of a view's pixels, row by row, from z-depth (NaN stays NaN); `fov` in radians."""
    directions = pixel_directions(len(depth), fov, align_corners).to(depth)
    camera = directions / -directions[:, 2:] * depth.reshape(-1, 1)
    return camera @ cam2world[:3, :3].T + cam2world[:3, 3]


def project(
    points: Float[Tensor, "point 3"], cam2world: Float[Tensor, "4 4"], fov: float, side: int, align_corners: bool
) -> tuple[Float[Tensor, "point 2"], Float[Tensor, "point"]]:
    """(row, column) of world points in a square view, counted from the centre of the first pixel, and z-depths.

    What lies behind the camera has no place: NaN.
    """
    camera = (points - cam2world[:3, 3]) @ cam2world[:3, :3]
    z = -camera[:, 2]
    edge = math.tan(fov / 2) * (1.0 if align_corners else 1.0 - 1.0 / side)
    # image rows run downwards, camera y upwards
    across = torch.stack((-camera[:, 1], camera[:, 0]), dim=-1) / (z[:, None] * edge)
    return torch.where(z[:, None] > 0, (across + 1) / 2 * (side - 1), torch.nan), z
