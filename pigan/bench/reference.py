"""The plain reference: field and renderer as the authors' code runs them, written afresh from what it does.

One kernel an operation, every result kept for backward, coarse and fine samples both with gradients, all sorted and
integrated together. Rays, poses and random numbers are those of pigan, so that both sides see the same inputs.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pigan.models.generator import Generator, seen_directions
from pigan.models.siren import FREQUENCY_SCALE, FREQUENCY_SHIFT, FilmSirenField, RadianceField
from pigan.rendering.cameras import look_at_origin
from pigan.rendering.rays import pixel_directions, world_rays
from pigan.rendering.render import Field, RayRandomness, RaySettings
from pigan.rendering.sampling import importance_depths, stratified_depths
from pigan.rendering.volume import LAST_INTERVAL
from pigan.sections import Camera

# points a call of the authors' renderer of whole images
STAGED_POINTS = 50_000


class Draws(NamedTuple):
    """What is random about a batch of generated images."""

    latent: Float[Tensor, "batch z"]
    yaw: Float[Tensor, "batch"]
    pitch: Float[Tensor, "batch"]
    randomness: RayRandomness

    def to(self, dtype: torch.dtype) -> "Draws":
        """The same numbers in another type; the angles stay, so that rays are the same in every type."""
        cast: dict[str, Any] = {
            name: None if values is None else values.to(dtype) for name, values in self.randomness._asdict().items()
        }
        return self._replace(latent=self.latent.to(dtype), randomness=RayRandomness(**cast))

    def part(self, which: slice) -> "Draws":
        """The same for some of the batch."""
        return Draws(self.latent[which], self.yaw[which], self.pitch[which], self.randomness.part(which))


def plain_field(
    field: RadianceField,
    points: Float[Tensor, "batch point 3"],
    directions: Float[Tensor, "batch point 3"],
    code: Float[Tensor, "batch code"],
) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
    """Colour (0..1) and raw density; each layer is a linear map, a product, a sum and a sine, one after the other.

    The ablation fields are their own plain forward.
    """
    if not isinstance(field, FilmSirenField):
        return field(points, directions, code)
    raw_frequencies, phases = code.chunk(2, dim=-1)
    frequencies = FREQUENCY_SCALE * raw_frequencies + FREQUENCY_SHIFT

    def film(linear: nn.Linear, x: Tensor, layer: int) -> Tensor:
        own = slice(layer * field.hidden, (layer + 1) * field.hidden)
        projected = linear(x)
        scaled = frequencies[:, None, own].expand_as(projected) * projected
        shifted = scaled + phases[:, None, own].expand_as(scaled)
        return torch.sin(shifted)

    x = field.inputs(points)
    linears = [linear for linear in field.layers if isinstance(linear, nn.Linear)]
    for layer, linear in enumerate(linears):
        x = film(linear, x, layer)
    density = field.density_head(x)
    x = film(field.colour_layer, torch.cat((directions, x), dim=-1), len(linears))
    return torch.sigmoid(field.colour_head(x)), density[..., 0]


def plain_images(
    generator: Generator, draws: Draws, resolution: int, camera: Camera, settings: RaySettings
) -> Float[Tensor, "batch 3 side side"]:
    """Images in -1..1, with gradients where they are enabled."""
    code = generator.mapping(draws.latent)

    def field(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        return plain_field(generator.field, points, directions, code)

    return _rendered(field, draws, resolution, camera, settings, generator.model.lock_view_direction)


@torch.no_grad()
def staged_images(
    generator: Generator, draws: Draws, resolution: int, camera: Camera, settings: RaySettings
) -> Float[Tensor, "batch 3 side side"]:
    """Whole images without gradients: image by image, their points in pieces of 50,000.

    The authors also average 10,000 codes at every call, for truncation; that is left out here.
    """
    code = generator.mapping(draws.latent)

    def field(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        rgb, density = torch.zeros_like(points), torch.zeros_like(points[..., 0])
        for image in range(len(points)):
            one = slice(image, image + 1)
            for start in range(0, points.shape[1], STAGED_POINTS):
                some = slice(start, start + STAGED_POINTS)
                rgb[one, some], density[one, some] = plain_field(
                    generator.field, points[one, some], directions[one, some], code[one]
                )
        return rgb, density

    return _rendered(field, draws, resolution, camera, settings, generator.model.lock_view_direction)


def _rendered(
    field: Field, draws: Draws, resolution: int, camera: Camera, settings: RaySettings, locked: bool
) -> Float[Tensor, "batch 3 side side"]:
    """The coarse pass, the fine pass, and one integration over all samples in the order of their depths."""
    randomness = draws.randomness
    pixels = pixel_directions(resolution, camera.fov, camera.align_corners, draws.yaw.device)
    origins, directions = world_rays(look_at_origin(draws.yaw, draws.pitch, camera.radius), pixels)
    origins, directions = origins.to(draws.latent.dtype), directions.to(draws.latent.dtype)

    def ask(depths: Tensor) -> tuple[Tensor, Tensor]:
        points = origins[:, None, None] + directions[:, :, None] * depths[..., None]
        views = seen_directions(directions[:, :, None].expand_as(points), locked)
        rgb, density = field(points.flatten(1, 2), views.flatten(1, 2))
        return rgb.unflatten(1, depths.shape[1:]), density.unflatten(1, depths.shape[1:])

    depths = stratified_depths(settings.near, settings.far, randomness.jitter)
    rgb, density = ask(depths)
    if settings.hierarchical:
        assert randomness.uniform is not None
        with torch.no_grad():
            unlit = settings._replace(background="none")
            _, weights = _integrated(rgb, density, depths, randomness.coarse_noise, unlit)
            fine = importance_depths(depths, weights, randomness.uniform)
        fine_rgb, fine_density = ask(fine)
        depths, order = torch.sort(torch.cat((depths, fine), dim=-1), dim=-1, stable=True)
        rgb = torch.cat((rgb, fine_rgb), dim=-2).gather(-2, order[..., None].expand(*order.shape, 3))
        density = torch.cat((density, fine_density), dim=-1).gather(-1, order)
    colour, _ = _integrated(rgb, density, depths, randomness.noise, settings)
    return (2 * colour - 1).transpose(1, 2).unflatten(-1, (resolution, resolution)).contiguous()


def _integrated(
    rgb: Float[Tensor, "batch ray sample 3"],
    density: Float[Tensor, "batch ray sample"],
    depths: Float[Tensor, "batch ray sample"],
    noise: Float[Tensor, "batch ray sample"] | None,
    settings: RaySettings,
) -> tuple[Float[Tensor, "batch ray 3"], Float[Tensor, "batch ray sample"]]:
    """Colours of rays, and the weights of their samples."""
    last = torch.full_like(depths[..., :1], LAST_INTERVAL)
    intervals = torch.cat((depths[..., 1:] - depths[..., :-1], last), dim=-1)
    noisy = density if noise is None else density + noise
    if settings.activation == "sigmoid":
        alpha = torch.sigmoid(noisy)
    else:
        matter = torch.relu(noisy) if settings.activation == "relu" else functional.softplus(noisy)
        alpha = 1 - torch.exp(-intervals * matter)
    light = torch.cumprod(torch.cat((torch.ones_like(alpha[..., :1]), 1 - alpha + 1e-10), dim=-1), dim=-1)
    weights = alpha * light[..., :-1]
    total = weights.sum(-1)
    if settings.background == "last":
        weights = torch.cat((weights[..., :-1], weights[..., -1:] + (1 - total)[..., None]), dim=-1)
    colour = (weights[..., None] * rgb).sum(-2)
    return (colour + (1 - total)[..., None] if settings.background == "white" else colour), weights
