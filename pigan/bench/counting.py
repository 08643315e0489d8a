"""Operations and memory traffic of the cases, by formula: which of the two bounds is near.

A multiplication and an addition are two operations. Traffic counts what each kernel reads and writes once; what a
kernel keeps on the chip, and tiles that stay in a processor's cache, cost nothing.
"""

from typing import Literal, NamedTuple

from pigan.models.discriminator import channels_at, outputs_of
from pigan.models.patchpose import MAP_SIDE, PLACE
from pigan.models.siren import ENCODED
from pigan.sections import DiscriminatorConfig, Model

Kind = Literal["plain", "folded", "compiled", "triton"]
Judging = Literal["step", "through", "through_frozen"]


class Judged(NamedTuple):
    """What judging does, in forward passes: operations, traffic of feature maps; and passes over the weights."""

    flop: int
    maps: float
    weights: int


# with R1: generated images 3 forwards; real ones 1 forward, 1 to their gradient, and 4 back through both. Backward
# passes move more than they compute: activations need what went in, gradients are summed.
JUDGED: dict[Judging, Judged] = {
    "step": Judged(9, 11.5, 13),
    "through": Judged(3, 3.0, 4),
    "through_frozen": Judged(2, 2.6, 2),
}

FLOAT = 4
# position, direction, colour and density of a point
POINT_NUMBERS = 10


class Count(NamedTuple):
    """Work of one call; None where the traffic is not known."""

    flop: float
    byte: float | None

    def __add__(self, other: "Count") -> "Count":  # type: ignore[override]
        known = self.byte is not None and other.byte is not None
        return Count(self.flop + other.flop, self.byte + other.byte if known else None)  # type: ignore[operator]


def field_layers(model: Model, way: Kind = "folded") -> list[tuple[int, int]]:
    """Inputs and outputs of the field's linear maps: hidden layers, colour layer, density head, colour head.

    What makes features of the last hidden layer, where there is such a map, stands after the hidden layers.
    """
    first = ENCODED if model.field in ("relu-pe", "concat-relu") else 3
    if model.field == "embedding-siren":
        first += model.features
    if model.field in ("concat-siren", "concat-relu", "sincos-concat") and way == "plain":
        # folded, the latent's share is in the bias
        first += model.z_dim
    # sine and cosine side by side pass on two numbers a unit
    passed_on = 2 * model.hidden if model.field == "sincos-concat" else model.hidden
    hidden = [(first, model.hidden)] + [(passed_on, model.hidden)] * (model.layers - 1)
    features = passed_on
    if model.field == "sincos-concat":
        features = model.features
        hidden.append((passed_on, features))
    return [*hidden, (3 + features, model.hidden), (features, 1), (passed_on, 3)]


def field_forward(model: Model, points: int, way: Kind, width: int = FLOAT, cached: bool = False) -> Count:
    """Evaluation without gradients; `width` bytes a hidden number, `cached` when a tile's layers never leave it."""
    flop = 2.0 * points * sum(wide * wider for wide, wider in field_layers(model, way))
    if way == "triton" or cached:
        return Count(flop, float(points * POINT_NUMBERS * FLOAT))
    # plain: linear, product, sum, sine, each reads and writes; else: the product reads and writes, and the sine
    passes = 8 if way == "plain" else 4
    return Count(flop, _traffic(model, points, passes, width))


def field_training(model: Model, points: int, way: Kind, width: int = FLOAT) -> Count:
    """Forward and backward: gradients of all weights, none of positions and directions."""
    layers = field_layers(model, way)
    macs = sum(wide * wider for wide, wider in layers)
    # the cube's features have a gradient, positions have none
    into = macs if model.field == "embedding-siren" else macs - layers[0][0] * layers[0][1]
    if way != "plain":
        # the view direction is a product of its own, without gradient
        into -= 3 * model.hidden
    flop = 2.0 * points * (2 * macs + into)
    if way == "triton":
        return Count(flop, None)
    # backward, plain: sine 5 (its cosine is a tensor), sum 1, product 6, linear 5; folded: sine 5, product 5;
    # compiled: sine 3 in one kernel, product 5
    passes = {"plain": 8 + 17, "folded": 4 + 10, "compiled": 4 + 8}[way]
    return Count(flop, _traffic(model, points, passes, width))


