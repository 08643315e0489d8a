"""What the patch-pose discriminator adds to the residual network: a look at patches, and being told the camera.

Its score is a product of two probabilities of being real: that of the image as a whole, seen from the camera it is
said to be seen from, and that of its patches.
"""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pigan.rendering.cameras import position_on_sphere

SLOPE = 0.2
# side of the map of patches, whatever the image's: a patch is 0.4 to 0.6 of the image's side
MAP_SIDE = 8
# numbers of a camera's place on the unit sphere
PLACE = 3
# below it log and exp are replaced by the first two terms of their series, which are exact there
LOW = -15.0


class PatchNetwork(nn.Module):
    """Logits of overlapping patches (PatchGAN, arXiv 1611.07004, section 3.2.2).

    Convolutions of 4 x 4 pixels halve an image of any side in `sides` down to a map of MAP_SIDE x MAP_SIDE, and one of
    3 x 3 judges it: a logit sees 78 pixels of 128, 38 of 64, 18 of 32, 8 of 16, 3 of 8. A newly grown input layer
    fades in over the one below it.
    """

    def __init__(self, sides: list[int], widths: list[int]) -> None:
        super().__init__()
        self.sides = [side for side in sides if side >= MAP_SIDE]
        widths = widths[: len(self.sides)]
        self.from_rgb = nn.ModuleList(nn.Sequential(nn.Conv2d(3, wide, 1), nn.LeakyReLU(SLOPE)) for wide in widths)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide, wider, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(SLOPE))
            for wide, wider in itertools.pairwise(widths)
        )
        self.head = nn.Conv2d(widths[-1], 1, kernel_size=3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE, mode="fan_in", nonlinearity="leaky_relu")

    def forward(
        self, images: Float[Tensor, "batch 3 side side"], fade: Float[Tensor, ""] | None = None
    ) -> Float[Tensor, "batch down across"]:
        """A logit a patch; at MAP_SIDE itself there is nothing to fade in over."""
        entry = self.sides.index(images.shape[-1])
        x = self.from_rgb[entry](images)
        for level in range(entry, len(self.blocks)):
            x = self.blocks[level](x)
            if level == entry and fade is not None:
                x = fade * x + (1 - fade) * self.from_rgb[entry + 1](images[..., ::2, ::2])
        return self.head(x).squeeze(1)


class PoseProjection(nn.Module):
    """How well an image fits its camera: the product of an embedding of each (arXiv 1802.05637, equation 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.image = nn.Conv2d(channels, channels, kernel_size=2)
        self.camera = nn.Sequential(nn.Linear(PLACE, channels), nn.LeakyReLU(SLOPE), nn.Linear(channels, channels))

    def forward(self, x: Float[Tensor, "batch c 2 2"], place: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch"]:
        """The pose's part of the logit; `x` is what the residual network has at 2 x 2 pixels."""
        embedded = self.camera(place.to(x.dtype))
        return (self.image(x).flatten(1) * embedded).sum(1) / math.sqrt(embedded.shape[1])


def place_of(pose: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 3"]:
    """The place on the unit sphere of cameras at pitch and yaw (radians); it has no seam, as yaw has."""
    pitch, yaw = pose.unbind(1)
    return position_on_sphere(yaw, pitch, 1.0)


def pose_of(place: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 2"]:
    """Pitch (0..pi) and yaw (-pi..pi, radians) of cameras in the direction of `place`."""
    x, up, z = at_least_single(place).unbind(1)
    return torch.stack((torch.atan2(torch.hypot(x, z), up), torch.atan2(z, x)), dim=-1)


def product_logit(whole: Float[Tensor, "batch"], patches: Float[Tensor, "batch down across"]) -> Float[Tensor, "batch"]:
    """The logit of p = sigmoid(whole) x the geometric mean of sigmoid(patches), at least in float32.

    So log p = log sigmoid(whole) + mean log sigmoid(patches), each patch with its own logistic loss as in PatchGAN:
    a good patch does not excuse a bad one, as it would in the mean of the probabilities. With s = -log p the logit
    log p - log(1 - p) is -s - log(1 - exp(-s)); s is added up as t = log s, so that neither p near 0 nor p near 1
    loses a digit, and first and second derivatives (R1) are finite everywhere.
    """
    own = _log_softplus(-at_least_single(whole))
    each = _log_softplus(-at_least_single(patches).flatten(1))
    t = torch.logaddexp(own, torch.logsumexp(each, dim=1) - math.log(each.shape[1]))
    s = torch.exp(t.clamp(min=LOW))
    small = t.clamp(max=LOW)
    return torch.where(t < LOW, -small - torch.exp(small) / 2, -s - torch.log(-torch.expm1(-s)))


def at_least_single(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """16-bit numbers in float32, others as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _log_softplus(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """log(log(1 + exp(x))), also where exp(x) is too small for a number."""
    small = x.clamp(max=LOW)
    # what a branch is not taken for must be finite too: its gradient is multiplied by zero
    return torch.where(x < LOW, small - torch.exp(small) / 2, torch.log(functional.softplus(x.clamp(min=LOW))))
