"""generate: evaluation images with depth and cameras, and the pictures people look at."""

import math
import time
from pathlib import Path

import torch

from pigan.config import Params
from pigan.errors import PiganError
from pigan.files import atomic_directory, sha256_file, write_json
from pigan.runtime import choose_device, device_name, prepare_process
from pigan.synthesis.evaluation_set import write_consistency_views, write_evaluation_set
from pigan.synthesis.pictures import write_pictures
from pigan.synthesis.video import write_turntable
from pigan.training.loop import CHECKPOINT
from pigan.training.state import load_generator


def generate_stage(params: Params, arm: str, seed: int, model: Path, out: Path, asked_device: str) -> None:
    """Everything that is rendered from one trained arm; `model` is the directory of its last training stage.

    Raises:
        PiganError: no checkpoint, or one of another architecture.
    """
    resolved = params.for_arm(arm)
    device = choose_device(asked_device)
    prepare_process(resolved.training.threads)
    checkpoint = model / CHECKPOINT
    if not checkpoint.exists():
        raise PiganError(f"{checkpoint}: no such checkpoint; run `pigan train` for this stage first")
    settings = resolved.generate
    generator = load_generator(checkpoint, resolved, settings.weights, device)
    with atomic_directory(out) as folder:
        began = time.monotonic()
        images = write_evaluation_set(generator, resolved, folder)
        seconds = time.monotonic() - began
        write_consistency_views(generator, resolved, folder)
        write_pictures(generator, resolved, folder)
        write_turntable(generator, resolved, folder)
        write_json(
            folder / "generated.json",
            {
                "arm": arm,
                "seed": seed,
                "checkpoint_sha256": sha256_file(checkpoint),
                "weights": settings.weights,
                "truncation": settings.truncation,
                "images": images,
                "resolution": settings.resolution,
                "samples_a_ray": resolved.model.samples * settings.samples_multiplier,
                "fov_degrees": math.degrees(resolved.camera.fov),
                "seconds": round(seconds, 3),
                "images_per_second": round(images / max(seconds, 1e-9), 3),
                "device": device_name(device),
                "torch": torch.__version__,
            },
        )
