"""FiLM folded into each image's weights: sin(gamma (W x + b) + p) = sin(W' x + b') with W' = gamma W, b' = gamma b + p.

One matrix product and one sine a layer instead of four elementwise passes. Without gradients the points go through
in tiles that stay in the processor's cache, with the sine in place.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.models.generator import Generator, seen_directions
from pigan.models.siren import FilmSirenField
from pigan.rendering.render import Field

CPU_TILE = 1024
GPU_TILE = 1 << 18


def field_of(generator: Generator, code: Float[Tensor, "batch code"], dtype: torch.dtype = torch.float32) -> Field:
    """The fastest exact evaluation of `generator`'s field for images with these codes.

    `dtype` is that of the hidden layers of a FiLM-SIREN; its first layer and heads stay in float32, since the
    arguments of the first sine are large.
    """
    field, locked = generator.field, generator.model.lock_view_direction
    if not isinstance(field, FilmSirenField):
        return lambda points, directions: generator(points, seen_directions(directions, locked), code)
    weights, biases = fold(field, code)

    def evaluate(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        directions = seen_directions(directions, locked)
        if torch.is_grad_enabled():
            return _evaluate(field, weights, biases, points, directions, dtype)
        tile = CPU_TILE if points.device.type == "cpu" else GPU_TILE
        parts = [
            _evaluate(field, weights, biases, some_points, some_directions, dtype, in_place=True)
            for some_points, some_directions in zip(points.split(tile, 1), directions.split(tile, 1), strict=True)
        ]
        return torch.cat([rgb for rgb, _ in parts], dim=1), torch.cat([density for _, density in parts], dim=1)

    return evaluate


def fold(
    field: FilmSirenField, code: Float[Tensor, "batch code"]
) -> tuple[list[Float[Tensor, "batch inputs hidden"]], list[Float[Tensor, "batch 1 hidden"]]]:
    """Each image's own weights (transposed) and biases of the sine layers; positions are scaled in the first."""
    gamma, phase = field.modulation(code)
    weights, biases = [], []
    for i, linear in enumerate(field.sine_linears()):
        weight = gamma[:, i, :, None] * linear.weight
        weights.append((weight * field.coordinate_scale if i == 0 else weight).mT)
        biases.append((gamma[:, i] * linear.bias + phase[:, i])[:, None])
    return weights, biases


def _evaluate(
    field: FilmSirenField,
    weights: list[Tensor],
    biases: list[Tensor],
    points: Tensor,
    directions: Tensor,
    dtype: torch.dtype,
    in_place: bool = False,
) -> tuple[Tensor, Tensor]:
    sine = torch.sin_ if in_place else torch.sin
    # autocast would put the first layer in 16 bits
    with torch.autocast(points.device.type, enabled=False):
        x = sine(torch.baddbmm(biases[0], points, weights[0])).to(dtype)
        for weight, bias in zip(weights[1:-1], biases[1:-1], strict=True):
            x = sine(torch.baddbmm(bias.to(dtype), x, weight.to(dtype)))
        density = torch.nn.functional.linear(x.float(), field.density_head.weight, field.density_head.bias)
        # [direction, x] W' as two products, so that no 259-wide copy is made
        seen = torch.baddbmm(biases[-1], directions, weights[-1][:, :3])
        x = sine(torch.baddbmm(seen.to(dtype), x, weights[-1][:, 3:].to(dtype)))
        colour = torch.nn.functional.linear(x.float(), field.colour_head.weight, field.colour_head.bias)
    return torch.sigmoid(colour), density.squeeze(-1)
