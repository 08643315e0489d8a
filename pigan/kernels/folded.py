"""FiLM folded into each image's weights: sin(gamma (W x + b) + p) = sin(W' x + b') with W' = gamma W, b' = gamma b + p.

One matrix product and one sine a layer instead of four elementwise passes. Without gradients the points go through
in tiles that stay in the processor's cache, with the sine in place. The ablation fields fold in the same way, and a
latent that is concatenated to the points folds into the first bias.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pigan.kernels.cube import table_of, with_features
from pigan.kernels.sines import sine, sine_
from pigan.kernels.threads import share_points
from pigan.models.sincos import SinCosField, sine_and_cosine
from pigan.models.siren import (
    ENCODED,
    ENCODING_OCTAVES,
    FREQUENCY_SHIFT,
    ConcatReluField,
    ConcatSirenField,
    EmbeddingSirenField,
    FilmSirenField,
    RadianceField,
    positional_encoding,
    with_heads,
)

# points at a time without gradients, of all images together: of a CPU for each of its threads
CPU_TILE = 2048
GPU_TILE = 1 << 18

ACTIVATIONS = {"sine": sine, "relu": torch.relu, "sincos": sine_and_cosine}
# without gradients
IN_PLACE = {**ACTIVATIONS, "sine": sine_, "relu": torch.relu_}


class Head(NamedTuple):
    """A linear map from the features to an output, the same for all images."""

    weight: Float[Tensor, "outputs hidden"]
    bias: Float[Tensor, "outputs"]


class Folded(NamedTuple):
    """One batch's fields as plain layers, x -> activation(x W + b); the last layer is the colour layer."""

    weights: list[Float[Tensor, "batch inputs hidden"]]
    """Transposed; the last one's inputs are the view direction, then the features."""
    biases: list[Float[Tensor, "batch 1 hidden"]]
    density_head: Head
    colour_head: Head
    activation: Literal["sine", "relu", "sincos"]
    """`relu` works on encoded positions; `sincos` is [sin, cos]."""
    coordinate_scale: float = 1.0
    """Of encoded positions, and of those in a cube; in a sine's weights it is there already."""
    features: Head | None = None
    """What makes the features of the last hidden layer; None: they are the features."""
    table: Float[Tensor, "side side side features"] | None = None
    """What the first layer sees of a point before its position; None: the position only."""

    def part(self, which: slice) -> "Folded":
        """The fields of some of the images."""
        return self._replace(weights=[w[which] for w in self.weights], biases=[b[which] for b in self.biases])

    def cut_off(self) -> tuple["Folded", list[tuple[Tensor, Tensor]]]:
        """The same with leaves in place of what was folded; each of that with its leaf."""
        pairs: list[tuple[Tensor, Tensor]] = []

        def leaf(tensor: Tensor) -> Tensor:
            pairs.append((tensor, tensor.detach().requires_grad_(tensor.requires_grad)))
            return pairs[-1][1]

        alone = self._replace(
            weights=[leaf(weight) for weight in self.weights],
            biases=[leaf(bias) for bias in self.biases],
            table=None if self.table is None else leaf(self.table),
        )
        return alone, pairs

    def shared_weights(self) -> list[Tensor]:
        """Weights that all images have in common, as they are in the field."""
        heads = (self.density_head, self.colour_head, *([] if self.features is None else [self.features]))
        return [tensor for head in heads for tensor in head]

    def hidden_to(self, dtype: torch.dtype) -> "Folded":
        """The same with the hidden layers in the type that `evaluate` would cast them to, at every call."""
        first, *hidden, last = self.weights
        return self._replace(weights=[first, *(weight.to(dtype) for weight in hidden), last])


Evaluation = Callable[
    [Folded, Float[Tensor, "batch point 3"], Float[Tensor, "batch point 3"], torch.dtype],
    tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]],
]
"""`evaluate`, or the same compiled."""


def fold(field: RadianceField, code: Float[Tensor, "batch code"]) -> Folded:
    """The fields of the images with these codes, their FiLM (or their latents) folded into weights and biases."""
    heads = _heads(field)
    if isinstance(field, ConcatSirenField):
        parts = _latent_folded(field.siren.modulated_linears(), code, 3, field.coordinate_scale, FREQUENCY_SHIFT)
        return Folded(*parts, *heads, activation="sine")
    if isinstance(field, SinCosField):
        parts, features = _latent_folded(field.sine_linears(), code, 3, field.coordinate_scale), field.features
        return Folded(*parts, *heads, activation="sincos", features=Head(features.weight, features.bias))
    if isinstance(field, ConcatReluField):
        parts = _latent_folded(field.relu.modulated_linears(), code, ENCODED)
        return Folded(*parts, *heads, activation="relu", coordinate_scale=field.relu.coordinate_scale)
    gamma, shift = field.modulation(code)
    # all layers' gradients together are one tensor to autograd, not one each with zeros for the others
    layers = list(zip(field.modulated_linears(), gamma.unbind(1), shift.unbind(1), strict=True))
    weights = [scale[:, None] * linear.weight.mT for linear, scale, _ in layers]
    biases = [(scale * linear.bias + phase)[:, None] for linear, scale, phase in layers]
    if isinstance(field, EmbeddingSirenField):
        scale, table = field.coordinate_scale, table_of(field.cube)
        return Folded(weights, biases, *heads, activation="sine", coordinate_scale=scale, table=table)
    if isinstance(field, FilmSirenField):
        weights[0] = weights[0] * field.coordinate_scale
        return Folded(weights, biases, *heads, activation="sine")
    return Folded(weights, biases, *heads, activation="relu", coordinate_scale=field.coordinate_scale)


