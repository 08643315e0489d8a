"""transforms.json: the camera files of NeRF, Blender, instant-ngp and nerfstudio.

All of them hold OpenGL cam2world matrices. `applied_transform` and `applied_scale` (nerfstudio) tell what the matrices
went through before they were written, so nothing is left to do to these; but depth maps did not go through it, so a
`depth_unit_scale_factor` counts in lengths from before `applied_scale`. instant-ngp's `scale`, `offset` and `aabb`
are about its own unit cube.
"""

import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pigan.data.posed.checks import as_pose, blamed, file_inside, image_size, load_json
from pigan.data.posed.frames import Frame, Intrinsics
from pigan.errors import PiganError

SPLITS = {"transforms_train.json": False, "transforms_val.json": True, "transforms_test.json": True}
SUFFIXES = (".png", ".jpg", ".jpeg")
PINHOLES = frozenset({"PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "OPENCV", "FULL_OPENCV", "SIMPLE_RADIAL", "RADIAL"})
DISTORTIONS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
OTHER_LENSES = ("is_fisheye", "ftheta_p0", "latlong", "equirectangular")
OTHER_AXES = ("from_na", "from_mitsuba")


def read_transforms(raw: Path, names: list[str]) -> list[Frame]:
    """The frames of these files below `raw`, in their order; train/val/test files tell which are held out.

    `object` of a frame says what it shows. Without it every frame is an object of its own, or every folder is one when
    files in several folders are read.

    Raises:
        PiganError: a file is no JSON, has no or broken frames, names files that are not there, or distorts.
    """
    several = len({PurePosixPath(name).parent for name in names}) > 1
    return [frame for name in names for frame in _frames_of(raw, name, several)]


def _frames_of(raw: Path, name: str, several: bool) -> list[Frame]:
    content = load_json(raw / name)
    entries = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise PiganError(f"{raw / name}: needs `frames`, a list with one entry an image")
    shared = {key: value for key, value in content.items() if key != "frames"}
    folder = PurePosixPath(name).parent.as_posix()
    with blamed(raw / name, "write it again"):
        held_out = dict(_listed_split(shared))
    frames = []
    for number, entry in enumerate(entries):
        with blamed(f"{raw / name}: frame {number}", "mend or remove this frame"):
            if not isinstance(entry, dict):
                raise TypeError("no object with file_path and transform_matrix")
            values = {**shared, **entry}
            image = file_inside(raw, folder, entry["file_path"], SUFFIXES)
            depth = entry.get("depth_file_path", entry.get("depth_path"))
            own = PurePosixPath(image).relative_to(folder).as_posix()
            frames.append(
                Frame(
                    image=image,
                    depth=None if depth is None else file_inside(raw, folder, depth),
                    cam2world=as_pose(entry["transform_matrix"]),
                    intrinsics=_intrinsics(values, raw / image),
                    object=_object(entry, folder if several else None, image),
                    held_out=SPLITS.get(PurePosixPath(name).name, held_out.get(own)),
                    depth_unit=_depth_unit(values),
                )
            )
    return frames


def _object(entry: Mapping[str, Any], folder: str | None, image: str) -> str:
    """What a frame shows; `folder` parts the objects of several files, which may be numbered alike."""
    stated = [str(entry["object"])] if "object" in entry else []
    return "/".join([folder, *stated]) if folder is not None else (stated or [image])[0]


def _listed_split(content: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """nerfstudio may list file names: images, and whether they are held out."""
    return [
        (PurePosixPath(path).as_posix(), kept)
        for key, kept in (("train_filenames", False), ("val_filenames", True), ("test_filenames", True))
        for path in content.get(key, [])
    ]


def _intrinsics(values: Mapping[str, Any], image: Path) -> Intrinsics:
    _refuse_other_lenses(values)
    stated = "w" in values and "h" in values
    width, height = map(float, (values["w"], values["h"]) if stated else image_size(image))
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise ValueError(f"w and h are {width} x {height}, not the size of an image")
    focal_x = _focal(values, "x", width)
    focal_y = _focal(values, "y", height) if "fl_y" in values or "camera_angle_y" in values else focal_x
    cx, cy = float(values.get("cx", width / 2)), float(values.get("cy", height / 2))
    return Intrinsics(focal_x / width, focal_y / height, cx / width, cy / height)


def _focal(values: Mapping[str, Any], axis: str, size: float) -> float:
    """The focal length in pixels."""
    if f"fl_{axis}" in values:
        return float(values[f"fl_{axis}"])
    if f"camera_angle_{axis}" not in values:
        raise KeyError(f"camera_angle_{axis} (or fl_{axis})")
    angle = float(values[f"camera_angle_{axis}"])
    if not 0 < angle < math.pi:
        raise ValueError(f"camera_angle_{axis} is {angle}, not an angle in radians between 0 and pi")
    return size / 2 / math.tan(angle / 2)


def _refuse_other_lenses(values: Mapping[str, Any]) -> None:
    lens = values.get("camera_model", "PINHOLE")
    wrong = [key for key in OTHER_LENSES if values.get(key)]
    wrong += [f"{key} = {values[key]}" for key in DISTORTIONS if float(values.get(key) or 0) != 0]
    if lens not in PINHOLES or wrong:
        what = f"camera_model {lens}" if lens not in PINHOLES else wrong[0]
        raise ValueError(f"{what}: only pinholes can be read, so undistort the images first, as COLMAP does")
    axes = [key for key in OTHER_AXES if values.get(key)]
    if axes:
        raise ValueError(f"{axes[0]}: its axes are not OpenGL's, so convert the matrices first")


def _depth_unit(values: Mapping[str, Any]) -> float | None:
    if "depth_unit_scale_factor" in values:
        unit = float(values["depth_unit_scale_factor"]) * float(values.get("applied_scale", 1))
    elif "integer_depth_scale" in values:
        unit = float(values["integer_depth_scale"])
    else:
        return None
    if not 0 < unit < math.inf:
        raise ValueError(f"the depth maps' unit is {unit}, not a positive number")
    return unit
