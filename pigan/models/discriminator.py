"""The progressive discriminator and its variants (arXiv 2012.00926, section 3.3; authors' code).

Residual blocks halve the image down to 2 x 2; an image enters at its own resolution through that resolution's input
layer, and a newly grown input layer fades in over the one below it. `patch-pose` is the progressive network that is
told the camera, beside a network that judges patches (`pigan.models.patchpose`).
"""

import itertools
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pigan.models.patchpose import (
    PLACE,
    PatchNetwork,
    PoseProjection,
    at_least_single,
    place_of,
    pose_of,
    product_logit,
)
from pigan.sections import DiscriminatorConfig

SLOPE = 0.2
POSE_ANGLES = 2
# what there is one of a side, numbered from the highest side down
LEVEL = re.compile(r"((?:patches\.)?(?:blocks|from_rgb))\.(\d+)")


class Judgement(NamedTuple):
    """What the discriminator says of images."""

    logit: Float[Tensor, "batch"]
    latent: Float[Tensor, "batch z"] | None
    """Estimated latent, with an encoder."""
    pose: Float[Tensor, "batch 2"] | None
    """Estimated pitch and yaw, radians, with an encoder."""
    place: Float[Tensor, "batch 3"] | None = None
    """What a patch-pose discriminator estimates instead: the camera's place on the unit sphere, of any length."""


