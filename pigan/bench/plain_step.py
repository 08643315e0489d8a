"""The plain reference's training step, as the authors' loop runs it, on the weights and inputs of pigan's.

R1 at every step, the batch in as many parts as their card needs, gradients of the discriminator's weights made and
thrown away while the generator learns, two losses read by the host, two averages moved weight by weight.
"""

import copy
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pigan.bench.plain_discriminator import PlainDiscriminator, PlainPatchPose, plain_discriminator
from pigan.bench.reference import Draws, plain_images
from pigan.config import Params
from pigan.models.discriminator import Judgement
from pigan.models.generator import Generator, ray_settings
from pigan.models.patchpose import place_of
from pigan.sections import Model
from pigan.training.curriculum import Schedule
from pigan.training.state import TrainingState
from pigan.training.step import set_rates

# the authors' card; their released batches are split so that they fit
CARD_BYTES = 48e9
# of a FiLM layer backward keeps the linear map's result, the product and the sine's argument
KEPT_A_LAYER = 3


@dataclass
class PlainState:
    """What the reference's step changes."""

    generator: Generator
    averages: tuple[Generator, Generator]
    discriminator: PlainDiscriminator | PlainPatchPose
    optimizer_generator: torch.optim.Adam
    optimizer_discriminator: torch.optim.Adam
    scaler: torch.amp.GradScaler
    steps: int = 0


def plain_state(state: TrainingState, params: Params, dtype: torch.dtype = torch.float32) -> PlainState:
    """The reference at the weights of `state`, on its device, in `dtype`."""
    device = state.generator.device
    top = params.curriculum.order[-1].resolution
    generator = Generator(params.model)
    generator.load_state_dict(state.generator.state_dict())
    discriminator = plain_discriminator(params.model.discriminator, params.model.z_dim, top)
    discriminator.load_state_dict(state.discriminator.state_dict())
    generator, discriminator = generator.to(device, dtype), discriminator.to(device, dtype)
    betas = (params.training.adam_betas[0], params.training.adam_betas[1])
    return PlainState(
        generator,
        (copy.deepcopy(generator), copy.deepcopy(generator)),
        discriminator,
        torch.optim.Adam(generator.parameters(), betas=betas, foreach=False, fused=False),
        torch.optim.Adam(discriminator.parameters(), betas=betas, foreach=False, fused=False),
        torch.amp.GradScaler(device.type, enabled=in_half(device, dtype)),
    )


