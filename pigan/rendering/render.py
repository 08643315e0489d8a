"""Rays through any radiance field: a coarse pass, an importance pass, one integration over both."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.rendering.cameras import look_at_origin
from pigan.rendering.rays import pixel_directions, world_rays
from pigan.rendering.sampling import importance_depths, merge_order, stratified_depths
from pigan.rendering.volume import Rendering, composite, render_weights
from pigan.sections import Activation, Background, Camera

Field = Callable[
    [Float[Tensor, "batch point 3"], Float[Tensor, "batch point 3"]],
    tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]],
]
"""Points and unit view directions in; colour (0..1) and raw density (with the sigmoid: opacity) out."""


class RayRandomness(NamedTuple):
    """Every random number that rendering uses, so that a batch can be rendered again or in parts."""

    jitter: Float[Tensor, "batch ray sample"]
    coarse_noise: Float[Tensor, "batch ray sample"] | None
    uniform: Float[Tensor, "batch ray sample"] | None
    noise: Float[Tensor, "batch ray total"] | None

    def part(self, which: slice) -> "RayRandomness":
        """The same for some of the batch."""

        def some(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[which]

        return RayRandomness(self.jitter[which], some(self.coarse_noise), some(self.uniform), some(self.noise))

    def copy(self) -> "RayRandomness":
        """The same numbers in memory of their own: a part does not keep the whole."""
        return RayRandomness(self.jitter.clone(), *(None if values is None else values.clone() for values in self[1:]))


class RaySettings(NamedTuple):
    """How rays are sampled and integrated; `near` and `far` are world units along the ray."""

    near: float
    far: float
    samples: int
    hierarchical: bool
    activation: Activation
    background: Background

    @property
    def samples_a_ray(self) -> int:
        """Of both passes."""
        return self.samples * (2 if self.hierarchical else 1)


def draw_randomness(
    batch: int, rays: int, settings: RaySettings, density_noise: float, generator: torch.Generator
) -> RayRandomness:
    """Jitter, importance samples and density noise (standard deviation `density_noise`) for one batch."""
    device, shape = generator.device, (batch, rays, settings.samples)

    def normal(samples: int) -> Tensor | None:
        if density_noise == 0:
            return None
        return density_noise * torch.randn((batch, rays, samples), generator=generator, device=device)

    jitter = torch.rand(shape, generator=generator, device=device) - 0.5
    if not settings.hierarchical:
        return RayRandomness(jitter, None, None, normal(settings.samples))
    coarse_noise = normal(settings.samples)
    uniform = torch.rand(shape, generator=generator, device=device)
    return RayRandomness(jitter, coarse_noise, uniform, normal(2 * settings.samples))


def no_randomness(batch: int, rays: int, settings: RaySettings, device: torch.device) -> RayRandomness:
    """Evenly spaced samples without noise: the same picture at every call."""
    zero = torch.zeros((batch, rays, settings.samples), device=device)
    if not settings.hierarchical:
        return RayRandomness(zero, None, None, None)
    even = (torch.arange(settings.samples, device=device) + 0.5) / settings.samples
    return RayRandomness(zero, None, even.expand_as(zero), None)


class Samples(NamedTuple):
    """What a field says along rays, in ascending order of depth."""

    rgb: Float[Tensor, "batch ray total 3"]
    density: Float[Tensor, "batch ray total"]
    """Raw, its noise included."""
    depths: Float[Tensor, "batch ray total"]


def sample_rays(
    field: Field,
    origins: Float[Tensor, "batch 3"],
    directions: Float[Tensor, "batch ray 3"],
    settings: RaySettings,
    randomness: RayRandomness,
) -> Samples:
    """What `field` says along rays from `origins` in unit `directions`.

    With hierarchical sampling the same field is asked again where the coarse pass found density, and all samples
    are sorted together; gradients flow through both passes (authors' code).
    """
    coarse = stratified_depths(settings.near, settings.far, randomness.jitter)
    rgb, density = _ask(field, origins, directions, coarse)
    if not settings.hierarchical:
        return Samples(rgb, _plus(density, randomness.noise), coarse)
    if randomness.uniform is None:
        raise ValueError("hierarchical sampling needs randomness.uniform")
    with torch.no_grad():
        weights = render_weights(_plus(density, randomness.coarse_noise), coarse, settings.activation)
    fine = importance_depths(coarse, weights, randomness.uniform)
    fine_rgb, fine_density = _ask(field, origins, directions, fine)
    depths, order = merge_order(coarse, fine)
    rgb = torch.cat((rgb, fine_rgb), dim=-2).gather(-2, order[..., None].expand(*order.shape, 3))
    density = torch.cat((density, fine_density), dim=-1).gather(-1, order)
    return Samples(rgb, _plus(density, randomness.noise), depths)


def render_rays(
    field: Field,
    origins: Float[Tensor, "batch 3"],
    directions: Float[Tensor, "batch ray 3"],
    settings: RaySettings,
    randomness: RayRandomness,
) -> Rendering:
    """What rays from `origins` along unit `directions` see of `field`."""
    samples = sample_rays(field, origins, directions, settings, randomness)
    return composite(*samples, settings.activation, settings.background)


def _ask(
    field: Field,
    origins: Float[Tensor, "batch 3"],
    directions: Float[Tensor, "batch ray 3"],
    depths: Float[Tensor, "batch ray sample"],
) -> tuple[Float[Tensor, "batch ray sample 3"], Float[Tensor, "batch ray sample"]]:
    """The field's answers at `depths` along the rays."""
    points = origins[:, None, None] + directions[:, :, None] * depths[..., None]
    views = directions[:, :, None].expand_as(points)
    rgb, density = field(points.flatten(1, 2), views.flatten(1, 2))
    return rgb.reshape(points.shape), density.reshape(depths.shape)


def _plus(density: Tensor, noise: Tensor | None) -> Tensor:
    return density if noise is None else density + noise


def render_images(
    field: Field,
    yaw: Float[Tensor, "batch"],
    pitch: Float[Tensor, "batch"],
    resolution: int,
    camera: Camera,
    settings: RaySettings,
    randomness: RayRandomness,
) -> Rendering:
    """Square images of `field` from cameras at `yaw` and `pitch` (radians); one ray a pixel, row by row."""
    pixels = pixel_directions(resolution, camera.fov, camera.align_corners, yaw.device)
    origins, directions = world_rays(look_at_origin(yaw, pitch, camera.radius), pixels)
    return render_rays(field, origins, directions, settings, randomness)


def as_images(colour: Float[Tensor, "batch ray 3"]) -> Float[Tensor, "batch 3 side side"]:
    """Images in -1..1 from the colours (0..1) of their rays."""
    side = math.isqrt(colour.shape[1])
    return (2 * colour - 1).mT.unflatten(-1, (side, side))
