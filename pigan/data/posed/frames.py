"""Posed images: NeRF-style transforms.json, and what cropping does to cameras and depth maps."""

import json
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from pigan.errors import PiganError

TRANSFORMS = "transforms.json"


@dataclass(frozen=True, eq=False)
class Frame:
    """One image with its camera."""

    image: str
    """Path relative to transforms.json."""
    depth: str | None
    cam2world: Float[np.ndarray, "4 4"]
    """OpenGL: x right, y up, looks along -z."""
    fov: float
    """Horizontal opening angle between the image's outer edges, radians."""
    object: str
    """Frames with the same value show one object."""


def read_frames(folder: Path) -> list[Frame]:
    """The frames of `folder`/transforms.json, in its order.

    Raises:
        PiganError: no such file, not JSON, no or broken frames, or an image or depth map that is not there.
    """
    path = folder / TRANSFORMS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PiganError(f"{path}: no such file; put a NeRF-style {TRANSFORMS} beside the images") from None
    except (OSError, ValueError) as error:
        raise PiganError(f"{path}: cannot be read as JSON ({error}); write it again") from None
    entries = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise PiganError(f"{path}: needs `frames`, a list with one entry an image")
    frames = []
    for number, entry in enumerate(entries):
        try:
            frames.append(_frame(folder, entry, content))
        except (KeyError, TypeError, ValueError) as error:
            told = f"missing {error}" if isinstance(error, KeyError) else str(error)
            raise PiganError(f"{path}: frame {number}: {told}; mend or remove this frame") from None
    return frames


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


def cropped_fov(fov: float, width: int, crop_side: int) -> float:
    """Opening angle of a centred crop whose side is `crop_side` pixels, of an image that spans `fov` over `width`."""
    return 2 * math.atan(math.tan(fov / 2) * crop_side / width)


def crop_depth(
    depth: Float[np.ndarray, "h w"], box: tuple[float, float, float, float], side: int
) -> Float[np.ndarray, "side side"]:
    """`depth` at the pixel centres of a crop, by its nearest value so that surfaces never mix; invalid becomes NaN.

    `box` is (left, top, right, bottom) as shares of the image, so a depth map may have another size than its image.
    """
    height, width = depth.shape
    steps = (np.arange(side) + 0.5) / side
    rows = np.floor((box[1] + steps * (box[3] - box[1])) * height).astype(int).clip(0, height - 1)
    columns = np.floor((box[0] + steps * (box[2] - box[0])) * width).astype(int).clip(0, width - 1)
    chosen = depth[rows[:, None], columns].astype(np.float32)
    return np.where(np.isfinite(chosen) & (chosen > 0), chosen, np.float32(np.nan))


def _frame(folder: Path, entry: dict[str, Any], content: dict[str, Any]) -> Frame:
    image = _inside(folder, entry["file_path"])
    if not (folder / image).is_file() and (folder / f"{image}.png").is_file():
        # NeRF's own files leave the suffix out
        image = f"{image}.png"
    depth = entry.get("depth_file_path")
    depth = None if depth is None else _inside(folder, depth)
    for name in (image, depth):
        if name is not None and not (folder / name).is_file():
            raise ValueError(f"{folder / name} does not exist")
    if depth is not None and not depth.endswith(".npy"):
        raise ValueError(f"{depth} is no .npy file; save z-depth as float32 [height, width] with numpy.save")
    return Frame(
        image=image,
        depth=depth,
        cam2world=_matrix(entry["transform_matrix"]),
        fov=_fov(entry, content),
        object=str(entry["object"]) if "object" in entry else image,
    )


def _fov(entry: dict[str, Any], content: dict[str, Any]) -> float:
    values = {**content, **entry}
    if "camera_angle_x" in values:
        fov = float(values["camera_angle_x"])
    elif "fl_x" in values and "w" in values:
        fov = 2 * math.atan(float(values["w"]) / (2 * float(values["fl_x"])))
    else:
        raise KeyError("camera_angle_x")
    if not 0 < fov < math.pi:
        raise ValueError(f"camera_angle_x is {fov}, not an angle in radians between 0 and pi")
    return fov


def _matrix(value: Any) -> NDArray[np.float64]:
    matrix = np.asarray(value, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError("transform_matrix is not 4 x 4 numbers")
    turn = matrix[:3, :3]
    if np.abs(turn.T @ turn - np.eye(3)).max() > 1e-3 or np.linalg.det(turn) < 0:
        raise ValueError("transform_matrix holds no rotation (columns must be right, up, backward unit vectors)")
    return matrix


def _inside(folder: Path, name: Any) -> str:
    """A relative POSIX path that stays inside `folder`."""
    path = PurePosixPath(str(name).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name} must be a path inside {folder}")
    return path.as_posix()
