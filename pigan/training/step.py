"""One step of training: the discriminator first, then the generator, then the moving averages."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pigan.config import Params
from pigan.kernels.folded import field_of
from pigan.models.generator import Generator, ray_settings
from pigan.models.mapping import draw_latents
from pigan.rendering.cameras import poses_of
from pigan.rendering.render import RayRandomness, as_images, draw_randomness, render_images
from pigan.runtime import generator_for
from pigan.sections import Precision
from pigan.training.curriculum import Schedule
from pigan.training.ema import update_ema
from pigan.training.losses import (
    discriminator_loss,
    generator_loss,
    identity_loss,
    r1_penalty,
    top_fraction,
)
from pigan.training.state import TrainingState

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Fakes:
    """A batch of images to generate: latents, cameras and every random number of their rays, drawn at once."""

    def __init__(
        self, params: Params, resolution: int, batch: int, density_noise: float, random: torch.Generator
    ) -> None:
        camera, model = params.camera, params.model
        self.params, self.resolution = params, resolution
        self.settings = ray_settings(model, camera, model.background)
        self.latent = draw_latents(batch, model.z_dim, model.z_distribution, random)
        self.yaw, self.pitch = poses_of(camera, batch, random)
        self.randomness: RayRandomness = draw_randomness(batch, resolution**2, self.settings, density_noise, random)

    @property
    def pose(self) -> Float[Tensor, "batch 2"]:
        """Pitch and yaw, radians."""
        return torch.stack((self.pitch, self.yaw), dim=-1)

    def render(self, generator: Generator, which: slice = slice(None)) -> Float[Tensor, "batch 3 side side"]:
        """Images in -1..1 of this part of the batch."""
        dtype = DTYPES[self.params.training.precision]
        field = field_of(generator, generator.mapping(self.latent[which]), dtype)
        seen = render_images(
            field,
            self.yaw[which],
            self.pitch[which],
            self.resolution,
            self.params.camera,
            self.settings,
            self.randomness.part(which),
        )
        return as_images(seen.colour)


def training_step(
    state: TrainingState,
    params: Params,
    values: Schedule,
    real: Float[Tensor, "batch 3 side side"],
    micro_batches: int,
    seed: int,
) -> dict[str, Tensor]:
    """Changes `state` by one step on `real` images (-1..1) and returns what was measured, still on the device."""
    device, step = real.device, state.counters.global_step
    batch, resolution = len(real), real.shape[-1]
    _set_rates(state.optimizer_generator, values.lr_generator)
    _set_rates(state.optimizer_discriminator, values.lr_discriminator)
    # a stream of its own for every step and network: nothing to save for an exact resume
    fakes = [
        Fakes(params, resolution, batch, values.density_noise, generator_for(device, seed, "train", step, network))
        for network in ("discriminator", "generator")
    ]
    measured = discriminator_step(state, params, values, real, fakes[0])
    measured |= generator_step(state, params, values, fakes[1], micro_batches)
    state.scaler.update()
    update_ema(state.ema, state.generator, params.training.ema_decay, step)
    update_ema(state.ema_slow, state.generator, params.training.ema_slow_decay, step)
    state.counters.step += 1
    state.counters.global_step += 1
    state.counters.images_seen += batch
    return measured


def discriminator_step(
    state: TrainingState, params: Params, values: Schedule, real: Float[Tensor, "batch 3 side side"], fakes: Fakes
) -> dict[str, Tensor]:
    """One update of the discriminator, with R1 on the real images."""
    training, judge = params.training, state.discriminator
    with torch.no_grad():
        fake = fakes.render(state.generator)
    real = real.detach().requires_grad_(training.r1_weight > 0)
    with _autocast(real.device, training.precision):
        judged_real, judged_fake = judge(real, values.fade), judge(fake, values.fade)
    loss = discriminator_loss(judged_real.logit.float(), judged_fake.logit.float())
    penalty = torch.zeros((), device=real.device)
    if training.r1_weight > 0:
        penalty = r1_penalty(judged_real.logit.float(), real, state.scaler.get_scale())
    identity = identity_loss(judged_fake, fakes.latent, fakes.pose, training.latent_weight, training.pose_weight)
    state.optimizer_discriminator.zero_grad(set_to_none=True)
    state.scaler.scale(loss + 0.5 * training.r1_weight * penalty + identity).backward()
    norm = _update(state, state.optimizer_discriminator, judge, training.grad_clip)
    return {
        "loss_d": loss.detach(),
        "r1": penalty.detach(),
        "score_real": judged_real.logit.detach().float().mean(),
        "score_fake": judged_fake.logit.detach().float().mean(),
        "grad_norm_d": norm,
    }


def generator_step(
    state: TrainingState, params: Params, values: Schedule, fakes: Fakes, micro_batches: int
) -> dict[str, Tensor]:
    """One update of the generator; any number of micro-batches gives the gradient of the whole batch.

    The best fraction is chosen over the whole batch, so with several micro-batches the scores come from a pass
    without gradients first.
    """
    training, judge = params.training, state.discriminator
    batch = len(fakes.latent)
    size = batch // micro_batches
    parts = [slice(start, start + size) for start in range(0, batch, size)]
    # the discriminator only passes gradients on here
    judge.requires_grad_(False)
    weights = torch.full((batch,), 1 / batch, device=fakes.latent.device)
    if values.topk < 1 and micro_batches > 1:
        with torch.no_grad():
            seen = torch.cat([fakes.render(state.generator, part) for part in parts])
            # rays and codes are never in 16 bits, so only the judging is under autocast
            with _autocast(seen.device, training.precision):
                weights = top_fraction(judge(seen, values.fade).logit, values.topk)
    state.optimizer_generator.zero_grad(set_to_none=True)
    total, pose_total = torch.zeros_like(weights[0]), torch.zeros_like(weights[0])
    for part in parts:
        fake = fakes.render(state.generator, part)
        with _autocast(fake.device, training.precision):
            judged = judge(fake, values.fade)
        if values.topk < 1 and micro_batches == 1:
            weights = top_fraction(judged.logit, values.topk)
        loss = generator_loss(judged.logit, weights[part])
        identity = identity_loss(
            judged, fakes.latent[part], fakes.pose[part], training.latent_weight, training.pose_weight
        )
        state.scaler.scale(loss + identity / micro_batches).backward()
        total, pose_total = total + loss.detach(), pose_total + identity.detach() / micro_batches
    judge.requires_grad_(True)
    norm = _update(state, state.optimizer_generator, state.generator, training.grad_clip)
    return {"loss_g": total, "loss_pose": pose_total, "grad_norm_g": norm}


def _update(state: TrainingState, optimizer: torch.optim.Adam, module: nn.Module, clip: float) -> Tensor:
    """Clips the gradients of `module` and moves its weights; returns the norm before clipping."""
    state.scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(module.parameters(), clip)
    state.scaler.step(optimizer)
    return norm.detach()


def _autocast(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "fp32")


def _set_rates(optimizer: torch.optim.Adam, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
