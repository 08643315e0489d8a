"""The generator: latents -> codes -> radiance field -> rendered images."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pigan.config import Params
from pigan.models.mapping import MappingNetwork, draw_latents
from pigan.models.siren import LatentField, make_field
from pigan.rendering.render import RaySettings
from pigan.sections import Background, Camera, Model


class Generator(nn.Module):
    """Mapping network and radiance field; rendering lives in `pigan.rendering`."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.field = make_field(model)
        self.mapping: nn.Module = (
            nn.Identity()
            if isinstance(self.field, LatentField)
            else MappingNetwork(model.z_dim, model.mapping_hidden, model.mapping_layers, self.field.code_size)
        )

    def forward(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"],
        code: Float[Tensor, "batch code"],
    ) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
        """Colour (0..1) and raw density (or opacity) at `points` seen along `directions`."""
        return self.field(points, directions, code)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def average_code(self, latents: int, generator: torch.Generator) -> Float[Tensor, "code"]:
        """Mean code of fresh latents, the centre of truncation (the authors average 10,000)."""
        with torch.no_grad():
            z = draw_latents(latents, self.model.z_dim, self.model.z_distribution, generator)
            return self.mapping(z).mean(0)


def ray_settings(model: Model, camera: Camera, background: Background, samples: int | None = None) -> RaySettings:
    """How this model's rays are sampled; `samples` replaces the model's own number."""
    return RaySettings(
        near=camera.near,
        far=camera.far,
        samples=samples or model.samples,
        hierarchical=model.hierarchical,
        activation=model.activation,
        background=background,
    )


def rendered_rays(params: Params) -> RaySettings:
    """How rays of all that is rendered after training are sampled."""
    return ray_settings(params.model, params.camera, params.model.eval_background, params.rendered_samples)


def seen_directions(directions: Float[Tensor, "*batch 3"], locked: bool) -> Float[Tensor, "*batch 3"]:
    """What the colour branch is told of the view: the direction itself, or (0, 0, -1) for all (authors' code)."""
    if not locked:
        return directions
    # filled in on the device: a constant from the host would wait for it
    ahead = directions.new_zeros(3)
    ahead[2] = -1
    return ahead.expand_as(directions)
