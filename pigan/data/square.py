"""The work of one cropping process: any image file to square RGB arrays (this module loads fast, without torch)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps

from pigan.data.posed.frames import crop_depth, cropped_fov


@dataclass(frozen=True)
class CropSettings:
    """How every image is cropped; see dataset.crop in params.yaml."""

    resize: int | None
    center: int | None
    filter: Literal["lanczos", "nearest"]
    min_pixels: int
    background: tuple[int, int, int]
    resolutions: tuple[int, ...]


@dataclass(frozen=True)
class CropJob:
    """One image file, with what is known about it."""

    image: Path
    depth: Path | None
    fov: float | None
    """Horizontal opening angle, radians; None: the camera is unknown."""
    settings: CropSettings


@dataclass(frozen=True)
class Cropped:
    """What became of one image: arrays by resolution, or the reason why there are none."""

    reason: str | None = None
    images: dict[int, UInt8[np.ndarray, "side side 3"]] = field(default_factory=dict)
    depths: dict[int, Float[np.ndarray, "side side"]] = field(default_factory=dict)
    fov: float | None = None


def crop_one(job: CropJob) -> Cropped:
    """Decode, crop and resize one file; what cannot be read is told as a reason, never raised."""
    try:
        with Image.open(job.image) as opened:
            image = as_rgb(opened, job.settings.background, upright=job.fov is None)
        depth = None if job.depth is None else np.load(job.depth, allow_pickle=False)
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        return Cropped(reason=f"cannot be read: {_one_line(error, job.image)}")
    if depth is not None and (depth.ndim != 2 or not depth.size or depth.dtype.kind not in "fiu"):
        return Cropped(reason=f"its depth map is not height x width numbers but {depth.dtype} {depth.shape}")
    depth = None if depth is None else depth.astype(np.float32)
    image = shrink(image, job.settings)
    side = min(image.size) if job.settings.center is None else job.settings.center
    if side > min(image.size) or side < job.settings.min_pixels:
        wanted = max(side, job.settings.min_pixels)
        return Cropped(reason=f"too small: {image.width} x {image.height} pixels for a crop of {wanted}")
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    square = image.crop((left, top, left + side, top + side))
    kernel = Image.Resampling.LANCZOS if job.settings.filter == "lanczos" else Image.Resampling.NEAREST
    images = {size: np.asarray(square.resize((size, size), kernel)) for size in job.settings.resolutions}
    width, height = image.size
    box = (left / width, top / height, (left + side) / width, (top + side) / height)
    depths = {} if depth is None else {size: crop_depth(depth, box, size) for size in job.settings.resolutions}
    return Cropped(
        images=images,
        depths=depths,
        fov=None if job.fov is None else cropped_fov(job.fov, width, side),
    )


def as_rgb(image: Image.Image, background: tuple[int, int, int], upright: bool = True) -> Image.Image:
    """Any mode as 8-bit RGB: transparency on `background`, 16-bit scaled, the first frame of an animation.

    `upright` honours the EXIF orientation; cameras and depth maps describe the pixels as stored, so posed images don't.

    Raises:
        ValueError: the image holds floating-point numbers, whose range is unknown.
    """
    image.load()
    if upright:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels; save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        solid = Image.new("RGB", image.size, background)
        solid.paste(clear.convert("RGB"), mask=clear.getchannel("A"))
        return solid
    return image.convert("RGB")


def shrink(image: Image.Image, settings: CropSettings) -> Image.Image:
    """The image, short side at settings.resize; bilinear before a nearest final resize, as the authors' scripts do."""
    if settings.resize is None or settings.resize == min(image.size):
        return image
    scale = settings.resize / min(image.size)
    size = (max(int(image.width * scale), settings.resize), max(int(image.height * scale), settings.resize))
    kernel = Image.Resampling.LANCZOS if settings.filter == "lanczos" else Image.Resampling.BILINEAR
    return image.resize(size, kernel)


def _one_line(error: Exception, path: Path) -> str:
    told = " ".join(str(error).split()).replace(str(path), path.name)
    return told or type(error).__name__
