"""The discriminator's step with R1, and whole training steps."""

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.bench.case import Case, Side, relative_error, side_of, weight_gradient
from pigan.bench.counting import judging, step_count
from pigan.bench.measure import Run, as_usual
from pigan.bench.plain_step import (
    PlainState,
    plain_discriminator_step,
    plain_fakes,
    plain_generator_step,
    plain_state,
    plain_training_step,
)
from pigan.bench.reference import Draws
from pigan.bench.subject import Subject, Way, draws_of, usual_values, with_training, with_way
from pigan.config import Params
from pigan.models.generator import Generator
from pigan.models.siren import with_heads
from pigan.rendering.render import Samples
from pigan.runtime import generator_for
from pigan.training.curriculum import Schedule
from pigan.training.fakes import Fakes
from pigan.training.state import TrainingState, initial_state
from pigan.training.step import discriminator_step, generator_step, set_rates, training_step

SEED, NETWORKS = 0, ("discriminator", "generator")
# gradients are compared at a small side: the error does not grow with it, and float64 is slow
ERROR_SIDE, ERROR_IMAGES = 16, 2
# images in whose densities a share is looked up
DENSE_IMAGES = 2
# so that fp16 does not overflow at the first step, and nothing is clipped
ERROR_SCALE, NO_CLIP = 2.0**10, 1e9


class Ready(Fakes):
    """Generated images that are there already: what is left of a step is the discriminator's."""

    def __init__(self, params: Params, generator: Generator, side: int, batch: int, device: torch.device) -> None:
        noise = usual_values(params, side).density_noise
        super().__init__(params, side, batch, noise, generator_for(device, SEED, "bench fakes"))
        self._ready = super().samples(generator)

    def samples(self, generator: Generator) -> Samples:
        """Always the same."""
        return Samples(*(values.detach() for values in self._ready))

    def backward(self, generator: Generator, *_: Tensor) -> None:
        """Gradients of zero."""
        for weight in generator.parameters():
            weight.grad = torch.zeros_like(weight)


def discriminator_case(subject: Subject, ways: list[Way], device: torch.device) -> Case:
    """One update of the discriminator on images that are there already."""
    params, (batch, side) = subject.params, subject.discriminator
    values = usual_values(params, side)

    def ours(way: Way, params: Params = params, side: int = side, batch: int = batch) -> tuple[TrainingState, Run]:
        own = with_way(params, way)
        state, real = initial_state(own, device, SEED), _real(batch, side, device)
        fakes = Ready(own, state.generator, side, batch, device)
        set_rates(state.optimizer_discriminator, values.lr_discriminator)

        def run() -> None:
            discriminator_step(state, own, values, real, fakes)
            state.scaler.update()

        return state, run

    def reference(
        dtype: torch.dtype, params: Params = params, side: int = side, batch: int = batch
    ) -> tuple[PlainState, Run]:
        state = plain_state(initial_state(params, device, SEED), params, dtype)
        set_rates(state.optimizer_discriminator, values.lr_discriminator)
        draws = draws_of(_fakes(params, side, batch, device)).to(dtype)
        fake, real = plain_fakes(state, params, draws, side), _real(batch, side, device).to(dtype)

        def run() -> None:
            with as_usual():
                plain_discriminator_step(state, params, values, real, fake, draws)
                state.scaler.update()

        return state, run

    def gradient(make: Callable[..., tuple[TrainingState | PlainState, Run]], what: Way | torch.dtype) -> Tensor:
        unclipped = with_training(params, grad_clip=NO_CLIP)
        state, run = make(what, unclipped, min(side, ERROR_SIDE), min(batch, ERROR_IMAGES))
        _calm(state)
        run()
        return weight_gradient(state.discriminator)

    @functools.cache
    def truth() -> Tensor:
        return gradient(reference, torch.float64)

    half, config, z_dim = device.type == "cuda", params.model.discriminator, params.model.z_dim
    return Case(
        slug="discriminator",
        title="Discriminator step with R1",
        size=f"{batch} × {side}×{side}, {config.kind}",
        reference=Side(
            path="plain",
            precision="fp16" if half else "fp32",
            make=lambda: reference(torch.float32)[1],
            error=lambda: relative_error(gradient(reference, torch.float32), truth()),
            count=judging(config, z_dim, side, batch, "step", plain=True, width=2 if half else 4),
        ),
        sides=[
            side_of(
                way,
                lambda way: ours(way)[1],
                lambda way: relative_error(gradient(ours, way), truth()),
                judging(config, z_dim, side, batch, "step", plain=False, width=way.width),
            )
            for way in ways
        ],
        error_of=f"weight gradients, relative L2, {min(batch, ERROR_IMAGES)} × {min(side, ERROR_SIDE)} px",
    )


