"""The history of a model: its kept snapshots and the evaluated checkpoint show the same latents from the same poses."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from pigan.config import Params
from pigan.files import write_json
from pigan.models.generator import Generator
from pigan.progress import track
from pigan.rendering.cameras import poses_of
from pigan.runtime import generator_for
from pigan.synthesis.views import draw_codes, render_views
from pigan.training.checkpoint import describe
from pigan.training.snapshots import FOLDER, INDEX, Snapshot, read_snapshots
from pigan.training.state import Counters, load_generator


def write_history(
    generator: Generator, params: Params, checkpoint: Path, out: Path, devices: Sequence[torch.device] = ()
) -> None:
    """snapshots/ in `out`: images of the snapshots beside `checkpoint`, then those of `generator`, which it holds.

    A snapshot of the checkpoint's own step is left out. The index says which weights an entry shows: snapshots are
    moving averages (`ema`), the checkpoint is what `generate.weights` says.

    Raises:
        PiganError: a snapshot is missing, damaged, or of another architecture.
    """
    settings, kept, folder = params.generate, checkpoint.parent / FOLDER, out / FOLDER
    device, now = generator.device, Counters(**describe(checkpoint)["counters"])
    earlier = [snapshot for snapshot in read_snapshots(checkpoint.parent) if snapshot.step < now.global_step]
    last = Snapshot(now.global_step, now.images_seen, stage_resolution(params), checkpoint.name)
    shown = [*((snapshot, "ema") for snapshot in earlier), (last, settings.weights)]
    entries = []
    folder.mkdir()
    for snapshot, weights in track(shown, len(shown), "snapshots", "snapshot"):
        network = generator if snapshot is last else load_generator(kept / snapshot.file, params, weights, device)
        name = f"images_{snapshot.step:07d}.npy"
        np.save(folder / name, _images(network, params, devices))
        entries.append({**snapshot._asdict(), "file": name, "weights": weights})
    write_json(folder / INDEX, {"snapshots": entries})


def stage_resolution(params: Params) -> int:
    """Resolution of the stage that is rendered, pixels."""
    return next(link.resolution for link in params.curriculum.order if link.name == params.generate.checkpoint)


def _images(
    generator: Generator, params: Params, devices: Sequence[torch.device]
) -> UInt8[np.ndarray, "image side side 3"]:
    settings = params.generate
    code = draw_codes(generator, settings.snapshot_images, settings.truncation, params, "snapshots")
    yaw, pitch = poses_of(params.camera, len(code), generator_for(generator.device, settings.seed, "snapshot poses"))
    return render_views(generator, code, yaw, pitch, settings.resolution, params, devices=devices).images
