"""Camera settings for images without cameras: what can be measured on the pictures, and the nearest preset."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, UInt8

from pigan import presets
from pigan.guide.proxy import render_proxies
from pigan.guide.suggestion import Suggestion
from pigan.sections import Camera

# a border whose colours stray less than so many of 255 from their median is a plain one
PLAIN = 10
# a pixel that differs by more from its image's border belongs to the object
OBJECT = 24
# heads that are turned by these spreads (rad) are rendered and their asymmetry told beside that of the images
COMPARED = (0.1, 0.3, 0.5)


@cache
def preset_camera(name: str) -> Camera:
    """The section camera of a shipped preset."""
    return presets.params(name).camera


@dataclass(frozen=True)
class Looks:
    """What was measured on square images; places and sizes are shares of the side."""

    plain: float
    """Share of the images whose border has one colour."""
    colour: tuple[int, int, int]
    """Median colour of plain borders."""
    box: tuple[float, float, float, float] | None
    """Median left, top, right and bottom of the object on a plain ground; None: too few have one."""
    size: float
    """The larger side of that box: median over the images, and what 95% stay below."""
    size_most: float
    mean_symmetry: float
    """Correlation of the mean image with its mirror image."""
    mean_asymmetry: float
    """Asymmetry of the mean image over what chance would leave of that of the single ones; 1: both sides alike."""
    asymmetry: float
    """Contrast of what changes in the mirror, over contrast of what does not; the images' root mean square."""


def suggest(images: UInt8[np.ndarray, "n side side 3"]) -> Suggestion:
    """The preset nearest to what square images look like; every guess is named as one."""
    looks = measure(images)
    notes = [
        (
            f"measured on {len(images):,} images: {looks.plain:.0%} have a plain border; the mean image correlates with"
            f" its mirror image by {looks.mean_symmetry:.2f}; asymmetry of single images {looks.asymmetry:.2f}"
        )
    ]
    camera, told = _objects(looks) if looks.box is not None else _heads(looks)
    notes += told
    notes.append("assumed: the camera is 1 from the object's centre; only sizes relative to that matter")
    notes.append("assumed: the object is upright; compare sizes and angles in cameras.png before you train")
    return Suggestion(camera, None, tuple(notes), "car" if looks.box is not None else "head")


def measure(images: UInt8[np.ndarray, "n side side 3"]) -> Looks:
    """Border, object box and symmetry of square images of one size (at least 16 pixels)."""
    ground, is_plain = _border(images)
    plain = float(is_plain.mean())
    boxes = _boxes(images[is_plain], ground[is_plain])
    sizes = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) if len(boxes) else np.zeros(1)
    known = plain >= 0.8 and len(boxes) >= 0.5 * len(images)
    grey = images.astype(np.float32).mean(3)
    mean = grey.mean(0)
    red, green, blue = (int(value) for value in np.median(ground[is_plain] if is_plain.any() else ground, axis=0))
    left, top, right, bottom = (float(value) for value in np.median(boxes, axis=0)) if len(boxes) else (0.0,) * 4
    return Looks(
        plain=plain,
        colour=(red, green, blue),
        box=(left, top, right, bottom) if known else None,
        size=float(np.median(sizes)),
        size_most=float(np.quantile(sizes, 0.95)),
        mean_symmetry=_correlation(mean, mean[:, ::-1]),
        mean_asymmetry=_contrast(mean) / (_contrast(grey) / math.sqrt(len(grey)) + 1e-6),
        asymmetry=asymmetry(grey),
    )


def asymmetry(grey: Float[np.ndarray, "n side side"]) -> float:
    """See `Looks.asymmetry`."""
    flat = grey - grey.mean((1, 2), keepdims=True)
    odd, even = flat - flat[:, :, ::-1], flat + flat[:, :, ::-1]
    return float(np.sqrt((odd**2).mean() / ((even**2).mean() + 1e-6)))


