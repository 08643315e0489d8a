"""Where an object can no longer be seen through, from any side: what images show, whatever its density is inside."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pigan.errors import PiganError
from pigan.progress import Progress
from pigan.rendering.cameras import look_along, position_on_sphere
from pigan.rendering.rays import pixel_directions, world_rays
from pigan.sections import Activation, Camera
from pigan.synthesis.views import usual_pitch, yaw_sweep

# cameras on all sides, above and below, and those among them that the pose law shows
AROUND, SHOWN = 24, 6
# of its light, the share that a point on the surface loses: with 0.4 the depth of meshes is nearest to that of images
LEVEL = 0.4
# share of the light from which on a point is in the open, and no further camera is asked about it
CLEAR = 0.98
# points that are looked up at a time
POINTS_A_PASS = 1 << 20
# of the light to a camera, 4 bytes each; a default mesh of 512 points a side has some 1.5e8
MOST_POINTS = 1 << 30


def optical_density(
    density: Float[Tensor, "*point"], spacing: float, activation: Activation
) -> Float[Tensor, "*point"]:
    """Share of the light that is lost on a short way, by its length in world units, of raw `density`.

    Opacities (sigmoid) are those of samples that stand `spacing` world units apart.
    """
    if activation == "relu":
        return torch.relu(density)
    thick = torch.nn.functional.softplus(density)
    # 1 - sigmoid(x) = exp(-softplus(x))
    return thick / spacing if activation == "sigmoid" else thick


@torch.no_grad()
def occlusion(
    thick: Float[Tensor, "side side side"], side: float, camera: Camera, label: str | None = None
) -> Float[Tensor, "side side side"]:
    """At each point of a grid the share of its light (0..1) that is lost on the way to the camera that gets most of it.

    `thick` holds optical densities (per world unit; x, y, z) in the cube of `side` world units around the origin, its
    faces included. Cameras are those of `viewpoints`; from near to far they see as images do. What none of them has in
    view counts as open. `label` shows progress under that name.
    """
    size = len(thick)
    axis = torch.linspace(-1, 1, size, device=thick.device) * (side / 2)
    best = torch.zeros(thick.numel(), device=thick.device)
    viewed = torch.zeros_like(best, dtype=torch.bool)
    positions = viewpoints(camera, thick.device)
    with Progress(len(positions) if label else 0, label or "", "view") as progress:
        for position in positions:
            passed = transmittance_from(thick, side, camera, position)
            for start in range(0, len(best), POINTS_A_PASS):
                some = start + (best[start : start + POINTS_A_PASS] < CLEAR).nonzero()[:, 0]
                number = torch.stack((some // size**2, some // size % size, some % size), -1)
                share, inside = _look_up(passed, axis[number], camera, position)
                best[some] = torch.where(inside, share.maximum(best[some]), best[some])
                viewed[some] |= inside
            if label:
                progress.advance(1)
    # interpolation rounds
    return torch.where(viewed, 1 - best, 0.0).clamp(0, 1).view_as(thick)


def viewpoints(camera: Camera, device: torch.device) -> Float[Tensor, "view 3"]:
    """Positions on the cameras' sphere: evenly all round (Fibonacci's lattice), and some that the pose law shows."""
    number = torch.arange(AROUND, device=device) + 0.5
    height, turn = 1 - 2 * number / AROUND, math.pi * (1 + math.sqrt(5)) * number
    across = (1 - height**2).sqrt()
    around = camera.radius * torch.stack((across * turn.cos(), height, across * turn.sin()), -1)
    yaw = torch.tensor(yaw_sweep(camera, SHOWN), device=device)
    return torch.cat((around, position_on_sphere(yaw, torch.full_like(yaw, usual_pitch(camera)), camera.radius)))


def transmittance_from(
    thick: Float[Tensor, "side side side"], side: float, camera: Camera, position: Float[Tensor, "3"]
) -> Float[Tensor, "depth pixel pixel"]:
    """Share of the light that comes through to a camera at `position`, which looks at the origin, along its rays.

    Depths go from near to far, rays from edge to edge of the image (rows from the top), both about as densely as the
    grid; in between optical densities are interpolated linearly.

    Raises:
        PiganError: that takes too much memory, which a cube far smaller than the view does.
    """
    step = side / (len(thick) - 1)
    count = 1 + math.ceil((camera.far - camera.near) / step)
    pixels = 1 + math.ceil(2 * camera.radius * math.tan(camera.fov / 2) / step)
    if count * pixels**2 > MOST_POINTS:
        raise PiganError(
            f"mesh: a cube of {side:g} is so small beside what cameras see that its occlusion takes "
            f"{4e-9 * count * pixels**2:,.0f} GB; take a larger --side, a lower --resolution or --surface density"
        )
    rays = pixel_directions(pixels, camera.fov, True, thick.device)
    origins, directions = world_rays(_facing_origin(position), rays)
    depths = torch.linspace(camera.near, camera.far, count, device=thick.device)
    passed = torch.empty((count, pixels**2), device=thick.device)
    for some in torch.arange(pixels**2, device=thick.device).split(max(1, POINTS_A_PASS // count)):
        points = origins[0] + directions[0, some] * depths[:, None, None]
        found = sampled(thick, points / (side / 2))
        lost = torch.cumulative_trapezoid(found, depths, dim=0)
        passed[:, some] = torch.exp(-torch.cat((torch.zeros_like(found[:1]), lost)))
    return passed.view(count, pixels, pixels)


def sampled(volume: Float[Tensor, "x y z"], places: Float[Tensor, "*point 3"]) -> Float[Tensor, "*point"]:
    """A volume between its samples, trilinearly, at places (x, y, z) in the box -1..1; outside there is nothing."""
    # grid_sample names the last axis first
    grid = places.reshape(1, 1, 1, -1, 3).flip(-1)
    found = torch.nn.functional.grid_sample(volume[None, None], grid, align_corners=True)
    return found.reshape(places.shape[:-1])


def _facing_origin(position: Float[Tensor, "3"]) -> Float[Tensor, "1 4 4"]:
    up = torch.zeros_like(position)
    up[1] = 1
    return look_along(position, -position, up)[None]


def _look_up(
    passed: Float[Tensor, "depth pixel pixel"],
    points: Float[Tensor, "point 3"],
    camera: Camera,
    position: Float[Tensor, "3"],
) -> tuple[Float[Tensor, "point"], Bool[Tensor, "point"]]:
    """The light that comes from points to the camera, and which points it has in view."""
    beyond = points - position
    right, up, ahead = (beyond @ _facing_origin(position)[0, :3, :3]).unbind(-1)
    # nothing is sampled before near, so that all light comes through there
    depth = (beyond.norm(dim=-1) - camera.near) / (camera.far - camera.near)
    across = -ahead * math.tan(camera.fov / 2)
    places = torch.stack((2 * depth.clamp_min(0) - 1, -up / across, right / across), -1)
    return sampled(passed, places), (ahead < 0) & (places.abs() <= 1).all(-1)