def evaluate(
    folded: Folded,
    points: Float[Tensor, "batch point 3"],
    directions: Float[Tensor, "batch point 3"],
    dtype: torch.dtype,
    in_place: bool = False,
) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
    """Colour (0..1) and raw density (or opacity); `dtype` is that of the hidden layers' operands.

    The first layer and the heads stay in float32, since the arguments of the first sine are large. `in_place` spares
    memory where there are no gradients.
    """
    weights, biases = folded.weights, folded.biases
    activate = (IN_PLACE if in_place else ACTIVATIONS)[folded.activation]
    x = points
    if folded.activation == "relu":
        x = positional_encoding(points * folded.coordinate_scale, ENCODING_OCTAVES)
    # autocast would put the first layer in 16 bits
    with torch.autocast(points.device.type, enabled=False):
        if folded.table is not None:
            x = with_features(folded.table, points * folded.coordinate_scale)
        x = activate(torch.baddbmm(biases[0], x, weights[0])).to(dtype)
        for weight, bias in zip(weights[1:-1], biases[1:-1], strict=True):
            x = activate(torch.baddbmm(bias.to(dtype), x, weight.to(dtype)))
        if folded.features is not None:
            x = torch.nn.functional.linear(x, folded.features.weight.to(dtype), folded.features.bias.to(dtype))
        density = torch.nn.functional.linear(x.float(), *folded.density_head)
        # [direction, x] W' as two products, so that no 259-wide copy is made
        seen = torch.baddbmm(biases[-1], directions, weights[-1][:, :3])
        x = activate(torch.baddbmm(seen.to(dtype), x, weights[-1][:, 3:].to(dtype)))
        colour = torch.nn.functional.linear(x.float(), *folded.colour_head)
    return torch.sigmoid(colour), density.squeeze(-1)


def evaluate_in_place(
    folded: Folded,
    points: Float[Tensor, "batch point 3"],
    directions: Float[Tensor, "batch point 3"],
    dtype: torch.dtype,
) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
    """`evaluate` where there are no gradients, in less memory."""
    return evaluate(folded, points, directions, dtype, in_place=True)


@torch.no_grad()
def evaluate_in_tiles(
    folded: Folded,
    points: Float[Tensor, "batch point 3"],
    directions: Float[Tensor, "batch point 3"],
    dtype: torch.dtype,
    evaluation: Evaluation = evaluate_in_place,
) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
    """The same without gradients: so few points at a time that all layers of a tile stay in the cache.

    On a CPU one image at a time, so that a compiled `evaluation` sees the same shapes whatever the batch is.
    """
    on_cpu = points.device.type == "cpu"
    tile = CPU_TILE * torch.get_num_threads() if on_cpu else GPU_TILE
    images = 1 if on_cpu else max(1, tile // max(points.shape[1], 1))
    rgb, density = torch.empty_like(points), points.new_empty(points.shape[:2])
    for first in range(0, len(points), images):
        which = slice(first, first + images)
        some_images = folded.part(which).hidden_to(dtype)
        for start in range(0, points.shape[1], tile):
            some = slice(start, start + tile)
            found = share_points(
                lambda xyz, towards, images=some_images: evaluation(images, xyz, towards, dtype),
                points[which, some],
                directions[which, some],
            )
            rgb[which, some], density[which, some] = (torch.cat(part, dim=1) for part in zip(*found, strict=True))
    return rgb, density


def _latent_folded(
    linears: list[nn.Linear],
    code: Float[Tensor, "batch z"],
    inputs: int,
    coordinate_scale: float = 1.0,
    frequency: float = 1.0,
) -> tuple[list[Float[Tensor, "batch _ hidden"]], list[Float[Tensor, "batch 1 hidden"]]]:
    """Weights and biases, times `frequency`, of layers whose first sees `inputs` numbers of a point, then the latent.

    The latent's part of the first layer is the same for all points of an image.
    """
    of_latent = code @ linears[0].weight[:, inputs:].mT
    weights = [frequency * linear.weight.mT.expand(len(code), -1, -1) for linear in linears]
    weights[0] = weights[0][:, :inputs] * coordinate_scale
    biases = [frequency * linear.bias.expand(len(code), 1, -1) for linear in linears]
    biases[0] = biases[0] + frequency * of_latent[:, None]
    return weights, biases


def _heads(field: RadianceField) -> tuple[Head, Head]:
    own = with_heads(field)
    return Head(own.density_head.weight, own.density_head.bias), Head(own.colour_head.weight, own.colour_head.bias)
