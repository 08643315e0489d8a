"""One step of training: the discriminator first, then the generator, then the moving averages.

A step waits for the device once, with a reconstruction loss twice, to learn how many samples have a gradient; what it
measured stays there.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pigan.config import Params
from pigan.kernels.choose import choose_dtype
from pigan.kernels.compiled import compiled
from pigan.models.discriminator import Discriminator, Judgement
from pigan.models.patchpose import at_least_single
from pigan.rendering.render import as_images
from pigan.rendering.volume import SOLID
from pigan.runtime import generator_for
from pigan.training.curriculum import Schedule
from pigan.training.distributed import ALONE, Ranks, add_parts
from pigan.training.ema import update_ema
from pigan.training.fakes import Fakes
from pigan.training.losses import (
    discriminator_loss,
    generator_loss,
    identity_loss,
    opacity_loss,
    r1_penalty,
    top_fraction,
)
from pigan.training.state import TrainingState


class Originals(NamedTuple):
    """Real images that the generator is to render again."""

    images: Float[Tensor, "batch 3 side side"]
    """-1..1"""
    pose: Float[Tensor, "batch 2"] | None
    """Pitch and yaw, radians, where they are known."""
    random: torch.Generator
    """The stream of their rays' random numbers."""


def training_step(
    state: TrainingState,
    params: Params,
    values: Schedule,
    real: Float[Tensor, "batch 3 side side"],
    seed: int,
    real_pose: Float[Tensor, "batch 2"] | None = None,
    ranks: Ranks = ALONE,
    batch: int | None = None,
) -> dict[str, Tensor]:
    """Changes `state` by one step on `real` images (-1..1) and returns what was measured, still on the device.

    `real_pose` is pitch and yaw (radians) of their cameras; None: the discriminator's encoder tells them, where they
    are asked for. Of several ranks each has its part of `batch` images (None: these are all), and all end up with the
    same state and measurements, those of the batch.
    """
    device, step = real.device, state.counters.global_step
    batch, resolution = batch or len(real), real.shape[-1]
    set_rates(state.optimizer_generator, values.lr_generator)
    set_rates(state.optimizer_discriminator, values.lr_discriminator)
    # a stream of its own for every step and network: nothing to save for an exact resume
    streams = [generator_for(device, seed, "train", step, network) for network in ("discriminator", "generator")]
    fakes = [Fakes(params, resolution, batch, values.density_noise, random, ranks) for random in streams]
    originals = None
    if params.training.reconstruction_weight > 0:
        originals = Originals(real, real_pose, generator_for(device, seed, "train", step, "reconstruction"))
    measured = discriminator_step(state, params, values, real, fakes[0], real_pose)
    measured |= generator_step(state, params, values, fakes[1], originals)
    update_scale(state.scaler, device)
    update_ema(state.ema, state.generator, params.training.ema_decay, step + 1)
    update_ema(state.ema_slow, state.generator, params.training.ema_slow_decay, step + 1)
    state.counters.step += 1
    state.counters.global_step += 1
    state.counters.images_seen += batch
    return measured


def discriminator_step(
    state: TrainingState,
    params: Params,
    values: Schedule,
    real: Float[Tensor, "batch 3 side side"],
    fakes: Fakes,
    real_pose: Float[Tensor, "batch 2"] | None = None,
) -> dict[str, Tensor]:
    """One update of the discriminator, with R1 on the real images."""
    training, judge = params.training, state.discriminator
    share = functools.partial(fakes.ranks.share, batch=fakes.batch)
    fake = as_images(fakes.rendering(fakes.samples(state.generator)).colour)
    real = real.detach().requires_grad_(training.r1_weight > 0)
    fade = _fade(values, real.device)
    with _autocast(params, real.device):
        # R1 differentiates twice, which compiled code cannot
        judged_real = judge(_laid_out(real), fade, real_pose)
        judged_fake = _judging(params)(judge, _laid_out(fake), fade, fakes.pose)
    loss = share(discriminator_loss(at_least_single(judged_real.logit), at_least_single(judged_fake.logit)))
    penalty = torch.zeros((), device=real.device)
    if training.r1_weight > 0:
        # the scale as a tensor: asking for its value would wait for the device
        scale = state.scaler.scale(torch.ones((), device=real.device))
        penalty = share(r1_penalty(at_least_single(judged_real.logit), real, scale))
    identity = share(identity_loss(judged_fake, fakes.latent, fakes.pose, training.latent_weight, training.pose_weight))
    state.discriminator.zero_grad(set_to_none=True)
    state.scaler.scale(loss + 0.5 * training.r1_weight * penalty + identity).backward()
    measured = {
        "loss_d": loss.detach(),
        "r1": penalty.detach(),
        "score_real": share(at_least_single(judged_real.logit.detach()).mean()),
        "score_fake": share(at_least_single(judged_fake.logit.detach()).mean()),
    }
    measured = add_parts(fakes.ranks, judge, measured)
    return measured | {"grad_norm_d": _update(state, state.optimizer_discriminator, judge, training.grad_clip)}


def generator_step(
    state: TrainingState, params: Params, values: Schedule, fakes: Fakes, originals: Originals | None = None
) -> dict[str, Tensor]:
    """One update of the generator, by what the discriminator says of `fakes`, and by `originals` rendered again."""
    state.generator.zero_grad(set_to_none=True)
    measured = _adversarial(state, params, values, fakes)
    if originals is not None:
        measured["loss_reconstruction"] = _reconstruction(state, params, values, originals, fakes.batch, fakes.ranks)
    measured = add_parts(fakes.ranks, state.generator, measured)
    norm = _update(state, state.optimizer_generator, state.generator, params.training.grad_clip)
    return measured | {"grad_norm_g": norm}