def _objects(looks: Looks) -> tuple[Camera, list[str]]:
    """Whole objects on a plain ground: the ball that the larger boxes fill lies between near and far."""
    base = preset_camera("carla")
    half = math.atan(looks.size_most * math.tan(base.fov / 2))
    reach = min(max(1.15 * math.sin(half), 0.1), 0.3)
    near, far = math.floor((1 - reach) * 100) / 100, math.ceil((1 + reach) * 100) / 100
    colour = "white" if min(looks.colour) > 245 else "black" if max(looks.colour) < 10 else f"of colour {looks.colour}"
    notes = [
        (
            f"measured: the ground is {colour}; objects take {looks.size:.0%} of the side (median; 95% stay below"
            f" {looks.size_most:.0%})"
        ),
        (
            f"assumed: whole objects on a plain ground, as in preset carla: fov {base.fov_degrees:g} degrees, seen"
            " from all sides, from level to straight above, evenly over the sphere"
        ),
        f"assumed: objects are as deep as wide, so near and far leave a ball of radius {reach:.2g} (15% of room)",
    ]
    if colour == "white":
        notes.append("hint: a white ground wants model.background: white")
    if looks.asymmetry < 0.3:
        notes.append(
            "warning: single images are nearly their own mirror images; if all objects face the camera, use"
            " pose_law gaussian with yaw_mean and pitch_mean 1.5708 and spreads 0.3 and 0.155"
        )
    return base.model_copy(update={"near": near, "far": far}), notes


def _heads(looks: Looks) -> tuple[Camera, list[str]]:
    """Something that fills the frame: the preset of faces, and how much its heads would turn."""
    base = preset_camera("celeba")
    rendered = [
        asymmetry(render_proxies("head", base.model_copy(update={"yaw_spread": spread}), 0.12, 32, 32, 0).mean(3))
        for spread in COMPARED
    ]
    told = ", ".join(f"{value:.2f} at {spread:g}" for spread, value in zip(COMPARED, rendered, strict=True))
    notes = [
        (
            "assumed: one kind of thing fills the frame and faces the camera, as in preset celeba: fov 12 degrees, near"
            f" {base.near:g}, far {base.far:g}, gaussian with yaw spread {base.yaw_spread:g}, pitch spread"
            f" {base.pitch_spread:g}"
        ),
        (
            f"hint: rendered heads have an asymmetry of {told} rad of yaw spread; backgrounds, hair and light count"
            " too. If yours turn more, try preset cats: uniform 0.5 and 0.4, near 0.8, far 1.2"
        ),
    ]
    if looks.mean_symmetry < 0.85 and looks.mean_asymmetry > 3:
        notes.append(
            f"warning: the mean image is {looks.mean_asymmetry:.0f} times as asymmetric as chance allows: light from"
            " one side, or images that are not aligned alike; the second needs a pose law set by hand"
        )
    return base, notes


def _border(images: UInt8[np.ndarray, "n side side 3"]) -> tuple[Float[np.ndarray, "n 3"], Bool[np.ndarray, " n"]]:
    """Median colour of each image's border, and whether nine tenths of the border have it."""
    inner = np.zeros(images.shape[1:3], bool)
    inner[2:-2, 2:-2] = True
    rim = images[:, ~inner]
    colour = np.median(rim, axis=1)
    stray = np.abs(rim - colour[:, None]).max(2)
    return colour, np.quantile(stray, 0.9, axis=1) < PLAIN


def _boxes(images: UInt8[np.ndarray, "n side side 3"], ground: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 4"]:
    """Left, top, right, bottom (shares of the side) of what differs from the ground; images without are left out."""
    side = images.shape[1]
    mask = np.abs(images - ground[:, None, None]).max(3) > OBJECT
    boxes = []
    for one in mask:
        columns, rows = np.flatnonzero(one.any(0)), np.flatnonzero(one.any(1))
        if len(columns):
            boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return np.array(boxes, np.float64).reshape(-1, 4) / side


def _contrast(grey: Float[np.ndarray, "*n side side"]) -> float:
    """Root mean square of what changes in the mirror."""
    return float(np.sqrt(np.mean((grey - grey[..., ::-1]) ** 2)))


def _correlation(one: Float[np.ndarray, "h w"], other: Float[np.ndarray, "h w"]) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / (np.sqrt((a * a).sum() * (b * b).sum()) + 1e-6))
