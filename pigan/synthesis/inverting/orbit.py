"""Cameras that a search may move: yaw, pitch and distance as numbers with a gradient, and where it should begin."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.rendering.cameras import POLE, poses_of, position_on_sphere
from pigan.runtime import generator_for
from pigan.sections import Camera
from pigan.synthesis.ray_gradients import Cast, Towards
from pigan.synthesis.viewing import Cameras, orbit_cameras

# a step changes the logarithm of the distance less than an angle (radians), to which images are more sensitive
DISTANCE_STEP = 0.3
# of the training's distance
NEAREST, FARTHEST = 0.5, 2.0
DRAWN, ROUNDS = 1024, 12


class Known(NamedTuple):
    """What is known of the camera; the rest is searched for."""

    yaw: float | None = None
    """Radians."""
    pitch: float | None = None
    """Radians from +y."""
    distance: float | None = None
    """From the origin, world units; None: that of the training, from which a search begins."""
    find_pose: bool = True
    """Whether yaw and pitch may move."""
    find_distance: bool = False


def to_numbers(pose: Float[Tensor, "view 2"], distance: float) -> Float[Tensor, "view 3"]:
    """The numbers that a search moves, of poses (yaw and pitch, radians) at `distance`."""
    return torch.cat((pose, torch.full_like(pose[:, :1], math.log(distance) / DISTANCE_STEP)), 1)


def from_numbers(numbers: Float[Tensor, "view 3"]) -> Float[Tensor, "view 3"]:
    """Yaw, pitch (radians) and distance (world units)."""
    return torch.cat((numbers[:, :2], (DISTANCE_STEP * numbers[:, 2:]).exp()), 1)


def within(numbers: Float[Tensor, "view 3"], radius: float) -> Float[Tensor, "view 3"]:
    """The nearest numbers that are a camera: off the poles, and not far from the training's distance `radius`."""
    low, high = (math.log(share * radius) / DISTANCE_STEP for share in (NEAREST, FARTHEST))
    pitch, distance = numbers[:, 1:2].clamp(POLE, math.pi - POLE), numbers[:, 2:].clamp(low, high)
    return torch.cat((numbers[:, :1], pitch, distance), 1)


def cameras_at(numbers: Float[Tensor, "view 3"], fov: float) -> Cameras:
    """Cameras of those numbers; gradients flow to them."""
    yaw, pitch, distance = from_numbers(numbers).unbind(1)
    return orbit_cameras(yaw, pitch, fov, distance)


def cast(cameras: Cameras, rays: Float[Tensor, "ray 3"], radius: float) -> Cast:
    """The rays (directions in camera space) of every camera; samples stay about the origin at any distance."""
    origins = cameras.cam2world[:, :3, 3]
    directions = torch.einsum("vij,rj->vri", cameras.cam2world[:, :3, :3], rays)
    return Cast(origins, directions, origins.norm(dim=-1) - radius)


def towards_numbers(
    numbers: Float[Tensor, "view 3"], rays: Float[Tensor, "ray 3"], radius: float, towards: Towards
) -> Float[Tensor, "view 3"]:
    """The gradient of the numbers from that of their rays."""
    leaf = numbers.detach().clone().requires_grad_()
    seen = cast(cameras_at(leaf, 1.0), rays, radius)
    shares = [values for values in towards[2:] if values is not None]
    (gradient,) = torch.autograd.grad([*seen[:2], seen.origins.norm(dim=-1)], leaf, shares)
    return gradient


def spread_poses(camera: Camera, count: int, seed: int) -> Float[Tensor, "view 2"]:
    """`count` poses (yaw and pitch, radians) that stand for all that the training's law draws (k-means on the sphere).

    Fewer where the law draws fewer different ones.
    """
    drawn = torch.stack(poses_of(camera, DRAWN, generator_for(torch.device("cpu"), seed, "starts")), 1)
    if len(distinct := torch.unique(drawn, dim=0)) <= count:
        return distinct
    points = position_on_sphere(drawn[:, 0], drawn[:, 1], 1.0)
    centres = points[torch.linspace(0, DRAWN - 1, count).long()]
    for _ in range(ROUNDS):
        nearest = (points @ centres.mT).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where((sums.norm(dim=1) > 0)[:, None], torch.nn.functional.normalize(sums, dim=1), centres)
    # the law's own pose nearest to each middle: none that it never draws, and yaws of its own turn
    return drawn[(centres @ points.mT).argmax(1)]


def turned_by(one: Float[Tensor, "view 3"], other: Float[Tensor, "3"]) -> Float[Tensor, "view"]:
    """Angle (radians) between the directions in which two cameras stand."""
    ours, theirs = (position_on_sphere(pose[..., 0], pose[..., 1], 1.0) for pose in (one, other))
    return (ours * theirs).sum(-1).clamp(-1, 1).arccos()
