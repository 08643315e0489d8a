"""The field with gradients, and whole images without."""

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pigan.bench.case import Case, Side, relative_error, side_of, weight_gradient
from pigan.bench.counting import field_forward, field_training
from pigan.bench.measure import Run, as_usual
from pigan.bench.reference import Draws, plain_field, staged_images
from pigan.bench.subject import Subject, Way, numerics_of, with_way
from pigan.config import Params
from pigan.kernels.choose import Numerics, backward_in_parts, field_of
from pigan.models.generator import Generator, ray_settings, seen_directions
from pigan.models.mapping import draw_latents
from pigan.models.siren import with_heads
from pigan.rendering.cameras import poses_of
from pigan.rendering.render import RaySettings, as_images, draw_randomness, render_images
from pigan.runtime import generator_for
from pigan.training.memory import tile_of
from pigan.training.state import initial_state

# points of which the error is taken: it does not depend on how many there are
ERROR_IMAGES, ERROR_POINTS = 4, 1024
SEED = 0
# spread of density (the ray of a CelebA camera is 0.24 long) and of colour before the sigmoid
SOLID, COLOURFUL = 50.0, 1.5


class Asked:
    """Points, directions and latents, and the gradients that come back to colour and density."""

    def __init__(self, params: Params, images: int, points: int, device: torch.device) -> None:
        random = generator_for(torch.device("cpu"), SEED, "bench field")
        camera, model = params.camera, params.model
        shape, reach = (images, points, 3), (camera.far - camera.near) / 2
        self.latent = draw_latents(images, model.z_dim, model.z_distribution, random).to(device)
        self.points = (reach * (2 * torch.rand(shape, generator=random) - 1)).to(device)
        directions = nn.functional.normalize(torch.randn(shape, generator=random), dim=-1).to(device)
        self.directions = seen_directions(directions, model.lock_view_direction)
        self.towards_rgb = torch.randn(shape, generator=random).to(device)
        self.towards_density = torch.randn(shape[:2], generator=random).to(device)

    def to(self, dtype: torch.dtype) -> "Asked":
        """The same in another type."""
        for name, values in vars(self).items():
            setattr(self, name, values.to(dtype))
        return self


def field_case(subject: Subject, ways: list[Way], device: torch.device) -> Case:
    """Forward and backward of the field; pigan's tile by tile, as its training step does."""
    params, (images, side) = subject.params, subject.field
    model, points = params.model, subject.params.model.points(side)
    half = device.type == "cuda"

    def reference() -> Run:
        generator, asked = _generator(params, device), Asked(params, images, points, device)
        return lambda: _plain(generator, asked, half)

    def ours(way: Way) -> Run:
        generator, asked = _generator(params, device), Asked(params, images, points, device)
        tile = tile_of(with_way(params, way), side, images, device)
        numerics = numerics_of(way, model, device)
        return lambda: _tiled(generator, asked, tile.images, tile.points, numerics)

    @functools.cache
    def truth() -> Tensor:
        return _gradient(params, device, lambda generator, asked: _plain(generator, asked, False), torch.float64)

    def distance(run: Callable[[Generator, Asked], None]) -> float:
        return relative_error(_gradient(params, device, run, torch.float32), truth())

    def error(way: Way) -> float:
        numerics = numerics_of(way, model, device)
        return distance(lambda generator, asked: _tiled(generator, asked, ERROR_IMAGES, ERROR_POINTS, numerics))

    total = images * points
    return Case(
        slug="field",
        title="Field, forward and backward",
        size=f"{images} × {side}×{side} × {points // side**2} points, {model.hidden} wide",
        reference=Side(
            path="plain",
            precision="fp16" if half else "fp32",
            make=reference,
            error=lambda: distance(lambda generator, asked: _plain(generator, asked, half)),
            count=field_training(model, total, "plain", 2 if half else 4),
        ),
        sides=[side_of(way, ours, error, field_training(model, total, way.kernel, way.width)) for way in ways],
        error_of=f"weight gradients, relative L2, {ERROR_IMAGES} × {ERROR_POINTS} points",
    )


