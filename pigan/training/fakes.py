"""Generated images of a training step: sampled without gradients, then differentiated where the images depend on it.

Given the gradient of the loss for every sample's colour and density, points are independent of each other. So the
field is asked with gradients only after the images were judged, tile by tile, and only at samples that have a
gradient: those whose density is positive (arXiv 2012.00926 clamps it), often a small part of all; all of them where
the field gives opacities. Nothing is left out of the gradient, and memory is that of a tile.
"""

import copy
import math
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from pigan.config import Params
from pigan.kernels.choose import Numerics, backward_in_parts, field_of, training_numerics
from pigan.models.generator import Generator, ray_settings
from pigan.models.mapping import draw_latents
from pigan.rendering.cameras import POLE, look_at_origin, poses_of
from pigan.rendering.rays import pixel_directions, world_rays
from pigan.rendering.render import RayRandomness, Samples, draw_randomness, sample_rays
from pigan.rendering.volume import Rendering, composite
from pigan.training.distributed import ALONE, Ranks
from pigan.training.memory import POINTS_A_PASS, Tile, tile_of


class Fakes:
    """A batch of images to generate: latents, cameras and every random number of their rays, drawn at once.

    Of several ranks each draws those of the whole batch, as one device does, and keeps its part: for a moment this
    takes 4 to 20 bytes for each coarse sample of the batch.
    """

    def __init__(
        self,
        params: Params,
        resolution: int,
        batch: int,
        density_noise: float,
        random: torch.Generator,
        ranks: Ranks = ALONE,
    ) -> None:
        camera, model = params.camera, params.model
        self.settings = ray_settings(model, camera, model.background)
        self.numerics: Numerics = training_numerics(params, random.device)
        self.batch, self.ranks, part = batch, ranks, ranks.part(batch)
        own = part.stop - part.start
        self.tile: Tile = tile_of(params, resolution, own, random.device, ranks.local_size)
        self.latent = draw_latents(batch, model.z_dim, model.z_distribution, random)[part]
        self.yaw, self.pitch = (angle[part] for angle in poses_of(camera, batch, random))
        drawn = draw_randomness(batch, resolution**2, self.settings, density_noise, random)
        self.randomness: RayRandomness = drawn if ranks.alone else drawn.part(part).copy()
        self.radius = camera.radius
        self.pixels = pixel_directions(resolution, camera.fov, camera.align_corners, random.device)
        self._aim()

    def _aim(self) -> None:
        """Rays of the cameras at yaw and pitch."""
        self.origins, self.directions = world_rays(look_at_origin(self.yaw, self.pitch, self.radius), self.pixels)

    def of(self, latent: Float[Tensor, "batch z"], pose: Float[Tensor, "batch 2"]) -> "Fakes":
        """The same random numbers for given latents and poses (pitch and yaw, radians)."""
        given = copy.copy(self)
        given.latent, given.yaw = latent, pose[:, 1]
        # an estimate may be beyond the poles, where up is down
        given.pitch = pose[:, 0].clamp(POLE, math.pi - POLE)
        given._aim()
        return given

    @property
    def pose(self) -> Float[Tensor, "batch 2"]:
        """Pitch and yaw, radians."""
        return torch.stack((self.pitch, self.yaw), dim=-1)

    @torch.no_grad()
    def samples(self, generator: Generator) -> Samples:
        """What all rays meet, without gradients."""
        code, batch, rays = generator.mapping(self.latent), len(self.latent), self.directions.shape[1]
        images = max(1, POINTS_A_PASS // (rays * self.settings.samples))
        parts = []
        for start in range(0, batch, images):
            some = slice(start, start + images)
            field = field_of(generator, code[some], self.numerics)
            randomness = self.randomness.part(some)
            parts.append(sample_rays(field, self.origins[some], self.directions[some], self.settings, randomness))
        return Samples(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def rendering(self, samples: Samples) -> Rendering:
        """What the rays show; gradients flow to the samples."""
        return composite(*samples, self.settings.activation, self.settings.background)

    def backward(
        self,
        generator: Generator,
        depths: Float[Tensor, "batch ray total"],
        rgb_gradient: Float[Tensor, "batch ray total 3"],
        density_gradient: Float[Tensor, "batch ray total"],
    ) -> None:
        """Adds to the gradients of `generator` what the gradients of its samples at `depths` give."""
        code = generator.mapping(self.latent)
        leaf = code.detach().requires_grad_()
        towards_rgb, towards_density = rgb_gradient.flatten(1, 2), density_gradient.flatten(1)
        has_gradient = (towards_density != 0) | (towards_rgb != 0).any(-1)
        for images, parts in groupby(tiles(has_gradient, self.tile), key=itemgetter(0)):
            with backward_in_parts(generator, leaf[images], self.numerics) as backward:
                for _, chosen in parts:
                    rays = (chosen // depths.shape[-1])[..., None].expand(-1, -1, 3)
                    directions = self.directions[images].gather(1, rays)
                    distances = depths[images].flatten(1).gather(1, chosen)
                    points = self.origins[images, None] + directions * distances[..., None]
                    # what only fills a tile has gradients of zero
                    colour_share = towards_rgb[images].gather(1, chosen[..., None].expand(-1, -1, 3))
                    density_share = towards_density[images].gather(1, chosen)
                    backward(points, directions, colour_share, density_share)
        if code.requires_grad:
            code.backward(leaf.grad)


def tiles(chosen: Bool[Tensor, "batch point"], tile: Tile) -> Iterator[tuple[slice, Int64[Tensor, "image tile_point"]]]:
    """Images, and places of their chosen points, in tiles that other points fill up.

    Waits for the device once: how many tiles there are depends on how many points are chosen.
    """
    # the chosen ones first, in their order
    order = torch.argsort(chosen.to(torch.uint8), dim=1, descending=True, stable=True)
    counts = chosen.sum(1).tolist()
    for image in range(0, len(chosen), tile.images):
        images = slice(image, image + tile.images)
        # one point at least: weights without any gradient would have none instead of zero
        most = max(1, *counts[images])
        for start in range(0, most, tile.points):
            end = start + tile.points
            yield images, order[images, start : end if tile.fixed else min(end, most)]
