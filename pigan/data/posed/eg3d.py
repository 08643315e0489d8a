"""dataset.json: the labels of EG3D and StyleGAN3, 16 numbers of a camera's pose and 9 of its intrinsics an image.

The pose is an OpenCV cam2world matrix (x right, y down, looks along +z), row by row; the intrinsics are normalised by
the image's size. `pigan.data.export` writes the same.
"""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pigan.data.posed.checks import as_pose, blamed, file_inside, load_json
from pigan.data.posed.frames import Frame, Intrinsics

LABELS = "dataset.json"
# pigan's own addition to the format, a list of image names
HELD_OUT = "held_out"
# OpenGL's y and z axes point against OpenCV's
FLIP = np.diag([1.0, -1, -1, 1])


def read_labels(raw: Path, name: str) -> list[Frame] | None:
    """The frames of one such file below `raw`, in its order; None when it has no labels, or classes instead of cameras.

    Raises:
        PiganError: the file is no JSON, a label is no camera, or an image is not there.
    """
    content = load_json(raw / name)
    labels = content.get("labels") if isinstance(content, dict) else None
    if isinstance(labels, dict):
        labels = list(labels.items())
    if not isinstance(labels, list) or not labels:
        return None
    pairs = [label if isinstance(label, list | tuple) and len(label) == 2 else (None, None) for label in labels]
    if all(isinstance(value, int) for _, value in pairs):
        return None
    folder = PurePosixPath(name).parent.as_posix()
    with blamed(raw / name, f"mend or remove `{HELD_OUT}`"):
        held_out = None if content.get(HELD_OUT) is None else frozenset(content[HELD_OUT])
    frames = []
    for number, (file_name, values) in enumerate(pairs):
        with blamed(f"{raw / name}: label {number}", "mend or remove this label"):
            image = file_inside(raw, folder, file_name)
            pose, intrinsics = camera_of(values)
            frames.append(
                Frame(
                    image=image,
                    depth=None,
                    cam2world=pose,
                    intrinsics=intrinsics,
                    object=image,
                    held_out=None if held_out is None else file_name in held_out,
                )
            )
    return frames


def camera_of(label: Any) -> tuple[NDArray[np.float64], Intrinsics]:
    """OpenGL cam2world and intrinsics of a label's 25 numbers.

    Raises:
        ValueError: it has another length, holds no rotation, or skewed or impossible intrinsics.
    """
    numbers = np.asarray(label, np.float64)
    if numbers.shape != (25,) or not np.isfinite(numbers).all():
        raise ValueError("a camera is 25 numbers (16 of cam2world, 9 of the intrinsics)")
    inside = numbers[16:].reshape(3, 3)
    if np.abs([inside[0, 1], inside[1, 0], *(inside[2] - [0, 0, 1])]).max() > 1e-6:
        raise ValueError("its intrinsics are not [fx, 0, cx, 0, fy, cy, 0, 0, 1]")
    fx, fy, cx, cy = (float(inside[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return as_pose(numbers[:16].reshape(4, 4)) @ FLIP, Intrinsics(fx, fy, cx, cy)


def label_of(cam2world: NDArray[np.floating[Any]], intrinsics: Intrinsics) -> list[float]:
    """The label's 25 numbers of an OpenGL camera."""
    pose = np.asarray(cam2world, np.float64) @ FLIP
    inside = [intrinsics.fx, 0.0, intrinsics.cx, 0.0, intrinsics.fy, intrinsics.cy, 0.0, 0.0, 1.0]
    return [*pose.ravel().tolist(), *inside]
