"""What a folder of own data tells the guide: a sample of square images, and all cameras where they are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from pigan.config import Params
from pigan.data.crop import crop_jobs
from pigan.data.posed.frames import Frame
from pigan.data.posed.layouts import read_posed
from pigan.data.sources.download import find_images
from pigan.data.square import Cropped, crop_one
from pigan.data.store import Prepared
from pigan.errors import PiganError
from pigan.progress import track

SAMPLE = 256
SIDE = 64


@dataclass(frozen=True, eq=False)
class Evidence:
    """A random sample of the data, cropped as `pigan crop` does; lengths in the units of the camera files."""

    images: UInt8[np.ndarray, "m side side 3"]
    cam2world: Float[np.ndarray, "n 4 4"] | None = None
    """All cameras, not only those of the sample; None: unknown."""
    shown: Int[np.ndarray, " m"] | None = None
    """Which of them took each image."""
    fov: Float[np.ndarray, " m"] | None = None
    """Opening angle of each image, radians."""
    depth: Float[np.ndarray, "m side side"] | None = None
    """z-depth, NaN where there is none."""
    world_applied: bool = False
    """Whether dataset.world of the params has been applied already, as prepared data has it."""
    unusable: str | None = None
    """How many of the sample cannot be used, and why the first cannot; None: all can."""


def read_evidence(params: Params, source: Path) -> Evidence:
    """A sample of a prepared folder, or of a raw one with or without camera files.

    Raises:
        PiganError: no such folder, no images in it, none that can be used, or broken camera files.
    """
    if not source.is_dir():
        raise PiganError(f"{source}: no such folder; give the folder with your images, raw or prepared (zips: unpack)")
    if (source / "dataset.json").is_file() and any(source.glob("images_*.npy")):
        return _prepared(Prepared(source), params.dataset.world is not None)
    frames = read_posed(source, None)
    names = find_images(source) if frames is None else [frame.image for frame in frames]
    shown, cropped, unusable = _looked_at(params, source, names, frames)
    images = np.stack([one.images[SIDE] for one in cropped])
    if frames is None:
        return Evidence(images, unusable=unusable)
    none = np.full((SIDE, SIDE), np.nan, np.float32)
    return Evidence(
        images=images,
        cam2world=np.stack([frame.cam2world for frame in frames]),
        shown=np.array(shown),
        fov=np.array([one.fov for one in cropped], np.float64),
        depth=np.stack([one.depths.get(SIDE, none) for one in cropped]) if any(one.depths for one in cropped) else None,
        unusable=unusable,
    )


def _prepared(data: Prepared, world_applied: bool) -> Evidence:
    picked = _sample(data.count)
    side = min(data.resolutions, key=lambda side: abs(side - SIDE))
    images = np.ascontiguousarray(data.images(side)[picked])
    cameras, depth = data.cameras, data.depth(side)
    if cameras is None:
        return Evidence(images)
    return Evidence(
        images=images,
        cam2world=cameras.cam2world.astype(np.float64),
        shown=picked,
        fov=cameras.fov[picked].astype(np.float64),
        depth=None if depth is None else np.asarray(depth[picked]),
        world_applied=world_applied,
    )


def _looked_at(
    params: Params, source: Path, names: Sequence[str], frames: Sequence[Frame] | None
) -> tuple[list[int], list[Cropped], str | None]:
    """The usable ones of a sample: their numbers, what the crop makes of them, and what is told of the others.

    Raises:
        PiganError: none can be used.
    """
    # cameras are estimated in their own world, from whatever can be seen
    crop = params.dataset.crop.model_copy(update={"min_pixels": 1, "filter": "lanczos"})
    dataset = params.dataset.model_copy(update={"world": None, "crop": crop})
    picked, kept, told = _sample(len(names)), {}, ""
    some = None if frames is None else [frames[index] for index in picked]
    jobs = crop_jobs(dataset, [SIDE], source, [names[index] for index in picked], some)
    for index, job in track(zip(picked, jobs, strict=True), len(picked), "look", "image"):
        done = crop_one(job)
        if done.reason is None:
            kept[int(index)] = done
        else:
            told = told or f"{names[index]}: {done.reason}"
    if not kept:
        raise PiganError(f"{source}: none of the images looked at can be used, {told}; see dataset.crop, or mend them")
    lost = len(picked) - len(kept)
    unusable = f"{lost:,} of {len(picked):,} images looked at cannot be used, such as {told}" if lost else None
    return list(kept), list(kept.values()), unusable


def _sample(count: int) -> Int[np.ndarray, " m"]:
    """Numbers of a random sample, in random order."""
    return np.random.default_rng(0).permutation(count)[:SAMPLE]
