"""The stage `evaluate`: generated images and geometry in, metrics.json with its whole protocol out."""

import time
from pathlib import Path
from typing import Any

import torch
import torch_fidelity

from pigan.config import Params
from pigan.errors import PiganError
from pigan.evaluation.depth import depth_consistency, reprojection_error, weighted_depth_variance
from pigan.evaluation.features import extract
from pigan.evaluation.fidelity import frechet_distance, kernel_distance, precision_recall, statistics
from pigan.evaluation.stats import expected_meta, load_stats, read_arrays, read_images
from pigan.files import read_json, write_json

NO_DEPTH = "nothing that was rendered is opaque enough to have a depth"


def evaluate(params: Params, data: Path, stats: Path, generated: Path, out: Path, device: torch.device) -> None:
    """Writes metrics.json of the folder `generated`, against the real statistics `stats` of the dataset `data`.

    A metric that is not defined is null, with the reason in protocol["notes"].

    Raises:
        PiganError: an input is missing, or inputs do not belong together.
    """
    began = time.monotonic()
    config = params.evaluate
    real = load_stats(stats)
    meta = expected_meta(params, data)
    _same_origin(stats, real.meta, meta)
    made = read_json(generated / "generated.json")
    if made["resolution"] != meta["resolution"]:
        raise PiganError(
            f"{generated}: made at {made['resolution']} pixels, params say {meta['resolution']};"
            " run `pigan generate` again"
        )
    images = read_images(generated / f"images_{meta['resolution']}.npy")
    features = extract(images, config, device, "features of generated images")
    kernel = kernel_distance(features, real.features, config.kid_subsets, config.kid_subset_size, config.seed)
    overlap = precision_recall(features, real.features, config.neighbours)
    geometry = _geometry(params, generated)
    metrics = {
        f"fid_{config.extractor}": frechet_distance(statistics(features), real.fitted),
        f"kid_{config.extractor}": kernel.mean,
        f"kid_std_{config.extractor}": kernel.std,
        f"precision_{config.extractor}": overlap.precision,
        f"recall_{config.extractor}": overlap.recall,
        **geometry,
    }
    protocol = {
        "extractor": meta["extractor"],
        "weights_sha256": meta["weights_sha256"],
        "dataset_sha256": meta["dataset_sha256"],
        "real_images": meta["count"],
        "fake_images": len(images),
        "resolution": meta["resolution"],
        "filter": meta["filter"],
        "protocol": meta["protocol"],
        "kid_subsets": config.kid_subsets,
        "kid_subset_size": kernel.subset_size,
        "neighbours": config.neighbours,
        "seed": config.seed,
        "truncation": made["truncation"],
        "weights": made["weights"],
        "checkpoint_sha256": made["checkpoint_sha256"],
        "align_corners": params.camera.align_corners,
        "depth_scale": _depth_range(params),
        "torch": torch.__version__,
        "torch_fidelity": torch_fidelity.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "notes": [
            *_count_notes(len(images), len(real.features), real.features.shape[1]),
            *_subset_notes(kernel.subset_size, config.kid_subset_size),
            *(f"{name} is null: {NO_DEPTH}" for name, value in geometry.items() if value is None),
        ],
    }
    write_json(out, {**metrics, "seconds": round(time.monotonic() - began, 3), "protocol": protocol})


def _geometry(params: Params, generated: Path) -> dict[str, float | None]:
    """The metrics that need depth but no network."""
    views = read_arrays(generated / "consistency.npz", ("images", "depth", "cam2world", "fov"))
    geometry = read_arrays(generated / "geometry.npz", ("depth_variance",))
    depth, poses, fov = views["depth"], views["cam2world"], float(views["fov"])
    centres = params.camera.align_corners
    return {
        "reprojection_error": reprojection_error(views["images"], depth, poses, fov, centres),
        "depth_consistency": depth_consistency(depth, poses, fov, centres, _depth_range(params)),
        "depth_variance": weighted_depth_variance(geometry["depth_variance"]),
    }


def _depth_range(params: Params) -> float:
    return params.camera.far - params.camera.near


def _count_notes(fake_images: int, real_images: int, dimension: int) -> list[str]:
    if min(real_images, fake_images) >= dimension:
        return []
    counts = f"{fake_images} against {real_images} images in {dimension} dimensions"
    return [f"FID of {counts} is biased upwards; compare it only at equal counts"]


def _subset_notes(used: int, wanted: int) -> list[str]:
    return [f"KID subsets hold {used} images, not {wanted}: there are no more"] if used < wanted else []


def _same_origin(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuses statistics of another dataset, extractor or protocol."""
    for key, value in expected.items():
        if found.get(key) != value:
            raise PiganError(f"{path}: made with {key} {found.get(key)}, not {value}; run `pigan real-stats` again")
