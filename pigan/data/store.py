"""Prepared data: memory-mapped arrays on disk, and seeded batches of it on the device."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from torch import Tensor

from pigan.errors import PiganError
from pigan.files import read_json
from pigan.latency import appears

# share of the free device memory that images may take; training needs the rest
DEVICE_SHARE = 0.4
UPLOAD_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Cameras:
    """Cameras of all images, OpenGL convention."""

    cam2world: Float[np.ndarray, "n 4 4"]
    fov: Float[np.ndarray, " n"]
    """Opening angle between the outer edges, radians."""
    pitch: Float[np.ndarray, " n"]
    yaw: Float[np.ndarray, " n"]


class Prepared:
    """A directory that `pigan.data.crop.crop` wrote: images, and depth maps and cameras where known."""

    def __init__(self, path: Path) -> None:
        """Open `path`; arrays are mapped when asked for.

        Raises:
            PiganError: the directory or its dataset.json is missing or broken.
        """
        if not appears(path / "dataset.json") and not path.is_dir():
            raise PiganError(f"{path}: no prepared data here; run `pigan crop --out {path}` first")
        self.path = path
        self.info: dict[str, Any] = read_json(path / "dataset.json")
        try:
            self.name: str = self.info["name"]
            self.count: int = self.info["count"]
            self.names: list[str] = self.info["names"]
            self.resolutions: list[int] = self.info["resolutions"]
            self.train = np.array(self.info["split"]["train"], np.int64)
            self.held_out = np.array(self.info["split"]["held_out"], np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise PiganError(f"{path / 'dataset.json'}: incomplete ({error}); run `pigan crop` again") from None

    def images(self, resolution: int) -> UInt8[np.ndarray, "n h w 3"]:
        """All images at a resolution, memory-mapped.

        Raises:
            PiganError: not prepared at this resolution, or the file is missing or broken.
        """
        return self._array("images", resolution, (self.count, resolution, resolution, 3), np.dtype(np.uint8))

    def depth(self, resolution: int) -> Float[np.ndarray, "n h w"] | None:
        """All depth maps (z-depth, world units, NaN: nothing there), memory-mapped; None when the data has none.

        Raises:
            PiganError: not prepared at this resolution, or the file is broken.
        """
        if not any(name.startswith("depth_") for name in self.info.get("sha256", {})):
            return None
        return self._array("depth", resolution, (self.count, resolution, resolution), np.dtype(np.float32))

    @functools.cached_property
    def cameras(self) -> Cameras | None:
        """Cameras of all images; None when unknown.

        Raises:
            PiganError: the file is broken.
        """
        path = self.path / "cameras.npz"
        if not path.exists() and path.name not in self.info.get("sha256", {}):
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                cameras = Cameras(file["cam2world"], file["fov"], file["pitch"], file["yaw"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise PiganError(f"{path}: cannot be read ({error}); run `pigan crop` again") from None
        if len(cameras.cam2world) != self.count:
            raise PiganError(
                f"{path}: {len(cameras.cam2world)} cameras for {self.count} images; run `pigan crop` again"
            )
        return cameras

    def _array(self, kind: str, resolution: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        path = self.path / f"{kind}_{resolution}.npy"
        if resolution not in self.resolutions:
            known = ", ".join(map(str, self.resolutions))
            raise PiganError(f"{self.path}: not prepared at {resolution} px, only at {known}; run `pigan crop` again")
        appears(path)
        try:
            # copy-on-write: torch can share the memory, and the file stays as it is
            array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise PiganError(f"{path}: cannot be read ({error}); run `pigan crop` again") from None
        if array.shape != shape or array.dtype != dtype:
            raise PiganError(f"{path}: holds {array.dtype} {array.shape}, not {dtype} {shape}; run `pigan crop` again")
        return array


def spread(rows: Int64[np.ndarray, "n"], count: int) -> Int64[np.ndarray, "k"]:
    """`count` of `rows` at even distances; all where there are no more.

    >>> spread(np.arange(10), 4), spread(np.arange(2), 4)
    (array([0, 3, 6, 9]), array([0, 1]))
    """
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def batch_indices(
    count: int, batch_size: int, step: int, seed: int, rank: int = 0, ranks: int = 1
) -> Int64[Tensor, " part"]:
    """Which of `count` images are in the batch of a step (from 0): consecutive pieces of one seeded shuffle an epoch.

    A pure function, so that training resumes anywhere; batches run over the ends of epochs. Of several `ranks`, each
    takes its part: the parts, one behind the other, are the batch of one device, and differ in length by one at most.

    Raises:
        ValueError: there are no images, the step is negative, or there is no such rank.
    """
    if count < 1 or batch_size < 1 or step < 0:
        raise ValueError(f"no batch {step} of {batch_size} among {count} images")
    if not 0 <= rank < ranks:
        raise ValueError(f"no rank {rank} among {ranks}")
    position, end = step * batch_size, (step + 1) * batch_size
    pieces = []
    while position < end:
        epoch, offset = divmod(position, count)
        piece = _shuffled(count, seed, epoch)[offset : offset + end - position]
        pieces.append(piece)
        position += len(piece)
    return torch.cat(pieces).tensor_split(ranks)[rank]


class TrainingImages:
    """The training images of one resolution, kept as bytes on the device and handed out as float batches."""

    def __init__(self, prepared: Prepared, resolution: int, device: torch.device) -> None:
        """Upload the training split once; on the CPU, or when it would crowd out training, it stays memory-mapped.

        Raises:
            PiganError: not prepared at this resolution, or no image to train on.
        """
        if not len(prepared.train):
            raise PiganError(f"{prepared.path}: no image to train on; lower dataset.held_out or add images")
        self.device, self.count = device, len(prepared.train)
        self._rows = torch.from_numpy(prepared.train)
        self._bytes = torch.from_numpy(np.asarray(prepared.images(resolution)))
        if (
            device.type == "cuda"
            and self.count * self._bytes[0].numel() < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]
        ):
            self._bytes = torch.cat([self._bytes[rows].to(device) for rows in torch.split(self._rows, UPLOAD_ROWS)])
            self._rows = torch.arange(self.count, device=device)
        cameras = prepared.cameras
        self._poses: Float[Tensor, "n 2"] | None = None
        if cameras is not None:
            angles = np.stack([cameras.pitch, cameras.yaw], 1)[prepared.train]
            self._poses = torch.from_numpy(angles.astype(np.float32)).to(device)

    def images(self, indices: Int64[Tensor, " b"], flip: Bool[Tensor, " b"] | None = None) -> Float[Tensor, "b 3 h w"]:
        """Images in [-1, 1] on the device; `indices` count within the training split, `flip` mirrors left and right."""
        # bytes are a quarter of the floats: gathered, mirrored and turned to planes before they are converted
        rows = self._rows[_sent(indices, self._rows.device)]
        taken = _sent(self._bytes.index_select(0, rows), self.device)
        if flip is not None:
            taken = torch.where(_sent(flip, self.device)[:, None, None, None], taken.flip(2), taken)
        return taken.permute(0, 3, 1, 2).contiguous().float().div_(127.5).sub_(1)

    def poses(
        self, indices: Int64[Tensor, " b"], flip: Bool[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b 2"] | None:
        """Pitch and yaw (radians) of images, None when unknown; a mirrored image is seen from the mirrored yaw."""
        if self._poses is None:
            return None
        pitch, yaw = self._poses[_sent(indices, self.device)].unbind(1)
        if flip is not None:
            # the mirror is the plane x = 0, across which yaw pi / 2 looks straight
            yaw = torch.where(_sent(flip, self.device), torch.pi - yaw, yaw)
        return torch.stack([pitch, yaw], 1)


def _sent(values: Shaped[Tensor, "*any"], device: torch.device) -> Shaped[Tensor, "*any"]:
    """`values` on the device, without waiting for what it does: CUDA has copied pageable memory when this returns."""
    return values.to(device, non_blocking=True)


@functools.lru_cache(maxsize=4)
def _shuffled(count: int, seed: int, epoch: int) -> Int64[Tensor, " count"]:
    """The order of one epoch."""
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.randperm(count, generator=torch.Generator().manual_seed(mixed))
