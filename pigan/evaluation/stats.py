"""Features of the real images, computed once a dataset and extractor and shared by every evaluation."""

import hashlib
import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8

from pigan.config import Params
from pigan.errors import PiganError
from pigan.evaluation.extractors import load_extractor
from pigan.evaluation.features import depth_images, extract
from pigan.evaluation.frechet import Statistics, statistics
from pigan.evaluation.weights import weights_sha256
from pigan.files import atomic_file, read_json
from pigan.runtime import seed_of
from pigan.sections import Extractor


class RealStats(NamedTuple):
    """What data/stats/<dataset>/<extractor>_<res>.npz holds."""

    features: Float32[np.ndarray, "n d"]
    """Of the images that generated ones are compared with."""
    rows: Int64[np.ndarray, "n"]
    """Where these images are in the prepared arrays."""
    fitted: Statistics
    """The Gaussian of `features`."""
    other_features: Float32[np.ndarray, "m d"]
    """Of further training images, none of them among `rows`: what real images score against real images."""
    held_out_features: Float32[np.ndarray, "h d"]
    """Of images that training never sees."""
    depth_features: Float32[np.ndarray, "k d"]
    """Of the depth maps of `rows`, as images; without those that are wholly unknown, none if the data has no depth."""
    meta: dict[str, Any]


class Chosen(NamedTuple):
    """Which rows of the prepared arrays statistics look at, each part in ascending order."""

    compared: Int64[np.ndarray, "n"]
    other: Int64[np.ndarray, "m"]
    held_out: Int64[np.ndarray, "h"]


def real_stats(
    params: Params, prepared: Path, extractor: Extractor, out: Path, devices: Sequence[torch.device]
) -> None:
    """Writes features of real images, their Gaussian and their provenance; the same inputs give the same bytes.

    Under protocol `official` half of the images, drawn by evaluate.seed, are mirrored if dataset.flip says so: the
    authors' scripts do the same before they write the real images for FID. Depth maps are mirrored with their images.

    Raises:
        PiganError: the prepared data is missing or has too few images, or the extractor has no weights.
    """
    meta = expected_meta(params, prepared, extractor)
    chosen = _chosen(params, _described(prepared))
    if len(chosen.compared) < 2:
        raise PiganError(f"{prepared}: {len(chosen.compared)} training images; at least 2 are needed, so add images")
    images = read_images(prepared / f"images_{params.generate.resolution}.npy")
    network = load_extractor(extractor, params.evaluate)
    mirrored = _mirrored(params, len(images))

    def of(pictures: np.ndarray, rows: np.ndarray, flipped: np.ndarray, what: str) -> np.ndarray:
        return extract(pictures, network, params.evaluate, devices, f"features of {what} ({extractor})", rows, flipped)

    features = of(images, chosen.compared, mirrored[chosen.compared], "real images")
    others = of(images, chosen.other, mirrored[chosen.other], "other real images")
    held_out = of(images, chosen.held_out, mirrored[chosen.held_out], "held-out images")
    depths, known = _depths(params, prepared, meta, chosen.compared, images.shape[:3])
    depth_features = of(depths, np.arange(len(depths)), mirrored[known], "real depth maps")
    fitted = statistics(features)
    with atomic_file(out) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            features=features,
            rows=chosen.compared,
            other_features=others,
            held_out_features=held_out,
            depth_features=depth_features,
            mean=fitted.mean,
            covariance=fitted.covariance,
            meta=np.array(json.dumps(meta, sort_keys=True)),
        )


def expected_meta(params: Params, prepared: Path, extractor: Extractor) -> dict[str, Any]:
    """What statistics under these params and of this data must say of themselves: all that determines them.

    Raises:
        PiganError: the prepared data is missing or not at this resolution, or the extractor has no weights.
    """
    dataset = _described(prepared)
    resolution = params.generate.resolution
    name = f"images_{resolution}.npy"
    if name not in dataset["sha256"]:
        raise PiganError(f"{prepared}: not prepared at {resolution} pixels; run `pigan crop` with these params again")
    chosen = _chosen(params, dataset)
    flip = _flips(params)
    depth = dataset["sha256"].get(f"depth_{resolution}.npy")
    return {
        "extractor": extractor,
        "weights_sha256": weights_sha256(extractor, params.evaluate),
        "count": len(chosen.compared),
        "other_count": len(chosen.other),
        "held_out_count": len(chosen.held_out),
        # which images, whatever their number
        "rows_sha256": hashlib.sha256(json.dumps([part.tolist() for part in chosen]).encode()).hexdigest(),
        "resolution": resolution,
        "filter": dataset["crop"]["filter"],
        "protocol": params.evaluate.protocol,
        "flip": flip,
        "flip_seed": params.evaluate.seed if flip else None,
        "dataset_sha256": dataset["sha256"][name],
        "depth_sha256": depth,
        "depth_range": None if depth is None else [params.camera.near, params.camera.far],
    }


