"""The adversarial losses (arXiv 2012.00926, section 3.4; authors' code), and a prior on opacity."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pigan.models.discriminator import Judgement
from pigan.models.patchpose import at_least_single, place_of
from pigan.rendering.volume import Rendering
from pigan.sections import Adversarial, Background

# how far a colour (0..1) is from the background's when it begins to tell that there is something
LIKE_BACKGROUND = 0.1


def discriminator_loss(real: Float[Tensor, "batch"], fake: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
    """E softplus(D(fake)) + E softplus(-D(real)), which is E -log(1 - p(fake)) + E -log p(real), p = sigmoid(D)."""
    return functional.softplus(fake).mean() + functional.softplus(-real).mean()


def r1_penalty(
    logits: Float[Tensor, "batch"], images: Float[Tensor, "batch 3 side side"], scale: Float[Tensor, ""] | float = 1.0
) -> Float[Tensor, ""]:
    """E ||grad_x D(x)||^2 on real images; `scale` keeps 16-bit gradients from vanishing and is divided out."""
    (gradient,) = torch.autograd.grad(scale * logits.sum(), images, create_graph=True)
    return (at_least_single(gradient) / scale).square().flatten(1).sum(1).mean()


def top_fraction(logits: Float[Tensor, "batch"], fraction: float) -> Float[Tensor, "batch"]:
    """Weights that average over the ceil(fraction * batch) best judged images and leave out the others."""
    count = math.ceil(fraction * len(logits))
    best = logits.detach().topk(count).indices
    return torch.zeros_like(logits, dtype=torch.float32).index_fill(0, best, 1 / count)


def generator_loss(
    fake: Float[Tensor, "batch"], weights: Float[Tensor, "batch"], adversarial: Adversarial = "softplus"
) -> Float[Tensor, ""]:
    """Weighted sum of -log p(fake) = softplus(-D(fake)), or with `log` of log(1 - p(fake)) = -softplus(D(fake)).

    The second is the min-max game as it is written (arXiv 1406.2661, equation 1): its gradient fades where the
    discriminator is sure.
    """
    fake = at_least_single(fake)
    loss = -functional.softplus(fake) if adversarial == "log" else functional.softplus(-fake)
    return (loss * weights).sum()


def identity_loss(
    judged: Judgement,
    latent: Float[Tensor, "batch z"],
    pose: Float[Tensor, "batch 2"],
    latent_weight: float,
    pose_weight: float,
) -> Float[Tensor, ""]:
    """Mean squared errors of the encoder's latent and pose (pitch, yaw, radians) on generated images, weighted.

    The pose term regresses angles as they are, so it is of no use where yaw goes full circle (authors' code); that of
    a patch-pose discriminator regresses the camera's place on the unit sphere, which has no seam.
    """
    total = judged.logit.new_zeros((), dtype=torch.float32)
    if latent_weight and judged.latent is not None:
        total = total + latent_weight * functional.mse_loss(at_least_single(judged.latent), latent)
    if pose_weight and judged.place is not None:
        total = total + pose_weight * functional.mse_loss(at_least_single(judged.place), place_of(pose))
    elif pose_weight and judged.pose is not None:
        total = total + pose_weight * functional.mse_loss(at_least_single(judged.pose), pose)
    return total


def opacity_loss(rendering: Rendering, background: Background) -> Float[Tensor, ""]:
    """Prior on the opacity a of rays: mean of log((0.1 + a) / 0.1) + (1 - b) log((1.1 - a) / 1.1); not in pi-GAN.

    With b = 0 it is the Beta prior of Neural Volumes (arXiv 1906.07751), which draws a ray to the nearer of 0 and 1.
    b = exp(-d^2 / (2 * 0.1^2)), with d the root mean square of what parts its colour from the background's, is near 1
    where a surface would look like none, so nothing draws to 1 there. No gradient flows to b; it is 0 with `last`,
    whose background has no colour of its own.
    """
    opacity, blank = rendering.opacity, rendering.opacity.new_zeros(())
    if background != "last":
        apart = rendering.colour.detach() - (1.0 if background == "white" else 0.0)
        blank = torch.exp(-apart.square().mean(-1) / (2 * LIKE_BACKGROUND**2))
    return (torch.log1p(opacity / 0.1) + (1 - blank) * torch.log1p(-opacity / 1.1)).mean()