def render_case(subject: Subject, ways: list[Way], device: torch.device) -> Case:
    """Whole images without gradients."""
    params, (images, side, samples) = subject.params, subject.render
    model = params.model
    settings = ray_settings(model, params.camera, model.eval_background, samples)
    half = device.type == "cuda"

    def reference() -> Run:
        generator, draws = _solid_generator(params, device), _draws(params, settings, images, side, device)
        return lambda: _staged(generator, draws, side, params, settings, half)

    def ours(way: Way) -> Run:
        generator, draws = _solid_generator(params, device), _draws(params, settings, images, side, device)
        numerics = numerics_of(way, model, device)
        return lambda: _rendered(generator, draws, side, params, settings, numerics)

    @functools.cache
    def truth() -> Tensor:
        one = _draws(params, settings, images, side, device).part(slice(1)).to(torch.float64)
        return _staged(_solid_generator(params, device).double(), one, side, params, settings, False)

    def distance(render: Callable[[Generator, Draws], Tensor]) -> float:
        one = _draws(params, settings, images, side, device).part(slice(1))
        return relative_error(render(_solid_generator(params, device), one), truth())

    def error(way: Way) -> float:
        numerics = numerics_of(way, model, device)
        return distance(lambda generator, draws: _rendered(generator, draws, side, params, settings, numerics))

    points = images * side**2 * settings.samples_a_ray
    return Case(
        slug="render",
        title="Image without gradients",
        size=f"{images} × {side}×{side}, {samples}{f'+{samples}' if model.hierarchical else ''} samples",
        reference=Side(
            path="plain",
            precision="fp16" if half else "fp32",
            make=reference,
            error=lambda: distance(lambda generator, draws: _staged(generator, draws, side, params, settings, half)),
            count=field_forward(model, points, "plain", 2 if half else 4),
        ),
        sides=[
            side_of(way, ours, error, field_forward(model, points, way.kernel, way.width, cached=not half))
            for way in ways
        ],
        error_of=f"colours of an image of {side} px, relative L2, fresh weights",
    )


def _generator(params: Params, device: torch.device) -> Generator:
    return initial_state(params, device, SEED).generator


@torch.no_grad()
def _solid_generator(params: Params, device: torch.device) -> Generator:
    """Fresh weights with densities and colours as large as a trained field's, so that images show something."""
    generator, asked = _generator(params, device), Asked(params, 1, ERROR_POINTS, device)
    field = generator.field
    rgb, density = plain_field(field, asked.points, asked.directions, generator.mapping(asked.latent))
    heads = with_heads(field)
    for head, values, spread in (
        (heads.density_head, density[..., None], SOLID),
        (heads.colour_head, torch.logit(rgb), COLOURFUL),
    ):
        head.weight.mul_(spread / values.std())
        head.bias.sub_(values.mean((0, 1))).mul_(spread / values.std())
    return generator


def _plain(generator: Generator, asked: Asked, half: bool) -> None:
    """The reference's forward and backward; `half`: under fp16 autocast."""
    with as_usual():
        generator.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.float16, enabled=half):
            code = generator.mapping(asked.latent)
            rgb, density = plain_field(generator.field, asked.points, asked.directions, code)
        torch.autograd.backward((rgb, density), (asked.towards_rgb.to(rgb), asked.towards_density.to(density)))


def _tiled(generator: Generator, asked: Asked, images: int, points: int, numerics: Numerics) -> None:
    """As a training step differentiates the field, so many images and points at a time, here all of them."""
    generator.zero_grad(set_to_none=True)
    code = generator.mapping(asked.latent)
    leaf = code.detach().requires_grad_()
    for first in range(0, len(code), images):
        which = slice(first, first + images)
        with backward_in_parts(generator, leaf[which], numerics) as backward:
            for start in range(0, asked.points.shape[1], points):
                values = (asked.points, asked.directions, asked.towards_rgb, asked.towards_density)
                backward(*(each[which, start : start + points] for each in values))
    if code.requires_grad:
        code.backward(leaf.grad)


def _gradient(
    params: Params, device: torch.device, run: Callable[[Generator, Asked], None], dtype: torch.dtype
) -> Float[Tensor, "weight"]:
    """All weights' gradients of a few points, in float64."""
    generator = _generator(params, device).to(dtype)
    run(generator, Asked(params, ERROR_IMAGES, ERROR_POINTS, device).to(dtype))
    return weight_gradient(generator)


def _draws(params: Params, settings: RaySettings, images: int, side: int, device: torch.device) -> Draws:
    random = generator_for(device, SEED, "bench images")
    latent = draw_latents(images, params.model.z_dim, params.model.z_distribution, random)
    yaw, pitch = poses_of(params.camera, images, random)
    return Draws(latent, yaw, pitch, draw_randomness(images, side**2, settings, 0.0, random))


def _staged(
    generator: Generator, draws: Draws, side: int, params: Params, settings: RaySettings, half: bool
) -> Float[Tensor, "batch 3 side side"]:
    with as_usual(), torch.autocast("cuda", torch.float16, enabled=half):
        return staged_images(generator, draws, side, params.camera, settings)


@torch.no_grad()
def _rendered(
    generator: Generator, draws: Draws, side: int, params: Params, settings: RaySettings, numerics: Numerics
) -> Float[Tensor, "batch 3 side side"]:
    field = field_of(generator, generator.mapping(draws.latent), numerics)
    seen = render_images(field, draws.yaw, draws.pitch, side, params.camera, settings, draws.randomness)
    return as_images(seen.colour)
