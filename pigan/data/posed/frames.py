"""Posed images: frames and their pinhole cameras, and what a square crop does to a camera and its depth map."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import NDArray

from pigan.dataset_sections import World

TRANSFORMS = "transforms.json"
# beside rendered views: the 3-D models that could not be, [{file, reason}]
REJECTED = "rejected.json"

# neighbours whose depths differ by no more than this share are of one surface
ONE_SURFACE = 0.02
# pixels: so near to an edge is on it
ON_EDGE = 1e-6

# the rotation of raw axes after which +y points up, by the raw axis that does
TO_Y_UP: dict[str, NDArray[np.float64]] = {
    "y": np.diag([1.0, 1.0, 1.0]),
    "-y": np.diag([1.0, -1.0, -1.0]),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-z": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
}


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole without skew: shares of the image's width (fx, cx) and height (fy, cy), from its outer edges.

    As EG3D writes them, so they hold at any resolution; the centre of the image is (0.5, 0.5).
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))) or min(self.fx, self.fy) <= 0:
            raise ValueError(f"focal lengths must be positive numbers, not {self.fx} and {self.fy} of the image")
        if not (0 < self.cx < 1 and 0 < self.cy < 1):
            raise ValueError(f"principal point at {self.cx:.4g}, {self.cy:.4g} of the image, which is outside of it")


@dataclass(frozen=True, eq=False)
class Frame:
    """One image with its camera."""

    image: str
    """Path relative to the raw folder."""
    depth: str | None
    """The same of its depth map; see `pigan.data.posed.depth.read_depth`."""
    cam2world: Float[np.ndarray, "4 4"]
    """OpenGL: x right, y up, looks along -z."""
    intrinsics: Intrinsics
    object: str
    """Frames with the same value show one object."""
    held_out: bool | None = None
    """Whether the files' own split keeps it from training; None: they state no split."""
    depth_unit: float | None = None
    """Lengths of the camera files' world that the value 1 of the depth map means; None: not stated."""
    depth_measure: Literal["z", "ray"] = "z"

    @property
    def fov(self) -> float:
        """Horizontal opening angle between the outer edges of the whole image, radians."""
        inside = self.intrinsics
        return math.atan(inside.cx / inside.fx) + math.atan((1 - inside.cx) / inside.fx)


def centred(fov: float, width: int, height: int) -> Intrinsics:
    """A camera with square pixels, its principal point in the middle, that spans `fov` (radians) over the width.

    Raises:
        ValueError: no angle between 0 and pi.
    """
    if not 0 < fov < math.pi:
        raise ValueError(f"an opening angle of {fov}, which is not between 0 and pi radians")
    fx = 0.5 / math.tan(fov / 2)
    return Intrinsics(fx, fx * width / height, 0.5, 0.5)


def in_world(cam2world: Float[np.ndarray, "4 4"], world: World | None) -> Float[np.ndarray, "4 4"]:
    """A raw camera in pigan's world: y up, the object at the origin, lengths times world.scale."""
    if world is None:
        return cam2world
    turn = TO_Y_UP[world.up]
    placed = np.eye(4)
    placed[:3, :3] = turn @ cam2world[:3, :3]
    placed[:3, 3] = world.scale * (turn @ (cam2world[:3, 3] - np.array(world.center)))
    return placed


def pose_angles(
    cam2world: Float[np.ndarray, "n 4 4"], yaw_mean: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Pitch and yaw (radians) of cameras that look at the origin; yaw within half a turn of `yaw_mean`.

    Read from the viewing direction: yaw = pitch = pi / 2 looks along -z, and pitch is the polar angle from +y.
    """
    back = cam2world[:, :3, 2].astype(np.float64)
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    pitch = np.arccos(np.clip(back[:, 1], -1, 1))
    yaw = np.arctan2(back[:, 2], back[:, 0]) - yaw_mean
    return pitch, yaw_mean + (yaw + np.pi) % (2 * np.pi) - np.pi


def square_view(
    intrinsics: Intrinsics, width: int, height: int, side_px: int | None
) -> tuple[tuple[int, int, int, int], float]:
    """The crop of a width x height image that shows a square field of view centred on the optical axis.

    Returns (left, top, right, bottom) in whole pixels and its opening angle (radians). Where pixels are not square
    the box is not either: its short side is `side_px`. None: as large as the image allows.

    Raises:
        ValueError: `side_px` reaches over an edge of the image, or there is no such view at all.
    """
    across, down = intrinsics.fx * width, intrinsics.fy * height
    short = min(across, down)
    x, y = intrinsics.cx * width, intrinsics.cy * height
    room = 2 * short * min(min(x, width - x) / across, min(y, height - y) / down)
    # whole pixels move the view's centre by up to half of one anyway
    largest = math.floor(room + 0.5)
    side = largest if side_px is None else side_px
    if not 1 <= side <= largest:
        raise ValueError(f"too small: {width} x {height} pixels for a crop of {side} around ({x:.1f}, {y:.1f})")
    wide, high = min(round(side * across / short), width), min(round(side * down / short), height)
    left = min(max(round(x - wide / 2), 0), width - wide)
    top = min(max(round(y - high / 2), 0), height - high)
    return (left, top, left + wide, top + high), 2 * math.atan(wide / (2 * across))


def crop_depth(
    depth: Float[np.ndarray, "h w"], box: tuple[float, float, float, float], side: int
) -> Float[np.ndarray, "side side"]:
    """`depth` at the pixel centres of a crop, by its nearest value so that surfaces never mix; invalid becomes NaN.

    A centre on the edge between pixels, as where every second one is left out, lies as near to all around it: there it
    is their mean where they are one surface, else the second nearest to the camera, lest the map be shifted. `box` is
    (left, top, right, bottom) as shares of the image, so a depth map may have another size than its image.
    """
    rows, columns = _around(box[1], box[3], depth.shape[0], side), _around(box[0], box[2], depth.shape[1], side)
    around = depth[rows[:, None, :, None], columns[None, :, None, :]].reshape(4, side, side).astype(np.float32)
    ranked = np.sort(np.where(np.isfinite(around) & (around > 0), around, np.inf), axis=0)
    chosen = np.where(ranked[3] <= (1 + ONE_SURFACE) * ranked[0], ranked.mean(0), ranked[1])
    return np.where(np.isfinite(chosen), chosen, np.float32(np.nan))


def _around(start: float, stop: float, size: int, side: int) -> Int64[np.ndarray, "2 side"]:
    """The pixels on either side of the centres of a crop from `start` to `stop` (shares); mostly the same one twice."""
    places = (start + (np.arange(side) + 0.5) / side * (stop - start)) * size
    pixels = np.stack((np.ceil(places - ON_EDGE) - 1, np.floor(places + ON_EDGE)))
    return pixels.astype(np.int64).clip(0, size - 1)