def discriminator_forward(config: DiscriminatorConfig, z_dim: int, side: int, places: bool) -> Count:
    """One image through the network; `places`: the convolutions see coordinates as two more channels."""
    extra = 2 if places and config.blocks != "strided" else 0
    stride = 1 if config.blocks == "progressive" else 2
    width = channels_at(side, config)
    flop, numbers = 2.0 * side**2 * 3 * width, 2 * side**2 * width
    if config.kind == "patch-pose":
        patches = _patches_forward(config, side)
        flop, numbers = flop + patches.flop, numbers + int(patches.byte or 0) // FLOAT
    while side > 2:
        wider, after = channels_at(side // 2, config), side // stride
        flop += 18 * (side**2 * (width + extra) + after**2 * (wider + extra)) * wider
        if stride == 2 or width != wider:
            flop += 2 * after**2 * width * wider
        # read and written: joined with the coordinates, convolution, activation; twice; then shortcut and sum
        joined = 2 if extra else 0
        numbers += side**2 * ((joined + 2) * width + (3 + joined) * wider) + after**2 * (width + 9 * wider)
        side, width = side // 2, wider
    flop += 8 * width * outputs_of(config, z_dim)
    if config.kind == "patch-pose":
        # embeddings of the image and of its camera
        flop += 8 * width**2 + 2 * width * (PLACE + width)
    return Count(flop, float(FLOAT * numbers))


def discriminator_weights(config: DiscriminatorConfig, side: int) -> int:
    """Numbers in the blocks from `side` down, without the thin layers at both ends."""
    total = 0
    while side > 2:
        width, wider = channels_at(side, config), channels_at(side // 2, config)
        total += 9 * wider * (width + wider) + width * wider
        if config.kind == "patch-pose" and side > MAP_SIDE:
            total += 16 * width * wider
        side //= 2
    return total


def judging(
    config: DiscriminatorConfig, z_dim: int, side: int, batch: int, what: Judging, plain: bool, width: int = FLOAT
) -> Count:
    """The discriminator's step with R1, or its part of the generator's with or without gradients of its weights."""
    one, judged = discriminator_forward(config, z_dim, side, places=plain), JUDGED[what]
    assert one.byte is not None
    maps = batch * judged.maps * one.byte * width / FLOAT
    return Count(batch * judged.flop * one.flop, maps + judged.weights * width * discriminator_weights(config, side))


def step_count(model: Model, side: int, batch: int, way: Kind, width: int = FLOAT, cached: bool = False) -> Count:
    """A whole training step: two renderings, one of them with gradients, and both networks' updates."""
    points = batch * model.points(side)
    config, plain = model.discriminator, way == "plain"
    return (
        field_forward(model, points, way, width, cached)
        + field_training(model, points, way, width)
        + judging(config, model.z_dim, side, batch, "step", plain, width)
        + judging(config, model.z_dim, side, batch, "through" if plain else "through_frozen", plain, width)
    )


def bound_of(flop: float, byte: float, matmul_gflops: float, bandwidth_gb_s: float) -> Literal["compute", "memory"]:
    """Which limit is near: operations a byte against the machine's ridge."""
    return "compute" if flop / byte > matmul_gflops / bandwidth_gb_s else "memory"


def _traffic(model: Model, points: int, passes: int, width: int) -> float:
    """Bytes of `passes` over each sine layer's numbers."""
    return float(points * passes * width * model.hidden * (model.layers + 1))


def _patches_forward(config: DiscriminatorConfig, side: int) -> Count:
    """One image through the network that judges patches."""
    width = channels_at(side, config)
    flop, numbers = 2.0 * side**2 * 3 * width, 4 * side**2 * width
    while side > MAP_SIDE:
        wider = channels_at(side // 2, config)
        flop += 32 * (side // 2) ** 2 * width * wider
        numbers += side**2 * width + 3 * (side // 2) ** 2 * wider
        side, width = side // 2, wider
    return Count(flop + 18 * side**2 * width, float(FLOAT * numbers))
