"""Photos as the search sees them: the middle square, which pixels count, and the rays of those."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from pigan.data.square import CropSettings, find_view, read_image, resize_view
from pigan.errors import PiganError
from pigan.rendering.rays import pixel_directions

Rgb = tuple[int, int, int]
BLACK: Rgb = (0, 0, 0)
WHITE: Rgb = (255, 255, 255)
SMALLEST = 8
HALF = 128


class Photo(NamedTuple):
    """A square photo."""

    path: Path
    pixels: UInt8[np.ndarray, "side side 3"]
    counts: Bool[np.ndarray, "side side"]
    """Where the rendering should look like it."""

    @property
    def values(self) -> Float[Tensor, "1 3 side side"]:
        """-1..1."""
        return torch.from_numpy(self.pixels).permute(2, 0, 1)[None].float() / 127.5 - 1


class Target(NamedTuple):
    """Pixels that count, as rays should show them."""

    colours: Float[Tensor, "pixel 3"]
    """-1..1"""
    rays: Float[Tensor, "pixel 3"]
    """Unit directions in camera space."""


def read_photo(path: Path, side: int, mask: Path | None = None, background: Rgb | None = None) -> Photo:
    """The middle square of an image file of any kind and mode, `side` pixels wide, upright.

    Pixels count where they are opaque and where the image `mask`, cropped alike, is bright. With a `background`
    transparent pixels show that and count.

    Raises:
        PiganError: a file is no image or too small, the mask has other proportions, or no pixel counts.
    """
    # what is seen on black and on white tells how opaque each pixel is, in whatever way the file says so
    image = _open(path, background or WHITE)
    on_black, on_white = (_square(_open(path, colour), side).astype(np.int16) for colour in (BLACK, WHITE))
    opaque = (255 - (on_white - on_black).max(-1)) >= HALF
    pixels = _square(image, side)
    counts = np.ones((side, side), bool) if background is not None else opaque
    if mask is not None:
        cover = _open(mask, BLACK)
        # a smaller one fits too, but for roundings, and so does one of the middle square
        uneven = abs(cover.width * image.height - cover.height * image.width) > max(*image.size, *cover.size)
        if uneven and cover.width != cover.height:
            told = f"{cover.width} x {cover.height} pixels do not fit the {image.width} x {image.height} of {path.name}"
            raise PiganError(f"{mask}: {told}; give a mask as large as the photo")
        counts = counts & (_square(cover, side).max(-1) >= HALF)
    if not counts.any():
        where = f"{path}: transparent all over" if mask is None else f"{mask}: no pixel of {path.name} is left"
        raise PiganError(f"{where}; bright pixels of a mask, and opaque ones of a photo, are those that count")
    return Photo(path, pixels, counts)


def target_of(photo: Photo, side: int, fov: float, device: torch.device) -> Target:
    """The photo at `side` pixels, means of those that count; `fov` (radians) lies between its outer edges."""
    counts = torch.from_numpy(photo.counts)[None, None].float()
    share = torch.nn.functional.adaptive_avg_pool2d(counts, side)
    colours = torch.nn.functional.adaptive_avg_pool2d(photo.values * counts, side) / share.clamp_min(1e-6)
    kept = (share >= min(0.5, float(share.max()))).flatten()
    rays = pixel_directions(side, fov, False)
    return Target(colours[0].flatten(1).mT[kept].to(device), rays[kept].to(device))


def _open(path: Path, background: Rgb) -> Image.Image:
    try:
        image = read_image(path, background, upright=True)
    except FileNotFoundError:
        raise PiganError(f"{path}: no such file") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        told = " ".join(str(error).split()).replace(str(path), path.name) or type(error).__name__
        raise PiganError(f"{path}: cannot be read as an image ({told}); give a PNG, JPEG or the like") from None
    if min(image.size) < SMALLEST:
        raise PiganError(f"{path}: {image.width} x {image.height} pixels are too few; give at least {SMALLEST} a side")
    if image.mode != "RGB":
        image = Image.merge("RGB", [image.convert("L")] * 3)
    return image


def _square(image: Image.Image, side: int) -> UInt8[np.ndarray, "side side 3"]:
    settings = CropSettings("center", None, None, "lanczos", SMALLEST, WHITE, (side,))
    # Pillow's own memory cannot be written to
    return resize_view(image, find_view(image.size, None, settings), settings)[side].copy()
