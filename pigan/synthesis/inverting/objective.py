"""What a search makes small: how far the objects at codes, seen by cameras, are from a photo; and its gradients."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pigan.kernels.choose import EXACT, field_of
from pigan.models.generator import rendered_rays
from pigan.rendering.render import no_randomness, render_rays
from pigan.synthesis.inversion import points_a_tile
from pigan.synthesis.inverting.losses import Perceptual
from pigan.synthesis.inverting.orbit import cameras_at, cast, towards_numbers
from pigan.synthesis.inverting.photo import Target
from pigan.synthesis.inverting.settings import SearchSettings
from pigan.synthesis.ray_gradients import Loss, moved, ray_gradients
from pigan.synthesis.trained import TrainedModel

# rays at a time without gradients
RAYS_A_PASS = 1 << 16


class Phase(NamedTuple):
    """One part of the search."""

    target: Target
    steps: int
    rays: int
    latent: bool
    """Whether latents are moved; else codes."""
    solved: bool = False
    """By solving for all unknowns at once; else by Adam."""


class Objective:
    """Squared error of colours, distance of features (`perceptual`, for codes only), and squared length of a code."""

    def __init__(self, model: TrainedModel, settings: SearchSettings, perceptual: Perceptual | None) -> None:
        self.model, self.settings, self.perceptual = model, settings, perceptual
        self.sampling = rendered_rays(model.params)

    @torch.no_grad()
    def of(
        self, code: Float[Tensor, "row code"], numbers: Float[Tensor, "row 3"], phase: Phase
    ) -> Float[Tensor, "row"]:
        """Its value, of all pixels and without randomness."""
        rays, device = phase.target.rays, code.device
        batch = max(1, RAYS_A_PASS // len(rays))
        found = []
        for some in (slice(start, start + batch) for start in range(0, len(code), batch)):
            colour = self.render(code[some], numbers[some], rays)
            error = (2 * colour - 1 - phase.target.colours).square().mean((1, 2))
            if self.perceptual is not None and not phase.latent:
                seen = self.render(code[some], numbers[some], self.perceptual.rays)
                error = error + self.settings.perceptual * self.perceptual(seen)
            found.append(error)
        away = torch.zeros(len(code), device=device)
        if not phase.latent:
            away = (code - self.model.average_code).square().sum(1)
        return torch.cat(found) + self.settings.regularisation * away

    def gradients(
        self,
        code: Float[Tensor, "row code"],
        numbers: Float[Tensor, "row 3"],
        phase: Phase,
        chosen: Int64[Tensor, "ray"],
        moves: bool,
    ) -> tuple[Float[Tensor, "row"], Float[Tensor, "row code"], Float[Tensor, "row 3"]]:
        """Squared error of the chosen rays, and the gradients for codes and, if these move, for cameras.

        Samples stand where they do in what is rendered: moved at random, few of them would show the mean of many
        slightly different images, which no camera gives. The length of the code is left to whoever knows its centre.
        """
        generator, radius, device = self.model.generator, self.model.params.camera.radius, code.device
        cameras, colours = cameras_at(numbers, 1.0), phase.target.colours[chosen]
        tile = points_a_tile(device)

        def squared(colour: Float[Tensor, "row ray 3"]) -> Float[Tensor, "row"]:
            return (2 * colour - 1 - colours).square().mean((1, 2))

        parts: list[tuple[Float[Tensor, "ray 3"], Loss, float]] = [(phase.target.rays[chosen], squared, 1.0)]
        if self.perceptual is not None and not phase.latent:
            parts.append((self.perceptual.rays, self.perceptual, self.settings.perceptual))
        errors, gradient, pose = [], torch.zeros_like(code), torch.zeros_like(numbers)
        for rays, loss, weight in parts:
            still = no_randomness(len(code), len(rays), self.sampling, device)
            along = cast(cameras, rays, radius)
            towards = ray_gradients(generator, code, along, self.sampling, still, loss, tile, moves)
            gradient = gradient + weight * towards.code
            if moves:
                pose = pose + weight * towards_numbers(numbers, rays, radius, towards)
            errors.append(towards.loss)
        return errors[0], gradient, pose

    def render(
        self, code: Float[Tensor, "row code"], numbers: Float[Tensor, "row 3"], rays: Float[Tensor, "ray 3"]
    ) -> Float[Tensor, "row ray 3"]:
        """Colours (0..1) that every object shows along rays of its camera."""
        along = cast(cameras_at(numbers, 1.0), rays, self.model.params.camera.radius)
        field = moved(field_of(self.model.generator, code, EXACT), along.further)
        still = no_randomness(len(code), len(rays), self.sampling, code.device)
        return render_rays(field, along.origins, along.directions, self.sampling, still).colour
