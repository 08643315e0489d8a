"""The stage `evaluate`: generated images and geometry in, metrics.json with its whole protocol out."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_fidelity
from jaxtyping import Float32, Int64

from pigan.chain.place import GENERATED
from pigan.config import Params
from pigan.errors import PiganError
from pigan.evaluation.extractors import Extractor, load_extractor
from pigan.evaluation.features import depth_images, extract
from pigan.evaluation.fidelity import Fidelity, fidelity
from pigan.evaluation.frechet import frechet_distance, statistics
from pigan.evaluation.intervals import bounded
from pigan.evaluation.kid import kernel_distance
from pigan.evaluation.measured import measured
from pigan.evaluation.memorisation import closest, nearest
from pigan.evaluation.pictures import NEIGHBOURS, ROWS, write_neighbours
from pigan.evaluation.shape import depth_range, shape_metrics
from pigan.evaluation.stats import RealStats, expected_meta, load_stats, read_depth, read_images
from pigan.files import atomic_directory, read_json, write_json
from pigan.sections import Extractor as ExtractorName
from pigan.shortage import advised

# what all extractors of a run have in common
SHEET = "neighbours.png"
COMMON = ("resolution", "filter", "protocol", "flip", "dataset_sha256", "depth_sha256")


@advised("evaluating", "set evaluate.batch_size, evaluate.real_images or generate.images lower, or free some memory")
def evaluate(
    params: Params, data: Path, stats: Path, generated: Path, pictures: Path, out: Path, devices: Sequence[torch.device]
) -> None:
    """Writes the metrics of the folder `generated` to `out`, and what they look like into the folder `pictures`.

    Real images are known by the files of `real_stats` in the folder `stats`. Features are extracted once an extractor,
    by `devices` together. A metric that is not defined is null, with the reason in protocol["notes"].

    Raises:
        PiganError: an input is missing, or inputs do not belong together.
    """
    began = time.monotonic()
    config, resolution = params.evaluate, params.generate.resolution
    made = read_json(generated / GENERATED)
    if made["resolution"] != resolution:
        raise PiganError(
            f"{generated}: made at {made['resolution']} pixels, params say {resolution}; run `pigan generate` again"
        )
    real = {name: _real(params, data, stats, name) for name in config.extractors}
    found, curve, sizes = measured({}, ""), [], {}
    with atomic_directory(pictures, SHEET) as folder:
        for name in config.extractors:
            network = load_extractor(name, config)
            features, scores = _one_extractor(params, network, generated, real[name], devices)
            found, sizes[name] = found + scores.measured, scores.kid_subset_size
            if name == config.extractor:
                likeliest = closest(scores.nearest, ROWS)
                _show_neighbours(params, data, generated, folder, likeliest, features, real[name])
                curve = _curve(params, network, generated, real[name], devices)
        found += shape_metrics(params, data, generated, folder, made["missing"], devices[0])
    lead = real[config.extractor].meta
    protocol = {
        "extractors": {
            name: {"weights_sha256": stored.meta["weights_sha256"], "real_images": stored.meta["count"]}
            for name, stored in real.items()
        },
        "extractor": config.extractor,
        "weights_sha256": lead["weights_sha256"],
        "real_images": lead["count"],
        "other_real_images": lead["other_count"],
        "held_out_images": lead["held_out_count"],
        "fake_images": made["images"],
        **{key: lead[key] for key in COMMON},
        "intervals": "95 %, of this trained model: how far values would move with other images, views or objects",
        "half_samples": config.half_samples,
        "infinity_points": config.infinity_points,
        "kid_subsets": config.kid_subsets,
        "kid_subset_size": sizes[config.extractor],
        "inception_splits": config.inception_splits,
        "neighbours": config.neighbours,
        "occlusion_tolerance": config.occlusion_tolerance,
        "depth_estimator": config.depth_estimator and config.depth_estimator.sha256,
        "face_embedder": config.face_embedder and config.face_embedder.sha256,
        "seed": config.seed,
        "truncation": made["truncation"],
        "weights": made["weights"],
        "sampling": made["sampling"],
        "checkpoint_sha256": made["checkpoint_sha256"],
        "align_corners": params.camera.align_corners,
        "depth_scale": depth_range(params),
        "torch": torch.__version__,
        "torch_fidelity": torch_fidelity.__version__,
        "device": torch.cuda.get_device_name(devices[0]) if devices[0].type == "cuda" else devices[0].type,
        "notes": found.notes,
    }
    write_json(
        out,
        {
            **found.values,
            "intervals": {key: bounded(interval, key) for key, interval in found.intervals.items()},
            "curve": curve,
            "seconds": round(time.monotonic() - began, 3),
            "protocol": protocol,
        },
    )


def _real(params: Params, data: Path, stats: Path, name: ExtractorName) -> RealStats:
    """Statistics of the real images under one extractor; those of other data, weights or protocol are refused."""
    path = stats / f"{name}_{params.generate.resolution}.npz"
    stored = load_stats(path)
    for key, value in expected_meta(params, data, name).items():
        if stored.meta.get(key) != value:
            raise PiganError(
                f"{path}: made with {key} {stored.meta.get(key)}, not {value}; run `pigan real-stats` again"
            )
    return stored


def _one_extractor(
    params: Params, network: Extractor, generated: Path, real: RealStats, devices: Sequence[torch.device]
) -> tuple[Float32[np.ndarray, "n d"], Fidelity]:
    """Features of the generated images, and all metrics of them."""
    config, resolution = params.evaluate, params.generate.resolution
    images = read_images(generated / f"images_{resolution}.npy")
    features = extract(images, network, config, devices, f"features of generated images ({network.name})")
    depths = None
    if len(real.depth_features):
        depth = read_depth(generated / f"depth_{resolution}.npy")
        shown = depth_images(depth, params.camera.near, params.camera.far)
        depths = extract(shown, network, config, devices, f"features of generated depth maps ({network.name})")
    logits = None if network.class_weights is None else network.class_weights.logits(features)
    found = fidelity(network.name, features, real, config, logits, depths)
    return features, found


def _show_neighbours(
    params: Params,
    data: Path,
    generated: Path,
    folder: Path,
    likeliest: Int64[np.ndarray, "k"],
    features: Float32[np.ndarray, "n d"],
    real: RealStats,
) -> None:
    """neighbours.png: the `likeliest` copies among the generated images, beside their nearest training images."""
    resolution = params.generate.resolution
    rows = real.rows[nearest(features[likeliest], real.features, NEIGHBOURS).indices]
    write_neighbours(
        folder / SHEET,
        read_images(generated / f"images_{resolution}.npy")[likeliest],
        read_images(data / f"images_{resolution}.npy"),
        rows,
    )


def _curve(
    params: Params, network: Extractor, generated: Path, real: RealStats, devices: Sequence[torch.device]
) -> list[dict[str, Any]]:
    """FID and KID of every kept snapshot, oldest first; all of them show equally many images."""
    config, rows = params.evaluate, []
    folder = generated / "snapshots"
    for snapshot in read_json(folder / "index.json")["snapshots"]:
        images = read_images(folder / snapshot["file"])
        features = extract(images, network, config, devices, f"features at step {snapshot['step']}")
        kernel = kernel_distance(features, real.features, config.kid_subsets, config.kid_subset_size, config.seed)
        rows.append(
            {
                **{key: snapshot[key] for key in ("step", "images_seen", "resolution")},
                "images": len(images),
                f"fid_{network.name}": frechet_distance(statistics(features), real.fitted),
                f"kid_{network.name}": kernel.mean,
            }
        )
    return rows
