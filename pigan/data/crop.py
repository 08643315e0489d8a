"""Stage crop: raw images to the prepared arrays that training reads."""

import contextlib
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike

from pigan.config import Params
from pigan.data.sources.catalog import CARDS
from pigan.data.sources.download import find_images
from pigan.data.parallel import ordered_map
from pigan.data.posed.frames import TRANSFORMS, Frame, pose_angles, read_frames
from pigan.data.square import CropJob, Cropped, CropSettings, crop_one
from pigan.errors import PiganError
from pigan.files import atomic_directory, sha256_file, write_json
from pigan.progress import track


class RowWriter:
    """A .npy file that grows row by row, so that a set never has to fit in memory; use as a context manager."""

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.row_shape, self.dtype, self.rows = row_shape, np.dtype(dtype), 0
        self._file = path.open("wb")
        self._write_header()
        self._start = self._file.tell()

    def append(self, row: np.ndarray) -> None:
        """Add one row.

        Raises:
            ValueError: the row has another shape.
        """
        if row.shape != self.row_shape:
            raise ValueError(f"a row of shape {row.shape} in an array of {self.row_shape}")
        self._file.write(np.ascontiguousarray(row, self.dtype).tobytes())
        self.rows += 1

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.seek(0)
        # numpy pads headers so that the number of rows can grow in place
        self._write_header()
        moved = self._file.tell() != self._start
        self._file.close()
        if moved and error is None:
            raise RuntimeError("the .npy header changed its length")

    def _write_header(self) -> None:
        descr: Any = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self.rows, *self.row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


def crop(params: Params, raw: Path, out: Path, workers: int = 2) -> dict[str, Any]:
    """Prepare `raw` into the directory `out` (see `pigan.data.store`); returns what dataset.json holds.

    With a transforms.json the cameras and depth maps are kept in step with the crop. Files that cannot be used are
    rejected by name. Arrays do not depend on `workers`.

    Raises:
        PiganError: `raw` is missing or holds no image, or every image was rejected.
    """
    began = time.monotonic()
    if not raw.is_dir():
        raise PiganError(f"{raw}: no such folder; run `pigan download --out {raw}` first")
    frames = read_frames(raw) if (raw / TRANSFORMS).exists() else None
    names = find_images(raw) if frames is None else [frame.image for frame in frames]
    jobs = _jobs(params, raw, names, frames)
    with atomic_directory(out) as temporary:
        results = track(ordered_map(crop_one, jobs, workers, batch=32), len(jobs), "crop", "image")
        has_depth = any(job.depth is not None for job in jobs)
        kept, fovs, rejected = _write_arrays(results, names, params.resolutions(), has_depth, temporary)
        if not kept:
            first = rejected[0]
            raise PiganError(
                f"{raw}: all {len(names)} images were rejected, {first['file']}: {first['reason']};"
                " give other images or change dataset.crop"
            )
        if frames is not None:
            _write_cameras(temporary, [frames[index] for index in kept], fovs, params.camera.yaw_mean)
        owners = [names[index] if frames is None else frames[index].object for index in kept]
        train, held_out = split(owners, params.dataset.held_out, params.dataset.name)
        card = CARDS[params.dataset.kind]
        info = {
            "name": params.dataset.name,
            "kind": params.dataset.kind,
            "source": params.dataset.source or card.source,
            "licence": card.licence,
            "description": card.description,
            "count": len(kept),
            "found": len(names),
            "rejected": rejected,
            "crop": params.dataset.crop.model_dump(),
            "resolutions": params.resolutions(),
            "names": [names[index] for index in kept],
            "split": {"train": train, "held_out": held_out},
            "sha256": {path.name: sha256_file(path) for path in sorted(temporary.iterdir())},
            "seconds": round(time.monotonic() - began, 3),
        }
        write_json(temporary / "dataset.json", info)
    return info


def split(owners: Sequence[str], share: float, salt: str) -> tuple[list[int], list[int]]:
    """Indices for training and held out: about `share` of the images, whole owners only, at least one owner kept.

    Owners are held out in the order of a salted hash: the same ones on every machine, and nearly the same ones
    after images were added.
    """
    members: dict[str, list[int]] = {}
    for index, owner in enumerate(owners):
        members.setdefault(owner, []).append(index)
    ranked = sorted(members, key=lambda owner: hashlib.sha256(f"{salt}:{owner}".encode()).digest())
    wanted = round(share * len(owners))
    held_out: list[int] = []
    for owner in ranked[:-1]:
        if len(held_out) >= wanted:
            break
        held_out += members[owner]
    aside = set(held_out)
    return [index for index in range(len(owners)) if index not in aside], sorted(held_out)


def _jobs(params: Params, raw: Path, names: list[str], frames: list[Frame] | None) -> list[CropJob]:
    chosen = params.dataset.crop
    red, green, blue = chosen.background
    settings = CropSettings(
        resize=chosen.resize,
        center=chosen.center,
        filter=chosen.filter,
        min_pixels=chosen.min_pixels,
        background=(red, green, blue),
        resolutions=tuple(params.resolutions()),
    )
    if frames is None:
        return [CropJob(raw / name, None, None, settings) for name in names]
    return [
        CropJob(raw / frame.image, None if frame.depth is None else raw / frame.depth, frame.fov, settings)
        for frame in frames
    ]


def _write_arrays(
    results: Any, names: list[str], resolutions: list[int], has_depth: bool, folder: Path
) -> tuple[list[int], list[float | None], list[dict[str, str]]]:
    """Append the arrays of all usable images; returns their numbers, their opening angles, and the rejects."""
    kept: list[int] = []
    fovs: list[float | None] = []
    rejected: list[dict[str, str]] = []
    with contextlib.ExitStack() as stack:
        images = {
            size: stack.enter_context(RowWriter(folder / f"images_{size}.npy", (size, size, 3), np.uint8))
            for size in resolutions
        }
        depths = {
            size: stack.enter_context(RowWriter(folder / f"depth_{size}.npy", (size, size), np.float32))
            for size in (resolutions if has_depth else [])
        }
        result: Cropped
        for index, result in enumerate(results):
            if result.reason is not None:
                rejected.append({"file": names[index], "reason": result.reason})
                continue
            kept.append(index)
            fovs.append(result.fov)
            for size in resolutions:
                images[size].append(result.images[size])
            for size, writer in depths.items():
                writer.append(result.depths.get(size, np.full((size, size), np.nan, np.float32)))
    return kept, fovs, rejected


def _write_cameras(folder: Path, frames: list[Frame], fovs: list[float | None], yaw_mean: float) -> None:
    cam2world: Float[np.ndarray, "n 4 4"] = np.stack([frame.cam2world for frame in frames])
    pitch, yaw = pose_angles(cam2world, yaw_mean)
    np.savez(
        folder / "cameras.npz",
        cam2world=cam2world.astype(np.float32),
        fov=np.array(fovs, np.float32),
        pitch=pitch.astype(np.float32),
        yaw=yaw.astype(np.float32),
    )
