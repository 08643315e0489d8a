"""Textures as one flat array of linear, premultiplied texels with all their halvings, looked up bilinearly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Integer
from numpy.typing import NDArray
from PIL import Image

LEVELS = 13
# float32 RGBA texels that all textures of a model may have together (128 MiB, a third more with the halvings)
TEXELS = 2**23
LARGEST_SIDE = 2**13


def srgb_to_linear(value: NDArray[np.floating]) -> NDArray[np.float32]:
    """Linear light of sRGB values in 0..1 (IEC 61966-2-1)."""
    low, high = value / 12.92, ((np.maximum(value, 0) + 0.055) / 1.055) ** 2.4
    return np.where(value <= 0.04045, low, high).astype(np.float32)


def linear_to_srgb(value: NDArray[np.floating]) -> NDArray[np.float32]:
    """sRGB values of linear light in 0..1 (IEC 61966-2-1)."""
    low, high = value * 12.92, 1.055 * np.maximum(value, 0) ** (1 / 2.4) - 0.055
    return np.where(value <= 0.0031308, low, high).astype(np.float32)


LINEAR_OF_BYTE = srgb_to_linear(np.arange(256) / 255)


@dataclass(frozen=True, eq=False)
class Textures:
    """All textures of a model; number 0 is plain white. Level 0 is the finest, each next one has half its side."""

    texels: Float[np.ndarray, "texels 4"]
    """Linear red, green, blue, each times alpha, and alpha."""
    start: Int[np.ndarray, "textures levels"]
    """Where each level begins in `texels`, row by row from the top."""
    width: Int[np.ndarray, "textures levels"]
    height: Int[np.ndarray, "textures levels"]

    def sample(
        self,
        texture: Integer[np.ndarray, " n"],
        level: Integer[np.ndarray, " n"],
        uv: Float[np.ndarray, "n 2"],
    ) -> Float[np.ndarray, "n 4"]:
        """Bilinear texels; u runs to the right, v upwards from the bottom edge, and both repeat."""
        if len(self.start) == 1:
            return np.ones((len(uv), 4), np.float32)
        start, width, height = (table[texture, level] for table in (self.start, self.width, self.height))
        left, right, across = _neighbours(uv[:, 0], width)
        top, bottom, down = _neighbours(1 - uv[:, 1], height)
        top, bottom = start + top * width, start + bottom * width
        upper = _mix(self.texels[top + left], self.texels[top + right], across)
        lower = _mix(self.texels[bottom + left], self.texels[bottom + right], across)
        return _mix(upper, lower, down)


def pack(images: Sequence[Float[np.ndarray, "_ _ 4"]]) -> Textures:
    """White, then `images` (linear, premultiplied), each with all its halvings."""
    pyramids = [_pyramid(image) for image in (np.ones((1, 1, 4), np.float32), *images)]
    levels = [level for pyramid in pyramids for level in pyramid]
    shapes = np.array([level.shape[:2] for level in levels])
    starts = np.cumsum([0, *shapes.prod(1)[:-1]])
    table = (len(pyramids), LEVELS)
    texels = np.concatenate([level.reshape(-1, 4) for level in levels])
    return Textures(texels, starts.reshape(table), shapes[:, 1].reshape(table), shapes[:, 0].reshape(table))


def decode(image: Image.Image, side: int, alpha: float | None) -> Float[np.ndarray, "h w 4"]:
    """Linear, premultiplied texels of a picture, shrunk to at most about `side` pixels.

    `alpha` is None for pictures whose alpha does not count, 0 for one that blends, else the cut-off from which on a
    texel is opaque.

    Raises:
        OSError, SyntaxError, ValueError: the picture cannot be decoded.
    """
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.float64) / 257).clip(0, 255).astype(np.uint8))
    while max(image.size) > 2 * side:
        # the last halving alone is of linear light, so that huge pictures fit into memory
        image = image.reduce(2)
    coded = np.asarray(image.convert("RGBA"))
    colour, opacity = LINEAR_OF_BYTE[coded[..., :3]], coded[..., 3].astype(np.float32) / np.float32(255)
    # some exporters leave alpha 0 everywhere, and mean an opaque picture
    if alpha is None or not opacity.any():
        opacity = np.ones_like(opacity)
    elif alpha:
        opacity = np.where(opacity >= alpha, np.float32(1), np.float32(0))
    texels = np.concatenate([colour * opacity[..., None], opacity[..., None]], 2)
    while max(texels.shape[:2]) > side:
        texels = _halved(texels)
    return texels


def side_for(count: int) -> int:
    """Largest side of each of `count` textures so that they fit into the memory for them; a power of two."""
    return int(2 ** np.clip(np.floor(np.log2(TEXELS / max(count, 1)) / 2), 4, LEVELS - 2))


def _pyramid(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    levels = [image]
    while len(levels) < LEVELS:
        last = levels[-1]
        levels.append(last if last.shape[:2] == (1, 1) else _halved(last))
    return levels


def _halved(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2 x 2 texels; an odd last row or column counts twice."""
    odd = image.shape[0] % 2, image.shape[1] % 2
    even = np.pad(image, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge") if any(odd) else image
    rows = even[::2] + even[1::2]
    halved: NDArray[np.float32] = (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)
    return halved


def _neighbours(
    place: NDArray[np.floating], side: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The two texels around `place` (0 to 1 is one period of `side` texels), and the second one's share."""
    where = (place - np.floor(place)) * side - 0.5
    first = np.floor(where).astype(np.int64)
    share = (where - first).astype(np.float32)
    second = first + 1
    first[first < 0] += side[first < 0]
    second[second == side] = 0
    return np.minimum(first, side - 1), np.minimum(second, side - 1), share


def _mix(one: NDArray[np.float32], other: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    mixed: NDArray[np.float32] = one + (other - one) * share[:, None]
    return mixed
