"""Depth maps of any kind as z-depth in pigan's world (this module loads fast, without torch)."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import OpenEXR
from jaxtyping import Float
from PIL import Image

from pigan.data.posed.checks import load_array
from pigan.data.posed.frames import Intrinsics

# Blender writes 1e10 where a ray meets nothing, and half floats have no larger number than this
NOTHING = 1e9
HALF_MAX = float(np.finfo(np.float16).max)
LARGEST_MAP = 1 << 27
CHANNELS = ("Z", "V", "R", "Y")


def read_depth(
    path: Path, unit: float | None, measure: Literal["z", "ray"], intrinsics: Intrinsics, scale: float
) -> Float[np.ndarray, "h w"]:
    """z-depth (float32, pigan's world units) of a .png, .exr, .npy or .npz file; NaN where it holds none.

    Raw values times `unit` are lengths of the camera files' world (None: floats are such lengths already), those times
    `scale` are pigan's. `measure` says whether they run along the optical axis (z) or along each pixel's ray. Zero,
    negative and infinite values, and those of Blender's and half floats' far end, are none.

    Raises:
        ValueError: another kind of file, no single map of numbers, or whole numbers of an unknown unit.
    """
    raw = _values(path)
    raw = raw.reshape([size for size in raw.shape if size > 1] if raw.ndim > 2 else raw.shape)
    if raw.ndim != 2:
        raise ValueError(f"its depth map is not height x width numbers but {raw.dtype} {raw.shape}")
    if raw.dtype.kind in "iu" and unit is None:
        raise ValueError(f"its depth map holds whole numbers ({raw.dtype}) of an unknown unit; set dataset.depth.unit")
    values = raw.astype(np.float64)
    values[~(np.isfinite(values) & (values > 0))] = np.nan
    if raw.dtype.kind == "f":
        values[values >= (HALF_MAX if raw.dtype == np.float16 else NOTHING)] = np.nan
    if measure == "ray":
        values /= ray_length(intrinsics, values.shape[1], values.shape[0])
    return (values * (scale * (1.0 if unit is None else unit))).astype(np.float32)


def ray_length(intrinsics: Intrinsics, width: int, height: int) -> Float[np.ndarray, "h w"]:
    """Length of the ray through each pixel's centre, per unit of depth along the optical axis."""
    x = ((np.arange(width) + 0.5) / width - intrinsics.cx) / intrinsics.fx
    y = ((np.arange(height) + 0.5) / height - intrinsics.cy) / intrinsics.fy
    return np.sqrt(1 + x[None, :] ** 2 + y[:, None] ** 2)


def _values(path: Path) -> np.ndarray:
    kind = path.suffix.lower()
    if kind in (".npy", ".npz"):
        return load_array(path)
    if kind == ".exr":
        return _exr(path)
    if kind == ".png":
        return _png(path)
    raise ValueError(f"its depth map {path.name} is neither .png nor .exr, .npy or .npz")


def _png(path: Path) -> np.ndarray:
    try:
        # others of Pillow's formats start programs
        with Image.open(path, formats=("PNG",)) as image:
            image.load()
            if image.mode not in ("L", "I") and not image.mode.startswith("I;16"):
                raise ValueError(f"has the pixels of a picture ({image.mode}); save one channel of 16 bits")
            return np.asarray(image)
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        raise ValueError(f"its depth map {path.name} {error}") from None


def _exr(path: Path) -> np.ndarray:
    """The first of an EXR file's channels that may hold depth; layers' names in front of theirs do not matter."""
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            first, last = (np.asarray(corner, np.int64) for corner in file.header()["dataWindow"])
            width, height = (last - first + 1).tolist()
        if width * height > LARGEST_MAP:
            raise ValueError(f"is gigantic: {width} x {height}, more than {LARGEST_MAP:,} pixels")
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels: dict[str, Any] = file.channels()
            found = [name for last in CHANNELS for name in channels if name.rpartition(".")[2] == last]
            if not found:
                raise ValueError(f"holds no channel {', '.join(CHANNELS)} but {', '.join(channels)}")
            return np.array(channels[found[0]].pixels)
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        raise ValueError(f"its depth map {path.name} {error}") from None
