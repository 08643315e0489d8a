"""Camera poses: laws they are drawn from, and extrinsics.

OpenGL / NeRF convention: x right, y up, the camera looks along -z. Yaw and pitch are radians; yaw = pitch = pi / 2
stands on +z, and pitch is the polar angle from +y (as in the authors' code; arXiv 2012.00926, section 3).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.sections import Camera, PoseLaw

POLE = 1e-5


def sample_poses(
    law: PoseLaw,
    count: int,
    yaw_mean: float,
    yaw_spread: float,
    pitch_mean: float,
    pitch_spread: float,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "count"], Float[Tensor, "count"]]:
    """Yaw and pitch (radians) of `count` cameras, on the generator's device.

    The laws are the authors': `uniform` is mean +- spread; `gaussian` has spread as its standard deviation;
    `hybrid` is, by one coin a call, uniform with twice the spread or gaussian; `truncated_gaussian` is cut at
    two spreads; `spherical_uniform` draws v uniformly in (pitch_mean +- pitch_spread) / pi and takes
    pitch = arccos(1 - 2 v), uniform on the sphere; `fixed` is the means.
    """

    def uniform() -> Float[Tensor, "count"]:
        return 2 * torch.rand(count, generator=generator, device=generator.device) - 1

    def normal() -> Float[Tensor, "count"]:
        return torch.randn(count, generator=generator, device=generator.device)

    if law == "hybrid":
        coin = torch.rand((), generator=generator, device=generator.device)
        # all are drawn and one pair is taken: to branch would be to wait for the device
        yaw_offset, pitch_offset = (torch.where(coin < 0.5, 2 * uniform(), normal()) for _ in range(2))
    elif law == "gaussian":
        yaw_offset, pitch_offset = normal(), normal()
    elif law == "truncated_gaussian":
        yaw_offset, pitch_offset = _truncated_normal(count, generator), _truncated_normal(count, generator)
    elif law in ("uniform", "spherical_uniform"):
        yaw_offset, pitch_offset = uniform(), uniform()
    else:
        yaw_offset = pitch_offset = torch.zeros(count, device=generator.device)
    yaw = yaw_mean + yaw_spread * yaw_offset
    pitch = pitch_mean + pitch_spread * pitch_offset
    if law == "spherical_uniform":
        pitch = torch.arccos(1 - 2 * (pitch / math.pi).clamp(POLE, 1 - POLE))
    return yaw, pitch.clamp(POLE, math.pi - POLE)


def poses_of(
    camera: Camera, count: int, generator: torch.Generator
) -> tuple[Float[Tensor, "count"], Float[Tensor, "count"]]:
    """Yaw and pitch (radians) of `count` cameras, drawn from the law in the params."""
    return sample_poses(
        camera.pose_law,
        count,
        camera.yaw_mean,
        camera.yaw_spread,
        camera.pitch_mean,
        camera.pitch_spread,
        generator,
    )


def position_on_sphere(
    yaw: Float[Tensor, "*batch"], pitch: Float[Tensor, "*batch"], radius: float
) -> Float[Tensor, "*batch 3"]:
    """Camera position, world units, at `yaw` and polar angle `pitch` (radians).

    >>> quarter = torch.tensor(math.pi / 2)
    >>> position_on_sphere(yaw=quarter, pitch=quarter, radius=2.0).round(decimals=3).abs()
    tensor([0., 0., 2.])
    >>> position_on_sphere(yaw=quarter, pitch=torch.tensor(0.0), radius=2.0).round(decimals=3).abs()
    tensor([0., 2., 0.])
    """
    directions = (torch.sin(pitch) * torch.cos(yaw), torch.cos(pitch), torch.sin(pitch) * torch.sin(yaw))
    return radius * torch.stack(directions, dim=-1)


def look_along(
    position: Float[Tensor, "*batch 3"], direction: Float[Tensor, "*batch 3"], up: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """cam2world of a camera at `position` that looks along `direction`, with `up` upwards in its image.

    On +z and looking back to the origin, a camera's axes are those of the world:

    >>> above, ahead = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, -1.0])
    >>> look_along(position=-ahead, direction=ahead, up=above) + 0.0
    tensor([[1., 0., 0., 0.],
            [0., 1., 0., 0.],
            [0., 0., 1., 1.],
            [0., 0., 0., 1.]])
    """
    backward = -torch.nn.functional.normalize(direction, dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, backward), dim=-1)
    upward = torch.linalg.cross(backward, right)
    columns = torch.stack((right, upward, backward, position), dim=-1)
    # filled in on the device: a constant from the host would wait for it
    bottom = torch.zeros_like(columns[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat((columns, bottom), dim=-2)


def look_at_origin(
    yaw: Float[Tensor, "*batch"], pitch: Float[Tensor, "*batch"], radius: float
) -> Float[Tensor, "*batch 4 4"]:
    """cam2world of cameras on a sphere of `radius` (world units) that look at the origin with +y up."""
    position = position_on_sphere(yaw, pitch, radius)
    up = torch.zeros_like(position)
    up[..., 1] = 1
    return look_along(position, -position, up)


def sample_cameras(camera: Camera, count: int, seed: int) -> Float[Tensor, "count 4 4"]:
    """cam2world of `count` cameras that look at the origin, drawn from the law in the params, in float64."""
    yaw, pitch = poses_of(camera, count, torch.Generator().manual_seed(seed))
    return look_at_origin(yaw.double(), pitch.double(), camera.radius)


def edge_fov(camera: Camera, side: int) -> float:
    """Opening angle (radians) between the outer edges of an image of `side` pixels, as the model measures it."""
    if not camera.align_corners:
        return camera.fov
    return 2 * math.atan(math.tan(camera.fov / 2) * side / (side - 1))


def fov_of_focal_length(focal_length: float, side: float) -> float:
    """Opening angle (radians) across `side`, given the focal length in the same unit.

    >>> round(math.degrees(fov_of_focal_length(focal_length=50.0, side=36.0)), 1)
    39.6
    """
    return 2 * math.atan(side / (2 * focal_length))


def _truncated_normal(count: int, generator: torch.Generator) -> Float[Tensor, "count"]:
    """N(0, 1) cut at +-2, by inverting its distribution function."""
    edge = math.erf(2 / math.sqrt(2))
    u = torch.rand(count, generator=generator, device=generator.device)
    return math.sqrt(2) * torch.erfinv((2 * u - 1) * edge)