def step_case(subject: Subject, side: int, ways: list[Way], device: torch.device, dense: float | None = None) -> Case:
    """A whole training step: both networks' updates and the moving averages.

    `dense` shifts the density until that share (0..1) of the samples is dense, as it is once shapes have formed;
    None: fresh weights, where about half are. The gradients that are compared are those of fresh weights.
    """
    params, batch = subject.params, subject.steps[side]
    model, half = params.model, device.type == "cuda"

    @functools.cache
    def truth() -> tuple[Tensor, Tensor]:
        return _step_gradients(params, None, torch.float64, side, batch, device)

    def error(way: Way | None) -> float:
        got = _step_gradients(params, way, torch.float32, side, batch, device)
        return max(relative_error(mine, true) for mine, true in zip(got, truth(), strict=True))

    return Case(
        slug=f"step_{side}" if dense is None else f"step_{side}_formed",
        title=f"Training step, {side} px" + ("" if dense is None else f", {100 * dense:.0f} % of samples dense"),
        size=f"{batch} {'image' if batch == 1 else 'images'}, {model.samples}"
        f"{f'+{model.samples}' if model.hierarchical else ''} samples, {model.hidden} wide",
        reference=Side(
            path="plain",
            precision="fp16" if half else "fp32",
            make=lambda: plain_step_run(params, side, batch, device, dense),
            error=lambda: error(None),
            count=step_count(model, side, batch, "plain", 2 if half else 4),
        ),
        sides=[
            side_of(
                way,
                lambda way: step_run(with_way(params, way), side, batch, device, dense),
                error,
                step_count(model, side, batch, way.kernel, way.width, cached=not half),
            )
            for way in ways
        ],
        error_of=f"weight gradients, relative L2, the larger of both networks, {min(batch, ERROR_IMAGES)} × "
        f"{min(side, ERROR_SIDE)} px",
    )


def step_run(params: Params, side: int, batch: int, device: torch.device, dense: float | None = None) -> Run:
    """pigan's training step, with everything it owns."""
    state, values = _begin(params, side, device, dense)
    real = _real(batch, side, device)
    return lambda: training_step(state, params, values, real, SEED)


def plain_step_run(params: Params, side: int, batch: int, device: torch.device, dense: float | None = None) -> Run:
    """The reference's, with the same weights and random numbers."""
    begun, values = _begin(params, side, device, dense)
    state, real, noise = plain_state(begun, params), _real(batch, side, device), values.density_noise

    def run() -> None:
        draws = [_train_draws(params, side, batch, device, state.steps, network, noise) for network in NETWORKS]
        with as_usual():
            plain_training_step(state, params, values, real, (draws[0], draws[1]))

    return run


def sampling_run(params: Params, side: int, batch: int, device: torch.device) -> Run:
    """The generator's part of a training step: what both networks' updates ask the field."""
    generator = initial_state(params, device, SEED).generator
    fakes = _fakes(params, side, batch, device)

    # real images that are rendered again are as many more
    batches = 2 if params.training.reconstruction_weight > 0 else 1

    def run() -> None:
        fakes.samples(generator)
        generator.zero_grad(set_to_none=True)
        for _ in range(batches):
            samples = fakes.samples(generator)
            fakes.backward(generator, samples.depths, *_towards(fakes, samples))

    return run


def judging_run(params: Params, side: int, batch: int, device: torch.device) -> Run:
    """The discriminator's part of a training step: its update, and the way through it to the generator's images."""
    state, values, real = initial_state(params, device, SEED), usual_values(params, side), _real(batch, side, device)
    fakes = Ready(params, state.generator, side, batch, device)

    def run() -> None:
        discriminator_step(state, params, values, real, fakes)
        generator_step(state, params, values, fakes)
        state.scaler.update()

    return run


