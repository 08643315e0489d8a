"""generate: everything that is rendered of a trained model, for metrics and for people."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from pigan.chain.place import CHECKPOINT, GENERATED
from pigan.config import Params
from pigan.data.store import Prepared
from pigan.errors import PiganError
from pigan.files import atomic_directory, sha256_file, write_json
from pigan.kernels.choose import rendering_numerics
from pigan.latency import appears
from pigan.runtime import choose_device, device_name, prepare_process, share_among
from pigan.shortage import advised
from pigan.synthesis.encoded_poses import write_encoded_poses
from pigan.synthesis.evaluation_set import write_consistency_views, write_evaluation_set, write_pairs
from pigan.synthesis.history import write_history
from pigan.synthesis.inversion import write_inversions
from pigan.synthesis.mesh_pictures import write_mesh
from pigan.synthesis.pictures import write_pictures
from pigan.synthesis.sweeps import write_sweeps
from pigan.synthesis.video import write_turntable
from pigan.training.state import load_generator

Result = TypeVar("Result")


class Stopwatch(dict[str, float]):
    """Seconds that each part took, by its name."""

    def time(self, name: str, part: Callable[..., Result], *arguments: Any) -> Result:
        """What `part` returns for `arguments`."""
        began = time.monotonic()
        result = part(*arguments)
        self[name] = round(time.monotonic() - began, 3)
        return result


@advised("rendering", "set generate.resolution, generate.images or generate.inversion.rays lower, or free some memory")
def generate_stage(
    params: Params, arm: str, seed: int, model: Path, data: Path, out: Path, asked_device: str, gpus: int = 1
) -> None:
    """Everything that is rendered from one trained arm; `model` is the directory of its last training stage.

    `data` is the prepared data, whose held-out images are inverted; `gpus` of them share the rendering.

    Raises:
        PiganError: no checkpoint, or one of another architecture; no prepared data; fewer GPUs than were asked for.
    """
    resolved = params.for_arm(arm)
    device = choose_device(asked_device, gpus)
    devices = share_among(device, gpus)
    prepare_process(resolved.training.threads)
    checkpoint = model / CHECKPOINT
    if not appears(checkpoint):
        raise PiganError(f"{checkpoint}: no such checkpoint; run `pigan train` for this stage first")
    settings, prepared = resolved.generate, Prepared(data)
    generator = load_generator(checkpoint, resolved, settings.weights, device)
    parts = Stopwatch()
    with atomic_directory(out, GENERATED) as folder:
        images = parts.time("images", write_evaluation_set, generator, resolved, folder, devices)
        parts.time("consistency", write_consistency_views, generator, resolved, folder)
        parts.time("pairs", write_pairs, generator, resolved, folder)
        parts.time("snapshots", write_history, generator, resolved, checkpoint, folder, devices)
        reasons = {
            "inversion": parts.time("inversion", write_inversions, generator, resolved, prepared, folder),
            "pose": parts.time("pose", write_encoded_poses, checkpoint, resolved, prepared, folder, device),
        }
        parts.time("pictures", write_pictures, generator, resolved, folder)
        parts.time("sweeps", write_sweeps, generator, resolved, folder)
        parts.time("turntable", write_turntable, generator, resolved, folder)
        reasons["mesh"] = parts.time("mesh", write_mesh, generator, resolved, folder)
        seconds = parts["images"]
        write_json(
            folder / GENERATED,
            {
                "arm": arm,
                "seed": seed,
                "checkpoint_sha256": sha256_file(checkpoint),
                "weights": settings.weights,
                "truncation": settings.truncation,
                "images": images,
                "resolution": settings.resolution,
                "samples_a_ray": resolved.rendered_samples,
                "fov_degrees": math.degrees(resolved.camera.fov),
                "sampling": sampling(resolved, device),
                "missing": {name: reason for name, reason in reasons.items() if reason is not None},
                "seconds": seconds,
                "seconds_of_parts": parts,
                "images_per_second": round(images / max(seconds, 1e-9), 3),
                "device": device_name(device),
                "devices": len(devices),
                "torch": torch.__version__,
            },
        )


def sampling(params: Params, device: torch.device) -> dict[str, Any]:
    """Everything that decides how the evaluation images are drawn and rendered."""
    settings, model = params.generate, params.model
    numerics = rendering_numerics(params, device)
    return {
        "weights": settings.weights,
        "truncation": settings.truncation,
        "truncation_latents": settings.truncation_latents,
        "z_distribution": model.z_distribution,
        "seed": settings.seed,
        "images": settings.images,
        "resolution": settings.resolution,
        "camera": params.camera.model_dump(),
        "background": model.eval_background,
        "activation": model.activation,
        "lock_view_direction": model.lock_view_direction,
        "samples": model.samples,
        "samples_multiplier": settings.samples_multiplier,
        "hierarchical": model.hierarchical,
        "randomness": "none: evenly spaced samples, no density noise",
        "snapshot_images": settings.snapshot_images,
        "inversion": settings.inversion.model_dump(),
        "precision": str(numerics.dtype).removeprefix("torch."),
        "kernel": numerics.kernel,
    }