def in_half(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the reference runs under fp16 autocast: on a GPU, as the authors do."""
    return device.type == "cuda" and dtype == torch.float32


def kept_bytes(model: Model, half: bool) -> int:
    """Bytes that the plain field keeps of one point for backward."""
    return KEPT_A_LAYER * (model.layers + 1) * model.hidden * (2 if half else 4)


def parts_of(model: Model, resolution: int, batch: int, half: bool) -> int:
    """In how many parts the authors' card takes a batch: 2 for 56 images of 64 px with 12 + 12 samples."""
    points = batch * model.points(resolution)
    return min(batch, math.ceil(points * kept_bytes(model, half) / CARD_BYTES))


def plain_training_step(
    state: PlainState,
    params: Params,
    values: Schedule,
    real: Float[Tensor, "batch 3 side side"],
    draws: tuple[Draws, Draws],
) -> dict[str, float]:
    """One step of both networks; `draws` are the generated images of the discriminator's and of the generator's."""
    set_rates(state.optimizer_generator, values.lr_generator)
    set_rates(state.optimizer_discriminator, values.lr_discriminator)
    resolution = real.shape[-1]
    fake = plain_fakes(state, params, draws[0], resolution)
    loss_d = plain_discriminator_step(state, params, values, real, fake, draws[0])
    loss_g = plain_generator_step(state, params, values, draws[1], resolution)
    state.scaler.update()
    state.steps += 1
    for average, decay in zip(state.averages, (params.training.ema_decay, params.training.ema_slow_decay), strict=True):
        _move_average(average, state.generator, decay, state.steps)
    return {"loss_d": loss_d, "loss_g": loss_g}


@torch.no_grad()
def plain_fakes(state: PlainState, params: Params, draws: Draws, resolution: int) -> Float[Tensor, "batch 3 side side"]:
    """Images for the discriminator's step, part by part."""
    settings = ray_settings(params.model, params.camera, params.model.background)
    with _autocast(state):
        parts = [
            plain_images(state.generator, draws.part(part), resolution, params.camera, settings)
            for part in _parts(state, params, len(draws.latent), resolution)
        ]
    return torch.cat(parts)


def plain_discriminator_step(
    state: PlainState,
    params: Params,
    values: Schedule,
    real: Float[Tensor, "batch 3 side side"],
    fake: Float[Tensor, "batch 3 side side"],
    draws: Draws,
) -> float:
    """One update of the discriminator with R1; the loss."""
    judge, scaler, training = state.discriminator, state.scaler, params.training
    state.optimizer_discriminator.zero_grad()
    real = real.detach().requires_grad_()
    with _autocast(state):
        judged_real = judge(real, values.fade)
    (slope,) = torch.autograd.grad(scaler.scale(judged_real.logit.sum()), real, create_graph=True)
    # the host waits for the scale
    slope = slope / scaler.get_scale()
    with _autocast(state):
        penalty = slope.flatten(1).square().sum(1).mean()
        judged_fake = judge(fake, values.fade, pose_of(draws))
        loss = functional.softplus(judged_fake.logit).mean() + functional.softplus(-judged_real.logit).mean()
        loss = loss + 0.5 * training.r1_weight * penalty + _identity(judged_fake, draws, params)
    told = loss.item()
    scaler.scale(loss).backward()
    _update(state, state.optimizer_discriminator, judge, training.grad_clip)
    return told


def plain_generator_step(state: PlainState, params: Params, values: Schedule, draws: Draws, resolution: int) -> float:
    """One update of the generator; the loss. The discriminator's weights get gradients that nobody uses."""
    settings = ray_settings(params.model, params.camera, params.model.background)
    state.optimizer_generator.zero_grad()
    parts = _parts(state, params, len(draws.latent), resolution)
    told = 0.0
    for part in parts:
        some = draws.part(part)
        with _autocast(state):
            fake = plain_images(state.generator, some, resolution, params.camera, settings)
            judged = state.discriminator(fake, values.fade, pose_of(some))
            best = judged.logit.topk(math.ceil(values.topk * len(judged.logit))).values
            saturating = params.training.adversarial == "log"
            loss = (-functional.softplus(best) if saturating else functional.softplus(-best)).mean()
            loss = loss + _identity(judged, some, params)
            # the authors sum over parts; the mean makes the gradient that of the batch
            loss = loss * (len(some.latent) / len(draws.latent))
        state.scaler.scale(loss).backward()
        told += loss.item()
    _update(state, state.optimizer_generator, state.generator, params.training.grad_clip)
    return told


def pose_of(draws: Draws) -> Float[Tensor, "batch 2"]:
    """Pitch and yaw, radians."""
    return torch.stack((draws.pitch, draws.yaw), dim=-1)


def _identity(judged: Judgement, draws: Draws, params: Params) -> Tensor:
    """The encoder's errors of latent and pose."""
    total = judged.logit.new_zeros(())
    training, size = params.training, draws.latent.dtype
    if training.latent_weight and judged.latent is not None:
        total = total + training.latent_weight * functional.mse_loss(judged.latent, draws.latent)
    if training.pose_weight and judged.place is not None:
        total = total + training.pose_weight * functional.mse_loss(judged.place, place_of(pose_of(draws)).to(size))
    elif training.pose_weight and judged.pose is not None:
        total = total + training.pose_weight * functional.mse_loss(judged.pose, pose_of(draws).to(size))
    return total


def _parts(state: PlainState, params: Params, batch: int, resolution: int) -> list[slice]:
    size = math.ceil(batch / parts_of(params.model, resolution, batch, state.scaler.is_enabled()))
    return [slice(start, start + size) for start in range(0, batch, size)]


def _update(state: PlainState, optimizer: torch.optim.Adam, module: nn.Module, clip: float) -> None:
    state.scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(module.parameters(), clip, foreach=False)
    state.scaler.step(optimizer)


@torch.no_grad()
def _move_average(average: nn.Module, current: nn.Module, decay: float, updates: int) -> None:
    share = 1 - min(decay, (1 + updates) / (10 + updates))
    for mean, weight in zip(average.parameters(), current.parameters(), strict=True):
        mean.sub_(share * (mean - weight))


def _autocast(state: PlainState) -> torch.autocast:
    device = state.generator.device
    return torch.autocast(device.type, dtype=torch.float16, enabled=state.scaler.is_enabled())
