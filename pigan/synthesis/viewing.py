"""Generated objects from any camera, as tensors: colour, depth, opacity and normals, in tiles of bounded memory."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pigan.config import Params
from pigan.kernels.choose import field_of, rendering_numerics
from pigan.models.generator import Generator, rendered_rays
from pigan.rendering.cameras import POLE, fov_of_focal_length, look_along, look_at_origin
from pigan.rendering.rays import distance_to_z, pixel_directions, world_rays
from pigan.rendering.render import RaySettings, no_randomness, render_rays
from pigan.rendering.volume import SOLID
from pigan.sections import Background
from pigan.synthesis.choices import Backdrop

# rays x samples at a time; some 100 bytes each
SAMPLES_A_TILE = 1 << 20


class Cameras(NamedTuple):
    """Where images are seen from: OpenGL / NeRF convention (x right, y up, the camera looks along -z)."""

    cam2world: Float[Tensor, "view 4 4"]
    """Extrinsics, world units."""
    fov: Float[Tensor, "view"]
    """Full opening angle of the square image, radians, measured as the model's own (`camera.align_corners`)."""
    from_edges: bool = False
    """It is measured between the outer edges of the image, however the model measures its own."""

    def __len__(self) -> int:
        return len(self.cam2world)


class Seen(NamedTuple):
    """What cameras see."""

    colour: Float[Tensor, "view side side channel"]
    """RGB in 0..1 over the background; RGBA where that is transparent, its colour not multiplied by the opacity."""
    depth: Float[Tensor, "view side side"]
    """z-depth, world units; NaN where less than half of the ray is stopped."""
    opacity: Float[Tensor, "view side side"]
    """0..1, without the background's share."""


def orbit_cameras(
    yaw: Float[Tensor, "view"],
    pitch: Float[Tensor, "view"],
    fov: float | Float[Tensor, "view"],
    radius: float | Float[Tensor, "view"],
) -> Cameras:
    """Cameras on a sphere that look at the origin: yaw, polar angle from +y and opening angle in radians.

    >>> cameras = orbit_cameras(torch.tensor([0.0, 1.0, 2.0]), torch.full((3,), 1.4), fov=0.2, radius=1.5)
    >>> len(cameras), cameras.cam2world[:, :3, 3].norm(dim=1)
    (3, tensor([1.5000, 1.5000, 1.5000]))
    """
    distance = torch.as_tensor(radius, dtype=yaw.dtype, device=yaw.device).expand_as(yaw)
    # at the poles no direction of an image is up: from just beside them
    beside = pitch.clamp(POLE, math.pi - POLE)
    cam2world = look_at_origin(yaw, torch.where((pitch - beside).abs() <= 2 * POLE, beside, pitch), 1.0)
    cam2world[:, :3, 3] *= distance[:, None]
    return Cameras(cam2world, torch.as_tensor(fov, dtype=yaw.dtype, device=yaw.device).expand_as(yaw))


def camera_at(
    focal_length: float,
    position: Float[Tensor, "3"],
    direction: Float[Tensor, "3"],
    up: Float[Tensor, "3"],
) -> Cameras:
    """One camera c = (focal length, position, direction, up); the focal length in sides of the image.

    >>> here, up = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])
    >>> camera_at(0.5, position=here, direction=-here, up=up).fov.rad2deg()
    tensor([90.])
    """
    fov = torch.tensor([fov_of_focal_length(focal_length, 1.0)], dtype=position.dtype, device=position.device)
    return Cameras(look_along(position[None], direction[None], up[None]), fov, from_edges=True)


@torch.no_grad()
def look(
    generator: Generator,
    code: Float[Tensor, "view code"],
    cameras: Cameras,
    resolution: int,
    params: Params,
    samples: int | None = None,
    background: Backdrop | None = None,
) -> Seen:
    """Every object of `code` from the camera of the same row, without randomness: the same call gives the same bits.

    Rays begin and end as far before and behind the origin as in training. `samples` a ray replaces the model's own,
    `background` its `eval_background`.
    """
    camera, device, usual = params.camera, code.device, rendered_rays(params)
    usual = usual._replace(samples=samples or usual.samples, background=_behind(background, usual.background))
    numerics = rendering_numerics(params, device, few=True)
    views = []
    for row in range(len(code)):
        cam2world, fov = cameras.cam2world[row : row + 1].to(device), float(cameras.fov[row])
        # the object stays where it is when the camera comes nearer
        shift = float(cam2world[0, :3, 3].norm()) - camera.radius
        settings = usual._replace(near=max(usual.near + shift, 1e-3), far=max(usual.far + shift, 2e-3))
        pixels = pixel_directions(resolution, fov, camera.align_corners and not cameras.from_edges, device)
        origin, directions = world_rays(cam2world.float(), pixels)
        field, parts = field_of(generator, code[row : row + 1], numerics), []
        for some in _tiles(resolution**2, settings):
            still = no_randomness(1, len(range(*some.indices(resolution**2))), settings, device)
            seen = render_rays(field, origin, directions[:, some], settings, still)
            total = seen.weights.sum(-1)
            z = distance_to_z(seen.distance / total.clamp_min(1e-8), pixels[some])
            colour = _straight(seen.colour, seen.opacity) if background == "transparent" else seen.colour
            parts.append((colour, torch.where(total >= SOLID, z, torch.nan), seen.opacity))
        colour, depth, opacity = (
            torch.cat(part, 1).unflatten(1, (resolution, resolution)) for part in zip(*parts, strict=True)
        )
        views.append(Seen(colour.float(), depth.float(), opacity.float()))
    return Seen(*(torch.cat(part) for part in zip(*views, strict=True)))


def as_levels(values: Float[Tensor, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """8-bit levels of 0..1, rounded to the nearest."""
    levels: UInt8[np.ndarray, "*shape"] = (values.detach() * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return levels


def _behind(backdrop: Backdrop | None, own: Background) -> Background:
    """What the ray's end is given to."""
    if backdrop is None:
        return own
    return "none" if backdrop == "black" or backdrop == "transparent" else backdrop


def _straight(
    premultiplied: Float[Tensor, "view ray 3"], opacity: Float[Tensor, "view ray"]
) -> Float[Tensor, "view ray 4"]:
    """RGBA of what was rendered before black."""
    alpha = opacity[..., None].clamp(0, 1)
    return torch.cat(((premultiplied / alpha.clamp_min(1e-6)).clamp(0, 1), alpha), -1)


def _tiles(rays: int, settings: RaySettings) -> list[slice]:
    """Pieces of so many rays that their samples fit into memory."""
    size = max(1, SAMPLES_A_TILE // settings.samples_a_ray)
    return [slice(start, start + size) for start in range(0, rays, size)]
