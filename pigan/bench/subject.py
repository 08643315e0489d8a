"""What is measured: the paper's network or an experiment's own, at sizes that fit the machine."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from pigan import presets
from pigan.bench.counting import Kind, field_forward, judging, step_count
from pigan.bench.machine import precisions
from pigan.bench.plain_step import kept_bytes
from pigan.bench.reference import Draws
from pigan.config import Params
from pigan.errors import PiganError
from pigan.kernels.choose import DTYPES, Numerics, choose_numerics, training_numerics
from pigan.sections import Model, Precision
from pigan.training.curriculum import Schedule, schedule
from pigan.training.fakes import Fakes

PAPER, PAPER_PRESET = "paper network", "celeba"
# operations of one call of the reference: what is larger gets fewer images; one image may be TOO_MUCH times as large
BUDGET_GPU, BUDGET_CPU, BUDGET_CPU_QUICK = 1e15, 1.5e11, 8e9
TOO_MUCH, SMALLEST, MOST_PICTURES = 12, 8, 16
# of a GPU's memory, what the reference may keep for backward
GPU_SHARE = 0.4
# those whose rows there are, in their order
KERNELS: tuple[Kind, ...] = ("folded", "compiled", "triton")


class Way(NamedTuple):
    """One of pigan's paths, as the params name it."""

    kernel: Kind
    precision: Precision

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.kernel} {self.precision}"

    @property
    def width(self) -> int:
        """Bytes of a hidden number."""
        return DTYPES[self.precision].itemsize


@dataclass(frozen=True)
class Subject:
    """A model with its camera and losses, and the sizes at which it is measured."""

    name: str
    params: Params
    field: tuple[int, int]
    """Images and their side; points a pixel are those of a training step."""
    render: tuple[int, int, int]
    """Images, side, samples of the coarse pass."""
    discriminator: tuple[int, int]
    """Images and their side."""
    steps: dict[int, int]
    """Side and batch of the training steps."""
    notes: tuple[str, ...] = ()

    def on_threads(self, threads: int) -> "Subject":
        """The same where training has so many threads."""
        return replace(self, params=with_training(self.params, threads=threads))


def with_training(params: Params, **changes: object) -> Params:
    """The same experiment with other values of its training."""
    return params.model_copy(update={"training": params.training.model_copy(update=changes)})


def paper_subject(device: torch.device, quick: bool) -> Subject:
    """The paper's network with the CelebA preset's camera, losses and discriminator."""
    params = presets.params(PAPER_PRESET)
    samples = params.model.samples
    if device.type == "cuda":
        return Subject(
            name=PAPER,
            params=params,
            field=(_images_in_memory(params, 64, 28, device), 64),
            render=(4, 128, 2 * samples),
            discriminator=(56, 64),
            steps={32: 56, 64: 56},
        )
    if quick:
        return Subject(PAPER, params, (4, 16), (1, 32, samples), (1, 32), {32: 1})
    return Subject(PAPER, params, (4, 32), (1, 32, samples), (2, 32), {32: 2, 64: 1})


