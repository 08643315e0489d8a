"""Another reading of the paper: a representation network of sines and cosines, and a rendering network.

The representation network maps a point, with the latent concatenated to it, to features; the rendering network maps
features and the view direction to a colour and to an opacity, which is the alpha of its sample as it is: there is no
density and no distance in it.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

# radians that the first sines turn over a unit of position: omega_0 of SIREN (arXiv 2006.09661, section 3.2)
FIRST_FREQUENCY = 30.0


def sine_and_cosine(x: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch twice"]:
    """[sin x, cos x], side by side: twice as many numbers, whose mean square is one half whatever x is."""
    return torch.cat((torch.sin(x), torch.cos(x)), dim=-1)


class SinCosField(nn.Module):
    """Linear layers, each followed by [sin, cos] of its output, then features, then colour and opacity.

    x_0 = [position, z]; x_{i+1} = [sin, cos](W_i x_i + b_i); features = W x + b; opacity = sigmoid(w . features + b);
    colour = sigmoid(W [sin, cos](W [direction, features] + b) + b). The opacity is given before its sigmoid, so that
    noise can be added to it, and does not depend on the view.

    The arguments of all sines begin with a variance of 1 (SIREN's scaling, with the frequency in the weights): what
    comes in has a mean square of 1 / 2, so that U(+-sqrt(6 / inputs)) keeps it. Of the first layer the position's
    part turns by up to FIRST_FREQUENCY / 3 radians a unit and axis, as a SIREN's does, and the latent's part has a
    variance of 1, however long the latent is. Opacities begin at about 1 / `samples`, so that light gets through a
    ray of that many and every sample has a gradient.
    """

    def __init__(
        self, z_dim: int, hidden: int, layers: int, features: int, samples: int, coordinate_scale: float
    ) -> None:
        super().__init__()
        self.code_size, self.coordinate_scale = z_dim, coordinate_scale
        widths = [3 + z_dim] + [2 * hidden] * layers
        self.layers = nn.ModuleList(nn.Linear(wide, hidden) for wide in widths[:-1])
        self.features = nn.Linear(2 * hidden, features)
        # named as in the other fields
        self.density_head = nn.Linear(features, 1)
        self.colour_layer = nn.Linear(3 + features, hidden)
        self.colour_head = nn.Linear(2 * hidden, 3)
        first, *others = self.sine_linears()[:-1]
        nn.init.uniform_(first.weight[:, :3], -FIRST_FREQUENCY / 3, FIRST_FREQUENCY / 3)
        nn.init.uniform_(first.weight[:, 3:], -math.sqrt(3 / z_dim), math.sqrt(3 / z_dim))
        for linear in (*others, self.features, self.colour_head):
            _unit_variance_(linear, 0.5 * linear.in_features)
        for linear in (self.density_head, self.colour_layer):
            # features have a variance of 1
            _unit_variance_(linear, float(features))
        nn.init.constant_(self.density_head.bias, -math.log(max(samples - 1, 1)))

    def sine_linears(self) -> list[nn.Linear]:
        """The linear maps before the sines, in order; the last one is the colour layer."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)] + [self.colour_layer]

    def forward(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"],
        code: Float[Tensor, "batch z"],
    ) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
        """Colour, and opacity before its sigmoid."""
        x = torch.cat((points * self.coordinate_scale, code[:, None].expand(-1, points.shape[1], -1)), dim=-1)
        for layer in self.layers:
            x = sine_and_cosine(layer(x))
        features = self.features(x)
        opacity = self.density_head(features).squeeze(-1)
        x = sine_and_cosine(self.colour_layer(torch.cat((directions, features), dim=-1)))
        return torch.sigmoid(self.colour_head(x)), opacity


def _unit_variance_(linear: nn.Linear, square: float) -> None:
    """Uniform weights that give a variance of 1 to inputs whose squares sum to `square`."""
    bound = math.sqrt(3 / square)
    nn.init.uniform_(linear.weight, -bound, bound)
