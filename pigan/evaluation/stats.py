"""Features of the real images, computed once a dataset and shared by every evaluation."""

import json
import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from pigan.config import Params
from pigan.errors import PiganError
from pigan.evaluation.features import extract, weights_sha256
from pigan.evaluation.fidelity import Statistics, statistics
from pigan.files import atomic_file, read_json


class RealStats(NamedTuple):
    """What data/stats/<dataset>/<extractor>_<res>.npz holds."""

    features: Float32[np.ndarray, "n d"]
    fitted: Statistics
    meta: dict[str, Any]


def real_stats(params: Params, prepared: Path, out: Path, device: torch.device) -> None:
    """Writes features, their Gaussian and their provenance of the first training images of a prepared dataset.

    Raises:
        PiganError: the prepared data is missing or has too few images, or the extractor has no weights.
    """
    meta = expected_meta(params, prepared)
    train = read_json(prepared / "dataset.json")["split"]["train"][: meta["count"]]
    if len(train) < 2:
        raise PiganError(f"{prepared}: {len(train)} training images; at least 2 are needed, so add images")
    images = read_images(prepared / f"images_{params.generate.resolution}.npy")[sorted(train)]
    features = extract(images, params.evaluate, device, "features of real images")
    fitted = statistics(features)
    with atomic_file(out) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            features=features,
            mean=fitted.mean,
            covariance=fitted.covariance,
            meta=np.array(json.dumps(meta, sort_keys=True)),
        )


def expected_meta(params: Params, prepared: Path) -> dict[str, Any]:
    """What statistics under these params and of this data must say of themselves.

    Raises:
        PiganError: the prepared data is missing or not at this resolution, or the extractor has no weights.
    """
    dataset = read_json(prepared / "dataset.json")
    resolution = params.generate.resolution
    name = f"images_{resolution}.npy"
    if name not in dataset["sha256"]:
        raise PiganError(f"{prepared}: not prepared at {resolution} pixels; run `pigan crop` with these params again")
    return {
        "extractor": params.evaluate.extractor,
        "weights_sha256": weights_sha256(params.evaluate),
        "count": min(params.evaluate.real_images, len(dataset["split"]["train"])),
        "resolution": resolution,
        "filter": dataset["crop"]["filter"],
        "protocol": params.evaluate.protocol,
        "dataset_sha256": dataset["sha256"][name],
    }


def load_stats(path: Path) -> RealStats:
    """Statistics that `real_stats` wrote.

    Raises:
        PiganError: the file is missing or cannot be read.
    """
    stored = read_arrays(path, ("features", "mean", "covariance", "meta"))
    fitted = Statistics(stored["mean"], stored["covariance"])
    return RealStats(stored["features"], fitted, json.loads(str(stored["meta"])))


def read_images(path: Path) -> UInt8[np.ndarray, "n h w 3"]:
    """Images of an .npy file, mapped and not read into memory.

    Raises:
        PiganError: the file is missing, cannot be read, or holds no images.
    """
    try:
        images: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise PiganError(f"{path}: no such file; run the stage that writes it first") from None
    except (OSError, ValueError) as error:
        raise PiganError(f"{path}: cannot be read ({error}); delete it and run its stage again") from None
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or math.prod(images.shape) == 0:
        raise PiganError(f"{path}: {images.dtype} {images.shape} are no RGB images; run the stage that writes it again")
    return images


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
