"""The work of one cropping process: any image file to square RGB arrays (this module loads fast, without torch)."""

import math
import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import imagehash
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps

from pigan.data.landmarks import Face, find_face, parse_landmarks, straighten
from pigan.data.posed.depth import read_depth
from pigan.data.posed.frames import Intrinsics, crop_depth, square_view

# what files are tried as, whatever their suffix; other formats of Pillow start programs or hold no photos
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000")
LANDMARKS = ".cat"
HASHED = 64


@dataclass(frozen=True)
class CropSettings:
    """How every image is cropped; see dataset.crop in params.yaml."""

    rule: Literal["center", "cat-landmarks"]
    resize: int | None
    center: int | None
    filter: Literal["lanczos", "nearest"]
    min_pixels: int
    background: tuple[int, int, int]
    resolutions: tuple[int, ...]


@dataclass(frozen=True)
class DepthFile:
    """A depth map and what its values mean; see `pigan.data.posed.depth.read_depth`."""

    path: Path
    unit: float | None
    measure: Literal["z", "ray"]
    scale: float


@dataclass(frozen=True)
class CropJob:
    """One image file, with what is known about it."""

    image: Path
    depth: DepthFile | None
    """None: there is none; only images with a camera may have one."""
    camera: Intrinsics | None
    """None: the camera is unknown."""
    settings: CropSettings


@dataclass(frozen=True)
class Cropped:
    """What became of one image: arrays by resolution, or the reason why there are none."""

    reason: str | None = None
    side: int = 0
    """Pixels of the file that the shorter side of the crop covers; also known of images that are too small."""
    hash: int = 0
    """Perceptual hash of the crop, 64 bits."""
    images: dict[int, UInt8[np.ndarray, "side side 3"]] = field(default_factory=dict)
    depths: dict[int, Float[np.ndarray, "side side"]] = field(default_factory=dict)
    fov: float | None = None
    """Opening angle of the crop, radians; None: the camera is unknown."""


