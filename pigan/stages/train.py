"""init and train: from seeded weights to the checkpoint of one resolution."""

from pathlib import Path

import torch

from pigan.config import Params, fingerprint
from pigan.data.store import Prepared, TrainingImages, batch_indices
from pigan.errors import PiganError
from pigan.files import sha256_file, work_root
from pigan.runtime import choose_device, generator_for, prepare_process, seed_of
from pigan.synthesis.pictures import sample_sheet
from pigan.training.loop import (
    CHECKPOINT,
    RealBatch,
    RealImages,
    Run,
    run_fingerprint,
    save_checkpoint,
    train,
    write_state_json,
)
from pigan.training.memory import GB, limit_bytes
from pigan.training.snapshots import publish
from pigan.training.state import initial_state

SHEET_COLUMNS = 5


def init_stage(params: Params, arm: str, seed: int, out: Path) -> None:
    """Seeded starting weights of one arm, and an empty history of snapshots."""
    resolved = params.for_arm(arm)
    prepare_process(params.training.threads)
    cpu = torch.device("cpu")
    # arms start from the same weights where their networks agree
    state = initial_state(resolved, cpu, seed_of(seed, "weights"))
    key = fingerprint(resolved.model, seed)
    write_state_json(resolved, arm, seed, resolved.curriculum.order[0].resolution, out, state, key, 0.0, cpu)
    # none yet; those of later stages join it
    publish(out)
    save_checkpoint(out / CHECKPOINT, resolved, state)


def train_stage(
    params: Params, arm: str, seed: int, resolution: int, data: Path, init: Path, out: Path, device_name: str
) -> None:
    """One resolution of the curriculum.

    Raises:
        PiganError: unknown arm or resolution, missing or foreign inputs, divergence, too little memory, a full disk.
    """
    resolved = params.for_arm(arm)
    stage = resolved.curriculum.stages.get(f"r{resolution}")
    if stage is None:
        known = ", ".join(str(link.resolution) for link in resolved.curriculum.order)
        raise PiganError(f"--resolution {resolution}: no stage of the curriculum; there are {known}")
    device = choose_device(device_name)
    prepare_process(resolved.training.threads)
    prepared = Prepared(data)
    work = work_directory(params.dataset.name, arm, seed, resolution)
    run = Run(arm, seed, resolution, init, out, work)
    state = initial_state(resolved, device, seed_of(seed, "weights"))
    key = run_fingerprint(resolved, run, _images_hash(prepared, resolution), sha256_of_checkpoint(init))
    images = real_images(resolved, prepared, seed, resolution, device)
    try:
        train(
            resolved,
            run,
            state,
            images,
            key,
            lambda generator, path: sample_sheet(generator, resolved, resolution, SHEET_COLUMNS, path),
        )
    except torch.OutOfMemoryError as error:
        limit = limit_bytes(resolved, device) / GB
        raise PiganError(
            f"out of GPU memory at {resolution} px with a limit of {limit:.1f} GB: set training.memory_limit_gb lower "
            f"(same gradients) or curriculum.stages.r{resolution}.batch_size ({str(error).splitlines()[0]})"
        ) from None


def real_images(params: Params, prepared: Prepared, seed: int, resolution: int, device: torch.device) -> RealImages:
    """Seeded batches of the training split: shuffled epochs, mirrored if the params say so, a function of the step.

    With the poses of their cameras, where the data has them.
    """
    pool = TrainingImages(prepared, resolution, device)

    def batch(step: int, size: int) -> RealBatch:
        indices = batch_indices(pool.count, size, step, seed_of(seed, "batches", resolution))
        random = generator_for(torch.device("cpu"), seed, "flips", resolution, step)
        mirrored = torch.rand(size, generator=random) < (0.5 if params.dataset.flip else 0.0)
        return pool.images(indices, mirrored), pool.poses(indices, mirrored)

    return batch


def _images_hash(prepared: Prepared, resolution: int) -> str:
    """What tells these training images from others: their bytes, their cameras, which of them are trained on."""
    prepared.images(resolution)
    hashes = prepared.info["sha256"]
    return fingerprint(hashes[f"images_{resolution}.npy"], hashes.get("cameras.npz"), prepared.train.tolist())


def work_directory(dataset: str, arm: str, seed: int, resolution: int) -> Path:
    """Where training keeps its state in progress."""
    return work_root() / dataset / arm / f"seed{seed}" / f"r{resolution}"


def sha256_of_checkpoint(directory: Path) -> str:
    """Hash of a stage's checkpoint.

    Raises:
        PiganError: the stage before has not been run.
    """
    path = directory / CHECKPOINT
    if not path.exists():
        raise PiganError(f"{path}: no such checkpoint; run the stage before (`pigan init` or `pigan train`) first")
    return sha256_file(path)
