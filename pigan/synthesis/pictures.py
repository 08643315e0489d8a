"""Pictures for people: sheets of samples and truncation, strips of views, depth and normals, the pose explorer."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pigan.config import Params
from pigan.files import atomic_file, write_json
from pigan.models.generator import Generator
from pigan.rendering.cameras import poses_of
from pigan.rendering.rays import pixel_directions
from pigan.runtime import generator_for
from pigan.sections import Camera
from pigan.synthesis.views import draw_codes, pitch_sweep, render_views, usual_pitch, yaw_sweep

PSIS = (0.0, 0.25, 0.5, 0.75, 1.0)
STRIP_VIEWS = 8
STRIP_LATENTS = 5
DEPTH_LATENTS = 8
EXPLORER_YAWS = 24
EXPLORER_PITCHES = 4
GAP = 2
PAPER = 255
# enlarged pictures have tiles of about so many pixels
TILE = 128
DEPTH_COLOURS = "viridis"


def grid(
    images: UInt8[np.ndarray, "count side side channel"], columns: int
) -> UInt8[np.ndarray, "height width channel"]:
    """Images in rows of `columns`, a thin gap between them, which is transparent where they may be."""
    count, side, _, channels = images.shape
    rows = math.ceil(count / columns)
    step = side + GAP
    sheet = np.full((rows * step - GAP, columns * step - GAP, channels), PAPER, np.uint8)
    sheet[..., 3:] = 0
    for i, image in enumerate(images):
        top, left = (i // columns) * step, (i % columns) * step
        sheet[top : top + side, left : left + side] = image
    return sheet


def save_image(path: Path, pixels: UInt8[np.ndarray, "height width channel"], scale: int = 1) -> None:
    """A PNG or JPEG (by the name's ending), enlarged by a whole factor, written atomically."""
    image = Image.fromarray(enlarged(pixels, scale))
    with atomic_file(path) as temporary:
        image.save(temporary, quality=90)


def enlarged(pixels: UInt8[np.ndarray, "height width channel"], scale: int) -> UInt8[np.ndarray, "tall wide channel"]:
    """An image `scale` times as wide and high."""
    if scale == 1:
        return pixels
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def sample_sheet(
    generator: Generator, params: Params, resolution: int, columns: int, path: Path, label: str | None = None
) -> None:
    """columns x columns objects, each from a pose of the training law; `label` shows progress under that name."""
    camera, count = params.camera, columns**2
    code = draw_codes(generator, count, params.generate.sheet_truncation, params, "sheet")
    random = generator_for(generator.device, params.generate.seed, "sheet poses")
    yaw, pitch = poses_of(camera, count, random)
    views = render_views(generator, code, yaw, pitch, resolution, params, label, few=True)
    save_image(path, grid(views.images, columns), enlargement(resolution))


def enlargement(side: int) -> int:
    """By how much tiles of that side (pixels) are enlarged in pictures for people."""
    return max(1, TILE // side)


def front_yaw(camera: Camera) -> float:
    """The yaw (radians) from which pictures of one view an object show it: that of the second view of the strips."""
    return yaw_sweep(camera, STRIP_VIEWS)[1 % STRIP_VIEWS]


def write_pictures(generator: Generator, params: Params, out: Path) -> None:
    """samples.png, truncation.png, views.png, depth.png and .json, explorer.jpg and .json in `out`."""
    settings, camera = params.generate, params.camera
    side = settings.picture_pixels
    scale = enlargement(side)
    sample_sheet(generator, params, side, settings.sheet_side, out / "samples.png")

    pitch = usual_pitch(camera)
    front = front_yaw(camera)

    code = torch.cat([draw_codes(generator, STRIP_LATENTS, psi, params, "strip") for psi in PSIS])
    images = _images(generator, code, [front] * len(code), [pitch] * len(code), side, params)
    # psi by psi becomes one row a latent, psi growing to the right
    by_latent = images.reshape(len(PSIS), STRIP_LATENTS, *images.shape[1:]).swapaxes(0, 1).reshape(images.shape)
    save_image(out / "truncation.png", grid(by_latent, len(PSIS)), scale)

    code = draw_codes(generator, STRIP_LATENTS, settings.sheet_truncation, params, "strip")
    yaws = yaw_sweep(camera, STRIP_VIEWS)
    turned = code.repeat_interleave(STRIP_VIEWS, 0)
    images = _images(generator, turned, yaws * STRIP_LATENTS, [pitch] * len(turned), side, params)
    save_image(out / "views.png", grid(images, STRIP_VIEWS), scale)

    code = draw_codes(generator, DEPTH_LATENTS, settings.sheet_truncation, params, "strip")
    angles = _angles([front] * len(code), code.device), _angles([pitch] * len(code), code.device)
    views = render_views(generator, code, *angles, side, params, few=True)
    rays = pixel_directions(side, camera.fov, camera.align_corners).numpy()
    rows = (views.images, depth_colours(views.depth), normal_colours(views.depth, rays))
    sheet, ends = grid(np.concatenate(rows), DEPTH_LATENTS), depth_ends(views.depth)
    save_image(out / "depth.png", above_scale(sheet, ends, scale))
    write_json(out / "depth.json", {"near": ends and ends[0], "far": ends and ends[1]})

    yaws, pitches = yaw_sweep(camera, EXPLORER_YAWS), pitch_sweep(camera, EXPLORER_PITCHES)
    turned = code[:1].expand(len(yaws) * len(pitches), -1)
    tilts = [angle for angle in pitches for _ in yaws]
    images = _images(generator, turned, yaws * len(pitches), tilts, side, params)
    tiles = images.reshape(len(pitches), len(yaws), side, side, 3).swapaxes(1, 2)
    save_image(out / "explorer.jpg", tiles.reshape(len(pitches) * side, len(yaws) * side, 3), scale)
    write_json(out / "explorer.json", {"pitches": pitches, "yaws": yaws, "tile": side * scale})


def depth_ends(depth: Float32[np.ndarray, "view side side"]) -> tuple[float, float] | None:
    """Nearest and farthest depth that have a colour of their own (1st and 99th percentile); None if all is empty."""
    known = depth[np.isfinite(depth)]
    if not known.size:
        return None
    low, high = np.percentile(known, (1, 99))
    return float(low), float(high)


def depth_colours(
    depth: Float32[np.ndarray, "view side side"], ends: tuple[float, float] | None = None
) -> UInt8[np.ndarray, "view side side 3"]:
    """Near is bright, far is dark, from `ends` or over the range of all views; white where there is nothing."""
    known, ends = np.isfinite(depth), ends or depth_ends(depth)
    if ends is None:
        return np.full((*depth.shape, 3), PAPER, np.uint8)
    low, high = ends
    place = np.clip((high - np.nan_to_num(depth, nan=high)) / max(high - low, 1e-6), 0, 1)
    return np.where(known[..., None], _coloured(place), np.uint8(PAPER))


def depth_bar(near: float, far: float, width: int) -> UInt8[np.ndarray, "height width 3"]:
    """A scale for `depth_colours`, as wide as the picture it stands under (pixels): its ends, in world units."""
    size = max(12, width // 48)
    bar, line = 2 * size // 3, size // 2
    image = Image.new("RGB", (width, line + bar + 2 * size), (PAPER,) * 3)
    ramp = _coloured(np.linspace(1, 0, width))
    image.paste(Image.fromarray(np.broadcast_to(ramp, (bar, width, 3)).copy()), (0, line))
    pen, font, below = ImageDraw.Draw(image), ImageFont.load_default(size), line + bar + size // 3
    middle = "depth, world units"
    pen.text((0, below), f"near {near:.3f}", fill=0, font=font)
    pen.text(((width - pen.textlength(middle, font=font)) / 2, below), middle, fill=0, font=font)
    end = f"far {far:.3f}"
    pen.text((width - pen.textlength(end, font=font), below), end, fill=0, font=font)
    return np.asarray(image)


def above_scale(
    sheet: UInt8[np.ndarray, "height width 3"], ends: tuple[float, float] | None, scale: int
) -> UInt8[np.ndarray, "tall wide 3"]:
    """A sheet of coloured depth, `scale` times as large, and below it what its colours mean, if there is any depth."""
    wide = enlarged(sheet, scale)
    return wide if ends is None else np.concatenate((wide, depth_bar(*ends, wide.shape[1])))


def _coloured(place: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Colours of 0 (far) to 1 (near)."""
    # a third of a second, for which training need not wait
    import matplotlib

    return (matplotlib.colormaps[DEPTH_COLOURS](place)[..., :3] * 255).round().astype(np.uint8)


def surface_normals(
    depth: Float32[np.ndarray, "view side side"], rays: Float32[np.ndarray, "ray 3"]
) -> Float32[np.ndarray, "view side side 3"]:
    """Unit normals in camera space (x right, y up, z towards the camera); NaN where no surface is, and beside that."""
    side = depth.shape[-1]
    on_plane = (rays / -rays[:, 2:]).reshape(side, side, 3)
    points = depth[..., None] * on_plane
    right, down = np.gradient(points, axis=2), np.gradient(points, axis=1)
    normals = np.cross(down, right)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return normals


def normal_colours(
    depth: Float32[np.ndarray, "view side side"], rays: Float32[np.ndarray, "ray 3"]
) -> UInt8[np.ndarray, "view side side 3"]:
    """`surface_normals` as colours (x red, y green, z blue); white where there is no surface."""
    normals = surface_normals(depth, rays)
    known = np.isfinite(normals.sum(-1))
    colours = (np.nan_to_num(normals) * 127.5 + 127.5).round().astype(np.uint8)
    return np.where(known[..., None], colours, np.uint8(PAPER))


def _images(
    generator: Generator,
    code: Float[Tensor, "view code"],
    yaws: list[float],
    pitches: list[float],
    side: int,
    params: Params,
) -> UInt8[np.ndarray, "view side side 3"]:
    """Images of objects from given yaws and pitches (radians)."""
    angles = _angles(yaws, code.device), _angles(pitches, code.device)
    return render_views(generator, code, *angles, side, params, few=True).images


def _angles(values: list[float], device: torch.device) -> Float[Tensor, "view"]:
    return torch.tensor(values, device=device)
