"""The plain reference's discriminator, under pigan's names of weights so that it takes the same state dict.

Every convolution that knows its place makes the coordinates on the host at each call, repeats them for the batch,
moves them to the device and joins them to its input.
"""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pigan.models.discriminator import POSE_ANGLES, SLOPE, Discriminator, Judgement, channels_at
from pigan.sections import DiscriminatorConfig


class PlainCoordConv(nn.Module):
    """A 3 x 3 convolution of the input and two channels of pixel coordinates."""

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + 2, out_channels, 3, stride, padding=1)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch d i j"]:
        """Features, with the coordinates made anew."""
        batch, _, height, width = x.shape
        across = torch.arange(width, dtype=torch.float32).repeat(1, height, 1) / (width - 1) * 2 - 1
        down = torch.arange(height, dtype=torch.float32).repeat(1, width, 1).transpose(1, 2) / (height - 1) * 2 - 1
        places = torch.stack((across, down), dim=1).repeat(batch, 1, 1, 1)
        return self.conv(torch.cat((x, places.to(x)), dim=1))


class PlainBlock(nn.Module):
    """Two convolutions beside a shortcut, at half the side in the end."""

    def __init__(self, kind: str, channels: int, out_channels: int) -> None:
        super().__init__()
        self.pools = kind == "progressive"
        stride = 1 if self.pools else 2
        convolution = PlainCoordConv
        first: nn.Module = convolution(channels, out_channels)
        second: nn.Module = convolution(out_channels, out_channels, stride)
        if kind == "strided":
            first = nn.Conv2d(channels, out_channels, 3, padding=1)
            second = nn.Conv2d(out_channels, out_channels, 3, stride, padding=1)
        self.network = nn.Sequential(first, nn.LeakyReLU(SLOPE), second, nn.LeakyReLU(SLOPE))
        same = self.pools and channels == out_channels
        self.shortcut: nn.Module = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1, stride)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch d i j"]:
        """Features."""
        joined = (self.network(x) + self.shortcut(x)) / math.sqrt(2)
        return functional.avg_pool2d(joined, 2) if self.pools else joined


class PlainDiscriminator(nn.Module):
    """Judges images of any power-of-two side up to `top_resolution`."""

    def __init__(self, config: DiscriminatorConfig, z_dim: int, top_resolution: int) -> None:
        super().__init__()
        self.z_dim, self.encoder = z_dim, config.encoder
        self.sides = [top_resolution]
        while self.sides[-1] > 2:
            self.sides.append(self.sides[-1] // 2)
        widths = [channels_at(side, config) for side in self.sides]
        self.blocks = nn.ModuleList(PlainBlock(config.kind, *pair) for pair in itertools.pairwise(widths))
        self.from_rgb = nn.ModuleList(nn.Sequential(nn.Conv2d(3, width, 1), nn.LeakyReLU(SLOPE)) for width in widths)
        self.final = nn.Conv2d(widths[-1], 1 + (z_dim + POSE_ANGLES if config.encoder else 0), 2)

    def forward(
        self, images: Float[Tensor, "batch 3 side side"], fade: float, pose: Float[Tensor, "batch 2"] | None = None
    ) -> Judgement:
        """Judgement of images in -1..1 whose input layer has grown in by `fade` (0..1); nobody looks at `pose`."""
        entry = self.sides.index(images.shape[-1])
        x = self.from_rgb[entry](images)
        for level in range(entry, len(self.blocks)):
            if level == entry + 1 and fade < 1:
                smaller = functional.interpolate(images, scale_factor=0.5, mode="nearest")
                x = fade * x + (1 - fade) * self.from_rgb[level](smaller)
            x = self.blocks[level](x)
        said = self.final(x)[..., 0, 0]
        if not self.encoder:
            return Judgement(said[:, 0], None, None)
        return Judgement(said[:, 0], said[:, 1 : 1 + self.z_dim], said[:, 1 + self.z_dim :])


class PlainPatchPose(Discriminator):
    """The patch-pose discriminator is its own reference, as the ablation fields are."""

    def forward(  # type: ignore[override]
        self, images: Float[Tensor, "batch 3 side side"], fade: float, pose: Float[Tensor, "batch 2"] | None = None
    ) -> Judgement:
        """As the other reference is called."""
        return super().forward(images, torch.full((), fade).to(images) if fade < 1 else None, pose)


def plain_discriminator(
    config: DiscriminatorConfig, z_dim: int, top_resolution: int
) -> PlainDiscriminator | PlainPatchPose:
    """The reference of a discriminator."""
    kind = PlainPatchPose if config.kind == "patch-pose" else PlainDiscriminator
    return kind(config, z_dim, top_resolution)