def own_subject(params: Params, device: torch.device, quick: bool) -> Subject:
    """An experiment's main arm: its stages with their batches, or as much of them as this machine gets through."""
    own, notes = _with_official_losses(params.for_arm(params.report.main_arm))
    model, stages = own.model, own.curriculum.stages
    budget = BUDGET_GPU if device.type == "cuda" else BUDGET_CPU_QUICK if quick else BUDGET_CPU

    def a_step(side: int) -> float:
        return step_count(model, side, 1, "plain").flop

    def a_picture(side: int) -> float:
        return field_forward(model, own.generate.samples_multiplier * model.points(side), "plain").flop

    def judged(side: int) -> float:
        return judging(model.discriminator, model.z_dim, side, 1, "step", plain=True).flop

    def smaller(flop_of: Callable[[int], float], side: int, most: int) -> tuple[int, int]:
        """Images and side, halved until one image is not too much."""
        while flop_of(side) > TOO_MUCH * budget and side > SMALLEST:
            side //= 2
        return min(most, max(1, int(budget // flop_of(side)))), side

    trained = [link for link in own.curriculum.order if stages[link.name].steps] or own.curriculum.order[-1:]
    steps = {}
    for link in trained:
        if a_step(link.resolution) > TOO_MUCH * budget:
            told = f"step_{link.resolution} is left out: one image is {a_step(link.resolution) / 1e9:,.0f} GFLOP"
            notes.append(f"{told}, too many for this machine{' and --quick' if quick else ''}.")
        else:
            batch = stages[link.name].batch_size
            steps[link.resolution] = min(batch, max(1, int(budget // a_step(link.resolution))))
    last, batch = trained[-1].resolution, stages[trained[-1].name].batch_size
    images, side = smaller(a_step, last, batch)
    return Subject(
        name=params.experiment,
        params=own,
        field=(_images_in_memory(own, side, images, device), side),
        render=(*smaller(a_picture, own.generate.resolution, MOST_PICTURES), own.rendered_samples),
        discriminator=smaller(judged, last, batch),
        steps=steps,
        notes=tuple(notes),
    )


def ways_of(params: Params, device: torch.device, quick: bool) -> tuple[list[Way], list[str]]:
    """The paths of pigan that this machine has, the exact one first, and why others are missing.

    With `quick` only the exact path and the one the params choose.
    """
    had = precisions(device)
    chosen = chosen_way(params, device)
    notes = [f"No {precision} rows: {reason}." for precision, reason in had.items() if reason is not None]
    ways = [Way("folded", "fp32")]
    if not quick:
        for kernel in KERNELS:
            for precision in had:
                way = Way(kernel, precision)
                # in fp32 the Triton kernels have no advantage over the folded path
                useless = kernel == "triton" and precision == "fp32"
                if had[precision] is None and not useless and way not in ways:
                    reason = _missing(way, params.model, device)
                    ways += [way] if reason is None else []
                    notes += [] if reason is None else [f"No {kernel} rows: {reason}."]
        if device.type == "cpu":
            notes.append("No triton rows: its kernels need a GPU.")
    elif chosen != ways[0]:
        ways.append(chosen)
    return ways, list(dict.fromkeys(notes))


def chosen_way(params: Params, device: torch.device) -> Way:
    """The path that the params' kernel and precision come to here."""
    numerics = training_numerics(params, device)
    return Way(numerics.kernel, next(name for name, dtype in DTYPES.items() if dtype == numerics.dtype))


def numerics_of(way: Way, model: Model, device: torch.device) -> Numerics:
    """What the kernels are told."""
    return choose_numerics(way.kernel, way.precision, model, device)


def with_way(params: Params, way: Way) -> Params:
    """The same experiment trained that way."""
    return with_training(params, kernel=way.kernel, precision=way.precision)


def usual_values(params: Params, side: int) -> Schedule:
    """A step in the middle of training: density noise, no fading, all images count."""
    stage = params.curriculum.stages.get(f"r{side}", next(iter(params.curriculum.stages.values())))
    return schedule(params.training, stage, 0, 0)._replace(fade=1.0, density_noise=0.5, topk=1.0)


def draws_of(fakes: Fakes) -> Draws:
    """The random numbers of pigan's batch of generated images, for the reference."""
    return Draws(fakes.latent, fakes.yaw, fakes.pitch, fakes.randomness)


def _with_official_losses(params: Params) -> tuple[Params, list[str]]:
    """The same without the losses that the reference's step does not have, and a note if one of them costs time."""
    official = with_training(params, reconstruction_weight=0.0, opacity_weight=0.0)
    told = ["Training steps are measured without the reconstruction loss, which renders a third batch."]
    return official, told if params.training.reconstruction_weight > 0 else []


def _images_in_memory(params: Params, side: int, most: int, device: torch.device) -> int:
    """Images of which the reference can keep everything for backward."""
    if device.type != "cuda":
        return most
    room = GPU_SHARE * torch.cuda.get_device_properties(device).total_memory
    return max(1, min(most, int(room // (params.model.points(side) * kept_bytes(params.model, half=False)))))


def _missing(way: Way, model: Model, device: torch.device) -> str | None:
    try:
        numerics_of(way, model, device)
    except PiganError as error:
        return str(error)
    return None