def _adversarial(state: TrainingState, params: Params, values: Schedule, fakes: Fakes) -> dict[str, Tensor]:
    """Gradients of the generator: sampled and judged first, then differentiated where that has a gradient."""
    training, judge, generator = params.training, state.discriminator, state.generator
    samples = fakes.samples(generator)
    # the gradient of the loss stops at the samples, and at the discriminator, which only passes it on here
    rgb, density = samples.rgb.requires_grad_(), samples.density.requires_grad_()
    rendering = fakes.rendering(samples)
    judge.requires_grad_(False)
    with _autocast(params, rgb.device):
        images, fade = _laid_out(as_images(rendering.colour)), _fade(values, rgb.device)
        judged = _judging(params)(judge, images, fade, fakes.pose)
    judge.requires_grad_(True)
    # the best of the whole batch
    ranks, batch = fakes.ranks, fakes.batch
    best = top_fraction(ranks.gathered(judged.logit, batch), values.topk)[ranks.part(batch)]
    loss = generator_loss(judged.logit, best, training.adversarial)
    identity = identity_loss(judged, fakes.latent, fakes.pose, training.latent_weight, training.pose_weight)
    identity = ranks.share(identity, batch)
    opacity = rendering.opacity.detach()
    empty = ranks.share((opacity < SOLID).to(opacity.dtype).mean(), batch)
    measured = {"loss_g": loss.detach(), "loss_pose": identity.detach(), "empty_rays": empty}
    total = loss + identity
    if training.opacity_weight > 0:
        prior = ranks.share(opacity_loss(rendering, params.model.background), batch)
        measured["loss_opacity"] = prior.detach()
        total = total + training.opacity_weight * prior
    towards = torch.autograd.grad(state.scaler.scale(total), (rgb, density))
    fakes.backward(generator, samples.depths, *towards)
    return measured


def _reconstruction(
    state: TrainingState, params: Params, values: Schedule, originals: Originals, batch: int, ranks: Ranks
) -> Tensor:
    """Adds the weighted gradients of the squared error of real images, encoded and rendered again; returns the error.

    Latents, and poses that are not known, are what the discriminator's encoder sees in the images. It does not learn
    from this: it learns from generated images, whose latents and poses are known, so that it cannot agree with the
    generator upon latents that are unlike those that images are generated from.
    """
    real, pose = originals.images, originals.pose
    with torch.no_grad(), _autocast(params, real.device):
        judged = _judging(params)(state.discriminator, _laid_out(real), _fade(values, real.device), pose)
    assert judged.latent is not None and judged.pose is not None
    # with noise on the density, as always: where nothing is dense yet there is no gradient without it
    drawn = Fakes(params, real.shape[-1], batch, values.density_noise, originals.random, ranks)
    again = drawn.of(at_least_single(judged.latent), at_least_single(judged.pose) if pose is None else pose)
    samples = again.samples(state.generator)
    rgb, density = samples.rgb.requires_grad_(), samples.density.requires_grad_()
    error = ranks.share(functional.mse_loss(as_images(again.rendering(samples).colour), real), batch)
    weighted = state.scaler.scale(params.training.reconstruction_weight * error)
    again.backward(state.generator, samples.depths, *torch.autograd.grad(weighted, (rgb, density)))
    return error.detach()


def _update(state: TrainingState, optimizer: torch.optim.Adam, module: nn.Module, clip: float) -> Tensor:
    """Clips the gradients of `module` and moves its weights; returns the norm before clipping."""
    state.scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(module.parameters(), clip)
    state.scaler.step(optimizer)
    return norm.detach()


def update_scale(scaler: torch.amp.GradScaler, device: torch.device) -> None:
    """The scale of the next step's losses, at least 1 (authors' code): one that fell to 0 would stay there."""
    scaler.update()
    if scaler.is_enabled():
        scaler.update(scaler.scale(torch.ones((), device=device)).clamp_min(1.0))


def _autocast(params: Params, device: torch.device) -> torch.autocast:
    dtype = choose_dtype(params.training.precision, device)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def _laid_out(images: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch 3 side side"]:
    """Channels last on a GPU, as its matrix units want them."""
    return images.contiguous(memory_format=torch.channels_last) if images.is_cuda else images


def _fade(values: Schedule, device: torch.device) -> Float[Tensor, ""] | None:
    """As a tensor: compiled code takes another number without being compiled again."""
    return torch.full((), values.fade, device=device) if values.fade < 1 else None


Judging = Callable[
    [Discriminator, Float[Tensor, "batch 3 side side"], Float[Tensor, ""] | None, Float[Tensor, "batch 2"] | None],
    Judgement,
]


def _judging(params: Params) -> Judging:
    return _compiled_judging() if params.training.kernel == "compiled" else judge_images


@functools.cache
def _compiled_judging() -> Judging:
    return compiled(judge_images)


def judge_images(
    judge: Discriminator,
    images: Float[Tensor, "batch 3 side side"],
    fade: Float[Tensor, ""] | None,
    pose: Float[Tensor, "batch 2"] | None,
) -> Judgement:
    """A function that can be compiled once for all discriminators."""
    return judge(images, fade, pose)


def set_rates(optimizer: torch.optim.Adam, rate: float) -> None:
    """The learning rate of the next step, times what each group of weights is scaled by."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
