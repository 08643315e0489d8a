"""Which density the surface has: the one whose outline is that of the rendered object."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pigan.models.generator import ray_settings
from pigan.rendering.cameras import look_at_origin
from pigan.rendering.rays import pixel_directions, world_rays
from pigan.rendering.render import Field, no_randomness, sample_rays
from pigan.rendering.volume import SOLID, composite
from pigan.sections import Background, Camera, Model
from pigan.synthesis.views import usual_pitch, yaw_sweep

VIEWS = 6
PIXELS = 24
# samples on a ray for each of rendering
FINER = 4
# difference in a channel from which on a colour is another (of 0..1)
VISIBLE = 0.1
# share of the rays by which outlines may differ that count as the same
ALIKE = 0.05


def half_alpha_level(model: Model, camera: Camera) -> float:
    """The raw density of a sample whose alpha is one half where samples stand as far apart as in training.

    alpha = 1 - exp(-delta a(density)), with delta = (far - near) / samples of the coarse pass and a the activation;
    of opacities (sigmoid) it is that of a half, whatever the distance.
    """
    if model.activation == "sigmoid":
        return 0.0
    density = math.log(2) * model.samples / (camera.far - camera.near)
    # softplus(x) = density
    return density if model.activation == "relu" else density + math.log(-math.expm1(-density))


@torch.no_grad()
def outline_level(field: Field, model: Model, camera: Camera, samples: int, device: torch.device) -> float:
    """The raw density that as many rays pass somewhere as show the object.

    Those are stopped (opacity of at least one half), and of another colour than the background: nobody sees fog of its
    colour. A ray meets the surface when the densest point on it is above the level, so that the mesh gets the size that
    the object has in images, foggy or solid. Rays are those of a few small images, sampled FINER times as densely as
    images with `samples` in the coarse pass (opacities of samples: as densely, since each sample adds to them).

    Where `half_alpha_level` gives the same outline, to a twentieth of the rays, it is that one; too where no ray shows
    anything.
    """
    usual = half_alpha_level(model, camera)
    settings = ray_settings(model, camera, model.eval_background, samples)
    if settings.activation != "sigmoid":
        settings = settings._replace(samples=FINER * samples, hierarchical=False)
    pixels = pixel_directions(PIXELS, camera.fov, camera.align_corners, device)
    still = no_randomness(1, len(pixels), settings, device)
    found, shown = [], 0
    for yaw in yaw_sweep(camera, VIEWS):
        angles = torch.tensor([yaw, usual_pitch(camera)], device=device)
        origins, directions = world_rays(look_at_origin(angles[:1], angles[1:], camera.radius), pixels)
        seen = sample_rays(field, origins, directions, settings, still)
        rendering = composite(*seen, settings.activation, settings.background)
        shown += int(((rendering.opacity >= SOLID) & _visible(rendering.colour, settings.background)).sum())
        found.append(seen.density.amax(-1)[0].float().cpu().numpy())
    densest = np.sort(np.concatenate(found))
    if abs(int((densest > usual).sum()) - shown) <= ALIKE * shown:
        return usual
    # so that just those above pass it
    return float(np.nextafter(densest[len(densest) - shown], np.float32(-np.inf)))


def _visible(colour: Float[Tensor, "1 ray 3"], background: Background) -> Bool[Tensor, "1 ray"]:
    """Which rays differ from the background's colour; all, where it has none of its own (`last`)."""
    if background == "last":
        return torch.ones_like(colour[..., 0], dtype=torch.bool)
    return (colour - (1.0 if background == "white" else 0.0)).abs().amax(-1) > VISIBLE
