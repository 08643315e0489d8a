"""Views of a model by ray casting (Embree): textures, soft light with shadows, glass and holes, exact depth."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from pigan.data.cars.raytrace import pixel_directions
from pigan.data.meshes.caster import Caster, Hits, dot
from pigan.data.meshes.texture import linear_to_srgb

# surfaces that a ray may pass where they are transparent
LAYERS = 8
# alpha from which on a surface counts as there, for depth
SOLID = 0.5
# rays a sample that look for what shades it from the sky
SKY_RAYS = 2
KEY_AZIMUTH, KEY_HEIGHT = math.radians(50), math.radians(52)
# half the opening of the key light, as the sine of its angle: makes shadows soft
KEY_WIDTH = 0.15
KEY_COLOUR = np.array([0.92, 0.90, 0.86], np.float32)
SKY_COLOUR = np.array([0.53, 0.55, 0.58], np.float32)
GROUND_COLOUR = np.array([0.37, 0.365, 0.36], np.float32)
EXPOSURE = 1.4
# points out of a surface for rays that start on it, as a share of the model's size
LIFT = 2e-4


@dataclass(frozen=True, eq=False)
class Look:
    """What may vary between views besides the camera."""

    key: Float[np.ndarray, "3"]
    """Unit vector towards the key light."""
    strength: float
    """Of the key light; 1 is the usual."""
    turn: Float[np.ndarray, "3 3"]
    """Turns linear colours around the grey axis."""
    shift: tuple[int, int]
    """Moves the pattern of the shadow rays, so that its noise differs between views."""


def sample_look(rng: np.random.Generator, light: float, hue: float) -> Look:
    """A random look: colours turned by up to `hue` of the circle, the key light moved and dimmed by share `light`."""
    azimuth, height, strength, turn = rng.uniform(-1, 1, 4)
    around = KEY_AZIMUTH + light * azimuth * math.pi
    above = KEY_HEIGHT + light * height * math.radians(30)
    key = (math.cos(above) * math.cos(around), math.sin(above), math.cos(above) * math.sin(around))
    return Look(
        key=np.array(key, np.float32),
        strength=1 + 0.4 * light * float(strength),
        turn=hue_turn(2 * math.pi * hue * float(turn)),
        shift=(int(rng.integers(2**16)), int(rng.integers(2**16))),
    )


def hue_turn(angle: float) -> Float[np.ndarray, "3 3"]:
    """The rotation of RGB by `angle` (radians) around the axis of greys; a third of the circle maps red to green."""
    along = np.full((3, 3), 1 / 3)
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = math.cos(angle) * np.eye(3) + (1 - math.cos(angle)) * along + math.sin(angle) * across
    return np.asarray(turn, np.float32)


def render(
    caster: Caster, cam2world: Float[np.ndarray, "4 4"], fov: float, size: int, supersampling: int, look: Look
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """One square view on white: sRGB image, and z-depth in world units at the pixel centres (NaN: nothing there).

    `fov` (radians) spans the outer edges of the image. Colours average supersampling x supersampling rays a pixel, in
    linear light; the depth is that of one more ray, through the very centre of the pixel, so it never mixes surfaces.
    """
    fine = size * supersampling
    colour = _colours(caster, cam2world, fov, fine, look).reshape(fine, fine, 3)
    corners = [colour[row::supersampling, column::supersampling] for row, column in np.ndindex((supersampling,) * 2)]
    mean = sum(corners[1:], corners[0]) / np.float32(supersampling**2)
    image = (linear_to_srgb(mean.clip(0, 1)) * 255 + 0.5).astype(np.uint8)
    return image, _depth(caster, cam2world, fov, size)


def _rays(
    caster: Caster, cam2world: NDArray[np.float64], fov: float, size: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Numbers (row by row), origins and directions of the rays that may meet the model's bounding box.

    Directions are one unit deep along the optical axis, so distances along them are z-depths.
    """
    local = (caster.box - cam2world[:3, 3]) @ cam2world[:3, :3]
    low, high = np.zeros(2, int), np.full(2, size)
    if (local[:, 2] < -1e-6).all():
        place = (local[:, :2] / -local[:, 2:] / math.tan(fov / 2) * [1, -1] + 1) / 2 * size
        low = np.clip(np.floor(place.min(0) - 1), 0, size).astype(int)
        high = np.clip(np.ceil(place.max(0) + 1), 0, size).astype(int)
    numbers = (np.arange(low[1], high[1])[:, None] * size + np.arange(low[0], high[0])).ravel()
    directions = np.ascontiguousarray(pixel_directions(cam2world, fov, size).reshape(3, -1)[:, numbers].T)
    return numbers, np.tile(cam2world[:3, 3].astype(np.float32), (len(numbers), 1)), directions


