"""An exact ray tracer for convex solids on a white floor: closed-form hits, studio light, soft ground shadow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray

from pigan.data.cars.solids import Material, Solid, first_hit, normals_at

SUN = np.array([0.42, 0.80, 0.43], np.float32) / np.float32(math.sqrt(0.42**2 + 0.80**2 + 0.43**2))
SUN_COLOUR = np.array([[0.80], [0.78], [0.74]], np.float32)
SKY_COLOUR = np.array([[0.42], [0.44], [0.47]], np.float32)
FLOOR_COLOUR = np.array([[0.36], [0.355], [0.35]], np.float32)
GAMMA = 2.2


@dataclass(frozen=True, eq=False)
class Scene:
    """Solids over the floor y = 0, in their own units; `scale` and `centre` place them in the world."""

    solids: tuple[Solid, ...]
    footprint: tuple[float, float]
    """Half sizes along x and z of what shades the floor."""
    centre: Float[np.ndarray, "3"]
    """The point of the scene that lies on the world's origin."""
    scale: float
    """World units per scene unit."""


def render(
    scene: Scene, cam2world: Float[np.ndarray, "4 4"], fov: float, size: int, supersampling: int
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """One square view: sRGB image, and z-depth in world units at the pixel centres (NaN: no solid there).

    `fov` (radians) spans the outer edges of the image. Colours average supersampling x supersampling rays a pixel;
    the depth is that of one more ray, through the very centre of the pixel, so it never mixes surfaces.
    """
    image = render_image(scene, cam2world, fov, size, supersampling)
    return image, render_depth(scene, cam2world, fov, size)


def render_image(
    scene: Scene, cam2world: Float[np.ndarray, "4 4"], fov: float, size: int, supersampling: int
) -> UInt8[np.ndarray, "h w 3"]:
    """The image of `render` alone."""
    origin = _origin(scene, cam2world)
    fine = pixel_directions(cam2world, fov, size * supersampling)
    distance, owner = trace(scene.solids, origin, fine, cam2world, fov)
    colour = _colours(scene, origin, fine, distance, owner)
    blocks = colour.reshape(3, size, supersampling, size, supersampling).mean((2, 4))
    image = (np.clip(blocks, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(image)


def render_depth(scene: Scene, cam2world: Float[np.ndarray, "4 4"], fov: float, size: int) -> Float[np.ndarray, "h w"]:
    """The depth of `render` alone."""
    directions = pixel_directions(cam2world, fov, size)
    distance, _ = trace(scene.solids, _origin(scene, cam2world), directions, cam2world, fov)
    depth = np.where(np.isfinite(distance), distance * np.float32(scene.scale), np.float32(np.nan))
    return depth.astype(np.float32)


def _origin(scene: Scene, cam2world: Float[np.ndarray, "4 4"]) -> NDArray[np.floating]:
    """Where the camera is, in the scene's units."""
    place: NDArray[np.floating] = cam2world[:3, 3] / scene.scale + scene.centre
    return place


def pixel_directions(cam2world: Float[np.ndarray, "4 4"], fov: float, size: int) -> Float[np.ndarray, "3 h w"]:
    """Directions through the pixel centres, one unit deep along the optical axis: distances along them are z-depths."""
    across = ((np.arange(size) + 0.5) / size * 2 - 1) * math.tan(fov / 2)
    x, y = np.meshgrid(across, -across)
    right, up, back = cam2world[:3, 0], cam2world[:3, 1], cam2world[:3, 2]
    directions = right[:, None, None] * x + up[:, None, None] * y - back[:, None, None]
    return np.asarray(directions, np.float32)


def trace(
    solids: Sequence[Solid],
    origin: Float[np.ndarray, "3"],
    directions: Float[np.ndarray, "3 h w"],
    cam2world: Float[np.ndarray, "4 4"],
    fov: float,
) -> tuple[Float[np.ndarray, "h w"], Int[np.ndarray, "h w 2"]]:
    """Nearest hit of each ray: distance (inf: none), and (solid, surface) as `first_hit` counts them (-1: none)."""
    size = directions.shape[1]
    nearest = np.full((size, size), np.inf, np.float32)
    owner = np.full((size, size, 2), -1, np.int16)
    for number, solid in enumerate(solids):
        rows, columns = _window(solid, origin, cam2world, fov, size)
        block = directions[:, rows, columns]
        if not block.size:
            continue
        distance, surface = first_hit(solid, origin, block.reshape(3, -1))
        distance, surface = distance.reshape(block.shape[1:]), surface.reshape(block.shape[1:])
        closer = distance < nearest[rows, columns]
        nearest[rows, columns][closer] = distance[closer]
        owner[rows, columns, 0][closer] = number
        owner[rows, columns, 1][closer] = surface[closer]
    return nearest, owner


def _window(
    solid: Solid, origin: NDArray[np.floating], cam2world: NDArray[np.floating], fov: float, size: int
) -> tuple[slice, slice]:
    """Rows and columns that can see the solid: the projection of its bounding box."""
    low, high = solid.low, solid.high
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    local = (corners - origin) @ cam2world[:3, :3]
    if (local[:, 2] > -1e-6).any():
        return slice(0, size), slice(0, size)
    across = (local[:, :2] / -local[:, 2:] / math.tan(fov / 2) * [1, -1] + 1) / 2 * size
    first = np.clip(np.floor(across.min(0) - 0.5), 0, size).astype(int)
    last = np.clip(np.ceil(across.max(0) + 0.5), 0, size).astype(int)
    return slice(first[1], last[1]), slice(first[0], last[0])


def _colours(
    scene: Scene,
    origin: NDArray[np.floating],
    directions: NDArray[np.float32],
    distance: NDArray[np.float32],
    owner: NDArray[np.int16],
) -> NDArray[np.float32]:
    """Display colours [3, h, w] of all rays."""
    colour = _floor(scene, origin, directions)
    for number, solid in enumerate(scene.solids):
        mine = owner[..., 0] == number
        for surface in np.unique(owner[..., 1][mine]):
            rows, columns = np.nonzero(mine & (owner[..., 1] == surface))
            rays = directions[:, rows, columns]
            points = origin.astype(np.float32)[:, None] + distance[rows, columns] * rays
            body = solid.cuts[surface - 1] if surface else solid
            normals = normals_at(body, points) * np.float32(-1 if surface else 1)
            view = -rays / np.sqrt((rays * rays).sum(0))
            light = shade(points, normals, view, body.paint(points, normals))
            # in float64, whose last bit is the processor's own: rounded to float32 all processors have the same
            colour[:, rows, columns] = np.power(np.clip(light, 0, 1), 1 / GAMMA, dtype=np.float64)
    return colour


def shade(
    points: Float[np.ndarray, "3 n"],
    normals: Float[np.ndarray, "3 n"],
    view: Float[np.ndarray, "3 n"],
    material: Material,
) -> Float[np.ndarray, "3 n"]:
    """Linear light that leaves points towards unit vectors `view`: sun, sky, bounce from the floor, mirrored studio."""
    upward = normals[1]
    # near the floor, what faces down sees only the shadow under the solid
    height = np.clip(points[1] / np.float32(0.7), 0, 1)
    open_floor = np.float32(0.35) + np.float32(0.65) * height
    sun = np.maximum((normals * SUN[:, None]).sum(0), 0)
    above = (upward + 1) / 2
    diffuse = sun * SUN_COLOUR + above * SKY_COLOUR + (1 - above) * open_floor * FLOOR_COLOUR
    facing = np.clip((normals * view).sum(0), 0, 1)
    bounce = 2 * facing * normals - view
    fresnel = material.mirror + (1 - material.mirror) * _fifth_power(1 - facing) * np.float32(0.7)
    mirrored = _studio(bounce, open_floor)
    glare = _fifth_power(np.maximum((bounce * SUN[:, None]).sum(0), 0))
    shine = np.minimum(material.mirror * 12, 1) * np.square(np.square(np.square(glare)))
    light: NDArray[np.float32] = (
        material.albedo * diffuse * (1 - fresnel) + fresnel * mirrored + np.float32(0.5) * shine
    )
    return light


def _fifth_power(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """By products, which every processor rounds alike."""
    return np.square(np.square(x)) * x


def _studio(directions: NDArray[np.float32], open_floor: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a mirror sees: a pale horizon, a bluish zenith, a long soft lamp on either side, and the floor."""
    up = directions[1]
    sky = np.clip(up, 0, 1)
    above = np.array([[0.78], [0.82], [0.88]], np.float32) - sky * np.array([[0.50], [0.42], [0.30]], np.float32)
    across = np.abs(directions[2])
    lamp = np.clip(1 - ((up - np.float32(0.62)) / np.float32(0.22)) ** 2, 0, 1) * np.clip(
        across * 4 - np.float32(0.8), 0, 1
    )
    below = open_floor * np.float32(0.38) * np.ones((3, 1), np.float32)
    share = np.clip(up * 6 + np.float32(0.5), 0, 1)
    seen: NDArray[np.float32] = share * (above + np.float32(2.2) * lamp) + (1 - share) * below
    return seen


def _floor(scene: Scene, origin: NDArray[np.floating], directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """White, darkened where the floor lies in the soft shadow of the footprint."""
    falls = np.minimum(directions[1], -1e-6)
    reach = np.float32(-origin[1]) / falls
    x = np.abs(np.float32(origin[0]) + reach * directions[0])
    z = np.abs(np.float32(origin[2]) + reach * directions[2])
    far = np.hypot(np.maximum(x - (scene.footprint[0] - 0.35), 0), np.maximum(z - (scene.footprint[1] - 0.35), 0))
    contact = np.exp(-((np.maximum(far - np.float32(0.2), 0) / np.float32(0.2)) ** 2))
    wide = np.clip(1 - far / np.float32(1.15), 0, 1) ** 2
    white = 1 - np.float32(0.36) * contact - np.float32(0.32) * wide
    white[directions[1] >= -1e-6] = 1
    return np.repeat(white[None], 3, 0)
