"""EfficientNet-Lite0's feature maps, with gradients, for losses that look at more than single pixels."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pigan.evaluation.extractors import LITE0_MEAN, LITE0_SCALE, EfficientNetLite0

# small images are enlarged to this (pixels)
SIDE = 128
# the last blocks of stem, and of the stages at a half, a quarter, an eighth and a sixteenth of the side
BLOCKS = (0, 2, 4, 10)


class FeatureMaps(nn.Module):
    """Maps of four depths of EfficientNet-Lite0 (ImageNet), which comes with pigan.

    Raises:
        PiganError: its weight file is missing or was changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNetLite0().network

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """Feature maps, fine to coarse, of images in -1..1."""
        levels = nn.functional.interpolate(127.5 * (images + 1), size=(SIDE, SIDE), mode="bilinear")
        x = (levels - LITE0_MEAN) / LITE0_SCALE
        x = torch.nn.functional.relu6(self.network._bn0(self.network._conv_stem(x)))
        maps = []
        for number, block in enumerate(self.network._blocks[: BLOCKS[-1] + 1]):
            x = block(x)
            if number in BLOCKS:
                maps.append(x)
        return maps
