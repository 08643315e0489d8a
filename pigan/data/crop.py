"""Stage crop: raw images to the prepared arrays that training reads."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pigan.config import Params
from pigan.data.duplicates import near_duplicates
from pigan.data.parallel import ordered_map
from pigan.data.posed.frames import REJECTED, Frame, pose_angles
from pigan.data.posed.layouts import read_posed
from pigan.data.rows import RowWriter
from pigan.data.sources.catalog import CARDS
from pigan.data.sources.download import find_images
from pigan.data.split import join, owners_by_name, split, stated_split
from pigan.data.square import CropJob, Cropped, CropSettings, DepthFile, crop_one, hashed_side
from pigan.dataset_sections import Dataset
from pigan.errors import PiganError
from pigan.files import atomic_directory, read_json, sha256_file, write_json
from pigan.progress import track
from pigan.sections import Camera
from pigan.shortage import advised

# published selections are by these sizes of the crop, pixels
SELECTIONS = (64, 128)


@dataclass
class Kept:
    """What is known about the images once all were looked at."""

    indices: list[int] = field(default_factory=list)
    """Which of those found were kept."""
    fovs: list[float | None] = field(default_factory=list)
    """Their opening angles, radians."""
    hashes: list[int] = field(default_factory=list)
    """Their perceptual hashes."""
    sides: list[int] = field(default_factory=list)
    """Pixels of the crops of all that were found; 0 of those that could not be read."""
    rejected: list[dict[str, str]] = field(default_factory=list)


@advised("cropping", "run again with fewer --workers, or free some memory")
def crop(params: Params, raw: Path, out: Path, workers: int = 2) -> dict[str, Any]:
    """Prepare `raw` into the directory `out` (see `pigan.data.store`); returns what dataset.json holds.

    Where there are camera files, cameras and depth maps are kept in step with the crop. Files that cannot be used are
    rejected by name. The same files and params give the same bytes, whatever the number of workers.

    Raises:
        PiganError: `raw` is missing or holds no image, its camera files are wrong, or every image was rejected.
    """
    dataset, resolutions = params.dataset, params.resolutions()
    if not raw.is_dir():
        raise PiganError(f"{raw}: no such folder; run `pigan download --out {raw}` first")
    frames = read_posed(raw, dataset.world)
    names = find_images(raw) if frames is None else [frame.image for frame in frames]
    jobs = crop_jobs(dataset, resolutions, raw, names, frames)
    if out.resolve() == raw.resolve() or out.resolve() in raw.resolve().parents:
        raise PiganError(f"{out}: holds the raw files, which would be replaced; name another folder")
    with atomic_directory(out, "dataset.json") as temporary:
        results = track(ordered_map(crop_one, jobs, workers, batch=32), len(jobs), "crop", "image")
        has_depth = any(job.depth is not None for job in jobs)
        kept = _write_arrays(results, names, resolutions, has_depth, temporary)
        if not kept.indices:
            first = kept.rejected[0]
            raise PiganError(
                f"{raw}: all {len(names)} images were rejected, {first['file']}: {first['reason']};"
                " give other images or change dataset.crop"
            )
        kept_names = [names[index] for index in kept.indices]
        kept_frames = None if frames is None else [frames[index] for index in kept.indices]
        if kept_frames is not None:
            _write_cameras(temporary, kept_frames, kept.fovs, params.camera.yaw_mean)
        duplicates = _near_duplicates(temporary, resolutions, kept.hashes, dataset.near_duplicates)
        owners = join(_owners(kept_names, kept_frames, dataset.held_out), duplicates)
        stated = None if kept_frames is None else stated_split([frame.held_out for frame in kept_frames])
        train, held_out = stated or split(owners, dataset.held_out, dataset.name)
        card = CARDS[dataset.kind]
        info = {
            "name": dataset.name,
            "kind": dataset.kind,
            "source": dataset.source or card.source,
            "licence": card.licence,
            "citation": card.citation,
            "description": card.description,
            "expected": card.expected,
            "found": len(names),
            "count": len(kept.indices),
            "large_enough": {str(size): sum(side >= size for side in kept.sides) for size in SELECTIONS},
            "rejected": kept.rejected + _rejected_models(raw),
            "crop": dataset.crop.model_dump(),
            "resolutions": resolutions,
            "names": kept_names,
            "duplicates": duplicates,
            # a split that the files state keeps nothing whole
            "owners": len(set(owners)) if stated is None else None,
            "split": {"train": train, "held_out": held_out},
            "sha256": {path.name: sha256_file(path) for path in sorted(temporary.iterdir())},
        }
        write_json(temporary / "dataset.json", info)
    return info


def told_reasons(rejected: Sequence[Mapping[str, str]]) -> list[str]:
    """A line for each kind of reason, commonest first: how many, and one of them."""
    kinds: dict[str, list[str]] = {}
    for one in rejected:
        kinds.setdefault(one["reason"].partition(": ")[0], []).append(f"{one['file']!r}: {one['reason']}")
    return [f"{len(told):,} such as {told[0]}" for told in sorted(kinds.values(), key=len, reverse=True)]


def depth_outside(folder: Path, camera: Camera) -> str | None:
    """A warning where most of the depth that was prepared is not between the near and far of the params."""
    smallest = min(folder.glob("depth_*.npy"), key=lambda path: path.stat().st_size, default=None)
    if smallest is None:
        return None
    depth = np.load(smallest, mmap_mode="r")
    known = depth[np.isfinite(depth)]
    outside = float(np.mean((known < camera.near) | (known > camera.far))) if len(known) else 0.0
    if outside < 0.5:
        return None
    return (
        f"warning: {outside:.0%} of the depth is not between camera.near and camera.far; check dataset.depth.unit,"
        " dataset.world and camera (`pigan cameras` suggests them)"
    )


def crop_jobs(
    dataset: Dataset, resolutions: Sequence[int], raw: Path, names: Sequence[str], frames: Sequence[Frame] | None
) -> list[CropJob]:
    """What is to be done with the images `names` below `raw`, each with its frame where cameras are known.

    Raises:
        PiganError: faces are to be found in images with cameras.
    """
    settings = crop_settings(dataset, resolutions)
    if frames is None:
        return [CropJob(raw / name, None, None, settings) for name in names]
    if settings.rule == "cat-landmarks":
        raise PiganError(f"dataset.crop.rule: cat-landmarks is for photos without cameras, {raw} has some; set center")
    depths = [_depth_file(dataset, raw, frame) for frame in frames]
    return [
        CropJob(raw / frame.image, depth, frame.intrinsics, settings)
        for frame, depth in zip(frames, depths, strict=True)
    ]


def crop_settings(dataset: Dataset, resolutions: Sequence[int]) -> CropSettings:
    """How the params want every image cropped, for these sides (pixels)."""
    chosen = dataset.crop
    red, green, blue = chosen.background
    return CropSettings(
        rule=chosen.rule,
        resize=chosen.resize,
        center=chosen.center,
        filter=chosen.filter,
        min_pixels=chosen.min_pixels,
        background=(red, green, blue),
        resolutions=tuple(resolutions),
    )


def _depth_file(dataset: Dataset, raw: Path, frame: Frame) -> DepthFile | None:
    """Where the depth map of a frame is and what it holds: as the params say, else as its files state."""
    if frame.depth is None:
        return None
    scale = 1.0 if dataset.world is None else dataset.world.scale
    if dataset.depth is None:
        return DepthFile(raw / frame.depth, frame.depth_unit, frame.depth_measure, scale)
    return DepthFile(raw / frame.depth, dataset.depth.unit, dataset.depth.measure, scale)


def _write_arrays(
    results: Iterable[Cropped], names: Sequence[str], resolutions: Sequence[int], has_depth: bool, folder: Path
) -> Kept:
    """Append the arrays of all usable images."""
    kept = Kept()
    with contextlib.ExitStack() as stack:
        images = {
            size: stack.enter_context(RowWriter(folder / f"images_{size}.npy", (size, size, 3), np.uint8))
            for size in resolutions
        }
        depths = {
            size: stack.enter_context(RowWriter(folder / f"depth_{size}.npy", (size, size), np.float32))
            for size in (resolutions if has_depth else [])
        }
        for index, result in enumerate(results):
            kept.sides.append(result.side)
            if result.reason is not None:
                kept.rejected.append({"file": names[index], "reason": result.reason})
                continue
            kept.indices.append(index)
            kept.fovs.append(result.fov)
            kept.hashes.append(result.hash)
            for size in resolutions:
                images[size].append(result.images[size])
            for size, writer in depths.items():
                writer.append(result.depths.get(size, np.full((size, size), np.nan, np.float32)))
    return kept


def _near_duplicates(folder: Path, resolutions: Sequence[int], hashes: Sequence[int], bits: int) -> list[list[int]]:
    images = np.load(folder / f"images_{hashed_side(resolutions)}.npy", mmap_mode="r")
    return near_duplicates(np.array(hashes, np.uint64), images, bits)


def _rejected_models(raw: Path) -> list[dict[str, str]]:
    """The 3-D models that were not rendered, in words for dataset.json."""
    models = read_json(raw / REJECTED) if (raw / REJECTED).exists() else []
    return [{"file": model["file"], "reason": f"3-D model not rendered: {model['reason']}"} for model in models]


def _owners(names: Sequence[str], frames: Sequence[Frame] | None, share: float) -> list[str]:
    """What each image shows as far as it is stated, else what its name tells."""
    by_name = owners_by_name(names, share)
    if frames is None:
        return by_name
    # a frame whose object nobody stated has its own name as object
    return [
        frame.object if frame.object != frame.image else owner for frame, owner in zip(frames, by_name, strict=True)
    ]


def _write_cameras(folder: Path, frames: Sequence[Frame], fovs: Sequence[float | None], yaw_mean: float) -> None:
    cam2world = np.stack([frame.cam2world for frame in frames])
    pitch, yaw = pose_angles(cam2world, yaw_mean)
    np.savez(
        folder / "cameras.npz",
        cam2world=cam2world.astype(np.float32),
        fov=np.array(fovs, np.float32),
        pitch=pitch.astype(np.float32),
        yaw=yaw.astype(np.float32),
    )
