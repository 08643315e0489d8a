"""The radiance fields: FiLM-SIREN (arXiv 2012.00926, section 3.1) and what the ablations put in its place.

Every field maps points, unit view directions and one code an image to colour (0..1) and raw density.
Fields without a mapping network have the latent itself as their code.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pigan.models.sincos import SinCosField
from pigan.sections import Model

FREQUENCY_SCALE = 15.0
FREQUENCY_SHIFT = 30.0
ENCODING_OCTAVES = 6
# numbers of an encoded position
ENCODED = 3 + 6 * ENCODING_OCTAVES
# the authors' initial deviations of a feature cube, of their narrow network (128) and of their wide one (256)
NARROW, NARROW_DEVIATION, WIDE_DEVIATION = 128, 0.01, 0.1


def sine_init_(linear: nn.Linear) -> None:
    """U(+-sqrt(6 / fan_in) / 25), the authors' initialisation of all but the first layer."""
    bound = math.sqrt(6 / linear.in_features) / 25
    nn.init.uniform_(linear.weight, -bound, bound)


def first_layer_init_(linear: nn.Linear) -> None:
    """U(+-1 / fan_in), the authors' initialisation of the layer that sees positions."""
    nn.init.uniform_(linear.weight, -1 / linear.in_features, 1 / linear.in_features)


