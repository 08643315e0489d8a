"""One ray a pixel, and the two meanings of depth."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def pixel_directions(
    resolution: int, fov: float, align_corners: bool, device: torch.device | None = None
) -> Float[Tensor, "ray 3"]:
    """Unit directions in camera space of a square image's pixels, row by row from the top left.

    `fov` (radians) spans the centres of the outer pixels with `align_corners` (authors' code), else their outer
    edges (NeRF `camera_angle_x`).

    >>> first = {corners: pixel_directions(4, math.pi / 2, corners)[0] for corners in (True, False)}
    >>> {corners: [round(float(part / -ray[2]), 2) for part in ray] for corners, ray in first.items()}
    {True: [-1.0, 1.0, -1.0], False: [-0.75, 0.75, -1.0]}
    """
    edge = 1.0 if align_corners else 1.0 - 1.0 / resolution
    across = torch.linspace(-edge, edge, resolution, device=device)
    down, right = torch.meshgrid(-across, across, indexing="ij")
    ahead = torch.full_like(right, -1.0 / math.tan(fov / 2))
    directions = torch.stack((right, down, ahead), dim=-1).reshape(-1, 3)
    return torch.nn.functional.normalize(directions, dim=-1)


def world_rays(
    cam2world: Float[Tensor, "batch 4 4"], directions: Float[Tensor, "ray 3"]
) -> tuple[Float[Tensor, "batch 3"], Float[Tensor, "batch ray 3"]]:
    """Ray origins (one a camera) and unit directions in world space."""
    return cam2world[:, :3, 3], torch.einsum("bij,rj->bri", cam2world[:, :3, :3], directions)


def distance_to_z(
    distance: Float[Tensor, "*batch ray"], directions: Float[Tensor, "ray 3"]
) -> Float[Tensor, "*batch ray"]:
    """z-depth (along the optical axis) from distance along the rays with camera-space `directions`.

    A wall across the view has one depth, though its corners are farther away than its middle:

    >>> directions = torch.tensor([[0.0, 0.0, -1.0], [0.6, 0.0, -0.8]])
    >>> distance_to_z(torch.tensor([4.0, 5.0]), directions)
    tensor([4., 4.])
    """
    return distance * -directions[:, 2]
