"""All metrics of shape, views, depth and pose of one run, from the arrays that `pigan generate` wrote."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from pigan.config import Params
from pigan.data.store import Prepared
from pigan.evaluation.consistency import depth_consistency, reprojection_error, weighted_depth_variance
from pigan.evaluation.depth import align_scale_shift, errors_against_truth, psnr
from pigan.evaluation.exact import exact_views
from pigan.evaluation.hollow import empty_rays, empty_rays_real, hollow_share
from pigan.evaluation.intervals import Estimate
from pigan.evaluation.measured import ACROSS_VIEWS, Measured, measured, missing
from pigan.evaluation.networks import estimated_depth_error, identity_similarity
from pigan.evaluation.pictures import write_inversion_sheet
from pigan.evaluation.pose import pose_error
from pigan.evaluation.stats import read_arrays, read_depth, read_images

NO_DEPTH = "nothing that was rendered is opaque enough to have a depth"
# what the exact renderer of the data scores
EXACT = tuple(f"{key}_exact" for key in ACROSS_VIEWS)
INVERSION = ("inversion_psnr",)
TRUE_DEPTH = ("depth_rmse", "depth_abs_rel", "depth_delta", "depth_zscore_mse", "normal_error")
POSES = ("pose_error_generated", "pose_error_real")


def shape_metrics(
    params: Params, data: Path, generated: Path, pictures: Path, reasons: dict[str, str], device: torch.device
) -> Measured:
    """Every metric that needs depth, cameras or poses; writes inversion.png into `pictures` if views were inverted.

    `reasons` is what generated.json says of the files that were not made: `inversion`, `pose`.

    Raises:
        PiganError: a file is missing or broken.
    """
    found = _views(params, generated) + _surfaces(params, data, generated)
    if "inversion" in reasons:
        found += missing((*INVERSION, *TRUE_DEPTH), reasons["inversion"])
    else:
        found += _inversions(params, generated, pictures)
    found += missing(POSES, reasons["pose"]) if "pose" in reasons else _poses(generated)
    return found + _networks(params, generated, device)


def depth_range(params: Params) -> float:
    """What depths are divided by, world units."""
    return params.camera.far - params.camera.near


def _views(params: Params, generated: Path) -> Measured:
    """What several views of the same object say of each other."""
    views = read_arrays(generated / "consistency.npz", ("images", "depth", "cam2world", "fov"))
    images, depth, poses, fov = (views[name] for name in ("images", "depth", "cam2world", "fov"))
    hollow = hollow_share(depth[:, depth.shape[1] // 2])
    found = _across_views(params, images, depth, poses, float(fov), params.camera.align_corners)
    return measured({**found, "hollow_share": hollow and hollow.share}, NO_DEPTH) + exact_scores(params)


def exact_scores(params: Params) -> Measured:
    """What the metrics across views give the exact renderer of the data: each under its own key and `_exact`."""
    views = exact_views(params)
    if views is None:
        return missing(EXACT, f"dataset.kind {params.dataset.kind} has no exact renderer here, only cars has")
    found = _across_views(params, *views, align_corners=False)
    return measured(dict(zip(EXACT, found.values(), strict=True)), "the exact renderer shows too little of any surface")


def _across_views(
    params: Params,
    images: UInt8[np.ndarray, "object view side side 3"],
    depth: Float32[np.ndarray, "object view side side"],
    poses: Float32[np.ndarray, "view 4 4"],
    fov: float,
    align_corners: bool,
) -> dict[str, Estimate | float | None]:
    """The metrics of ACROSS_VIEWS, in its order."""
    scale = depth_range(params)
    shots = depth, poses, fov, align_corners, scale
    moved = reprojection_error(images, *shots, params.evaluate.occlusion_tolerance)
    parts = (moved.photometric, moved.depth, moved.visible) if moved else (None,) * 3
    return dict(zip(ACROSS_VIEWS, (*parts, depth_consistency(*shots)), strict=True))


def _surfaces(params: Params, data: Path, generated: Path) -> Measured:
    """What single rays say."""
    rays = read_arrays(generated / "geometry.npz", ("depth_variance", "empty"))
    found = measured({"depth_variance": weighted_depth_variance(rays["depth_variance"])}, NO_DEPTH)
    found += measured({"empty_rays": empty_rays(rays["empty"])}, "no image was rendered")
    prepared = Prepared(data)
    real = prepared.depth(params.generate.resolution)
    known = None if real is None else empty_rays_real(real[prepared.train])
    return found + measured({"empty_rays_real": known}, "the data has no depth")


def _inversions(params: Params, generated: Path, pictures: Path) -> Measured:
    """Held-out views beside what the generator makes of them."""
    names = ("target", "images", "depth", "true_depth", "fov")
    target, images, depth, truth, fov = read_arrays(generated / "inversion.npz", names).values()
    found = measured({"inversion_psnr": psnr(images, target)}, "no view was inverted")
    write_inversion_sheet(
        pictures / "inversion.png", target, images, truth, _aligned(depth, truth), depth_range(params)
    )
    errors = errors_against_truth(depth, truth, fov)
    if errors is None:
        return found + missing(TRUE_DEPTH, "the held-out views have no depth")
    return found + measured(
        dict(zip(TRUE_DEPTH, errors, strict=True)), "the held-out views show too little of any surface"
    )


def _aligned(
    depth: Float32[np.ndarray, "view side side"], truth: Float32[np.ndarray, "view side side"]
) -> Float32[np.ndarray, "view side side"]:
    """Scale and shift fitted view by view; as it is where there is nothing to fit them to."""
    known = np.isfinite(truth).sum((1, 2)) > 1
    fitted = [
        align_scale_shift(ours, true) if fits else ours for ours, true, fits in zip(depth, truth, known, strict=True)
    ]
    return np.stack(fitted).astype(np.float32)


def _poses(generated: Path) -> Measured:
    poses = read_arrays(generated / "pose.npz", ("generated", "generated_true", "real", "real_true"))
    made = pose_error(poses["generated"], poses["generated_true"])
    real = pose_error(poses["real"], poses["real_true"])
    return measured(
        {"pose_error_generated": made and made.mean, "pose_error_real": real and real.mean},
        "the held-out images have no cameras",
    )


def _networks(params: Params, generated: Path, device: torch.device) -> Measured:
    """What the networks say that the params name; nothing without any."""
    evaluate, found = params.evaluate, measured({}, "")
    if evaluate.depth_estimator is not None:
        images = read_images(generated / f"images_{params.generate.resolution}.npy")
        depth = read_depth(generated / f"depth_{params.generate.resolution}.npy")
        error = estimated_depth_error(images, depth, evaluate.depth_estimator, evaluate.batch_size, device)
        dropped = (f"depth_estimated_zscore_mse leaves out {error.dropped} images with too little depth",)
        found += measured({"depth_estimated_zscore_mse": error.zscore_mse}, NO_DEPTH, dropped if error.dropped else ())
    if evaluate.face_embedder is not None:
        pairs = read_arrays(generated / "pairs.npz", ("images",))["images"]
        alike = identity_similarity(pairs, evaluate.face_embedder, evaluate.batch_size, device)
        found += measured({"identity_similarity": alike}, "there are no pairs of views")
    return found