def share_with_gradient(params: Params, side: int, batch: int, device: torch.device) -> float:
    """Share (0..1) of a step's samples at which the generator is differentiated, at fresh weights."""
    generator = initial_state(params, device, SEED).generator
    fakes = _fakes(params, side, batch, device)
    rgb, density = _towards(fakes, fakes.samples(generator))
    return float(((density != 0) | (rgb != 0).any(-1)).float().mean())


def _fakes(params: Params, side: int, batch: int, device: torch.device) -> Fakes:
    """Images to generate in a usual step."""
    noise = usual_values(params, side).density_noise
    return Fakes(params, side, batch, noise, generator_for(device, SEED, "bench fakes"))


def _towards(fakes: Fakes, samples: Samples) -> tuple[Tensor, ...]:
    """Gradients of the sum of all colours by colour and density of the samples."""
    leaves = samples.rgb.requires_grad_(), samples.density.requires_grad_()
    return torch.autograd.grad(fakes.rendering(samples).colour.sum(), leaves)


def _step_gradients(
    params: Params, way: Way | None, dtype: torch.dtype, side: int, batch: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Gradients of generator and discriminator in a step that moves nothing; `way` None: the reference's."""
    side, batch = min(side, ERROR_SIDE), min(batch, ERROR_IMAGES)
    own = with_training(params if way is None else with_way(params, way), grad_clip=NO_CLIP)
    values = usual_values(own, side)._replace(lr_generator=0.0, lr_discriminator=0.0)
    state, real = initial_state(own, device, SEED), _real(batch, side, device)
    if way is not None:
        _calm(state)
        training_step(state, own, values, real, SEED)
        return weight_gradient(state.generator), weight_gradient(state.discriminator)
    plain = plain_state(state, own, dtype)
    _calm(plain)
    draws = [_train_draws(own, side, batch, device, 0, network).to(dtype) for network in NETWORKS]
    set_rates(plain.optimizer_discriminator, 0.0)
    fake = plain_fakes(plain, own, draws[0], side)
    plain_discriminator_step(plain, own, values, real.to(dtype), fake, draws[0])
    # before the generator's step adds to it what no update uses
    of_discriminator = weight_gradient(plain.discriminator)
    plain_generator_step(plain, own, values, draws[1], side)
    return weight_gradient(plain.generator), of_discriminator


def _begin(params: Params, side: int, device: torch.device, dense: float | None) -> tuple[TrainingState, Schedule]:
    """Weights to measure with, and the values of a step; late in training there is no noise on the density."""
    state, values = initial_state(params, device, SEED), usual_values(params, side)
    if dense is None:
        return state, values
    field = state.generator.field
    head = with_heads(field).density_head
    density = Fakes(params, side, DENSE_IMAGES, 0.0, generator_for(device, SEED, "bench dense")).samples(
        state.generator
    )
    with torch.no_grad():
        head.bias.sub_(density.density.quantile(1 - dense))
    return state, values._replace(density_noise=0.0, lr_generator=0.0)


def _train_draws(
    params: Params, side: int, batch: int, device: torch.device, step: int, network: str, noise: float | None = None
) -> Draws:
    """What pigan's training step draws with this seed."""
    noise = usual_values(params, side).density_noise if noise is None else noise
    return draws_of(Fakes(params, side, batch, noise, generator_for(device, SEED, "train", step, network)))


def _real(batch: int, side: int, device: torch.device) -> Float[Tensor, "batch 3 side side"]:
    """Images in -1..1 that stand for real ones."""
    random = generator_for(torch.device("cpu"), SEED, "bench real", side)
    return (2 * torch.rand((batch, 3, side, side), generator=random) - 1).to(device)


def _calm(state: TrainingState | PlainState) -> None:
    """Begins at a scale with which no fp16 gradient overflows, so that the first step counts."""
    device = state.generator.device.type
    state.scaler = torch.amp.GradScaler(device, init_scale=ERROR_SCALE, enabled=state.scaler.is_enabled())
