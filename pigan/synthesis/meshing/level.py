"""What rays show of an object, and which density has the same outline."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
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


class Outline(NamedTuple):
    """What the rays of a few small images meet."""

    shown: int
    """Rays that are stopped (opacity of at least one half), and of another colour than the background."""
    stopped: int
    """Those of any colour."""
    densest: Float32[np.ndarray, "ray"]
    """The greatest raw density on each ray, in ascending order."""

    @property
    def painted(self) -> bool:
        """Whether the background is painted as a surface: most rays are stopped, and most of these look like it."""
        return 2 * self.stopped > len(self.densest) and 2 * self.shown < self.stopped


@torch.no_grad()
def outline_of(field: Field, model: Model, camera: Camera, samples: int, device: torch.device) -> Outline:
    """What a few small images of `field` meet.

    They are sampled FINER times as densely as images with `samples` in the coarse pass (opacities of samples: as
    densely, since each sample adds to them).
    """
    settings = ray_settings(model, camera, model.eval_background, samples)
    if settings.activation != "sigmoid":
        settings = settings._replace(samples=FINER * samples, hierarchical=False)
    pixels = pixel_directions(PIXELS, camera.fov, camera.align_corners, device)
    still = no_randomness(1, len(pixels), settings, device)
    found, shown, stopped = [], 0, 0
    for yaw in yaw_sweep(camera, VIEWS):
        angles = torch.tensor([yaw, usual_pitch(camera)], device=device)
        origins, directions = world_rays(look_at_origin(angles[:1], angles[1:], camera.radius), pixels)
        seen = sample_rays(field, origins, directions, settings, still)
        rendering = composite(*seen, settings.activation, settings.background)
        solid = rendering.opacity >= SOLID
        stopped += int(solid.sum())
        shown += int((solid & _visible(rendering.colour, settings.background)).sum())
        found.append(seen.density.amax(-1)[0].float().cpu().numpy())
    return Outline(shown, stopped, np.sort(np.concatenate(found)))


def outline_level(outline: Outline, usual: float) -> float:
    """The raw density that as many rays pass somewhere as show the object: nobody sees fog of the background's colour.

    A ray meets the surface when the densest point on it is above the level, so that the mesh gets the size that the
    object has in images, foggy or solid. Where `usual` gives the same outline, to a twentieth of the rays, it is that
    one; too where no ray shows anything.
    """
    densest, shown = outline.densest, outline.shown
    if abs(int((densest > usual).sum()) - shown) <= ALIKE * shown:
        return usual
    # so that just those above pass it
    return float(np.nextafter(densest[len(densest) - shown], np.float32(-np.inf)))


def _visible(colour: Float[Tensor, "1 ray 3"], background: Background) -> Bool[Tensor, "1 ray"]:
    """Which rays differ from the background's colour; all, where it has none of its own (`last`)."""
    if background == "last":
        return torch.ones_like(colour[..., 0], dtype=torch.bool)
    return (colour - (1.0 if background == "white" else 0.0)).abs().amax(-1) > VISIBLE
