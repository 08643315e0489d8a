"""How far renderings are from a photo: squared error of pixels, and difference of a network's features."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from skimage.metrics import structural_similarity
from torch import Tensor

from pigan.rendering.rays import pixel_directions
from pigan.rendering.render import as_images
from pigan.synthesis.inverting.photo import Photo

Features = Callable[[Float[Tensor, "view 3 side side"]], list[Float[Tensor, "view channel height width"]]]
"""Feature maps, fine to coarse, of images in -1..1."""
# the smallest window of the structural similarity
WINDOW = 7


class Similarity(NamedTuple):
    """How alike a rendering and a photo are, where the photo counts."""

    psnr: float
    """Peak signal-to-noise ratio, dB."""
    ssim: float
    """Structural similarity, at most 1."""


class Perceptual:
    """Distance of feature maps from those of a photo (unit vectors, as in arXiv 1801.03924, unweighted)."""

    def __init__(self, features: Features, photo: Photo, side: int, fov: float, device: torch.device) -> None:
        resized = torch.nn.functional.adaptive_avg_pool2d(photo.values, side)
        counts = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(photo.counts)[None, None].float(), side)
        self.features, self.photo, self.counts = features, resized.to(device), counts.to(device)
        self.rays = pixel_directions(side, fov, False, device)
        with torch.no_grad():
            self.target = [_unit(values) for values in features(self.photo)]

    def __call__(self, colour: Float[Tensor, "view ray 3"]) -> Float[Tensor, "view"]:
        """Distance of each view, whose rays are all of `rays`; what does not count looks like the photo."""
        shown = self.photo + self.counts * (as_images(colour) - self.photo)
        maps = zip(self.features(shown), self.target, strict=True)
        return torch.stack([(_unit(ours) - theirs).square().sum(1).mean((1, 2)) for ours, theirs in maps]).mean(0)


def similarity(
    colour: Float32[np.ndarray, "side side 3"],
    pixels: UInt8[np.ndarray, "side side 3"],
    counts: Bool[np.ndarray, "side side"],
) -> Similarity:
    """PSNR and SSIM of a rendering (0..1) where `counts`."""
    truth = pixels.astype(np.float64) / 255
    error = float(((colour - truth) ** 2)[counts].mean())
    window = min(WINDOW, len(pixels) - 1 + len(pixels) % 2)
    _, local = structural_similarity(
        colour.astype(np.float64), truth, win_size=window, channel_axis=2, data_range=1.0, full=True
    )
    return Similarity(float(10 * np.log10(1 / max(error, 1e-10))), float(local.mean(-1)[counts].mean()))


def _unit(maps: Float[Tensor, "view channel height width"]) -> Float[Tensor, "view channel height width"]:
    return torch.nn.functional.normalize(maps, dim=1, eps=1e-6)
