"""init and train: from seeded weights to the checkpoint of one resolution."""

import os
from pathlib import Path

import torch

from pigan.chain.place import CHECKPOINT
from pigan.config import Params, fingerprint
from pigan.data.scratch import near
from pigan.data.store import Prepared, TrainingImages, batch_indices
from pigan.errors import PiganError, UsageError
from pigan.files import sha256_file, work_root
from pigan.latency import appears
from pigan.locks import sole_use
from pigan.runtime import choose_device, generator_for, prepare_process, seed_of
from pigan.shortage import advised
from pigan.synthesis.pictures import sample_sheet
from pigan.synthesis.trained import pretrained_checkpoint
from pigan.training.distributed import ALONE, Ranks, joined
from pigan.training.follow import follow
from pigan.training.heartbeat import heartbeat, tell_cause
from pigan.training.launch import launch
from pigan.training.loop import (
    RealBatch,
    RealImages,
    Run,
    run_fingerprint,
    save_checkpoint,
    train,
    write_state_json,
)
from pigan.training.memory import GB, limit_bytes
from pigan.training.rendezvous import Place, count_devices, device_of, place_of
from pigan.training.snapshots import publish
from pigan.training.state import initial_state, load_weights

SHEET_COLUMNS = 5


def init_stage(params: Params, arm: str, seed: int, out: Path, released: Path | None = None) -> None:
    """Starting weights of one arm, and an empty history of snapshots.

    They are those of the checkpoint `released`, else of `training.pretrained`, else seeded.

    Raises:
        PiganError: unknown arm, or the model to start from is missing, damaged, another one or of another architecture.
    """
    resolved = params.for_arm(arm)
    prepare_process(params.training.threads)
    cpu = torch.device("cpu")
    # arms of one generator start from the same weights; another field draws those of all that comes after it anew
    state = initial_state(resolved, cpu, seed_of(seed, "weights"))
    start, asked = released, resolved.training.pretrained
    if start is None and asked is not None:
        start = pretrained_checkpoint(asked)
    if start is not None:
        load_weights(start, state, resolved)
    key = fingerprint(resolved.model, seed, *([] if start is None else [sha256_file(start)]))
    write_state_json(resolved, arm, seed, resolved.curriculum.order[0].resolution, out, state, key, 0.0, cpu)
    # none yet; those of later stages join it
    publish(out)
    save_checkpoint(out / CHECKPOINT, resolved, state)


def train_stage(
    params: Params, arm: str, seed: int, resolution: int, data: Path, init: Path, out: Path, device_name: str
) -> bool:
    """One resolution of the curriculum; returns whether this is the process that wrote it.

    Trains on `training.devices`: starts a process for each of them, or is one of those that torchrun or srun started.

    Raises:
        PiganError: unknown arm or resolution, missing or foreign inputs, divergence, too little memory, a full disk,
            other devices than there are, or a rank that died.
        Stopped: a signal arrived and the state is saved.
    """
    resolved = params.for_arm(arm)
    stage = resolved.curriculum.stages.get(f"r{resolution}")
    if stage is None:
        known = ", ".join(str(link.resolution) for link in resolved.curriculum.order)
        raise UsageError(f"--resolution {resolution}: no stage of the curriculum; there are {known}")
    asked = resolved.training.devices
    device, place = choose_device(device_name, 0 if asked == "auto" else asked), place_of(os.environ)
    devices = count_devices(asked, device, place)
    if devices > stage.batch_size:
        raise PiganError(
            f"training.devices: {devices} cannot share curriculum.stages.r{resolution}.batch_size {stage.batch_size}; "
            "raise that, or train on fewer"
        )
    run = Run(arm, seed, resolution, init, out, work_directory(params.dataset.name, arm, seed, resolution))
    if place is not None or devices == 1:
        _train(place, resolved, run, data, device)
        return place is None or place.rank == 0
    try:
        launch(devices, _train, resolved, run, data, device)
    except PiganError as error:
        # the first rank may only know that it lost another one
        tell_cause(run.work, error)
        raise
    return True


def _train(place: Place | None, params: Params, run: Run, data: Path, device: torch.device) -> None:
    """What each process of a training does; `params` are those of the arm."""
    prepare_process(params.training.threads)
    device, seed, resolution = device_of(device, place), run.seed, run.resolution
    if device.index is not None:
        # Triton's kernels start on the current one
        torch.cuda.set_device(device)
    prepared = Prepared(data)
    state = initial_state(params, device, seed_of(seed, "weights"))
    key = training_key(params, run, prepared)
    local = 1 if place is None else place.local_size
    where = f"at {resolution} px with a limit of {limit_bytes(params, device, local) / GB:.1f} GB"
    advice = f"set training.memory_limit_gb lower (same gradients) or curriculum.stages.r{resolution}.batch_size"
    with joined(place, device) as ranks, advised(where, advice):
        images = real_images(params, prepared, seed, resolution, device, ranks)
        if not ranks.first:
            follow(params, run, state, images, ranks)
            return
        # of two processes that train the same, one would cut off what the other logs
        with sole_use(run.work, f"train {run.arm} seed {seed} {resolution} px"), heartbeat(run.work):
            train(
                params,
                run,
                state,
                images,
                key,
                lambda generator, path: sample_sheet(generator, params, resolution, SHEET_COLUMNS, path),
                ranks,
            )


def real_images(
    params: Params, prepared: Prepared, seed: int, resolution: int, device: torch.device, ranks: Ranks = ALONE
) -> RealImages:
    """Seeded batches of the training split: shuffled epochs, mirrored if the params say so, a function of the step.

    With the poses of their cameras, where the data has them; of several ranks each gets its part.
    """
    pool = TrainingImages(near(prepared, resolution), resolution, device)

    def batch(step: int, size: int) -> RealBatch:
        indices = batch_indices(pool.count, size, step, seed_of(seed, "batches", resolution), ranks.rank, ranks.size)
        random = generator_for(torch.device("cpu"), seed, "flips", resolution, step)
        mirrored = torch.rand(size, generator=random)[ranks.part(size)] < (0.5 if params.dataset.flip else 0.0)
        return pool.images(indices, mirrored), pool.poses(indices, mirrored)

    return batch


def training_key(params: Params, run: Run, prepared: Prepared) -> str:
    """What a state in progress must carry to be gone on with: params, seed, data and the weights it began from.

    Raises:
        PiganError: the stage before has not been run, or the data was not prepared at this resolution.
    """
    return run_fingerprint(params, run, _images_hash(prepared, run.resolution), sha256_of_checkpoint(run.init))


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
    if not appears(path):
        raise PiganError(f"{path}: no such checkpoint; run the stage before (`pigan init` or `pigan train`) first")
    return sha256_file(path)
