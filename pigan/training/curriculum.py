"""What changes from step to step: pure functions of the step number."""

from typing import NamedTuple

from pigan.sections import Stage, Training


class Schedule(NamedTuple):
    """The values in force at one step."""

    lr_generator: float
    lr_discriminator: float
    fade: float
    """How far the discriminator's input layer has grown in, 0..1."""
    density_noise: float
    topk: float
    """Share of the batch the generator learns from."""


def schedule(training: Training, stage: Stage, step: int, global_step: int) -> Schedule:
    """Values at `step` of this stage, which is `global_step` of the whole training."""
    progress = step / stage.steps
    fade = 1.0 if stage.fade_steps == 0 else min(1.0, step / stage.fade_steps)
    noise = 0.0
    if training.density_noise_steps:
        noise = training.density_noise * max(0.0, 1 - global_step / training.density_noise_steps)
    return Schedule(
        lr_generator=_line(stage.lr_generator, stage.lr_generator_end, progress),
        lr_discriminator=_line(stage.lr_discriminator, stage.lr_discriminator_end, progress),
        fade=fade,
        density_noise=noise,
        topk=max(0.99 ** (global_step / training.topk_interval), training.topk_minimum),
    )


def _line(start: float, end: float, progress: float) -> float:
    return start + (end - start) * progress
