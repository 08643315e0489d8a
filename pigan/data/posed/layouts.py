"""Which kind of camera files a folder holds, and its frames in pigan's world."""

import dataclasses
from pathlib import Path

from pigan.data.folders import files_below
from pigan.data.posed.eg3d import LABELS, read_labels
from pigan.data.posed.frames import TRANSFORMS, Frame, in_world
from pigan.data.posed.graf import INTRINSICS, POSE, read_graf
from pigan.data.posed.transforms import SPLITS, SUFFIXES, read_transforms
from pigan.dataset_sections import World
from pigan.errors import PiganError


def read_posed(raw: Path, world: World | None) -> list[Frame] | None:
    """The frames of all camera files below `raw`, in a stable order; None when there is no such file.

    Known are transforms.json, transforms_train|val|test.json, dataset.json and *_extrinsics.npy.

    Raises:
        PiganError: camera files of two kinds, broken ones, or an image that has two cameras.
    """
    names = files_below(raw)
    poses = [name for name in names if name.endswith(POSE)]
    labelled = [frames for name in names if _base(name) == LABELS and (frames := read_labels(raw, name))]
    plain = [name for name in names if _base(name) == TRANSFORMS]
    split = sorted((name for name in names if _base(name) in SPLITS), key=_in_order)
    present = [
        kind
        for kind, found in ((TRANSFORMS, plain), (next(iter(SPLITS)), split), (LABELS, labelled), (f"*{POSE}", poses))
        if found
    ]
    if len(present) > 1:
        raise PiganError(f"{raw}: holds cameras as {present[0]} and as {present[1]}; keep only those that are right")
    if not present:
        return None
    if poses:
        images = [name for name in names if name.lower().endswith(SUFFIXES)]
        frames = read_graf(raw, poses, [name for name in names if _base(name) == INTRINSICS], images)
    else:
        frames = [frame for part in labelled for frame in part] or read_transforms(raw, plain or split)
    seen: set[str] = set()
    for frame in frames:
        if frame.image in seen:
            raise PiganError(f"{raw / frame.image}: the camera files name this image twice; remove one of its entries")
        seen.add(frame.image)
    return [dataclasses.replace(frame, cam2world=in_world(frame.cam2world, world)) for frame in frames]


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _in_order(name: str) -> tuple[str, int]:
    """Folder by folder, train before val before test."""
    folder, _, base = name.rpartition("/")
    return folder, list(SPLITS).index(base)