def load_stats(path: Path) -> RealStats:
    """Statistics that `real_stats` wrote.

    Raises:
        PiganError: the file is missing or cannot be read.
    """
    stored = read_arrays(path, (*(name for name in RealStats._fields if name != "fitted"), "mean", "covariance"))
    fitted = Statistics(stored.pop("mean"), stored.pop("covariance"))
    meta = json.loads(str(stored.pop("meta")))
    return RealStats(**stored, fitted=fitted, meta=meta)


def read_images(path: Path) -> UInt8[np.ndarray, "n h w 3"]:
    """Images of an .npy file, mapped and not read into memory.

    Raises:
        PiganError: the file is missing, cannot be read, or holds no images.
    """
    images = _mapped(path)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or math.prod(images.shape) == 0:
        raise PiganError(f"{path}: {images.dtype} {images.shape} are no RGB images; run the stage that writes it again")
    return images


def read_depth(path: Path) -> Float32[np.ndarray, "n h w"]:
    """Depth maps of an .npy file, mapped and not read into memory.

    Raises:
        PiganError: the file is missing, cannot be read, or holds no depth maps.
    """
    depth = _mapped(path)
    if depth.dtype != np.float32 or depth.ndim != 3:
        raise PiganError(f"{path}: {depth.dtype} {depth.shape} are no depth maps; run the stage that writes it again")
    return depth


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named arrays of an .npz file.

    Raises:
        PiganError: the file is missing, cannot be read, or lacks one.
    """
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except FileNotFoundError:
        raise PiganError(f"{path}: no such file; run the stage that writes it first") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise PiganError(f"{path}: cannot be read ({error}); delete it and run its stage again") from None


def _mapped(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise PiganError(f"{path}: no such file; run the stage that writes it first") from None
    except (OSError, ValueError) as error:
        raise PiganError(f"{path}: cannot be read ({error}); delete it and run its stage again") from None
    return array


def _described(prepared: Path) -> dict[str, Any]:
    """The dataset.json of prepared data, of which what is read here is there."""
    path = prepared / "dataset.json"
    dataset = read_json(path)
    try:
        parts = (dataset["sha256"], dataset["crop"]["filter"], dataset["split"]["train"], dataset["split"]["held_out"])
    except (KeyError, TypeError) as error:
        raise PiganError(f"{path}: incomplete ({error}); run `pigan crop` again") from None
    if not isinstance(parts[0], dict):
        raise PiganError(f"{path}: incomplete (sha256); run `pigan crop` again")
    return dict(dataset)


def _chosen(params: Params, dataset: dict[str, Any]) -> Chosen:
    """Training images, other ones, and held-out ones, drawn by `evaluate.seed`: neighbours in a list may be alike."""
    train, held_out = (
        np.random.default_rng(seed_of("real images", part, params.evaluate.seed)).permutation(dataset["split"][part])
        for part in ("train", "held_out")
    )
    count, others = params.evaluate.real_images, params.generate.images
    parts = (train[:count], train[count : count + others], held_out[:count])
    return Chosen(*(np.array(sorted(part), np.int64) for part in parts))


def _flips(params: Params) -> bool:
    return params.dataset.flip and params.evaluate.protocol == "official"


def _mirrored(params: Params, count: int) -> Bool[np.ndarray, "count"]:
    """Which rows of the prepared arrays are mirrored: a coin for each row, whatever else is chosen."""
    coins = np.random.default_rng(seed_of("mirrored real images", params.evaluate.seed)).random(count) < 0.5
    return coins if _flips(params) else np.zeros(count, bool)


def _depths(
    params: Params, prepared: Path, meta: dict[str, Any], rows: np.ndarray, shape: tuple[int, ...]
) -> tuple[UInt8[np.ndarray, "k h w 3"], Int64[np.ndarray, "k"]]:
    """Depth maps of `rows` as images, and of which rows they are; none where nothing is known of the depth."""
    if meta["depth_sha256"] is None:
        return np.empty((0, *shape[1:], 3), np.uint8), rows[:0]
    path = prepared / f"depth_{params.generate.resolution}.npy"
    try:
        maps: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise PiganError(f"{path}: cannot be read ({error}); run `pigan crop` again") from None
    if maps.dtype != np.float32 or maps.shape != shape:
        raise PiganError(f"{path}: holds {maps.dtype} {maps.shape}, not float32 {shape}; run `pigan crop` again")
    depth = maps[rows]
    known = ~np.isnan(depth).all((1, 2))
    near, far = meta["depth_range"]
    return depth_images(depth[known], near, far), rows[known]