class CoordConv(nn.Module):
    """A 3 x 3 convolution that also sees each pixel's place: two channels from -1 to 1, across and down."""

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + 2, out_channels, kernel_size=3, stride=stride, padding=1)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch d i j"]:
        """The convolution of x and its pixel coordinates; theirs is the same for all images, and made once."""
        height, width = x.shape[-2:]
        across = torch.linspace(-1, 1, width, dtype=x.dtype, device=x.device).expand(1, 1, height, width)
        down = torch.linspace(-1, 1, height, dtype=x.dtype, device=x.device)[:, None].expand(1, 1, height, width)
        weight, bias = self.conv.weight, self.conv.bias
        stride, padding = self.conv.stride, self.conv.padding
        place = functional.conv2d(torch.cat((across, down), dim=1), weight[:, -2:], bias, stride, padding)
        return functional.conv2d(x, weight[:, :-2], None, stride, padding) + place


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, (main + shortcut) / sqrt(2), at half the resolution.

    `progressive` pools both branches; `ccs` and `strided` take a stride of 2 in the second convolution and in the
    shortcut; `strided` has plain convolutions.
    """

    def __init__(self, kind: str, channels: int, out_channels: int) -> None:
        super().__init__()
        self.pool = kind == "progressive"
        stride = 1 if self.pool else 2
        first, second = (
            (_plain_conv(channels, out_channels, 1), _plain_conv(out_channels, out_channels, stride))
            if kind == "strided"
            else (CoordConv(channels, out_channels), CoordConv(out_channels, out_channels, stride))
        )
        self.network = nn.Sequential(first, nn.LeakyReLU(SLOPE), second, nn.LeakyReLU(SLOPE))
        keeps = self.pool and channels == out_channels
        self.shortcut: nn.Module = nn.Identity() if keeps else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch d i j"]:
        """Features at half the side."""
        # the stride by hand: oneDNN's backward of a 1 x 1 convolution with a stride writes out of bounds with AVX2
        beside = self.shortcut(x if self.pool else x[..., ::2, ::2])
        total = (self.network(x) + beside) / math.sqrt(2)
        return functional.avg_pool2d(total, 2) if self.pool else total


class Discriminator(nn.Module):
    """Scores images of any power-of-two side up to `top_resolution`."""

    def __init__(self, config: DiscriminatorConfig, z_dim: int, top_resolution: int) -> None:
        super().__init__()
        self.z_dim, self.encoder = z_dim, config.encoder
        self.sides = [top_resolution >> level for level in range(int(math.log2(top_resolution)))]
        widths = [channels_at(side, config) for side in self.sides]
        # one block a side above 2 px, one input layer a side
        self.blocks = nn.ModuleList(
            ResidualBlock(config.blocks, wide, wider) for wide, wider in itertools.pairwise(widths)
        )
        self.from_rgb = nn.ModuleList(nn.Sequential(nn.Conv2d(3, wide, 1), nn.LeakyReLU(SLOPE)) for wide in widths)
        self.final = nn.Conv2d(widths[-1], outputs_of(config, z_dim), kernel_size=2)
        if config.blocks != "progressive":
            # the authors' initialiser reaches the blocks' own convolutions of these two kinds, and no others
            for name, module in self.blocks.named_modules():
                if isinstance(module, nn.Conv2d) and not name.endswith("shortcut"):
                    nn.init.kaiming_normal_(module.weight, a=SLOPE, mode="fan_in", nonlinearity="leaky_relu")
        self.patches = PatchNetwork(self.sides, widths) if config.kind == "patch-pose" else None
        self.projection = PoseProjection(widths[-1]) if config.kind == "patch-pose" else None

    def forward(
        self,
        images: Float[Tensor, "batch 3 side side"],
        fade: Float[Tensor, ""] | None = None,
        pose: Float[Tensor, "batch 2"] | None = None,
    ) -> Judgement:
        """Judgement of images in -1..1; `fade` in 0..1 is how far their input layer has grown in, None: wholly.

        `pose` is pitch and yaw (radians) of their cameras. Only patch-pose looks at it, and where it is None takes
        what its own encoder sees; no gradient flows that way, lest the encoder learn to see what looks real.
        """
        entry = self.sides.index(images.shape[-1])
        x = self.from_rgb[entry](images)
        for level in range(entry, len(self.blocks)):
            x = self.blocks[level](x)
            if level == entry and fade is not None:
                # nearest-neighbour halving, as in the authors' code
                x = fade * x + (1 - fade) * self.from_rgb[entry + 1](images[..., ::2, ::2])
        output = self.final(x).flatten(1)
        if not self.encoder:
            return Judgement(output[:, 0], None, None)
        logit, latent, seen = output[:, 0], output[:, 1 : 1 + self.z_dim], output[:, 1 + self.z_dim :]
        if self.patches is None or self.projection is None:
            return Judgement(logit, latent, seen)
        place = functional.normalize(at_least_single(seen.detach()), dim=-1) if pose is None else place_of(pose)
        logit = product_logit(logit + self.projection(x, place), self.patches(images, fade))
        return Judgement(logit, latent, pose_of(seen), seen)


def regrown(weights: Mapping[str, Tensor], top: int, into: Discriminator) -> dict[str, Tensor]:
    """Weights of a discriminator of images up to `top` pixels as `into` names them, a network for another highest side.

    Above `top` they are those of `into`. A network's answer to images of a side does not depend on what is above it.
    """
    more = into.sides[0].bit_length() - top.bit_length()
    levels = {name: LEVEL.match(name) for name in weights}
    kept = {name: weights[name] for name, level in levels.items() if level is None}
    for name, level in levels.items():
        if level is not None and int(level[2]) + more >= 0:
            kept[f"{level[1]}.{int(level[2]) + more}{name[level.end() :]}"] = weights[name]
    own = into.state_dict().items()
    return {name: value for name, value in own if (level := LEVEL.match(name)) and int(level[2]) < more} | kept


def outputs_of(config: DiscriminatorConfig, z_dim: int) -> int:
    """Numbers that the residual network ends in: the logit, and with an encoder latent and pose."""
    pose = PLACE if config.kind == "patch-pose" else POSE_ANGLES
    return 1 + z_dim + pose if config.encoder else 1


def channels_at(side: int, config: DiscriminatorConfig) -> int:
    """Channels of features with `side` pixels: 8192 / side up to a limit (400 in the paper's networks)."""
    return max(1, min(config.max_channels, round(config.width * 8192 / side)))


def _plain_conv(channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, kernel_size=3, stride=stride, padding=1)