class ModulatedField(nn.Module, ABC):
    """Layers that a mapping network's code modulates: x_{i+1} = activation(scale_i * (W_i x_i + b_i) + shift_i).

    There are `layers` of them, whose features give the density, and one more that also sees the view direction and
    gives the colour. The code of an image holds what makes the scales, layer by layer, then the shifts.
    """

    activation: Callable[[Tensor], Tensor]
    # scale = slope * code + middle
    slope: float
    middle: float

    def __init__(self, hidden: int, layers: int, coordinate_scale: float, in_features: int) -> None:
        super().__init__()
        self.hidden, self.coordinate_scale = hidden, coordinate_scale
        widths = [in_features] + [hidden] * layers
        self.layers = nn.ModuleList(nn.Linear(wide, hidden) for wide in widths[:-1])
        self.density_head = nn.Linear(hidden, 1)
        self.colour_layer = nn.Linear(3 + hidden, hidden)
        self.colour_head = nn.Linear(hidden, 3)

    @property
    def code_size(self) -> int:
        """Numbers in one image's code."""
        return 2 * (len(self.layers) + 1) * self.hidden

    def modulated_linears(self) -> list[nn.Linear]:
        """The linear maps inside the activations, in order; the last one is the colour layer."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)] + [self.colour_layer]

    def modulation(
        self, code: Float[Tensor, "batch code"]
    ) -> tuple[Float[Tensor, "batch layer hidden"], Float[Tensor, "batch layer hidden"]]:
        """Scale and shift of every layer."""
        scales, shifts = code.unflatten(-1, (2, len(self.layers) + 1, self.hidden)).unbind(1)
        return self.slope * scales + self.middle, shifts

    @abstractmethod
    def inputs(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point inputs"]:
        """What the first layer sees of points."""

    def forward(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"],
        code: Float[Tensor, "batch code"],
    ) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
        """Colour and raw density, written as the paper writes it; `pigan.kernels` evaluates the same faster."""
        return self.of_inputs(self.inputs(points), directions, code)

    def of_inputs(
        self,
        x: Float[Tensor, "batch point inputs"],
        directions: Float[Tensor, "batch point 3"],
        code: Float[Tensor, "batch code"],
    ) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
        """Colour and raw density from what the first layer sees."""
        scale, shift = self.modulation(code)
        for i, layer in enumerate(self.layers):
            x = self.activation(scale[:, i, None] * layer(x) + shift[:, i, None])
        density = self.density_head(x).squeeze(-1)
        x = self.colour_layer(torch.cat((directions, x), dim=-1))
        x = self.activation(scale[:, -1, None] * x + shift[:, -1, None])
        return torch.sigmoid(self.colour_head(x)), density


class FilmSirenField(ModulatedField):
    """Sine layers whose frequency and phase come from the mapping network: gamma = 15 f + 30, and p."""

    activation = staticmethod(torch.sin)
    slope, middle = FREQUENCY_SCALE, FREQUENCY_SHIFT

    def __init__(self, hidden: int, layers: int, coordinate_scale: float, in_features: int = 3) -> None:
        super().__init__(hidden, layers, coordinate_scale, in_features)
        for linear in [*self.modulated_linears()[1:], self.density_head, self.colour_head]:
            sine_init_(linear)
        first_layer_init_(self.modulated_linears()[0])

    def inputs(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point inputs"]:
        """Scaled positions."""
        return points * self.coordinate_scale


class EmbeddingSirenField(FilmSirenField):
    """A FiLM-SIREN whose first layer sees features of a learned cube, then the position (authors' EmbeddingPiGAN).

    The cube's corners are those of the box -1..1 of scaled positions. Its features are drawn from N(0, 0.01^2) for a
    width up to 128, else from N(0, 0.1^2), and the first layer from U(+-1/3), as if it saw positions only.
    """

    def __init__(self, hidden: int, layers: int, coordinate_scale: float, features: int, side: int) -> None:
        super().__init__(hidden, layers, coordinate_scale, in_features=features + 3)
        nn.init.uniform_(self.modulated_linears()[0].weight, -1 / 3, 1 / 3)
        # a parameter of the field itself, so that it comes first, as in the authors' moving averages
        self.cube = nn.Parameter(torch.empty(1, features, side, side, side))
        nn.init.normal_(self.cube, std=NARROW_DEVIATION if hidden <= NARROW else WIDE_DEVIATION)

    def inputs(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point inputs"]:
        """Features of the cube, then the scaled position."""
        return with_cube(self.cube, points * self.coordinate_scale)


class ConcatSirenField(nn.Module):
    """Ablation: a SIREN that gets the latent concatenated to the position instead of a mapping network's FiLM.

    The position's part of the first layer is drawn as if it were alone (as the authors do where features join it), the
    latent's part so that it turns the first sines by a variance of 1, however long the latent is.
    """

    def __init__(self, z_dim: int, hidden: int, layers: int, coordinate_scale: float) -> None:
        super().__init__()
        self.code_size = z_dim
        self.siren = FilmSirenField(hidden, layers, coordinate_scale=1.0, in_features=3 + z_dim)
        first, of_latent = self.siren.modulated_linears()[0], math.sqrt(3 / z_dim) / FREQUENCY_SHIFT
        nn.init.uniform_(first.weight[:, :3], -1 / 3, 1 / 3)
        nn.init.uniform_(first.weight[:, 3:], -of_latent, of_latent)
        self.coordinate_scale = coordinate_scale

    def forward(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"],
        code: Float[Tensor, "batch z"],
    ) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
        """Colour and raw density; every sine has frequency 30 and phase 0."""
        inputs = torch.cat((points * self.coordinate_scale, code[:, None].expand(-1, points.shape[1], -1)), dim=-1)
        return self.siren.of_inputs(inputs, directions, code.new_zeros(code.shape[0], self.siren.code_size))


class ReluField(ModulatedField):
    """Ablation: ReLU layers on positionally encoded points (as in NeRF), modulated by the same mapping network.

    The scales are 1 + f, on [x, sin(2^k pi x), cos(2^k pi x)].
    """

    activation = staticmethod(torch.relu)
    slope = middle = 1.0

    def __init__(self, hidden: int, layers: int, coordinate_scale: float, in_features: int = ENCODED) -> None:
        super().__init__(hidden, layers, coordinate_scale, in_features)
        for linear in self.modulated_linears():
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)

    def inputs(self, points: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point inputs"]:
        """Encoded, scaled positions."""
        return positional_encoding(points * self.coordinate_scale, ENCODING_OCTAVES)


class ConcatReluField(nn.Module):
    """Ablation: neither sines nor FiLM; plain ReLU layers on the encoded position and the latent beside it."""

    def __init__(self, z_dim: int, hidden: int, layers: int, coordinate_scale: float) -> None:
        super().__init__()
        self.code_size = z_dim
        self.relu = ReluField(hidden, layers, coordinate_scale, in_features=ENCODED + z_dim)

    def forward(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"],
        code: Float[Tensor, "batch z"],
    ) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
        """Colour and raw density; every scale is 1 and every shift 0."""
        inputs = torch.cat((self.relu.inputs(points), code[:, None].expand(-1, points.shape[1], -1)), dim=-1)
        return self.relu.of_inputs(inputs, directions, code.new_zeros(code.shape[0], self.relu.code_size))


def with_cube(
    cube: Float[Tensor, "1 features side side side"], places: Float[Tensor, "batch point 3"]
) -> Float[Tensor, "batch point inputs"]:
    """[features, place] of places in the box -1..1, trilinear between the cube's samples; outside of it they fade to 0.

    x runs along the cube's last axis, y along the one before it, z along the third from the end.
    `pigan.kernels.cube` says the same with gradients of the same bits on a GPU, where here their order is any.
    """
    # all images' points as those of one cube, so that its gradient is summed in one place
    grid = places.reshape(1, 1, 1, -1, 3)
    features = nn.functional.grid_sample(cube, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return torch.cat((features.flatten(2)[0].unflatten(-1, places.shape[:2]).movedim(0, -1), places), dim=-1)


def positional_encoding(points: Float[Tensor, "*batch 3"], octaves: int) -> Float[Tensor, "*batch encoded"]:
    """[x, sin(2^k pi x), cos(2^k pi x)] for k below `octaves` (NeRF, equation 4)."""
    scales = math.pi * 2.0 ** torch.arange(octaves, device=points.device)
    angles = (points[..., None] * scales).flatten(-2)
    return torch.cat((points, torch.sin(angles), torch.cos(angles)), dim=-1)


RadianceField = FilmSirenField | ConcatSirenField | ReluField | ConcatReluField | SinCosField
LatentField = ConcatSirenField | ConcatReluField | SinCosField
"""The fields whose code is the latent itself."""


def with_heads(field: RadianceField) -> FilmSirenField | ReluField | SinCosField:
    """The part of a field that its colour and density heads belong to."""
    if isinstance(field, ConcatSirenField):
        return field.siren
    return field.relu if isinstance(field, ConcatReluField) else field


def make_field(model: Model) -> RadianceField:
    """The field that `model.field` names."""
    z_dim, size, scale = model.z_dim, (model.hidden, model.layers), model.coordinate_scale
    if model.field == "concat-siren":
        return ConcatSirenField(z_dim, *size, scale)
    if model.field == "relu-pe":
        return ReluField(*size, scale)
    if model.field == "concat-relu":
        return ConcatReluField(z_dim, *size, scale)
    if model.field == "embedding-siren":
        return EmbeddingSirenField(*size, scale, model.features, model.embedding_side)
    if model.field == "sincos-concat":
        return SinCosField(z_dim, *size, model.features, model.samples_a_ray, scale)
    return FilmSirenField(*size, scale)