@dataclass(frozen=True)
class View:
    """What is kept of an image: a box in it once it was resized, as the published recipes are written."""

    size: tuple[int, int]
    """The image is resized to this width and height, pixels."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom in the resized image, pixels."""
    fov: float | None = None
    """Its opening angle, radians; None: unknown."""

    def in_source(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The same box in an image of another size; (1, 1): as shares of it."""
        across, down = width / self.size[0], height / self.size[1]
        left, top, right, bottom = self.box
        return left * across, top * down, right * across, bottom * down


def crop_one(job: CropJob) -> Cropped:
    """Decode, crop and resize one file; what cannot be used is told as a reason, never raised."""
    chosen = job.settings
    try:
        # cameras and depth maps describe the pixels as stored
        image = read_image(job.image, chosen.background, upright=job.camera is None)
    except MemoryError:
        # not the image's fault: the same files are kept on every machine
        raise MemoryError(f"{job.image.name} does not fit") from None
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        return Cropped(reason=f"cannot be read: {_one_line(error, job.image)}")
    if chosen.rule == "cat-landmarks":
        return _crop_face(job.image, image, chosen)
    try:
        view = find_view(image.size, job.camera, chosen)
    except ValueError as error:
        return Cropped(reason=str(error), side=min(image.size))
    left, top, right, bottom = view.in_source(*image.size)
    side = int(min(right - left, bottom - top) + 1e-6)
    if side < chosen.min_pixels:
        told = f"too small: {image.width} x {image.height} pixels for a crop of {chosen.min_pixels}"
        return Cropped(reason=told, side=side)
    try:
        depth = None if job.depth is None or job.camera is None else _depth(job.depth, job.camera)
    except ValueError as error:
        return Cropped(reason=_one_line(error, job.image), side=side)
    images = resize_view(image, view, chosen)
    return Cropped(
        side=side,
        hash=_hash(images),
        images=images,
        depths={} if depth is None else {size: crop_depth(depth, view.in_source(1, 1), size) for size in images},
        fov=view.fov,
    )


def read_image(path: Path, background: tuple[int, int, int], upright: bool) -> Image.Image:
    """The first picture of an image file of any kind as RGB; see `as_rgb`.

    Raises:
        ValueError: it is no file, or holds floating-point numbers.
        Exception: whatever Pillow raises for a broken file, and for one so large that it must be a trap.
    """
    if not path.is_file():
        # opening a named pipe would wait for ever; a link that leads nowhere is told alike
        raise ValueError("no regular file")
    with warnings.catch_warnings():
        # odd metadata is no reason to reject a picture, a decompression bomb is
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as opened:
            return as_rgb(opened, background, upright)


def as_rgb(image: Image.Image, background: tuple[int, int, int], upright: bool = True) -> Image.Image:
    """Any mode as 8-bit RGB: transparency on `background`, 16-bit scaled, the first frame of an animation.

    `upright` honours the EXIF orientation; cameras and depth maps describe the pixels as stored, so posed images don't
    (but Pillow itself turns TIFF files).

    Raises:
        ValueError: the image holds floating-point numbers, whose range is unknown.
    """
    image.load()
    if upright:
        ImageOps.exif_transpose(image, in_place=True)
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
    return image if image.mode == "RGB" else image.convert("RGB")


def find_view(size: tuple[int, int], camera: Intrinsics | None, settings: CropSettings) -> View:
    """The square to keep of an image of width x height pixels: its middle, or that of what its camera sees.

    Rounded as torchvision's Resize and CenterCrop do.

    Raises:
        ValueError: the image is too small for it.
    """
    width, height = size
    if settings.resize is not None:
        short = min(size)
        width, height = (max(settings.resize * length // short, settings.resize) for length in size)
    if camera is not None:
        return View((width, height), *square_view(camera, width, height, settings.center))
    side = min(width, height) if settings.center is None else settings.center
    if side > min(width, height):
        raise ValueError(f"too small: {width} x {height} pixels for a crop of {side}")
    left, top = round((width - side) / 2), round((height - side) / 2)
    return View((width, height), (left, top, left + side, top + side))


def resize_view(image: Image.Image, view: View, settings: CropSettings) -> dict[int, UInt8[np.ndarray, "side side 3"]]:
    """The square of `view` at each resolution.

    lanczos resizes it in one step straight from the pixels of the file: the same region as in two steps, sharper and
    several times as fast. nearest is what the authors' scripts do: a bilinear resize of the whole image, the crop, and
    then the nearest pixel, by torch's rule where they resize a tensor (CelebA, which is resized first), and by
    Pillow's where they resize the image (CARLA).
    """
    if settings.filter == "lanczos":
        left, top, right, bottom = view.in_source(*image.size)
        x, y = math.floor(left), math.floor(top)
        # cut out first, for the filter would reach over the edges of the box
        square = image.crop((x, y, math.ceil(right), math.ceil(bottom)))
        box = (left - x, top - y, right - x, bottom - y)
        lanczos = Image.Resampling.LANCZOS
        return {side: np.asarray(square.resize((side, side), lanczos, box=box)) for side in settings.resolutions}
    if settings.resize is None:
        square = image.crop(view.box)
        return {
            side: np.asarray(square.resize((side, side), Image.Resampling.NEAREST)) for side in settings.resolutions
        }
    pixels = np.asarray(image.resize(view.size, Image.Resampling.BILINEAR).crop(view.box))
    return {side: nearest_tensor(pixels, side) for side in settings.resolutions}


def nearest_tensor(pixels: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    """`pixels` at another size as torch.nn.functional.interpolate(mode="nearest") does: rounds down, in float32."""

    def chosen(length: int) -> np.ndarray:
        steps = np.arange(side, dtype=np.float32) * np.float32(length / side)
        return np.minimum(steps.astype(np.int64), length - 1)

    return pixels[chosen(pixels.shape[0])[:, None], chosen(pixels.shape[1])]


def resize_face(image: Image.Image, face: Face, settings: CropSettings) -> dict[int, UInt8[np.ndarray, "side side 3"]]:
    """The face, upright, at each resolution.

    nearest repeats the authors' route: turned bilinearly, resized to settings.min_pixels with a plain bilinear filter
    (their stored set, but for its JPEG compression), then the nearest pixel by Pillow's rule.
    """
    if settings.filter == "lanczos":
        upright = straighten(image, face, Image.Resampling.BICUBIC)
        kernel = Image.Resampling.LANCZOS
    else:
        turned = straighten(image, face, Image.Resampling.BILINEAR)
        stored = (settings.min_pixels, settings.min_pixels)
        # transform interpolates between the nearest four pixels, where resize would average
        upright = turned.transform(stored, Image.Transform.EXTENT, (0, 0, *turned.size), Image.Resampling.BILINEAR)
        kernel = Image.Resampling.NEAREST
    return {side: np.asarray(upright.resize((side, side), kernel)) for side in settings.resolutions}


def _crop_face(path: Path, image: Image.Image, settings: CropSettings) -> Cropped:
    labels = path.with_name(path.name + LANDMARKS)
    try:
        points = parse_landmarks(labels.read_text(encoding="ascii"))
    except FileNotFoundError:
        return Cropped(reason=f"no landmarks: there is no {labels.name} beside it")
    except (OSError, ValueError) as error:
        return Cropped(reason=f"unusable landmarks: {labels.name}: {_one_line(error, labels)}")
    face = find_face(points, image.width, image.height)
    if face.side < settings.min_pixels:
        reason = f"too small: a face of {face.side} pixels, not {settings.min_pixels}"
        return Cropped(reason=reason, side=face.side)
    images = resize_face(image, face, settings)
    return Cropped(side=face.side, hash=_hash(images), images=images)


def perceptual_hash(image: Image.Image) -> int:
    """64 bits that stay nearly the same when a picture is compressed, resized or lightened: imagehash's dHash.

    Of 600 synthetic photos that were compressed (quality 50 or 20), halved, lightened by 8 % or cropped by 1 %, 82 to
    100 % stay within 3 bits of it, of its pHash 66 to 99 % (`python benchmarks/data.py`); on the embedded cars the two
    are alike. dHash also takes less than half the time.
    """
    return int.from_bytes(np.packbits(imagehash.dhash(image).hash).tobytes(), "big")


def hashed_side(resolutions: Collection[int]) -> int:
    """The resolution at which pictures are hashed and compared, the one nearest to 64."""
    return min(resolutions, key=lambda side: abs(side - HASHED))


def _hash(images: dict[int, UInt8[np.ndarray, "side side 3"]]) -> int:
    return perceptual_hash(Image.fromarray(images[hashed_side(images)]))


def _depth(file: DepthFile, camera: Intrinsics) -> Float[np.ndarray, "h w"]:
    return read_depth(file.path, file.unit, file.measure, camera, file.scale)


def _one_line(error: Exception, path: Path) -> str:
    told = " ".join(str(error).split()).replace(str(path), path.name)
    return told or type(error).__name__
