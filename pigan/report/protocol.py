"""How the numbers were measured, as rows of words; and where the runs were not measured alike."""

import math
from collections.abc import Mapping
from typing import Any

from pigan.report.collect import Collected
from pigan.report.metrics import EXTRACTOR_NAMES

NAMES = {
    "protocol": "Protocol",
    "extractor": "Feature extractor",
    "extractors": "Feature extractors",
    "resolution": "Image side, pixels",
    "filter": "Resize filter",
    "flip": "Real images mirrored",
    "align_corners": "Opening angle spans pixel centres",
    "depth_scale": "Depth range, world units",
    "real_images": "Real images",
    "other_real_images": "Further real images, for real against real",
    "held_out_images": "Held-out images",
    "fake_images": "Generated images",
    "truncation": "Truncation ψ",
    "weights": "Generator weights",
    "half_samples": "Random halves behind an interval",
    "infinity_points": "Image counts behind FID at infinity",
    "kid_subsets": "KID subsets",
    "kid_subset_size": "Images in a KID subset",
    "inception_splits": "Parts for the Inception score",
    "neighbours": "Neighbours of precision and recall",
    "occlusion_tolerance": "Counts as hidden from, share of the depth range",
    "depth_estimator": "Depth estimator",
    "face_embedder": "Face embedder",
    "sampling": "Sampling",
    "seed": "Seed of the subsets",
    "torch": "PyTorch",
    "torch_fidelity": "torch-fidelity",
    "device": "Device",
    "weights_sha256": "Extractor weights, SHA-256",
    "dataset_sha256": "Dataset, SHA-256",
    "depth_sha256": "Depth maps, SHA-256",
    "notes": "Notes",
}

# what the parts of nested settings are called
PARTS = {
    **EXTRACTOR_NAMES,
    "align_corners": "angle spans pixel centres",
    "background": "background",
    "activation": "activation of density or opacity",
    "far": "last depth",
    "fov_degrees": "opening angle, degrees",
    "hierarchical": "second, importance-sampled pass",
    "inversion": "inversion",
    "kernel": "kernel",
    "lock_view_direction": "colour free of the view",
    "lr": "learning rate",
    "near": "first depth",
    "pitch_mean": "pitch, middle",
    "pitch_spread": "pitch, spread",
    "pose_law": "law of cameras",
    "precision": "precision",
    "radius": "distance of cameras",
    "rays": "rays a step",
    "resolution": "image side, pixels",
    "samples": "samples a ray",
    "samples_multiplier": "samples relative to training",
    "sha256": "SHA-256",
    "snapshot_images": "images a snapshot",
    "truncation": "truncation ψ",
    "truncation_latents": "latents behind the truncation centre",
    "weights": "generator weights",
    "weights_sha256": "SHA-256 of the weights",
    "yaw_mean": "yaw, middle",
    "yaw_spread": "yaw, spread",
    "z_distribution": "law of latent codes",
}

# parts of the model, which an arm is there to change
OF_THE_MODEL = tuple(
    f"sampling.{name}" for name in ("z_distribution", "activation", "lock_view_direction", "hierarchical")
)
# fields that say which run it is, what became of it, or what an arm changes
OWN = ("checkpoint_sha256", "device", "notes", "sampling.kernel", *OF_THE_MODEL)


def protocol_rows(collected: Collected) -> list[tuple[str, list[str]]]:
    """How the metrics were measured: a name and lines of values.

    Every note and every part of nested settings has a line. Where runs differ, a value stands after its runs.
    """
    protocols = {f"{run.arm}/seed{run.seed}": run.protocol for run in collected.runs}
    keys = dict.fromkeys(key for protocol in protocols.values() for key in protocol if key != "checkpoint_sha256")
    ordered = [key for key in NAMES if key in keys] + [key for key in keys if key not in NAMES]
    rows = []
    for key in ordered:
        told = {run: _told(protocol.get(key)) for run, protocol in protocols.items()}
        owners: dict[str, list[str]] = {}
        for run, lines in told.items():
            for line in lines:
                owners.setdefault(line, []).append(run)
        lines = [line if len(runs) == len(told) else f"{', '.join(runs)}: {line}" for line, runs in owners.items()]
        rows.append((NAMES.get(key, key.replace("_", " ").capitalize()), lines or ["none"]))
    return rows


def differing_protocol(collected: Collected) -> list[str]:
    """Protocol fields that should be equal in all runs and are not."""
    flats = [flat(run.protocol) for run in collected.runs]
    keys = dict.fromkeys(key for values in flats for key in values if key not in OWN)
    return [key for key in keys if len({repr(values.get(key)) for values in flats}) > 1]


def without_own(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """How a run was measured, without what is its own."""
    return {key: value for key, value in protocol.items() if key not in OWN}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, keys joined by points."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _told(value: Any) -> list[str]:
    """The lines of a value: one a part of nested settings, one a note."""
    if isinstance(value, Mapping):
        return [f"{_part(key)}: {_angle(key, part) or _plain(part)}" for key, part in flat(value).items()]
    if isinstance(value, list) and any(" " in str(part) for part in value):
        return list(map(_plain, value))
    return [_plain(value)]


def _angle(key: str, value: Any) -> str:
    """Radians of the params in degrees, as the rest of the page has them; empty for what is no angle."""
    of_poses = key.rpartition(".")[2] in ("pitch_mean", "pitch_spread", "yaw_mean", "yaw_spread")
    return f"{math.degrees(value):.4g}°" if of_poses and isinstance(value, float) else ""


def _part(key: str) -> str:
    """`camera.pose_law` -> `law of cameras`."""
    parts = [part for part in key.split(".") if part != "camera"]
    return ", ".join(PARTS.get(part, part.replace("_", " ")) for part in parts)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return "–" if value is None else EXTRACTOR_NAMES.get(str(value), str(value))