def _depth(caster: Caster, cam2world: NDArray[np.float64], fov: float, size: int) -> NDArray[np.float32]:
    depth = np.full(size * size, np.nan, np.float32)
    rays, origins, directions = _rays(caster, cam2world, fov, size)
    passed = np.zeros(len(rays), np.float32)
    for _ in range(LAYERS):
        hits = caster.cast(origins, directions)
        there = np.ones(len(hits.ray), bool)
        clear = np.flatnonzero(caster.model.transparent[hits.face])
        if clear.size:
            # depth asks for the very texel
            finest = np.zeros(len(clear), np.float32)
            there[clear] = caster.surface(hits.rows(clear), finest, finest)[1][:, 3] >= SOLID
        depth[rays[hits.ray[there]]] = passed[hits.ray[there]] + hits.depth[there]
        if there.all():
            break
        rays, origins, directions, passed = _behind(caster, rays, origins, directions, passed, hits.rows(~there))
    return depth.reshape(size, size)


def _colours(caster: Caster, cam2world: NDArray[np.float64], fov: float, size: int, look: Look) -> NDArray[np.float32]:
    """Linear colours [size * size, 3] of all rays, on white."""
    colour, through = np.zeros((size * size, 3), np.float32), np.ones((size * size, 1), np.float32)
    rays, origins, directions = _rays(caster, cam2world, fov, size)
    passed = np.zeros(len(rays), np.float32)
    pattern = np.roll(_pattern(size), look.shift, (0, 1)).reshape(size * size, SKY_RAYS, 3)
    pixel = np.float32(2 * math.tan(fov / 2) / size)
    for _ in range(LAYERS):
        hits = caster.cast(origins, directions)
        mine = rays[hits.ray]
        spacing = pixel * (passed[hits.ray] + hits.depth)
        seen = _shade(caster, hits, origins[hits.ray], directions[hits.ray], spacing, pattern[mine], look)
        colour[mine] += through[mine] * seen[:, :3]
        through[mine] *= 1 - seen[:, 3:]
        clear = seen[:, 3] < 0.998
        if not clear.any():
            break
        rays, origins, directions, passed = _behind(caster, rays, origins, directions, passed, hits.rows(clear))
    return colour + through


def _shade(
    caster: Caster,
    hits: Hits,
    origins: NDArray[np.float32],
    directions: NDArray[np.float32],
    spacing: NDArray[np.float32],
    pattern: NDArray[np.float32],
    look: Look,
) -> NDArray[np.float32]:
    """Light from each hit towards its ray, times alpha, and alpha [n, 4]; both sides of a face are lit alike."""
    cosine = dot(hits.normal, directions)
    side = np.where(cosine > 0, np.float32(-1), np.float32(1))[:, None]
    normal, colour = caster.surface(hits, spacing, np.abs(cosine) / np.sqrt(dot(directions, directions)))
    normal *= side / np.sqrt(np.maximum(dot(normal, normal), 1e-12))[:, None]
    outward = hits.normal * side
    point = origins + hits.depth[:, None] * directions + outward * np.float32(LIFT * caster.size)
    sky = np.zeros(len(point), np.float32)
    for ray in range(SKY_RAYS):
        # a face's normal plus a point of the unit sphere: directions as often as their cosine
        sky += ~caster.shaded(point, outward + pattern[:, ray])
    towards = look.key + np.float32(KEY_WIDTH) * pattern[:, 0]
    key = np.maximum(dot(normal, towards), 0) * ~caster.shaded(point, towards)
    above = (normal[:, 1:2] + 1) / 2
    ambient = (above * SKY_COLOUR + (1 - above) * GROUND_COLOUR) * (sky[:, None] / np.float32(SKY_RAYS))
    light = ambient + np.float32(look.strength) * key[:, None] * KEY_COLOUR
    alpha = colour[:, 3:]
    paint = np.clip(colour[:, :3] @ look.turn.T / np.maximum(alpha, np.float32(1e-6)), 0, 1)
    # like film: white paint in full light stays below the white behind it, and keeps its shading
    exposed = 1 - np.exp(np.float32(-EXPOSURE) * paint * light)
    return np.concatenate([alpha * exposed, alpha], 1)


def _behind(
    caster: Caster,
    rays: NDArray[np.int64],
    origins: NDArray[np.float32],
    directions: NDArray[np.float32],
    passed: NDArray[np.float32],
    hits: Hits,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The rays of `hits` go on just behind them: their numbers, origins, directions, and how far along that is."""
    step = hits.depth + np.float32(LIFT * caster.size)
    onward = directions[hits.ray]
    return rays[hits.ray], origins[hits.ray] + step[:, None] * onward, onward, passed[hits.ray] + step


@lru_cache(maxsize=2)
def _pattern(size: int) -> NDArray[np.float32]:
    """Points of the unit sphere [size, size, SKY_RAYS, 3] for the samples; those of neighbours lie far apart.

    The golden-ratio lattice in two dimensions (R2, M. Roberts 2018) over rows and columns.
    """
    row, column = np.mgrid[:size, :size]
    number = (row * 0.7548776662466927 + column * 0.5698402909980532)[..., None]
    one = (number + np.arange(SKY_RAYS) / SKY_RAYS) % 1
    other = (number * 2.618033988749895 + np.arange(SKY_RAYS) * 0.41) % 1
    height, around = 2 * one - 1, 2 * math.pi * other
    wide = np.sqrt(1 - height**2)
    return np.stack([wide * np.cos(around), height, wide * np.sin(around)], -1).astype(np.float32)
