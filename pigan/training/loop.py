"""The training of one resolution: resume, step, log, checkpoint, stop when told, finish atomically."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.chain.place import CHECKPOINT, LOG, NEXT, PREVIOUS, STATE
from pigan.chain.settings import training_settings
from pigan.config import Params, fingerprint
from pigan.errors import PiganError
from pigan.files import atomic_file, explained, flush, write_json
from pigan.models.generator import Generator
from pigan.progress import Progress
from pigan.runtime import device_name, peak_memory_mb
from pigan.training.board import event_file
from pigan.training.checkpoint import describe
from pigan.training.curriculum import Schedule, schedule
from pigan.training.deadline import OUT_OF_TIME, Deadline, seconds_left
from pigan.training.distributed import ALONE, Ranks, same_state
from pigan.training.snapshots import FOLDER as SNAPSHOTS
from pigan.training.snapshots import is_due, keep_until, publish, read_snapshots, save_snapshot
from pigan.training.state import TrainingState, architecture, load_state, save_state
from pigan.training.step import training_step
from pigan.training.stopping import Stopped, collected_signals

# with fp16 the gradient scaler skips a step in which these overflow, and tries smaller ones; the log shows null
SKIPPED_BY_SCALER = ("r1", "grad_norm_d", "grad_norm_g")
RealBatch = tuple[Float[Tensor, "batch 3 side side"], Float[Tensor, "batch 2"] | None]
"""Training images (-1..1), and pitch and yaw (radians) of their cameras, where they are known."""
RealImages = Callable[[int, int], RealBatch]
"""The batch of a step of this stage, given the batch size; a pure function of the step."""


@dataclass(frozen=True)
class Run:
    """Which training this is, and where its files are."""

    arm: str
    seed: int
    resolution: int
    init: Path
    """Directory of the stage before, with checkpoint.safetensors."""
    out: Path
    """Directory of the declared outputs, which appear when the stage is done."""
    work: Path
    """Directory of the state in progress, found again after a crash."""


def run_fingerprint(params: Params, run: Run, data_hash: str, init_hash: str) -> str:
    """What a state in progress must share with this run to be continued."""
    settings = training_settings(params.model_dump(), f"r{run.resolution}")
    return fingerprint(*settings, run.seed, run.resolution, data_hash, init_hash)


def train(
    params: Params,
    run: Run,
    state: TrainingState,
    real_images: RealImages,
    key: str,
    draw_samples: Callable[[Generator, Path], None],
    ranks: Ranks = ALONE,
) -> None:
    """Trains `run.resolution` from where the work directory stands, or from `run.init`, and writes `run.out`.

    Of several ranks this is what the first one does; the others `follow` it (`pigan.training.follow`).
    Killed at any moment and run again it ends with the same checkpoint and snapshots, bit for bit on the same device.

    Raises:
        PiganError: bad starting weights or snapshots, a loss that is not finite, or a disk that is full.
        Stopped: a signal arrived, or the scheduler's time is nearly over, and the state is saved.
    """
    deadline = Deadline(seconds_left())
    stage, training = params.curriculum.stages[f"r{run.resolution}"], params.training
    device = state.generator.device
    # rather refused now than when the weights are trained
    read_snapshots(run.init)
    spent = _resume(params, run, state, key)
    same_state(ranks, state)
    counters = state.counters
    began = time.monotonic() - spent
    saved_at, saved_step = time.monotonic(), counters.step
    images_per_second, logged = 0.0, (time.monotonic(), counters.step)
    # watching: a line every log_steps in log.jsonl, TensorBoard beside it
    with (
        collected_signals() as received,
        explained(run.work / LOG),
        (run.work / LOG).open("a", encoding="utf-8") as log,
        event_file(run.work / "tensorboard", counters.global_step) as board,
        Progress(stage.steps, f"train {run.arm} seed {run.seed} {run.resolution} px", "step", counters.step) as bar,
    ):
        while counters.step < stage.steps:
            values = schedule(training, stage, counters.step, counters.global_step)
            real, pose = real_images(counters.step, stage.batch_size)
            measured = training_step(state, params, values, real, run.seed, pose, ranks, stage.batch_size)
            if counters.step % training.log_steps == 0 or counters.step == stage.steps:
                now = time.monotonic()
                images_per_second = (counters.step - logged[1]) * stage.batch_size / max(now - logged[0], 1e-9)
                logged = (now, counters.step)
                line = _log_line(run, state, values, measured, now - began, images_per_second)
                log.write(json.dumps(line) + "\n")
                log.flush()
                for name in (*measured, *values._asdict(), "images_per_second"):
                    if line[name] is not None:
                        board.add_scalar(name, line[name], counters.global_step)
                bar.advance(
                    0, loss_d=f"{line['loss_d']:.2f}", loss_g=f"{line['loss_g']:.2f}", img_s=f"{images_per_second:.1f}"
                )
            bar.advance()
            if counters.step % training.sample_steps == 0:
                draw_samples(state.ema, run.work / "samples" / f"step_{counters.step:07d}.png")
            # before the checkpoint: whoever resumes from that finds every snapshot up to it
            if is_due(counters.global_step, training.snapshot_steps):
                save_snapshot(run.work / SNAPSHOTS, params, state, run.resolution)
            if deadline.is_near():
                received.append(OUT_OF_TIME)
            stop = ranks.agreed(received[0] if received else 0)
            late = time.monotonic() - saved_at > 60 * training.checkpoint_minutes
            if stop or late or counters.step - saved_step >= training.checkpoint_steps:
                # killed later, TensorBoard goes on from here without a hole
                board.flush()
                _save_progress(params, run, state, key, time.monotonic() - began)
                saved_at, saved_step = time.monotonic(), counters.step
            if stop and counters.step < stage.steps:
                # none is gone before the checkpoint is there
                ranks.wait()
                raise Stopped(stop)
    _finish(params, run, state, key, time.monotonic() - began, device, ranks.size)
    ranks.wait()


def _resume(params: Params, run: Run, state: TrainingState, key: str) -> float:
    """Loads the state in progress if it belongs to this run, else the starting weights; returns seconds spent.

    When the newest checkpoint is damaged or lost, training goes on from the one before it.
    """
    run.work.mkdir(parents=True, exist_ok=True)
    kept = [path for path in (run.work / CHECKPOINT, run.work / PREVIOUS) if path.exists()]
    while kept:
        progress = kept.pop(0)
        try:
            description = describe(progress)
            if description.get("key") != key:
                # so does the one before
                while kept:
                    kept.pop().unlink()
                raise PiganError(f"{progress}: belongs to other params, data or starting weights")
            load_state(progress, state, params)
            if not keep_until(run.work / SNAPSHOTS, state.counters, params.training.snapshot_steps):
                raise PiganError(f"{run.work / SNAPSHOTS}: a snapshot is missing")
            _cut_log(run.work / LOG, state.counters.step)
            print(f"resuming {run.arm} seed {run.seed} {run.resolution} px at step {state.counters.step}", flush=True)
            return float(description["seconds"])
        except PiganError as error:
            print(f"{error}; {'trying the checkpoint before it' if kept else 'starting afresh'}", flush=True)
        # or it would take the place of the good one when the next is saved
        progress.unlink()
    (run.work / LOG).unlink(missing_ok=True)
    shutil.rmtree(run.work / SNAPSHOTS, ignore_errors=True)
    load_state(run.init / CHECKPOINT, state, params)
    state.counters.step = 0
    return 0.0


def _save_progress(params: Params, run: Run, state: TrainingState, key: str, seconds: float) -> None:
    """Saves the state in progress and keeps the one before; killed at any moment, one of them is whole."""
    about = {"architecture": architecture(params), "key": key, "seconds": max(seconds, 0.0)}
    # a machine that loses its power must not lose what was logged up to the checkpoint
    flush(run.work / LOG)
    save_state(run.work / NEXT, state, about)
    if (run.work / CHECKPOINT).exists():
        os.replace(run.work / CHECKPOINT, run.work / PREVIOUS)
    os.replace(run.work / NEXT, run.work / CHECKPOINT)


def _finish(
    params: Params, run: Run, state: TrainingState, key: str, seconds: float, device: torch.device, devices: int
) -> None:
    """Writes the declared outputs, the checkpoint last, and clears the state in progress."""
    run.out.mkdir(parents=True, exist_ok=True)
    with atomic_file(run.out / LOG) as temporary:
        shutil.copyfile(run.work / LOG, temporary)
    write_state_json(params, run.arm, run.seed, run.resolution, run.out, state, key, seconds, device, devices)
    publish(run.out, run.init, run.work / SNAPSHOTS)
    save_checkpoint(run.out / CHECKPOINT, params, state)
    for name in (CHECKPOINT, PREVIOUS, NEXT):
        (run.work / name).unlink(missing_ok=True)
    shutil.rmtree(run.work / SNAPSHOTS, ignore_errors=True)


def save_checkpoint(path: Path, params: Params, state: TrainingState) -> None:
    """The declared checkpoint: nothing in it depends on when or in how many pieces it was trained."""
    save_state(path, state, {"architecture": architecture(params)})


def write_state_json(
    params: Params,
    arm: str,
    seed: int,
    resolution: int,
    out: Path,
    state: TrainingState,
    key: str,
    seconds: float,
    device: torch.device,
    devices: int = 1,
) -> None:
    """state.json: what people and the report want to know of a checkpoint."""
    sizes = {name: sum(p.numel() for p in module.parameters()) for name, module in state.modules().items()}
    write_json(
        out / STATE,
        {
            "arm": arm,
            "seed": seed,
            "resolution": resolution,
            **vars(state.counters),
            "seconds": round(max(seconds, 0.0), 3),
            "parameters": {name: sizes[name] for name in ("generator", "discriminator")},
            "device": device_name(device),
            "devices": devices,
            "threads": params.training.threads,
            "torch": torch.__version__,
            "peak_memory_mb": round(peak_memory_mb(device), 1),
            "fingerprint": key,
            "params": params.model_dump(),
        },
    )


def _log_line(
    run: Run,
    state: TrainingState,
    values: Schedule,
    measured: dict[str, Tensor],
    seconds: float,
    images_per_second: float,
) -> dict[str, str | int | float | None]:
    """One line of log.jsonl; reads the measurements from the device.

    Raises:
        PiganError: a loss is not finite.
    """
    # one wait for all of them
    read = torch.stack([value.float() for value in measured.values()]).tolist()
    numbers: dict[str, float] = dict(zip(measured, read, strict=True))
    for name, value in numbers.items():
        if not math.isfinite(value) and not (state.scaler.is_enabled() and name in SKIPPED_BY_SCALER):
            raise PiganError(
                f"training diverged: {name} is {value} at step {state.counters.step} of {run.arm} {run.resolution} px; "
                f"lower its learning rates or raise training.r1_weight (last good state: {run.work / CHECKPOINT})"
            )
    return {
        "arm": run.arm,
        "seed": run.seed,
        "resolution": run.resolution,
        **vars(state.counters),
        # a clock that was set back
        "seconds": round(max(seconds, 0.0), 3),
        "images_per_second": round(images_per_second, 3),
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        **values._asdict(),
    }


def _cut_log(path: Path, step: int) -> None:
    """Drops log lines of steps after the checkpoint that training goes on from."""
    kept = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1] if path.exists() else [], start=1):
        # behind the last end of a line is what was cut off in the middle
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + b"\n")
        except (ValueError, KeyError, TypeError):
            # no reason to train anew
            print(f"{path}: line {number} is damaged and left out", flush=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"".join(kept))
